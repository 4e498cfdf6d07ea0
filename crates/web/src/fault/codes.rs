//! The stable codes of refusals and failures: the one list, which the API's description and `/docs` show.

/// A code, the status it comes with, and what it means.
#[derive(Debug)]
pub(crate) struct Code {
    pub name: &'static str,
    pub status: u16,
    pub means: &'static str,
}

const fn code(status: u16, name: &'static str, means: &'static str) -> Code {
    Code { name, status, means }
}

/// All of them, by status.
pub(crate) const CODES: &[Code] = &[
    code(400, "malformed", "the request can't be read"),
    code(401, "log_in_needed", "no valid session or token came with it"),
    code(401, "log_in_refused", "the name or the password is wrong"),
    code(401, "second_factor_needed", "the password is right; a code or a passkey is still to come"),
    code(401, "token_refused", "the API token is unknown, revoked or over, or its owner is not active"),
    code(403, "cross_site", "it came from another site, or does not show where it comes from"),
    code(403, "person_needed", "no API token reaches this"),
    code(403, "reauthentication_needed", "a decision of high risk needs you to show again who you are"),
    code(403, "refused", "you may not do this"),
    code(403, "scope_needed", "the API token lacks the scope that the answer names"),
    code(404, "not_found", "there is no such thing, or you may not see it"),
    code(405, "method_not_allowed", "the address does not answer to this method"),
    code(408, "too_slow", "nothing of the body came for 30 seconds; as 503, the answer took longer than 40"),
    code(409, "conflict", "its state does not allow it, or somebody else was first"),
    code(409, "key_in_use", "the request under this Idempotency-Key has no answer yet"),
    code(412, "changed", "it is not as it was read; the answer says how it stands"),
    code(413, "too_large", "the body is larger than is taken"),
    code(415, "not_json", "the body must be JSON"),
    code(416, "no_such_range", "the content has no such range of bytes"),
    code(421, "unknown_host", "this Steward does not answer to the host that the request names"),
    code(422, "invalid", "a field is wrong; `errors` says which"),
    code(422, "key_reused", "the Idempotency-Key was used for another request"),
    code(429, "too_many_keys", "10,000 requests came under keys within a day"),
    code(429, "too_many_requests", "more requests come than are taken"),
    code(429, "too_many_tries", "too many log-ins failed of late"),
    code(500, "damaged", "a file is not what was kept"),
    code(500, "internal", "something went wrong inside; the log has it under the request's id"),
    code(503, "busy", "the same work is under way for somebody else"),
    code(503, "database_busy", "the database has no time at the moment"),
    code(503, "database_unavailable", "the database does not answer"),
    code(503, "outcome_unknown", "the commit's answer was lost: look before you send it again"),
    code(503, "schema", "the database is being brought up to date"),
    code(503, "too_many_streams", "as many event streams are open as are served"),
    code(503, "too_many_uploads", "as many uploads are under way as are taken"),
    code(507, "quota", "files take all that the operator allows"),
    code(507, "storage", "the disk is full"),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::CODES;

    /// Texts of the crate's sources, without tests.
    fn sources(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "tests") {
                sources(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("fault/codes.rs") {
                into.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_code_that_is_answered_is_listed() {
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let mut found = BTreeSet::new();
        for (before, is_status) in [("StatusCode::", true), (".code = \"", false)] {
            for rest in text.split(before).skip(1) {
                let rest = if is_status {
                    rest.split_once(", \"")
                        .filter(|(status, _)| status.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
                } else {
                    Some(("", rest))
                };
                found.extend(rest.and_then(|(_, rest)| rest.split('"').next()).filter(|w| is_word(w)));
            }
        }
        for rest in text.split("::busy(").skip(1) {
            // The code stands before the seconds to wait.
            let parts: Vec<&str> = rest.split('"').take(5).collect();
            let is_before_seconds =
                |text: &str| text.strip_prefix(", ").is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
            found.extend(parts.windows(2).filter(|p| is_word(p[0]) && is_before_seconds(p[1])).map(|p| p[0]));
        }
        let listed: BTreeSet<&str> = CODES.iter().map(|c| c.name).collect();
        assert_eq!(listed.len(), CODES.len(), "each stands once");
        assert!(CODES.is_sorted_by_key(|c| (c.status, c.name)));
        assert_eq!(found.difference(&listed).collect::<Vec<_>>(), [] as [&&str; 0], "answered and not listed");
        assert_eq!(listed.difference(&found).collect::<Vec<_>>(), [] as [&&str; 0], "listed and never answered");
    }
}
