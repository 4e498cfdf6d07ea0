//! Webhooks: whether a call was signed by whom it says, is fresh, and is the same as an earlier one. All but what is noted of
//! refused calls are pure functions.
//!
//! What makes two calls the same is only ever what was signed: whoever overhears a call could otherwise send it again under
//! another number.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use store::{
    Actor, Store,
    notifications::{self, Notification},
    watchers::{self, Watcher},
};

use crate::{Error, Result, telling::copy_id};

/// How far a sender's clock may be off, in seconds, unless the settings say otherwise.
const TOLERANCE_S: u32 = 300;
/// Bytes of a secret at least: fewer can be guessed.
const SECRET_BYTES: usize = 16;

/// Who signs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `X-Hub-Signature-256`, over the body.
    Github,
    /// `Stripe-Signature`, over time and body.
    Stripe,
    /// The Standard Webhooks specification: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    Standard,
    /// HMAC-SHA-256 in a header of its own, over the body or over time and body.
    #[default]
    Generic,
}

/// A webhook's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Who signs, and how.
    #[serde(default)]
    pub scheme: Scheme,
    /// For `generic`: the header with the signature, in hexadecimal (with or without `sha256=`) or base64.
    pub signature_header: Option<String>,
    /// For `generic`: a header with the time in seconds; then `time.body` is signed.
    pub timestamp_header: Option<String>,
    /// How old a call may be, in seconds.
    pub tolerance_s: Option<u32>,
    /// The tasks' title.
    pub title: Option<String>,
    /// The playbook that does the work.
    pub playbook: Option<String>,
    /// Whose task it is.
    pub assign_to: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub priority: Option<String>,
    /// The tasks' kind, by which a model is chosen.
    pub kind: Option<String>,
    /// For whoever looks after all watchers.
    pub silent_after_h: Option<u32>,
}

/// A call that may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What makes it the same call when it comes again.
    pub key: String,
    /// What it tells of, where it says.
    pub event: Option<String>,
}

/// Why a call is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It lacks what is to be signed.
    #[error("the call is not signed as this webhook wants it: a header is missing or can't be read")]
    Unsigned,
    /// The signature is another's.
    #[error("the signature does not fit: the secret is another one, or the body was changed on its way")]
    Forged,
    /// It is from long ago, or from the future.
    #[error("the call is too old, or its sender's clock is wrong")]
    Stale,
}

impl Settings {
    /// Reads the settings, without the credentials that may stand among them.
    pub fn parse(config: &Json) -> Result<Self> {
        let mut own = config.clone();
        if let Some(object) = own.as_object_mut() {
            object.remove(crate::watchers::CREDENTIALS);
        }
        let settings: Self = serde_json::from_value(own)
            .map_err(|e| Error::invalid("config", format!("the settings do not fit: {e}")))?;
        if settings.playbook.is_none() && settings.assign_to.is_none() {
            return Err(Error::invalid("config", "say who does the work: a playbook, or a person in assign_to"));
        }
        if let Some(kind) = &settings.kind {
            crate::tasks::check_kind(kind)?;
        }
        if settings.scheme != Scheme::Generic
            && (settings.signature_header.is_some() || settings.timestamp_header.is_some())
        {
            return Err(Error::invalid(
                "config",
                "signature_header and timestamp_header go with the scheme generic alone",
            ));
        }
        if settings.tolerance_s.is_some_and(|s| !(1..=86_400).contains(&s)) {
            return Err(Error::invalid("config", "tolerance_s must be from 1 to 86400 seconds"));
        }
        Ok(settings)
    }

