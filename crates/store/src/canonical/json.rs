//! JSON as PostgreSQL's `jsonb` holds and prints it: exact numbers, ordered keys, the same refusals.

/// Nesting deeper than this is refused: the bound that SQLite's own JSON functions (and so the CHECKs) have.
pub const MAX_DEPTH: usize = 1000;

// The bounds of PostgreSQL's numeric, which jsonb keeps numbers in.
const MAX_INTEGER_DIGITS: i64 = 131_072;
const MAX_SCALE: i64 = 16_383;
const MAX_EXPONENT: i64 = 1_073_741_823;

/// Why a text is not JSON that both databases can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON: unexpected input at byte {0}; check quotes, commas and brackets there")]
    Syntax(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON nested deeper than {MAX_DEPTH} levels at byte {0}; flatten it")]
    TooDeep(usize),
    /// A number outside PostgreSQL's numeric.
    #[error("JSON number out of range at byte {0}; it needs more than 131072 digits before or 16383 after the point")]
    NumberRange(usize),
    /// A string with `\u0000`, or half of a surrogate pair.
    #[error(
        "JSON string at byte {0} holds \\u0000 or half a surrogate pair, which the database cannot store; remove it"
    )]
    Character(usize),
}

/// A parsed JSON value: numbers as exact decimal text, objects without repeats and in `jsonb`'s order.
#[derive(Debug, Clone)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Decimal text as numeric prints it: no exponent, trailing zeros kept.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; make it with [`Json::object`].
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses one JSON text.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.blanks();
        if parser.at == text.len() { Ok(value) } else { Err(JsonError::Syntax(parser.at)) }
    }

    /// An object in `jsonb`'s order (shorter keys first, then by bytes); of a repeated key the last wins.
    pub fn object(mut members: Vec<(String, Self)>) -> Self {
        // The sort is stable, so the last of a run of equal keys is the last that was written.
        members.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
        let mut kept: Vec<(String, Self)> = Vec::with_capacity(members.len());
        for member in members {
            match kept.last_mut() {
                Some(last) if last.0 == member.0 => *last = member,
                _ => kept.push(member),
            }
        }
        Self::Object(kept)
    }

    /// The text PostgreSQL prints for the same value.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(digits) => out.push_str(digits),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    write_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Equal as `jsonb` values are: `1.0` equals `1`.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => without_trailing_zeros(a) == without_trailing_zeros(b),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a == b,
            _ => false,
        }
    }
}

fn without_trailing_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Writes a text as a JSON string.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                out.push_str("\\u00");
                out.push_str(&hex::encode([c as u8]));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(JsonError::Syntax(self.at))
        }
    }

    /// One value; the recursion is bounded by [`MAX_DEPTH`].
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.blanks();
        match self.peek() {
            Some(b'n') => self.expect("null").map(|()| Json::Null),
            Some(b't') => self.expect("true").map(|()| Json::Bool(true)),
            Some(b'f') => self.expect("false").map(|()| Json::Bool(false)),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[' | b'{') if depth >= MAX_DEPTH => Err(JsonError::TooDeep(self.at)),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.members(depth),
            _ => Err(JsonError::Syntax(self.at)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
        self.at += 1;
        Ok(Json::Array(items))
    }

    fn members(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(JsonError::Syntax(self.at));
            }
            let key = self.string()?;
            self.blanks();
            self.expect(":")?;
            members.push((key, self.value(depth + 1)?));
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
        self.at += 1;
        Ok(Json::object(members))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < b' ') else {
                return Err(JsonError::Syntax(self.text.len()));
            };
            out.push_str(&rest[..stop]);
            self.at += stop;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape(start)?),
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
    }

    fn escape(&mut self, start: usize) -> Result<char, JsonError> {
        let at = self.at;
        self.at += 2;
        Ok(match self.text.as_bytes().get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    if self.expect("\\u").is_err() {
                        return Err(JsonError::Character(start));
                    }
                    let second = self.unit()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(JsonError::Character(start));
                    }
                    0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).filter(|c| *c != '\0').ok_or(JsonError::Character(start))?
            }
            _ => return Err(JsonError::Syntax(at)),
        })
    }

    fn unit(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(JsonError::Syntax(self.at))?;
        let mut unit = 0;
        for digit in digits {
            unit = unit * 16 + char::from(*digit).to_digit(16).ok_or(JsonError::Syntax(self.at))?;
        }
        self.at += 4;
        Ok(unit)
    }

    fn digits(&mut self) -> Result<&str, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(JsonError::Syntax(start)) } else { Ok(&self.text[start..self.at]) }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        let integer = self.digits()?.to_owned();
        if integer.len() > 1 && integer.starts_with('0') {
            return Err(JsonError::Syntax(start));
        }
        let mut fraction = String::new();
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?.clone_into(&mut fraction);
        }
        let mut exponent = 0_i64;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let down = self.peek() == Some(b'-');
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            exponent = self.digits()?.parse().map_err(|_| JsonError::NumberRange(start))?;
            if exponent >= MAX_EXPONENT {
                return Err(JsonError::NumberRange(start));
            }
            if down {
                exponent = -exponent;
            }
        }
        decimal(negative, &integer, &fraction, exponent).map(Json::Number).ok_or(JsonError::NumberRange(start))
    }
}

/// Plain decimal text as numeric prints it, or `None` outside numeric's bounds.
fn decimal(negative: bool, integer: &str, fraction: &str, exponent: i64) -> Option<String> {
    let written = i64::try_from(fraction.len()).ok()?;
    let scale = (written - exponent).max(0);
    if scale > MAX_SCALE {
        return None;
    }
    let all = format!("{integer}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        // Numeric knows no negative zero.
        let zeros = "0".repeat(usize::try_from(scale).ok()?);
        return Some(if zeros.is_empty() { "0".to_owned() } else { format!("0.{zeros}") });
    }
    // How many of the significant digits stand before the point (negative: zeros follow the point first).
    let before = i64::try_from(significant.len()).ok()? - written + exponent;
    if before > MAX_INTEGER_DIGITS {
        return None;
    }
    let mut out = String::from(if negative { "-" } else { "" });
    let split = usize::try_from(before.max(0)).ok()?.min(significant.len());
    if before <= 0 {
        out.push('0');
    } else {
        out.push_str(&significant[..split]);
        out.push_str(&"0".repeat(usize::try_from(before).ok()? - split));
    }
    if scale > 0 {
        out.push('.');
        out.push_str(&"0".repeat(usize::try_from((-before).max(0)).ok()?));
        out.push_str(&significant[split..]);
    }
    Some(out)
}
