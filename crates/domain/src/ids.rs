//! Ids as people type them: whole, or as much of their beginning as tells one from the others.

use std::str::FromStr;

use store::{
    Actor, Store,
    beginnings::{self, Begun, Kind},
};
use uuid::Uuid;

use crate::Result;

/// Digits of an id.
const DIGITS: usize = 32;
/// Digits that must be typed at least: ids begin with the time, and those of a minute (65 s) begin alike so far.
pub const LEAST_DIGITS: usize = 8;
/// Rows that are answered at most where several begin so.
pub const SHOWN: i64 = 6;

/// The beginning of an id, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Hexadecimal, in lower case, without the hyphens.
    digits: String,
}

impl FromStr for Beginning {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.trim().chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let is_one = digits.bytes().all(|b| b.is_ascii_hexdigit()) && (LEAST_DIGITS..=DIGITS).contains(&digits.len());
        if is_one {
            return Ok(Self { digits });
        }
        Err(format!(
            "an id is 36 characters such as 018f3c1e-7d6a-7c00-8000-000000000001, or its first {LEAST_DIGITS} and more where no \
             other begins so; copy it from a list"
        ))
    }
}

impl std::fmt::Display for Beginning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, digit) in self.digits.chars().enumerate() {
            if matches!(place, 8 | 12 | 16 | 20) {
                f.write_str("-")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl Beginning {
    /// The id, where all of it was typed.
    pub fn whole(&self) -> Option<Uuid> {
        if self.digits.len() == DIGITS { Uuid::try_parse(&self.digits).ok() } else { None }
    }

    /// Whether an id begins so.
    pub fn begins(&self, id: Uuid) -> bool {
        let (first, last) = self.range();
        (first..=last).contains(&id)
    }

    /// The first and the last id that begin so.
    pub fn range(&self) -> (Uuid, Uuid) {
        let filled = |with: &str| {
            let text = format!("{}{}", self.digits, with.repeat(DIGITS - self.digits.len()));
            Uuid::try_parse(&text).unwrap_or_default()
        };
        (filled("0"), filled("f"))
    }
}

/// Rows that begin so, as far as the actor may see them: at most [`SHOWN`].
pub async fn find(store: &Store, actor: &Actor, kind: Kind, beginning: &Beginning) -> Result<Vec<Begun>> {
    Ok(beginnings::find(actor, store, kind, beginning.range(), SHOWN).await?)
}

#[cfg(test)]
mod tests {
    use super::Beginning;

    #[test]
    fn the_beginning_of_an_id_holds_those_that_begin_so() {
        let of = |text: &str| text.parse::<Beginning>();
        let id = "018f3c1e-7d6a-7c00-8000-00000000000a".parse().unwrap();
        for text in ["018f3c1e", "018F3C1E-7d", "018f3c1e7d", " 018f3c1e-7d6a-7c00-8000-00000000000a "] {
            assert!(of(text).unwrap().begins(id), "{text}");
        }
        assert_eq!(of("018f3c1e-7d6a-7c00-8000-00000000000a").unwrap().whole(), Some(id));
        assert_eq!(of("018f3c1e7d").unwrap().whole(), None);
        assert_eq!(of("018f3c1e7d6").unwrap().to_string(), "018f3c1e-7d6");
        assert!(!of("018f3c1f").unwrap().begins(id));
        for bad in ["", "018f3c1", "zzzzzzzz", "018f3c1e-7d6a-7c00-8000-00000000000a0"] {
            assert!(of(bad).unwrap_err().contains("36 characters"), "{bad}");
        }
    }
}
