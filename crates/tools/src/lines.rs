//! Reads a stream line by line within a bound, and makes out whose answer an overlong line is.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// One line of a stream, without its line break.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// It was longer than the limit.
    Oversized(Oversized),
}

/// What is known of a line that was too long to keep.
#[derive(Debug, PartialEq)]
pub(crate) struct Oversized {
    /// Its beginning.
    pub head: Vec<u8>,
    /// How long it was, in bytes.
    pub size: usize,
    /// The JSON-RPC id, when the line was an answer.
    pub id: Option<u64>,
    /// `result.isError`, when the line said so.
    pub is_error: bool,
}

/// A stream read by lines of at most `limit` bytes.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, reader), limit }
    }

    /// The next line; `None` at the end. A last line without a line break is a line of stderr but never a message,
    /// so the caller gets it and decides.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        let mut kept: Vec<u8> = Vec::new();
        let mut over: Option<(Scanner, usize)> = None;
        let mut any = false;
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(any.then(|| finish(kept, over)));
            }
            any = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            if let Some((scanner, size)) = &mut over {
                scanner.feed(part);
                *size += part.len();
            } else if kept.len() + part.len() > self.limit {
                let mut scanner = Scanner::default();
                scanner.feed(&kept);
                scanner.feed(part);
                let size = kept.len() + part.len();
                let room = self.limit - kept.len();
                kept.extend_from_slice(&part[..room]);
                over = Some((scanner, size));
            } else {
                kept.extend_from_slice(part);
            }
            let consumed = part.len() + usize::from(end.is_some());
            self.reader.consume(consumed);
            if end.is_some() {
                return Ok(Some(finish(kept, over)));
            }
        }
    }
}

fn finish(mut kept: Vec<u8>, over: Option<(Scanner, usize)>) -> Line {
    if let Some((scanner, size)) = over {
        return Line::Oversized(Oversized { head: kept, size, id: scanner.id, is_error: scanner.is_error });
    }
    if kept.last() == Some(&b'\r') {
        kept.pop();
    }
    Line::Whole(kept)
}

/// Follows a JSON-RPC message without keeping it, and catches `id` and `result.isError` wherever they stand.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The scalar or key being read, cut at a length no key or number of interest has.
    token: Vec<u8>,
    /// The key being read at the first and second level.
    keys: [Vec<u8>; 2],
    id: Option<u64>,
    is_error: bool,
    speech: Speech,
}

/// What a message is.
#[derive(Debug, Default, PartialEq)]
enum Speech {
    #[default]
    Answers,
    /// It has a `method`, and so answers nothing.
    Asks,
}

impl Scanner {
    /// What the message answers; nothing as long as it is not whole.
    pub(crate) fn answers(&self) -> Option<u64> {
        self.id.filter(|_| self.speech == Speech::Answers && self.depth == 0)
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => self.keep(byte),
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.token.clear();
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.token.clear();
            }
            b'}' | b']' => {
                self.end_value();
                self.depth = self.depth.saturating_sub(1);
            }
            b':' => {
                if let Some(key) = self.depth.checked_sub(1).and_then(|level| self.keys.get_mut(level)) {
                    *key = std::mem::take(&mut self.token);
                    if self.depth == 1 && key == b"method" {
                        self.speech = Speech::Asks;
                    }
                }
                self.token.clear();
            }
            b',' => self.end_value(),
            b' ' | b'\t' | b'\r' => {}
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.token.len() < 32 {
            self.token.push(byte);
        }
    }

    fn end_value(&mut self) {
        if self.depth == 1 && self.keys[0] == b"id" && !self.token.is_empty() {
            self.id = std::str::from_utf8(&self.token).ok().and_then(|text| text.parse().ok());
        }
        if self.depth == 2 && self.keys[0] == b"result" && self.keys[1] == b"isError" && !self.token.is_empty() {
            self.is_error = self.token == b"true";
        }
        self.token.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str, limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(text.as_bytes(), limit);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_come_whole_up_to_the_limit() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(read("a\r\n\nbcd\nlast", 4).await, [whole("a"), whole(""), whole("bcd"), whole("last")]);
        assert_eq!(read("", 4).await, []);
    }

    #[tokio::test]
    async fn an_overlong_answer_still_says_whose_it_is() {
        let filler = r#"x\"id\":9,{["#.repeat(100);
        let content = format!(r#"[{{"type":"text","id":5,"isError":true,"text":"{filler}"}}]"#);
        for (text, id, is_error) in [
            (format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":{content}}}}}"#), Some(7), false),
            (format!(r#"{{"result":{{"content":{content},"isError":true}},"jsonrpc":"2.0","id":"8"}}"#), Some(8), true),
            (format!(r#"{{"result": {{"isError" : true, "content":{content}}}, "id" : 9}}"#), Some(9), true),
            (format!(r#"{{"method":"x","params":{{"id":1,"c":{content}}}}}"#), None, false),
        ] {
            let lines = read(&format!("{text}\nnext"), 100).await;
            let [Line::Oversized(over), Line::Whole(next)] = &lines[..] else { panic!("{lines:?}") };
            assert_eq!((over.id, over.is_error, over.size), (id, is_error, text.len()), "{text}");
            assert_eq!(over.head, text.as_bytes()[..100]);
            assert_eq!(next, b"next");
        }
    }
}
