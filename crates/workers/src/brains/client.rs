//! The providers' wire: a question becomes the library's request, its stream an answer, its errors ours. Every answer is
//! streamed, so that one that never ends is given up at a limit instead of filling memory. How long it may take is the
//! owner's word alone (`timeout_s`): a small machine may read for minutes before it says its first word.

use std::time::Duration;

use domain::brain::{Answer, AskedCall, transcript::Message};
use futures_util::StreamExt;
use genai::{
    Client, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{
        ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, MessageContent, StopReason, StreamEnd, Tool,
        ToolResponse, Usage,
    },
    resolver::{AuthData, Endpoint},
};
use http_client::{StatusCode, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Answered, Meter, Model, NoAnswer, Provider, Question};

/// An answer is given up when it grows beyond this many bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Bytes that make about a token, where the provider gives no count of its own.
const BYTES_PER_TOKEN: usize = 3;
/// What is told of a provider's own words about an error, in characters.
const MAX_SAID_CHARS: usize = 300;
/// The longest time that a provider may ask us to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The client that all questions share. It follows no redirect: a key goes where the owner said, and nowhere else.
pub(super) fn client() -> Result<Client, String> {
    let http = http_client::Client::builder()
        .connect_timeout(Duration::from_secs(20))
        .redirect(http_client::redirect::Policy::none())
        .pool_max_idle_per_host(4)
        .build()
        .map_err(|e| format!("the HTTP client can't be made: {e}"))?;
    Client::builder().with_reqwest(http).build().map_err(|e| format!("the model client can't be made: {e}"))
}

pub(super) async fn ask(
    client: &Client,
    model: &Model,
    key: Option<&SecretString>,
    question: Question,
    meter: &mut Meter,
) -> Result<Answered, NoAnswer> {
    let options = options(model);
    // From here on it may have been read, and paid for, whatever becomes of the answer.
    *meter = Meter { input_tokens: about(size_of(&question)), is_estimated: true, ..Meter::default() };
    let stream = client.exec_chat_stream(target(model, key), request(question, model.provider), Some(&options)).await;
    let failed = |e: &genai::Error, meter: &mut Meter| {
        if is_unread(e) {
            *meter = Meter::default();
        }
        refusal(e)
    };
    let mut stream = stream.map_err(|e| failed(&e, meter))?.stream;
    let mut bytes = 0;
    while let Some(event) = stream.next().await {
        match event.map_err(|e| failed(&e, meter))? {
            ChatStreamEvent::Chunk(c)
            | ChatStreamEvent::ReasoningChunk(c)
            | ChatStreamEvent::ThoughtSignatureChunk(c) => {
                bytes += c.content.len();
            }
            ChatStreamEvent::ToolCallChunk(c) => bytes += c.tool_call.size().min(4096),
            ChatStreamEvent::End(end) => return answered(model, end, meter),
            ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => {}
        }
        meter.output_tokens = about(bytes);
        if bytes > MAX_ANSWER_BYTES {
            return Err(NoAnswer::Never {
                reason: format!("the answer grew beyond {MAX_ANSWER_BYTES} bytes and was given up"),
            });
        }
    }
    Err(NoAnswer::Later { reason: "the answer broke off before its end".to_owned(), retry_after: None })
}

/// No limits of time of the library's: whoever asks has one (`timeout_s`).
fn options(model: &Model) -> ChatOptions {
    ChatOptions::default()
        .with_max_tokens(model.answer_tokens)
        .with_capture_usage(true)
        .with_capture_content(true)
        .with_capture_tool_calls(true)
}

fn about(bytes: usize) -> u64 {
    u64::try_from(bytes / BYTES_PER_TOKEN + 1).unwrap_or(u64::MAX)
}

/// What a question's words, calls, results and tools have in bytes.
fn size_of(question: &Question) -> usize {
    let calls = |calls: &[AskedCall]| calls.iter().map(|c| c.arguments.to_string().len() + c.name.len()).sum::<usize>();
    let messages = question.messages.iter().map(|message| match message {
        Message::User(text) => text.len(),
        Message::Model(answer) => answer.text.len() + calls(&answer.calls),
        Message::Results(results) => results.iter().map(|r| r.text.len() + r.name.len()).sum(),
    });
    let tools = question.tools.iter().map(|t| t.name.len() + t.description.len() + t.schema.to_string().len());
    question.system.len() + messages.sum::<usize>() + tools.sum::<usize>()
}