    /// Judges a call. `header` answers a header by its name in lower case.
    pub fn verify(
        &self,
        secret: &str,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Delivery, Refused> {
        match self.scheme {
            Scheme::Github => {
                let signature = header("x-hub-signature-256").ok_or(Refused::Unsigned)?;
                fits(secret.as_bytes(), &[body], &[tag(&signature)?])?;
                Ok(Delivery { key: by_body(None, body), event: header("x-github-event") })
            }
            Scheme::Stripe => {
                let signed = header("stripe-signature").ok_or(Refused::Unsigned)?;
                let parts: Vec<(&str, &str)> = signed.split(',').filter_map(|p| p.trim().split_once('=')).collect();
                let time = parts.iter().find(|(n, _)| *n == "t").map(|(_, t)| *t).ok_or(Refused::Unsigned)?;
                let tags: Vec<Vec<u8>> =
                    parts.iter().filter(|(n, _)| *n == "v1").filter_map(|(_, v)| hex::decode(v).ok()).collect();
                fits(secret.as_bytes(), &[time.as_bytes(), b".", body], &tags)?;
                self.fresh(time, now)?;
                let said: Json = serde_json::from_slice(body).unwrap_or_default();
                let key = said["id"].as_str().map_or_else(|| by_body(Some(time), body), |id| named("stripe", id));
                Ok(Delivery { key, event: said["type"].as_str().map(str::to_owned) })
            }
            Scheme::Standard => {
                let get = |name: &str| header(name).ok_or(Refused::Unsigned);
                let (id, time, signatures) = (get("webhook-id")?, get("webhook-timestamp")?, get("webhook-signature")?);
                let tags: Vec<Vec<u8>> = signatures
                    .split(' ')
                    .filter_map(|s| s.strip_prefix("v1,"))
                    .filter_map(|s| STANDARD.decode(s).ok())
                    .collect();
                let secret = secret.strip_prefix("whsec_").unwrap_or(secret);
                let key = STANDARD.decode(secret).unwrap_or_else(|_| secret.as_bytes().to_vec());
                fits(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body], &tags)?;
                self.fresh(&time, now)?;
                let said: Json = serde_json::from_slice(body).unwrap_or_default();
                Ok(Delivery { key: named("standard", &id), event: said["type"].as_str().map(str::to_owned) })
            }
            Scheme::Generic => {
                let name = self.signature_header.as_deref().unwrap_or("x-signature-256").to_lowercase();
                let signature = header(&name).ok_or(Refused::Unsigned)?;
                let Some(time) = &self.timestamp_header else {
                    fits(secret.as_bytes(), &[body], &[tag(&signature)?])?;
                    return Ok(Delivery { key: by_body(None, body), event: None });
                };
                let time = header(&time.to_lowercase()).ok_or(Refused::Unsigned)?;
                fits(secret.as_bytes(), &[time.as_bytes(), b".", body], &[tag(&signature)?])?;
                self.fresh(&time, now)?;
                Ok(Delivery { key: by_body(Some(&time), body), event: None })
            }
        }
    }

    fn fresh(&self, time: &str, now: Timestamp) -> Result<(), Refused> {
        let seconds: i64 = time.trim().parse().map_err(|_| Refused::Unsigned)?;
        let at = Timestamp::from_second(seconds).map_err(|_| Refused::Stale)?;
        let tolerance = SignedDuration::from_secs(i64::from(self.tolerance_s.unwrap_or(TOLERANCE_S)));
        if now.duration_since(at).abs() <= tolerance { Ok(()) } else { Err(Refused::Stale) }
    }
}

/// Whether the credentials hold a secret that can't be guessed; answers it.
pub fn check_secret(credentials: Option<&Json>) -> Result<String> {
    let secret = credentials.and_then(|c| c.get("secret")).and_then(Json::as_str).unwrap_or_default();
    if secret.len() < SECRET_BYTES {
        return Err(Error::invalid(
            "credentials",
            format!("a webhook's credentials need a secret of at least {SECRET_BYTES} signs: {{\"secret\": \"…\"}}"),
        ));
    }
    Ok(secret.to_owned())
}

/// Compared in constant time.
fn fits(secret: &[u8], parts: &[&[u8]], tags: &[Vec<u8>]) -> Result<(), Refused> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let message = parts.concat();
    if tags.iter().any(|tag| hmac::verify(&key, &message, tag).is_ok()) { Ok(()) } else { Err(Refused::Forged) }
}

/// A signature in hexadecimal, with or without `sha256=`, or in base64.
fn tag(text: &str) -> Result<Vec<u8>, Refused> {
    let text = text.trim();
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok()).ok_or(Refused::Unsigned)
}

fn by_body(time: Option<&str>, body: &[u8]) -> String {
    let hash = Sha256::new().chain_update(time.unwrap_or_default()).chain_update([0]).chain_update(body).finalize();
    format!("body:{}", hex::encode(hash))
}

fn named(scheme: &str, id: &str) -> String {
    format!("{scheme}:{}", hex::encode(Sha256::digest(id)))
}

