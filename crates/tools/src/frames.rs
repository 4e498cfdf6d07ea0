//! Messages out of the body of an answer: a JSON document, or a stream of events (WHATWG HTML, "server-sent events"),
//! byte by byte and without keeping any of them. Each becomes one line. What is kept is where a stream stands, so that it
//! can be taken up again where it broke off, and whether the answer that is waited for was among the messages.

use std::time::Duration;

use crate::lines::Scanner;

/// Where in a line of a stream of events.
#[derive(Debug)]
enum Place {
    /// Within the field's name, which is read so far.
    Name(Vec<u8>),
    /// Right behind the colon of a message, where one blank means nothing.
    Colon,
    /// Within a message.
    Data,
    /// Within what the event is called, or how long to wait before the stream is taken up again.
    Kept(Field, Vec<u8>),
    /// Within something else.
    Other,
}

/// A field of an event that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Retry,
}

/// Where a stream stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark {
    /// What its last event was called; nothing where the server gives no names.
    pub last_id: Option<String>,
    /// How long the server wants to be left alone before the stream is taken up again.
    pub retry: Option<Duration>,
}

/// The answer that is waited for.
#[derive(Debug)]
enum Awaited {
    Nothing,
    Answer(u64),
    Came,
}

/// Turns a body into lines.
#[derive(Debug)]
pub(crate) struct Frames {
    is_events: bool,
    place: Place,
    /// Where the stream stands.
    mark: Mark,
    /// What the event is called that is just coming in; it counts once that is whole.
    coming: Option<String>,
    awaited: Awaited,
    scanner: Scanner,
    /// Bytes of a message were given out, and its end was not.
    within: bool,
    /// The last byte was a carriage return, which ends a line with or without a line feed.
    after_return: bool,
}

/// A longer name of a field is none of ours.
const FIELD: usize = 16;
/// A longer name of an event is not kept.
const EVENT_ID: usize = 512;

impl Frames {
    /// Of a stream of events, in which the answer to this request is waited for.
    pub(crate) fn events(awaited: Option<u64>) -> Self {
        Self {
            is_events: true,
            place: Place::Name(Vec::new()),
            mark: Mark::default(),
            coming: None,
            awaited: awaited.map_or(Awaited::Nothing, Awaited::Answer),
            scanner: Scanner::default(),
            within: false,
            after_return: false,
        }
    }

    /// Of one document.
    pub(crate) fn document() -> Self {
        Self { is_events: false, ..Self::events(None) }
    }

