//! What a server asks of a person while it works on a call (MCP's elicitation): bounded, never for a secret, and answered
//! in any case: what nobody answers is cancelled.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::{
    connection::Outgoing,
    news::{CallNews, Listening, Patience, printable},
};

/// What is shown of a question, in characters.
const MESSAGE_CHARS: usize = 2000;
/// What a form may have as JSON, in bytes.
const SCHEMA_BYTES: usize = 32 * 1024;
/// Fields that a form may have.
const MOST_FIELDS: usize = 32;
/// The longest address that is shown, in characters.
const URL_CHARS: usize = 2000;
/// Words that make a field one for a secret, in the languages that forms here are mostly written in.
const SECRET_WORDS: [&str; 18] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "accesstoken",
    "refreshtoken",
    "authtoken",
    "bearer",
    "creditcard",
    "cardnumber",
    "cvv",
    "cvc",
    "passwort",
    "kennwort",
];

/// What a server wants to know from a person. Dropped without an answer, it is cancelled.
#[derive(Debug)]
pub struct Question {
    /// In the server's words: data, at most 2000 printable characters.
    pub message: String,
    /// What is asked.
    pub asks: Asks,
    reply: Reply,
}

/// What is asked of a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Asks {
    /// Fields to be filled in.
    Fields {
        /// A JSON schema: an object of at most 32 fields.
        schema: Value,
    },
    /// That the person opens an address and goes on there. Steward shows it and opens nothing.
    Address {
        /// `https://…`
        url: String,
    },
}

impl Asks {
    /// What the answer is where the person changes nothing: the fields' own defaults.
    pub fn defaults(&self) -> Map<String, Value> {
        let Self::Fields { schema } = self else { return Map::new() };
        let fields = schema["properties"].as_object().into_iter().flatten();
        fields.filter_map(|(name, field)| Some((name.clone(), field.get("default")?.clone()))).collect()
    }
}

impl Question {
    /// How long it may be thought about at most.
    pub fn longest(&self) -> std::time::Duration {
        self.reply.patience.longest()
    }

    /// The person says yes, with what the fields hold.
    pub async fn accept(self, content: Map<String, Value>) {
        let result = match self.asks {
            Asks::Fields { .. } => json!({"action": "accept", "content": content}),
            Asks::Address { .. } => json!({"action": "accept"}),
        };
        self.reply.send(result).await;
    }

    /// The person says no.
    pub async fn decline(self) {
        self.reply.send(json!({"action": "decline"})).await;
    }
}

/// The way back to the server; used once.
#[derive(Debug)]
struct Reply {
    outbox: Option<mpsc::Sender<Outgoing>>,
    id: Value,
    patience: Arc<Patience>,
}

impl Reply {
    async fn send(mut self, result: Value) {
        if let Some(outbox) = self.outbox.take() {
            self.patience.go_on();
            // Where the server is gone, nobody waits for it.
            drop(outbox.send(Outgoing::plain(&self.line(&result))).await);
        }
    }

    fn line(&self, result: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.id, "result": result})
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(outbox) = self.outbox.take() {
            self.patience.go_on();
            drop(outbox.try_send(Outgoing::plain(&self.line(&json!({"action": "cancel"})))));
        }
    }
}

/// What becomes of a server's question.
pub(crate) enum Asked {
    /// Somebody was asked, and answers.
    Passed,
    /// It is answered at once.
    Answer(Value),
    /// It is refused, for this reason.
    Refused(&'static str),
}

/// Hands a question to whoever waits for the call it belongs to.
pub(crate) fn pass(params: &Value, id: &Value, to: Option<Listening>, outbox: &mpsc::Sender<Outgoing>) -> Asked {
    let Some(Listening { news: Some(news), patience }) = to else {
        // It belongs to no call, or to one that nobody could be asked about.
        return Asked::Answer(json!({"action": "cancel"}));
    };
    let asks = match read(params) {
        Ok(asks) => asks,
        Err(reason) => return Asked::Refused(reason),
    };
    if let Asks::Fields { schema } = &asks
        && wants_secret(schema)
    {
        return Asked::Answer(json!({"action": "decline"}));
    }
    let message = printable(params["message"].as_str().unwrap_or_default(), MESSAGE_CHARS);
    patience.stop();
    let reply = Reply { outbox: Some(outbox.clone()), id: id.clone(), patience };
    // Where there is no room, it is dropped, and so cancelled.
    drop(news.try_send(CallNews::Question(Question { message, asks, reply })));
    Asked::Passed
}

fn read(params: &Value) -> Result<Asks, &'static str> {
    match params["mode"].as_str().unwrap_or("form") {
        "form" => {
            let schema = &params["requestedSchema"];
            let Some(fields) = schema["properties"].as_object() else {
                return Err("the question has no form: requestedSchema must be an object with properties");
            };
            if fields.len() > MOST_FIELDS || schema.to_string().len() > SCHEMA_BYTES {
                return Err("the form is too large to be shown to a person: at most 32 fields and 32 KiB");
            }
            Ok(Asks::Fields { schema: schema.clone() })
        }
        "url" => match params["url"].as_str() {
            Some(url) if url.starts_with("https://") && url.chars().count() <= URL_CHARS => {
                Ok(Asks::Address { url: printable(url, URL_CHARS) })
            }
            _ => Err("the address must begin with https:// and have at most 2000 characters"),
        },
        _ => Err("Steward can ask with a form or show an address, nothing else"),
    }
}

