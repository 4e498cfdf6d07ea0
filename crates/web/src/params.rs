//! What the address says: filters, pages and ids; everything unknown is refused rather than passed over.

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use jiff::Timestamp;
use store::tasks::Cursor;
use uuid::Uuid;

use crate::{
    access::Need,
    fault::{Fault, Result},
    session::Client,
};

/// Fields that an address or a form may have.
pub(crate) const FIELDS: usize = 64;
/// Rows of a page unless another number is asked for …
const LIMIT: i64 = 50;
/// … which may be this at most.
pub(crate) const LIMIT_MAX: i64 = 200;

/// The fields behind the question mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|e| Fault::malformed(format!("the address can't be read: {e}")))?;
        if pairs.len() > FIELDS {
            return Err(Fault::malformed(format!("the address has more than {FIELDS} fields")));
        }
        // A page's form sends every field, filled in or not; a program sends what it means.
        let is_page = parts.extensions.get::<Client>().is_some_and(|client| client.need == Need::Page);
        Ok(Self(if is_page { pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect() } else { pairs }))
    }
}

impl Params {
    /// Refuses fields that are not among `names`, and repeated ones.
    pub fn only(&self, names: &[&str]) -> Result<()> {
        for (place, (name, _)) in self.0.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                return Err(Fault::invalid(
                    name,
                    format!("there is no filter {name}; there are: {}", names.join(", ")),
                ));
            }
            if self.0.iter().take(place).any(|(n, _)| n == name) {
                return Err(Fault::invalid(name, format!("{name} is given twice")));
            }
        }
        Ok(())
    }

    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A field that must be one of `known`.
    pub fn one_of(&self, name: &str, known: &[&str]) -> Result<Option<&str>> {
        match self.get(name) {
            Some(value) if !known.contains(&value) => {
                Err(Fault::invalid(name, format!("{name} must be one of: {}", known.join(", "))))
            }
            value => Ok(value),
        }
    }

    /// Rows of the page, 1–200.
    pub fn limit(&self) -> Result<i64> {
        self.number("limit", 1, LIMIT_MAX).map(|n| n.unwrap_or(LIMIT))
    }

    fn number(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(n) if (least..=most).contains(&n) => Ok(Some(n)),
            _ => Err(Fault::invalid(name, format!("{name} must be a whole number from {least} to {most}"))),
        }
    }

    /// After which row the page begins.
    pub fn cursor(&self) -> Result<Option<Cursor>> {
        self.get("cursor").map(|text| read_cursor(text).ok_or_else(wrong_cursor)).transpose()
    }

    /// A moment in a field.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>> {
        let wrong = |_| Fault::invalid(name, format!("{name} must be a moment such as 2026-12-24T15:00:00Z"));
        self.get(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// An id in a field.
    pub fn id(&self, name: &str) -> Result<Option<Uuid>> {
        self.get(name)
            .map(|text| text.parse().map_err(|_| Fault::invalid(name, format!("{name} must be an id (a UUID)"))))
            .transpose()
    }
}

pub(crate) fn wrong_cursor() -> Fault {
    Fault::invalid("cursor", "the cursor is not one that a list here gave")
}

/// A place in a list as a cursor.
pub(crate) fn cursor_text((time, id): &Cursor) -> String {
    format!("{}.{id}", time.as_microsecond())
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let (time, id) = text.split_once('.')?;
    Some((Timestamp::from_microsecond(time.parse().ok()?).ok()?, id.parse().ok()?))
}

/// Cuts rows (asked for with one more than `limit`) to the page, and tells where the next one begins.
pub(crate) fn page<T>(mut rows: Vec<T>, limit: i64, key: impl Fn(&T) -> Cursor) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|last| cursor_text(&key(last)));
    (rows, next)
}

/// Words in the address. What can't be read leads nowhere.
#[derive(Debug, Clone)]
pub(crate) struct Place<T>(pub T);

impl<T: serde::de::DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        // No name has a NUL, and PostgreSQL takes none.
        if parts.uri.path().contains("%00") {
            return Err(Fault::not_found("such thing"));
        }
        let Path(place) =
            Path::<T>::from_request_parts(parts, state).await.map_err(|_| Fault::not_found("such thing"))?;
        Ok(Self(place))
    }
}

/// The id in the address. What is no id leads nowhere, as an unknown one does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(id) =
            Path::<Uuid>::from_request_parts(parts, state).await.map_err(|_| Fault::not_found("such thing"))?;
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
    }

    #[test]
    fn pages_go_on_where_they_ended() {
        let rows: Vec<Cursor> = (0..3)
            .map(|n| (Timestamp::from_microsecond(1_790_000_000_000_000 - n).unwrap(), Uuid::from_u128(7)))
            .collect();
        let (shown, next) = page(rows.clone(), 2, |r| *r);
        assert_eq!(shown, rows[..2]);
        let next = next.unwrap();
        assert_eq!(params(&[("cursor", &next)]).cursor().unwrap(), Some(rows[1]));
        assert_eq!(page(rows, 3, |r| *r).1, None);
        for bad in ["x", "1", "1.x", ".", "99999999999999999999.00000000-0000-0000-0000-000000000000"] {
            assert!(params(&[("cursor", bad)]).cursor().is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_and_wrong_fields_are_named() {
        assert!(params(&[("limit", "200")]).limit().is_ok());
        for bad in ["0", "201", "-1", "many", "1.5"] {
            assert_eq!(params(&[("limit", bad)]).limit().unwrap_err().errors[0].field, "limit");
        }
        assert!(params(&[("statsu", "x")]).only(&["status"]).is_err());
        assert!(params(&[("status", "x"), ("status", "y")]).only(&["status"]).is_err());
        assert!(params(&[("status", "x")]).one_of("status", &["pending"]).is_err());
        assert_eq!(params(&[]).one_of("status", &["pending"]).unwrap(), None);
        assert!(params(&[("status", "")]).one_of("status", &["pending"]).is_err());
    }
}
