//! The arguments of a call as they were frozen: checked, and sent as they stand.

use std::{collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The longest arguments a call may carry, in bytes.
const MAX_ARGUMENT_BYTES: usize = 1024 * 1024;

/// Checks frozen arguments and makes them fit for one line. Only line breaks between tokens are touched, where they
/// mean nothing: JSON allows none inside a string.
pub(crate) fn one_line(arguments: &str) -> Result<String, String> {
    if arguments.len() > MAX_ARGUMENT_BYTES {
        let size = arguments.len();
        return Err(format!("its arguments have {size} bytes, and {MAX_ARGUMENT_BYTES} is the limit"));
    }
    if !arguments.trim_start().starts_with('{') {
        return Err("its arguments are not a JSON object".into());
    }
    serde_json::from_str::<Strict>(arguments).map_err(|error| format!("its arguments are not valid JSON: {error}"))?;
    Ok(arguments.replace(['\n', '\r'], " "))
}

/// Any JSON value in which no object has a key twice. Of two equal keys a person may have been shown the one and the
/// server may act on the other.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Strict>()?;
            if let Some(key) = seen.replace(key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice in one object")));
            }
        }
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
        while seq.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_the_text_itself() {
        let text = r#"{ "b": 1.0, "a": 12345678901234567890123, "s": "x\ny\u00e9", "n": [null, true, -3] }"#;
        assert_eq!(one_line(text).unwrap(), text);
        assert_eq!(one_line("{\n  \"a\": 1\r\n}\n").unwrap(), "{   \"a\": 1  } ");
    }

    #[test]
    fn what_is_not_one_plain_object_is_refused() {
        for text in ["", "[1]", "null", "\"{}\"", "{\"a\":1", "{} {}", "{\"a\":1,\"b\":{\"a\":1,\"\\u0061\":2}}"] {
            assert!(one_line(text).is_err(), "{text}");
        }
        assert!(one_line(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ARGUMENT_BYTES))).is_err());
        assert!(one_line(&format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200))).is_err());
    }
}