/// Writes down at a webhook that its calls are refused, `count` of them within an hour and none believed between them, and tells
/// its owner, once a day while it lasts.
pub async fn note_refusals(store: &Store, watcher: &Watcher, count: u32, why: Refused) -> Result<()> {
    let service = Actor::service();
    let said = format!("{count} calls were refused within the last hour, and none was believed: {why}");
    watchers::report(&service, store, watcher.id, Some(&said)).await?;
    let Some(owner) = watcher.created_by else { return Ok(()) };
    let now = store::now();
    let id = copy_id(watcher.id, &format!("refused calls {}", now.strftime("%Y-%m-%d")));
    let told = Notification {
        id,
        user_id: Some(owner),
        title: format!("The webhook {} refuses its calls", watcher.name).chars().take(255).collect(),
        message: Some(format!("{said}. Compare the secret and the scheme with the sender's settings.")),
        r#type: "alert".to_owned(),
        priority: "high".to_owned(),
        status: "unread".to_owned(),
        data: Some(json!({ "watcher_id": watcher.id })),
        read_at: None,
        sent_at: None,
        created_at: now,
        scheduled_for: None,
        channel: "web".to_owned(),
    };
    if notifications::put_copy(&service, store, id, "web", &told, None).await? {
        // On the web it is delivered as it is written.
        notifications::sent(&service, store, id).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_760_000_000;

    fn call(config: Json, secret: &str, headers: &[(&str, &str)], body: &str) -> Result<Delivery, Refused> {
        let mut config = config;
        config["playbook"] = json!("p");
        let settings = Settings::parse(&config).unwrap();
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        settings.verify(secret, &header, body.as_bytes(), Timestamp::from_second(NOW).unwrap())
    }

    fn sign(secret: &[u8], text: &str) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref().to_vec()
    }

    // The example of GitHub's own documentation.
    #[test]
    fn github_s_own_example() {
        let (secret, body) = ("It's a Secret to Everybody", "Hello, World!");
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let ok = call(
            json!({ "scheme": "github" }),
            secret,
            &[("x-hub-signature-256", good), ("x-github-event", "ping")],
            body,
        )
        .unwrap();
        assert_eq!(ok.event.as_deref(), Some("ping"));
        assert_eq!(
            call(json!({ "scheme": "github" }), secret, &[("x-hub-signature-256", good)], "Hello, World?"),
            Err(Refused::Forged)
        );
        assert_eq!(
            call(json!({ "scheme": "github" }), "other", &[("x-hub-signature-256", good)], body),
            Err(Refused::Forged)
        );
        assert_eq!(call(json!({ "scheme": "github" }), secret, &[], body), Err(Refused::Unsigned));
        let replayed = call(
            json!({ "scheme": "github" }),
            secret,
            &[("x-hub-signature-256", good), ("x-github-delivery", "another")],
            body,
        )
        .unwrap();
        assert_eq!(replayed.key, ok.key, "the number of the delivery is not signed");
    }

    // The example of the Standard Webhooks specification.
    #[test]
    fn the_standard_s_own_example() {
        let settings = Settings::parse(&json!({ "scheme": "standard", "playbook": "p" })).unwrap();
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ];
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let at = |s| Timestamp::from_second(s).unwrap();
        let verify =
            |now| settings.verify("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &header, br#"{"test": 2432232314}"#, now);
        assert!(verify(at(1_614_265_330 + 299)).is_ok());
        assert_eq!(verify(at(1_614_265_330 + 301)), Err(Refused::Stale));
        assert_eq!(verify(at(1_614_265_330 - 301)), Err(Refused::Stale));
    }

    #[test]
    fn stripe_signs_the_time_and_several_secrets() {
        let (secret, body) = ("whsec_test_secret", r#"{"id":"evt_1","type":"charge.failed"}"#);
        let v1 = hex::encode(sign(secret.as_bytes(), &format!("{NOW}.{body}")));
        let header = format!("t={NOW},v1={},v1={v1},v0=6ffbb59b", "00".repeat(32));
        let ok = call(json!({ "scheme": "stripe" }), secret, &[("stripe-signature", &header)], body).unwrap();
        assert_eq!(ok.event.as_deref(), Some("charge.failed"));
        let later = format!("t={},v1={v1}", NOW + 1);
        assert_eq!(
            call(json!({ "scheme": "stripe" }), secret, &[("stripe-signature", &later)], body),
            Err(Refused::Forged)
        );
        let old = NOW - 301;
        let stale = format!("t={old},v1={}", hex::encode(sign(secret.as_bytes(), &format!("{old}.{body}"))));
        assert_eq!(
            call(json!({ "scheme": "stripe" }), secret, &[("stripe-signature", &stale)], body),
            Err(Refused::Stale)
        );
    }

    #[test]
    fn a_header_of_one_s_own() {
        let secret = "sixteen signs or more";
        let plain = STANDARD.encode(sign(secret.as_bytes(), "body"));
        assert!(call(json!({ "signature_header": "X-Mine" }), secret, &[("x-mine", &plain)], "body").is_ok());
        let config = json!({ "signature_header": "X-Mine", "timestamp_header": "X-Time", "tolerance_s": 10 });
        let timed = hex::encode(sign(secret.as_bytes(), &format!("{}.body", NOW - 9)));
        let time = (NOW - 9).to_string();
        assert!(call(config.clone(), secret, &[("x-mine", &timed), ("x-time", &time)], "body").is_ok());
        assert_eq!(call(config, secret, &[("x-mine", &plain), ("x-time", &time)], "body"), Err(Refused::Forged));
    }

    #[test]
    fn settings_and_secrets_are_checked() {
        for (config, word) in [
            (json!({}), "playbook"),
            (json!({ "playbook": "p", "colour": 1 }), "colour"),
            (json!({ "playbook": "p", "scheme": "github", "signature_header": "x" }), "generic alone"),
            (json!({ "playbook": "p", "tolerance_s": 0 }), "tolerance_s"),
            (json!({ "playbook": "p", "kind": "a\nb" }), "kind"),
        ] {
            assert!(Settings::parse(&config).unwrap_err().to_string().contains(word), "{config}");
        }
        assert!(check_secret(Some(&json!({ "secret": "short" }))).is_err());
        assert!(check_secret(None).is_err());
    }
}