fn target(model: &Model, key: Option<&SecretString>) -> ServiceTarget {
    let (kind, own) = match model.provider {
        Provider::Anthropic => (AdapterKind::Anthropic, "https://api.anthropic.com/v1/"),
        Provider::OpenAi => (AdapterKind::OpenAI, "https://api.openai.com/v1/"),
        Provider::Gemini => (AdapterKind::Gemini, "https://generativelanguage.googleapis.com/v1beta/"),
        Provider::Ollama => (AdapterKind::Ollama, "http://127.0.0.1:11434/"),
    };
    let url = model.url.as_deref().unwrap_or(own);
    let url = if url.ends_with('/') { url.to_owned() } else { format!("{url}/") };
    ServiceTarget {
        endpoint: Endpoint::from_owned(url),
        // A server of one's own often wants no key, but the protocol a header.
        auth: AuthData::from_single(key.map_or("none", |k| k.expose_secret())),
        model: ModelIden::new(kind, model.model.clone()),
    }
}

fn request(question: Question, provider: Provider) -> ChatRequest {
    let mut messages = Vec::new();
    for message in question.messages {
        match message {
            Message::User(text) => messages.push(ChatMessage::user(text)),
            Message::Model(answer) => messages.push(ChatMessage::assistant(content(&answer))),
            Message::Results(results) => {
                let results = results.into_iter().map(|r| ToolResponse::new(r.id, r.text).with_fn_name(r.name));
                // In Ollama's protocol each result is a message of its own; elsewhere those of one answer belong together.
                if provider == Provider::Ollama {
                    messages.extend(results.map(ChatMessage::from));
                } else {
                    messages.push(ChatMessage::from(results.collect::<Vec<_>>()));
                }
            }
        }
    }
    let tools = question
        .tools
        .into_iter()
        .map(|t| Tool::new(t.name).with_description(t.description).with_schema(t.schema))
        .collect::<Vec<_>>();
    let request = ChatRequest::new(messages).with_system(question.system);
    if tools.is_empty() { request } else { request.with_tools(tools) }
}

/// The answer as the provider sent it, with what it wants to see again (signed thoughts); from words and calls alone where
/// that can't be read any more.
fn content(answer: &Answer) -> MessageContent {
    serde_json::from_value(answer.carried.clone()).unwrap_or_else(|_| {
        let calls = answer.calls.iter().map(|c| genai::chat::ToolCall {
            call_id: c.id.clone(),
            fn_name: c.name.clone(),
            fn_arguments: c.arguments.clone(),
            thought_signatures: None,
        });
        let mut content = MessageContent::from_text(answer.text.clone());
        content.extend(calls.map(Into::into));
        content
    })
}

fn answered(model: &Model, end: StreamEnd, meter: &mut Meter) -> Result<Answered, NoAnswer> {
    let stop = end.captured_stop_reason;
    let content = end.captured_content.unwrap_or_default();
    let calls: Vec<AskedCall> = content
        .tool_calls()
        .into_iter()
        .map(|c| AskedCall { id: c.call_id.clone(), name: c.fn_name.clone(), arguments: arguments(&c.fn_arguments) })
        .collect();
    let text = content.texts().concat();
    *meter = metered(&end.captured_usage.unwrap_or_default(), &text, &calls, meter);
    if stop.is_none() {
        // Some streams just end; without a word why it ended, an answer may be half of one.
        return Err(NoAnswer::Later { reason: "the answer broke off before its end".to_owned(), retry_after: None });
    }
    if let Some(StopReason::ContentFilter(why)) = &stop {
        return Err(NoAnswer::Never { reason: format!("the provider refused to answer ({why})") });
    }
    let carried = serde_json::to_value(&content).unwrap_or(Value::Null);
    Ok(Answered {
        answer: Answer {
            text,
            calls,
            cut_off: stop.is_some_and(|s| s.is_max_tokens()),
            estimated: meter.is_estimated,
            carried,
        },
        served_by: format!("{}/{}", model.provider.name(), model.model),
    })
}