/// Whether a form asks for what nobody should type into a form of somebody else's.
fn wants_secret(schema: &Value) -> bool {
    let is_word = |text: &str| {
        let plain: String = text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
        plain == "pin" || SECRET_WORDS.iter().any(|word| plain.contains(word))
    };
    schema["properties"].as_object().into_iter().flatten().any(|(name, field)| {
        field["format"] == "password" || is_word(name) || field["title"].as_str().is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn listening() -> (Listening, mpsc::Receiver<CallNews>) {
        let (news, received) = mpsc::channel(2);
        let patience = Arc::new(Patience::new(Duration::from_secs(1), Duration::from_secs(2)));
        (Listening { news: Some(news), patience }, received)
    }

    fn form(fields: &Value) -> Value {
        json!({"message": "Which\u{7} room?", "requestedSchema": {"type": "object", "properties": fields}})
    }

    async fn answer(replies: &mut mpsc::Receiver<Outgoing>) -> Value {
        serde_json::from_slice(&replies.recv().await.unwrap().line).unwrap()
    }

    #[tokio::test]
    async fn a_question_is_answered_whatever_becomes_of_it() {
        let (outbox, mut replies) = mpsc::channel(8);
        let (listening, mut news) = listening();
        let params = form(&json!({"room": {"type": "string", "default": "blue"}, "beds": {"type": "integer"}}));
        let mut ask = || {
            assert!(matches!(pass(&params, &json!(7), Some(listening.clone()), &outbox), Asked::Passed));
            let Ok(CallNews::Question(question)) = news.try_recv() else { panic!("no question") };
            question
        };
        let question = ask();
        assert_eq!(
            (question.message.as_str(), question.asks.defaults()["room"].as_str()),
            ("Which room?", Some("blue"))
        );
        let content = question.asks.defaults();
        question.accept(content).await;
        let said = answer(&mut replies).await;
        assert_eq!(
            said,
            json!({"jsonrpc": "2.0", "id": 7, "result": {"action": "accept", "content": {"room": "blue"}}})
        );
        ask().decline().await;
        assert_eq!(answer(&mut replies).await["result"], json!({"action": "decline"}));
        drop(ask());
        assert_eq!(answer(&mut replies).await["result"], json!({"action": "cancel"}));
    }

    #[test]
    fn secrets_are_never_asked_for_and_what_can_t_be_shown_is_refused() {
        let (outbox, _replies) = mpsc::channel(8);
        let ask = |params: Value| {
            let (listening, mut news) = listening();
            let asked = pass(&params, &json!(1), Some(listening), &outbox);
            (asked, news.try_recv().is_ok())
        };
        for field in ["password", "API key", "api_key", "PIN", "Ihr Passwort"] {
            let mut fields = Map::new();
            fields.insert(field.to_owned(), json!({"type": "string"}));
            let (asked, was_passed) = ask(form(&Value::Object(fields)));
            assert!(matches!(asked, Asked::Answer(answer) if answer["action"] == "decline") && !was_passed, "{field}");
        }
        assert!(ask(form(&json!({"shipping": {"type": "string"}}))).1, "shipping is no PIN");
        let url = |url: &str| json!({"mode": "url", "message": "Sign in", "url": url});
        assert!(ask(url("https://example.org/x")).1);
        for refused in
            [url("http://example.org"), url("javascript:x"), json!({"mode": "voice"}), json!({"message": "?"})]
        {
            assert!(matches!(ask(refused.clone()).0, Asked::Refused(_)), "{refused}");
        }
        let nobody = pass(&form(&json!({})), &json!(1), None, &outbox);
        assert!(matches!(nobody, Asked::Answer(answer) if answer["action"] == "cancel"));
    }
}
