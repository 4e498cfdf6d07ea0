//! Reads expressions without evaluating them: splits a template into text and expressions, and lists what an
//! expression refers to, so that a misspelt name is found when the playbook is checked and not in the middle of a run.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Passed through untouched.
    Text(String),
    /// The inside of `{{ … }}`, and its byte offset in the template.
    Expression(String, usize),
}

/// A mistake at a byte offset.
pub(super) type Mistake = (usize, String);

/// Splits a template at `{{ … }}`. Jinja's blocks and comments are refused: a playbook has `when` and `choose`.
pub(super) fn split(template: &str) -> Result<Vec<Part>, Mistake> {
    let mut parts = Vec::new();
    let mut rest = 0;
    while let Some(found) = template[rest..].find('{') {
        let open = rest + found;
        match template.as_bytes().get(open + 1) {
            Some(b'{') => {}
            Some(b'%' | b'#') => {
                return Err((
                    open,
                    "blocks and comments (`{% … %}`, `{# … #}`) are not possible in a playbook; use `{{ a if condition else b }}`, `when` or `choose`".to_owned(),
                ));
            }
            _ => {
                push_text(&mut parts, &template[rest..=open]);
                rest = open + 1;
                continue;
            }
        }
        push_text(&mut parts, &template[rest..open]);
        let inside = open + 2;
        let Some(end) = end_of_expression(&template[inside..]) else {
            return Err((open, "`{{` is never closed; end the expression with `}}`".to_owned()));
        };
        let expression = &template[inside..inside + end];
        if expression.trim().is_empty() {
            return Err((open, "`{{ }}` is empty; write what should stand here, such as `{{ file.name }}`".to_owned()));
        }
        if expression.starts_with('-') || expression.ends_with('-') {
            return Err((open, "`{{-` and `-}}` are not possible; text is passed through as it is".to_owned()));
        }
        let indent = expression.len() - expression.trim_start().len();
        parts.push(Part::Expression(expression.trim().to_owned(), inside + indent));
        rest = inside + end + 2;
    }
    push_text(&mut parts, &template[rest..]);
    Ok(parts)
}

/// Neighbouring pieces of text become one.
fn push_text(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Part::Text(last)) = parts.last_mut() {
        last.push_str(text);
    } else {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// The byte offset of the `}}` that ends an expression, past strings and `{…}` inside it.
fn end_of_expression(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut i, mut braces) = (0, 0_usize);
    while i < bytes.len() {
        match bytes[i] {
            quote @ (b'"' | b'\'') => i = end_of_string(bytes, i, quote)?,
            b'{' => braces += 1,
            b'}' if braces > 0 => braces -= 1,
            b'}' if bytes.get(i + 1) == Some(&b'}') => return Some(i),
            _ => {}
        }
        i += 1;
    }
    None
}

/// The offset of the quote that closes the string opened at `start`.
fn end_of_string(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut i = start + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b if b == quote => return Some(i),
            _ => {}
        }
        i += 1;
    }
    None
}

/// What an expression refers to. Offsets are bytes in the expression.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Values, as paths: `steps.read.text` is `["steps", "read", "text"]`.
    pub paths: Vec<(Vec<String>, usize)>,
    /// Filters: what follows `|`.
    pub filters: Vec<(String, usize)>,
    /// Tests: what follows `is`.
    pub tests: Vec<(String, usize)>,
    /// Calls of functions and methods, of which there are none.
    pub calls: Vec<(String, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// The inside of a string literal, as written.
    Text(&'a str),
    Number,
    Mark(char),
}

/// Lists what an expression uses. It need not be correct: the engine's own parser judges that.
pub(super) fn uses(expression: &str) -> Uses {
    let tokens = tokens(expression);
    let token = |i: usize| tokens.get(i).map(|(t, _)| *t);
    let mut uses = Uses::default();
    let mut i = 0;
    while i < tokens.len() {
        let (Token::Word(word), offset) = tokens[i] else {
            i += 1;
            continue;
        };
        let before = i.checked_sub(1).and_then(token);
        i += 1;
        if before == Some(Token::Mark('|')) {
            uses.filters.push((word.to_owned(), offset));
            continue;
        }
        if before == Some(Token::Mark('.')) {
            // A field of something that is no name (`(a).b`): only known when it runs; a call never works.
            if token(i) == Some(Token::Mark('(')) {
                uses.calls.push((word.to_owned(), offset));
            }
            continue;
        }
        match word {
            "is" => {
                if token(i) == Some(Token::Word("not")) {
                    i += 1;
                }
                if let Some((Token::Word(test), at)) = tokens.get(i) {
                    uses.tests.push(((*test).to_owned(), *at));
                    i += 1;
                }
                continue;
            }
            "and" | "or" | "not" | "in" | "if" | "else" | "true" | "false" | "none" | "True" | "False" | "None" => {
                continue;
            }
            _ => {}
        }
        // `name=` inside a call names an argument.
        if token(i) == Some(Token::Mark('=')) && token(i + 1) != Some(Token::Mark('=')) {
            continue;
        }
        let mut path = vec![word.to_owned()];
        loop {
            match (token(i), token(i + 1), token(i + 2)) {
                (Some(Token::Mark('.')), Some(Token::Word(field)), _) => {
                    path.push(field.to_owned());
                    i += 2;
                }
                (Some(Token::Mark('[')), Some(Token::Text(field)), Some(Token::Mark(']'))) if !field.contains('\\') => {
                    path.push(field.to_owned());
                    i += 3;
                }
                _ => break,
            }
        }
        if token(i) == Some(Token::Mark('(')) {
            uses.calls.push((path.join("."), offset));
        } else {
            uses.paths.push((path, offset));
        }
    }
    uses
}

fn tokens(expression: &str) -> Vec<(Token<'_>, usize)> {
    let bytes = expression.as_bytes();
    let mut tokens = Vec::new();
    let mut chars = expression.char_indices().peekable();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some((start, c)) = chars.next() {
        if c == '"' || c == '\'' {
            let quote = if c == '"' { b'"' } else { b'\'' };
            let end = end_of_string(bytes, start, quote).unwrap_or(bytes.len());
            tokens.push((Token::Text(expression.get(start + 1..end).unwrap_or_default()), start));
            while chars.next_if(|(at, _)| *at <= end).is_some() {}
        } else if is_word(c) {
            let mut end = start + c.len_utf8();
            let digits = c.is_ascii_digit();
            while let Some((at, next)) = chars.next_if(|(_, n)| is_word(*n) || (digits && *n == '.')) {
                end = at + next.len_utf8();
            }
            tokens.push((if digits { Token::Number } else { Token::Word(&expression[start..end]) }, start));
        } else if !c.is_whitespace() {
            tokens.push((Token::Mark(c), start));
        }
    }
    tokens
}