/// Arguments come as a JSON object, or as text that should have been one.
fn arguments(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        Value::Null => Value::Object(serde_json::Map::new()),
        other => other.clone(),
    }
}

/// The provider's own count; where it gives none, an estimate from the lengths of question and answer, so that limits still
/// bind.
fn metered(usage: &Usage, text: &str, calls: &[AskedCall], guess: &Meter) -> Meter {
    let count = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok());
    let cached = count(usage.prompt_tokens_details.as_ref().and_then(|d| d.cached_tokens)).unwrap_or(0);
    let written = text.len() + calls.iter().map(|c| c.arguments.to_string().len() + c.name.len()).sum::<usize>();
    let (read, wrote) = (count(usage.prompt_tokens), count(usage.completion_tokens));
    Meter {
        input_tokens: read.unwrap_or(guess.input_tokens),
        cached_tokens: cached,
        output_tokens: wrote.unwrap_or_else(|| about(written).max(guess.output_tokens)),
        is_estimated: read.is_none() || wrote.is_none(),
    }
}

/// Whether an error says that nobody read the question: it was refused, or nobody was reached.
fn is_unread(error: &genai::Error) -> bool {
    use genai::Error as E;
    match error {
        E::HttpError { .. } => true,
        E::WebModelCall { webc_error, .. } | E::WebAdapterCall { webc_error, .. } => {
            webc_error.status().is_some() || matches!(webc_error, genai::webc::Error::Reqwest(e) if e.is_connect())
        }
        // A refusal that comes where a stream was expected is wrapped once more.
        E::WebStream { error, .. } => {
            if let Some(inner) = error.downcast_ref::<E>() {
                return is_unread(inner);
            }
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
            while let Some(one) = cause {
                if one.downcast_ref::<http_client::Error>().is_some_and(http_client::Error::is_connect) {
                    return true;
                }
                cause = one.source();
            }
            false
        }
        _ => false,
    }
}

/// What a provider's error means for us. Its text is shown short and never holds the key: keys go in headers alone.
fn refusal(error: &genai::Error) -> NoAnswer {
    use genai::Error as E;
    // A refusal that comes where a stream was expected is wrapped once more.
    if let E::WebStream { error, .. } = error
        && let Some(inner) = error.downcast_ref::<E>()
    {
        return refusal(inner);
    }
    let (status, headers, said) = match error {
        E::HttpError { status, headers, body, .. } => (Some(*status), Some(&**headers), body.clone()),
        E::WebModelCall { webc_error, .. } | E::WebAdapterCall { webc_error, .. } => {
            let body = match webc_error {
                genai::webc::Error::ResponseFailedStatus { body, .. } => body.clone(),
                other => other.to_string(),
            };
            (webc_error.status(), webc_error.headers(), body)
        }
        E::WebStream { cause, .. } => (None, None, cause.clone()),
        E::StreamParse { serde_error, .. } => (None, None, format!("it can't be read: {serde_error}")),
        E::ChatResponse { body, .. } => (None, None, body.to_string()),
        other => (None, None, other.to_string()),
    };
    let said: String = domain::redact::text(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    let said: String = said.chars().take(MAX_SAID_CHARS).collect();
    let Some(status) = status else {
        return NoAnswer::Later {
            reason: format!("the provider could not be understood or reached: {said}"),
            retry_after: None,
        };
    };
    let reason = format!("the provider answered {status}: {said}");
    // Overloaded has a status of its own at some providers (529).
    let later = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::CONFLICT
        || status.is_server_error();
    if later {
        NoAnswer::Later { reason, retry_after: headers.and_then(retry_after) }
    } else {
        NoAnswer::Never { reason }
    }
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3), or `retry-after-ms`; a date is left to our own waiting.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok().filter(|n| *n >= 0.0);
    let wait = number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number("retry-after"))
        .and_then(|s| Duration::try_from_secs_f64(s).ok())?;
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn a_slow_model_has_the_time_that_its_owner_gives_it() {
        let model = toml::from_str("provider = \"ollama\"\nmodel = \"m\"\ntimeout_s = 3600").unwrap();
        let options = options(&model);
        // A limit of the house's own would end the waiting before `timeout_s` does.
        assert_eq!((options.stream_header_timeout, options.stream_read_timeout), (None, None));
    }
}
