//! Telling people's browsers: to each that asked for it, encrypted for it alone, short and without anything that is secret.

use domain::{telling, web_push};
use outside::{
    Kind, Trouble,
    address::Reach,
    web_push::{Browser, Message, Outcome, Sender},
};
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use store::{Store, Vault, notifications::Notification, users::Contact};

use crate::Result;

/// Characters of what a browser shows.
const TITLE_CHARS: usize = 120;

fn lost(e: Trouble) -> domain::Error {
    store::Error::Vault(e.message).into()
}

/// A new key, by which browsers and their makers' services know this Steward.
pub fn new_key() -> domain::Result<SecretString> {
    Sender::generate().map_err(lost)
}

/// The public half of such a key, as a browser wants it.
pub fn public(key: &SecretString) -> domain::Result<String> {
    Ok(Sender::open(key).map_err(lost)?.public())
}

/// Refuses what no browser gives. Answers its address.
pub fn check(browser: &Json) -> domain::Result<String> {
    let wrong = |why: String| domain::Error::invalid("subscription", why);
    let browser: Browser = serde_json::from_value(browser.clone()).map_err(|e| wrong(e.to_string()))?;
    browser.check().map_err(|e| wrong(e.message))?;
    Ok(browser.endpoint)
}

/// What a browser is sent: a few words, where they lead, and by what it knows the same again. What the message itself says
/// stays here.
fn message(told: &[&Notification], links: &[String]) -> Option<Message> {
    let first = told.first()?;
    let (title, link) = match told {
        [one] => (one.title.chars().take(TITLE_CHARS).collect(), links.first().cloned().unwrap_or_default()),
        many => (format!("{} messages from Steward", many.len()), "/notifications".to_owned()),
    };
    let topic = first.id.simple().to_string();
    let is_urgent = told.iter().any(|n| telling::Priority::of(&n.priority) >= telling::Priority::High);
    let text = json!({ "title": title, "link": link, "tag": topic }).to_string();
    Some(Message { topic, text, is_urgent })
}

/// Sends to each of a person's browsers, and answers how many took it. One that does not want to be told any more is
/// forgotten. Where another may take it later, that is the answer, and all are tried again under the same topic; one that
/// never will is told of in the log, and is the answer only where nobody else took it.
pub(crate) async fn send(
    (store, vault): (&Store, &Vault),
    reach: &Reach,
    contact: &Contact,
    told: &[&Notification],
    links: &[String],
) -> Result<Result<usize, Trouble>> {
    let held = web_push::browsers(store, vault, contact.id).await?;
    let Some(message) = message(told, links).filter(|_| !held.is_empty()) else { return Ok(Ok(0)) };
    let key = web_push::key(store, vault, new_key).await?;
    let sender = Sender::open(&key).map_err(lost)?;
    let by = format!("mailto:{}", contact.email);
    let (mut taken, mut failed, mut lost_for_good) = (0, None, None);
    for (id, browser) in held {
        let opened = browser.map_err(|e| e.to_string());
        let opened = opened.and_then(|json| serde_json::from_value::<Browser>(json).map_err(|e| e.to_string()));
        let sent = match opened {
            Ok(browser) => sender.send(reach.clone(), &browser, &by, &message).await,
            Err(e) => Err(Trouble::lasting(format!("a browser is not what was kept: {e}"))),
        };
        match sent {
            Ok(Outcome::Taken) => taken += 1,
            Ok(Outcome::Gone) => {
                web_push::forget(store, id).await?;
                tracing::info!(user = %contact.username, "a browser does not want to be told any more");
            }
            Err(trouble) if trouble.kind == Kind::Lasting => {
                tracing::warn!(user = %contact.username, browser = %id, error = %trouble.message, "a browser can't be told; enrol it anew");
                lost_for_good = Some(trouble);
            }
            Err(trouble) => failed = Some(trouble),
        }
    }
    Ok(match failed.or(lost_for_good.filter(|_| taken == 0)) {
        Some(trouble) => Err(trouble),
        None => Ok(taken),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_browser_is_told_little() {
        let one = Notification {
            id: Uuid::from_u128(7),
            user_id: None,
            title: "x".repeat(200),
            message: Some("the arguments, whole".to_owned()),
            r#type: "approval".to_owned(),
            priority: "high".to_owned(),
            status: "unread".to_owned(),
            data: Some(json!({"secret": "s3cret"})),
            read_at: None,
            sent_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            scheduled_for: None,
            channel: "push".to_owned(),
        };
        let links = ["/approvals/7".to_owned(), "/tasks/8".to_owned()];
        let sent = message(&[&one], &links[..1]).unwrap();
        assert!(sent.text.len() < 300 && sent.is_urgent && sent.topic.len() == 32, "{sent:?}");
        assert!(
            sent.text.contains("/approvals/7") && !sent.text.contains("arguments") && !sent.text.contains("s3cret")
        );
        let several = message(&[&one, &one], &links).unwrap();
        assert!(several.text.contains("2 messages") && several.text.contains("/notifications"));
    }
}
