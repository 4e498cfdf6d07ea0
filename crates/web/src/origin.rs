//! The check against forged requests: who sent it (the browser's own word), and the token of the session.

use axum::http::{HeaderMap, header, uri::Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{fault::Fault, hosts::host_of};

/// A header that no page of another site can send: browsers would have to ask first, and are never answered.
pub(crate) const CUSTOM_HEADER: &str = "x-steward-csrf";

/// What the browser says of where a request began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A page of this very server.
    Own,
    /// Another site, or a page that may be one.
    Foreign,
    /// A page that hides where it is from: `Origin: null`.
    Hidden,
    /// Nothing is said: no browser (each names the origin of a POST).
    Program,
}

/// Where a request began. `Sec-Fetch-Site` can't be set by a page, and so counts first; a plain-HTTP page on another
/// machine's address has only `Origin`.
pub(crate) fn sender(headers: &HeaderMap) -> Sender {
    if let Some(site) = headers.get("sec-fetch-site") {
        return if site == "same-origin" { Sender::Own } else { Sender::Foreign };
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Sender::Program };
    let Ok(origin) = origin.to_str() else { return Sender::Foreign };
    if origin == "null" {
        return Sender::Hidden;
    }
    let own = origin
        .parse::<Uri>()
        .ok()
        .and_then(|o| o.authority().cloned())
        .zip(host_of(headers))
        .is_some_and(|(o, h)| o == h);
    if own { Sender::Own } else { Sender::Foreign }
}

/// The token that a session's forms carry. It follows from the cookie, which no other site can read.
pub(crate) fn form_token(session_token: &str) -> String {
    hex::encode(Sha256::new_with_prefix("steward form token\n").chain_update(session_token).finalize())
}

/// Lets a form of a session through: not from elsewhere, and with the session's token.
pub(crate) fn check_form(headers: &HeaderMap, expected: &str, given: Option<&str>) -> Result<(), Fault> {
    if sender(headers) == Sender::Foreign {
        return Err(Fault::forged("it came from another site"));
    }
    let right = given.is_some_and(|g| bool::from(g.as_bytes().ct_eq(expected.as_bytes())));
    if right { Ok(()) } else { Err(Fault::forged("the form's token is missing or belongs to another session")) }
}

/// Lets a form without a session through (log-in, set-up). A hidden origin is refused: its page asks the browser to
/// name it (see the referrer policy of such pages).
pub(crate) fn check_open_form(headers: &HeaderMap) -> Result<(), Fault> {
    match sender(headers) {
        Sender::Own | Sender::Program => Ok(()),
        Sender::Foreign | Sender::Hidden => Err(Fault::forged("it came from another site")),
    }
}

/// Lets a change through the JSON API: from a page of this server, or by what no foreign form can send without being
/// asked first (the custom header, a token's, or a JSON body from a program that names no origin).
pub(crate) fn check_api(headers: &HeaderMap) -> Result<(), Fault> {
    let is_custom = headers.contains_key(CUSTOM_HEADER) || headers.contains_key(header::AUTHORIZATION);
    match sender(headers) {
        Sender::Own => Ok(()),
        Sender::Program if is_custom || is_json(headers) => Ok(()),
        Sender::Hidden if is_custom => Ok(()),
        Sender::Foreign => Err(Fault::forged("it came from another site")),
        Sender::Hidden | Sender::Program => {
            Err(Fault::forged("it does not show where it comes from; send JSON, or the header X-Steward-CSRF: 1"))
        }
    }
}

/// Whether the body is said to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert("host", "127.0.0.1:8000".parse().unwrap());
        for (name, value) in pairs {
            map.insert(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn the_browsers_word_counts() {
        let own = [
            vec![("sec-fetch-site", "same-origin")],
            vec![("sec-fetch-site", "same-origin"), ("origin", "null")],
            vec![("origin", "http://127.0.0.1:8000")],
            vec![("origin", "https://127.0.0.1:8000")],
        ];
        for pairs in own {
            assert_eq!(sender(&headers(&pairs)), Sender::Own, "{pairs:?}");
        }
        let foreign = [
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8000")],
            vec![("sec-fetch-site", "none")],
            vec![("origin", "http://127.0.0.1:8001")],
            vec![("origin", "http://evil.example")],
            vec![("origin", "garbage")],
        ];
        for pairs in foreign {
            assert_eq!(sender(&headers(&pairs)), Sender::Foreign, "{pairs:?}");
        }
        assert_eq!(sender(&headers(&[("origin", "null")])), Sender::Hidden);
        assert_eq!(sender(&headers(&[])), Sender::Program);
    }

    #[test]
    fn a_form_needs_its_token_and_its_own_page() {
        let token = form_token("session");
        let own = headers(&[("sec-fetch-site", "same-origin")]);
        assert!(check_form(&own, &token, Some(&token)).is_ok());
        assert!(check_form(&own, &token, None).is_err());
        assert!(check_form(&own, &token, Some("")).is_err());
        assert!(check_form(&own, &token, Some(&form_token("another"))).is_err());
        assert!(check_form(&headers(&[("sec-fetch-site", "cross-site")]), &token, Some(&token)).is_err());
        assert!(check_form(&headers(&[("origin", "null")]), &token, Some(&token)).is_ok(), "plain HTTP, no referrer");
        assert!(check_open_form(&headers(&[("origin", "null")])).is_err());
        assert!(check_open_form(&headers(&[("origin", "http://evil.example")])).is_err());
        assert!(check_open_form(&headers(&[])).is_ok());
    }

    #[test]
    fn a_change_by_json_shows_where_it_comes_from() {
        assert!(check_api(&headers(&[("content-type", "application/json; charset=utf-8")])).is_ok());
        assert!(check_api(&headers(&[(CUSTOM_HEADER, "1")])).is_ok());
        assert!(check_api(&headers(&[("authorization", "Bearer x")])).is_ok());
        assert!(check_api(&headers(&[("origin", "http://evil.example"), ("authorization", "Bearer x")])).is_err());
        assert!(check_api(&headers(&[("origin", "http://127.0.0.1:8000")])).is_ok());
        assert!(check_api(&headers(&[])).is_err());
        assert!(check_api(&headers(&[("content-type", "text/plain")])).is_err());
        assert!(check_api(&headers(&[("origin", "http://evil.example"), (CUSTOM_HEADER, "1")])).is_err());
        assert!(check_api(&headers(&[("origin", "null"), ("content-type", "application/json")])).is_err());
    }
}