    /// Whether the answer that is waited for came, whole.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.awaited, Awaited::Came)
    }

    /// Where the stream stands.
    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Whether a message has begun and not ended.
    pub(crate) fn is_within(&self) -> bool {
        self.within
    }

    /// More of the body; answers what is to be written.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.is_events {
                self.step(*byte, &mut out);
            } else {
                self.give(*byte, &mut out);
            }
        }
        out
    }

    /// The body is over.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        if !std::mem::take(&mut self.within) {
            return Vec::new();
        }
        let said = std::mem::take(&mut self.scanner);
        if let Awaited::Answer(id) = self.awaited
            && said.answers() == Some(id)
        {
            self.awaited = Awaited::Came;
        }
        vec![b'\n']
    }

    /// A byte of a message. Line breaks stand between tokens only, where they mean nothing.
    fn give(&mut self, byte: u8, out: &mut Vec<u8>) {
        let byte = if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
        // White space before a message begins none.
        if self.within || !byte.is_ascii_whitespace() {
            self.within = true;
            out.push(byte);
            if matches!(self.awaited, Awaited::Answer(_)) {
                self.scanner.feed(&[byte]);
            }
        }
    }

    /// A field that is kept has ended.
    fn keep(&mut self, field: Field, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        match field {
            Field::Id if !text.contains('\0') => self.coming = Some(text),
            Field::Retry => self.mark.retry = text.parse().ok().map(Duration::from_millis).or(self.mark.retry),
            Field::Id => {}
        }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if byte == b'\n' && was_return {
            return;
        }
        if matches!(byte, b'\n' | b'\r') {
            match std::mem::replace(&mut self.place, Place::Name(Vec::new())) {
                Place::Name(name) if name.is_empty() => {
                    if let Some(id) = self.coming.take() {
                        self.mark.last_id = Some(id).filter(|id| !id.is_empty());
                    }
                    out.extend(self.finish());
                }
                // A message of several lines: a blank stands for the break.
                Place::Data | Place::Colon => self.give(b' ', out),
                Place::Kept(field, text) => self.keep(field, &text),
                Place::Name(_) | Place::Other => {}
            }
            return;
        }
        match &mut self.place {
            Place::Name(name) if byte == b':' => {
                self.place = match name.as_slice() {
                    b"data" => Place::Colon,
                    b"id" => Place::Kept(Field::Id, Vec::new()),
                    b"retry" => Place::Kept(Field::Retry, Vec::new()),
                    _ => Place::Other,
                };
            }
            // One blank behind the colon means nothing.
            Place::Kept(_, text) if text.is_empty() && byte == b' ' => {}
            Place::Kept(_, text) if text.len() < EVENT_ID => text.push(byte),
            Place::Kept(..) => self.place = Place::Other,
            Place::Name(name) if name.len() < FIELD => name.push(byte),
            Place::Colon => {
                self.place = Place::Data;
                if byte != b' ' {
                    self.give(byte, out);
                }
            }
            Place::Data => self.give(byte, out),
            Place::Name(_) | Place::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    /// The lines of a body that comes in pieces of every length.
    fn lines(mut make: impl FnMut() -> Frames, body: &str) -> Vec<String> {
        let whole = |size: usize, frames: &mut Frames| {
            let mut out = Vec::new();
            for piece in body.as_bytes().chunks(size) {
                out.extend(frames.feed(piece));
            }
            out.extend(frames.finish());
            String::from_utf8(out).unwrap()
        };
        let first = whole(1, &mut make());
        for size in 2..=body.len().max(2) {
            assert_eq!(whole(size, &mut make()), first, "pieces of {size}");
        }
        first.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn events_become_lines() {
        let body = ": hello\n\nid: 1\nevent: message\ndata: {\"a\":\ndata: 1}\n\ndata:{\"b\":\"x\"}\r\n\r\nretry: 10\n\ndata: {\"c\":3}\r\rdata: {\"last\":1}";
        assert_eq!(
            lines(|| Frames::events(None), body),
            [r#"{"a": 1}"#, r#"{"b":"x"}"#, r#"{"c":3}"#, r#"{"last":1}"#]
        );
        assert!(lines(|| Frames::events(None), "data:\n\ndata\n\nnonsense: x\n\n").is_empty());
    }

    #[test]
    fn where_a_stream_stands_and_whether_it_answered_is_known() {
        let mut frames = Frames::events(Some(7));
        frames.feed(b"id: a-1\nretry: 250\ndata: \n\ndata: {\"id\":7,\"method\":\"ping\"}\n\ndata: {\"result\":{\"id\":7},\"id\":8}\n\n");
        assert_eq!(
            (frames.mark().last_id.as_deref(), frames.mark().retry.map(|d| d.as_millis())),
            (Some("a-1"), Some(250))
        );
        assert!(!frames.is_answered(), "a request of the server's, and another answer");
        frames.feed(b"id:b\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[]}}\n");
        assert!(!frames.is_answered(), "not whole yet");
        frames.feed(b"\n");
        assert!(frames.is_answered());
        assert_eq!(frames.mark().last_id.as_deref(), Some("b"));
        let long = format!("id: {}\n\n", "x".repeat(2000));
        frames.feed(long.as_bytes());
        assert_eq!(frames.mark().last_id.as_deref(), Some("b"), "a name without end is not kept");
    }

    #[test]
    fn a_document_becomes_one_line() {
        assert_eq!(lines(Frames::document, "\n{\n  \"a\": [\r\n1]\n}\n"), ["{   \"a\": [  1] }"]);
        assert!(lines(Frames::document, "").is_empty());
    }
}
