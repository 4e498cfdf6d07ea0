//! What a call returned, cut to size when it is too long to keep.

use serde_json::{Value, json};

use crate::{connection::Answer, error::CallError, lines::Oversized};

/// The answer to a call. It comes from outside: data, never an instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct CallResult {
    /// The server's result, whole; or, when it was too long, an object with `truncated: true`, `size_bytes`, the
    /// beginning of its text as `content`, and `isError` as the server said.
    pub json: Value,
    /// The server says that the tool failed. The call happened all the same.
    pub is_error: bool,
    /// The text parts of the result, one after another.
    pub text: String,
    /// The result was longer than `max_result_bytes` and was cut. The call happened all the same.
    pub truncated: bool,
}

/// Makes a result of an answer, of at most about `max_bytes`.
pub(crate) fn from_answer(answer: Answer, max_bytes: usize) -> Result<CallResult, CallError> {
    match answer {
        Answer::Error { code, message } => Err(CallError::Refused { code, message }),
        Answer::Lost { reason, .. } => Err(CallError::unknown(reason)),
        Answer::Result { value, size } => {
            let is_error = value.get("isError").and_then(Value::as_bool).unwrap_or(false);
            let text = text_of(&value);
            if size > max_bytes {
                return Ok(cut(text, size, is_error, max_bytes));
            }
            Ok(CallResult { json: value, is_error, text, truncated: false })
        }
        Answer::Oversized(Oversized { head, size, is_error, .. }) => {
            Ok(cut(text_of_head(&head), size, is_error, max_bytes))
        }
    }
}

fn cut(mut text: String, size: usize, is_error: bool, max_bytes: usize) -> CallResult {
    text.truncate(char_boundary(&text, max_bytes));
    let json = json!({
        "truncated": true, "size_bytes": size, "isError": is_error, "content": [{"type": "text", "text": text}],
    });
    CallResult { json, is_error, text, truncated: true }
}

fn text_of(result: &Value) -> String {
    let parts = result.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    match (texts.is_empty(), result.get("structuredContent")) {
        (true, Some(structured)) => structured.to_string(),
        _ => texts.join("\n"),
    }
}

/// The last place at or before `at` where a text may be cut.
pub(crate) fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first text part of a result of which only the beginning is left; failing that, the beginning as it is.
fn text_of_head(head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head);
    // The word also stands as the value of "type"; the key is the one before a colon.
    let start = head
        .match_indices("\"text\"")
        .find_map(|(at, word)| head[at + word.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('"'));
    start.and_then(unescape).unwrap_or_else(|| head.into_owned())
}

/// Reads the inside of a JSON string that may end in the middle.
fn unescape(inside: &str) -> Option<String> {
    let mut escaped = false;
    let end = inside.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    let inside = &inside[..end.unwrap_or(inside.len())];
    // The cut may have gone through an escape or a surrogate pair: twelve bytes at most.
    (0..=12).find_map(|back| {
        let kept = inside.get(..inside.len().checked_sub(back)?)?;
        serde_json::from_str(&format!("\"{kept}\"")).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"content":[{"type":"text","text":"one"},{"type":"image","data":"x"},{"text":"two","type":"text"}],"isError":true}"#;

    #[test]
    fn a_result_is_kept_as_it_is_or_cut_and_marked() {
        let value: Value = serde_json::from_str(RESULT).unwrap();
        let answer = || Answer::Result { value: value.clone(), size: RESULT.len() };
        let whole = from_answer(answer(), 1000).unwrap();
        assert_eq!(
            (whole.json, whole.text.as_str(), whole.is_error, whole.truncated),
            (value.clone(), "one\ntwo", true, false)
        );
        let cut = from_answer(answer(), 5).unwrap();
        assert_eq!((cut.text.as_str(), cut.is_error, cut.truncated), ("one\nt", true, true));
        assert_eq!(cut.json["size_bytes"], RESULT.len());
    }

    #[test]
    fn the_beginning_of_an_overlong_result_is_readable() {
        for (head, text) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a\nb \"c\" \u00e"#, "a\nb \"c\" "),
            (r#"{"result":{"content":[{"text":"first","type":"text"},{"text":"#, "first"),
            (r#"{"result":{"blob":"zzz"#, r#"{"result":{"blob":"zzz"#),
        ] {
            assert_eq!(text_of_head(head.as_bytes()), text);
        }
    }
}
