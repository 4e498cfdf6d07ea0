//! Messages out of the body of an answer: a JSON document, or a stream of events (WHATWG HTML, "server-sent events"),
//! byte by byte and without keeping any of them. Each becomes one line.

/// Where in a line of a stream of events.
#[derive(Debug)]
enum Place {
    /// Within the field's name, which is read so far.
    Name(Vec<u8>),
    /// Right behind the colon of a message, where one blank means nothing.
    Colon,
    /// Within a message.
    Data,
    /// Within something else.
    Other,
}

/// Turns a body into lines.
#[derive(Debug)]
pub(crate) struct Frames {
    is_events: bool,
    place: Place,
    /// Bytes of a message were given out, and its end was not.
    within: bool,
    /// The last byte was a carriage return, which ends a line with or without a line feed.
    after_return: bool,
}

/// A longer name of a field is none of ours.
const FIELD: usize = 16;

impl Frames {
    /// Of a stream of events.
    pub(crate) fn events() -> Self {
        Self { is_events: true, place: Place::Name(Vec::new()), within: false, after_return: false }
    }

    /// Of one document.
    pub(crate) fn document() -> Self {
        Self { is_events: false, ..Self::events() }
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
        if std::mem::take(&mut self.within) { vec![b'\n'] } else { Vec::new() }
    }

    /// A byte of a message. Line breaks stand between tokens only, where they mean nothing.
    fn give(&mut self, byte: u8, out: &mut Vec<u8>) {
        let byte = if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
        // White space before a message begins none.
        if self.within || !byte.is_ascii_whitespace() {
            self.within = true;
            out.push(byte);
        }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if byte == b'\n' && was_return {
            return;
        }
        if matches!(byte, b'\n' | b'\r') {
            match &self.place {
                Place::Name(name) if name.is_empty() => out.extend(self.finish()),
                // A message of several lines: a blank stands for the break.
                Place::Data | Place::Colon => self.give(b' ', out),
                Place::Name(_) | Place::Other => {}
            }
            self.place = Place::Name(Vec::new());
            return;
        }
        match &mut self.place {
            Place::Name(name) if byte == b':' => {
                self.place = if name == b"data" { Place::Colon } else { Place::Other };
            }
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
        assert_eq!(lines(Frames::events, body), [r#"{"a": 1}"#, r#"{"b":"x"}"#, r#"{"c":3}"#, r#"{"last":1}"#]);
        assert!(lines(Frames::events, "data:\n\ndata\n\nnonsense: x\n\n").is_empty());
    }

    #[test]
    fn a_document_becomes_one_line() {
        assert_eq!(lines(Frames::document, "\n{\n  \"a\": [\r\n1]\n}\n"), ["{   \"a\": [  1] }"]);
        assert!(lines(Frames::document, "").is_empty());
    }
}
