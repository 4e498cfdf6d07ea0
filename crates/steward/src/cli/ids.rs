//! Ids as they are typed: whole, or as much of their beginning as tells one from the others. One helper for all commands, here
//! and with a Steward elsewhere.

use domain::ids::{Beginning, SHOWN};
use store::beginnings::{Begun, Kind};
use uuid::Uuid;

use super::Place;
use crate::{Error, Result, output};

impl Place {
    /// The id that was typed, or the only one that begins so. Whether a whole id is one of anything, who looks for it says.
    pub(super) async fn id_of(&self, kind: Kind, typed: &Beginning) -> Result<Uuid> {
        match typed.whole() {
            Some(id) => Ok(id),
            None => only(kind.word(), typed, &self.begun(kind, typed).await?),
        }
    }

    /// The same for several.
    pub(super) async fn ids_of(&self, kind: Kind, typed: &[Beginning]) -> Result<Vec<Uuid>> {
        let mut ids = Vec::with_capacity(typed.len());
        for one in typed {
            ids.push(self.id_of(kind, one).await?);
        }
        Ok(ids)
    }

    /// The same where nothing need be typed.
    pub(super) async fn maybe_id_of(&self, kind: Kind, typed: Option<&Beginning>) -> Result<Option<Uuid>> {
        match typed {
            Some(typed) => self.id_of(kind, typed).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The one of a list that bears this name, or else whose id begins so: a name may look like the beginning of an id.
pub(super) fn named<'a, T>(
    what: &str,
    name: &str,
    all: &'a [T],
    of: impl Fn(&T) -> (Uuid, &str),
) -> Result<Vec<&'a T>> {
    let called: Vec<&T> = all.iter().filter(|row| of(row).1 == name).collect();
    if !called.is_empty() {
        return Ok(called);
    }
    let Ok(typed) = name.parse::<Beginning>() else { return Ok(called) };
    let begun: Vec<&T> = all.iter().filter(|row| typed.begins(of(row).0)).collect();
    if begun.len() > 1 {
        let rows: Vec<Begun> = begun.iter().map(|row| Begun { id: of(row).0, label: of(row).1.to_owned() }).collect();
        only(what, &typed, &rows)?;
    }
    Ok(begun)
}

/// The only one of those whose ids begin so.
pub(super) fn only(what: &str, typed: &Beginning, found: &[Begun]) -> Result<Uuid> {
    match found {
        [] => {
            Err(Error::refused(format!("there is no {what} here whose id begins with {typed}, or you may not see it")))
        }
        [one] => Ok(one.id),
        several => {
            let named = several.iter().take(5).map(|row| format!("{} ({})", row.id, output::safe(&row.label)));
            let more = if i64::try_from(several.len()).is_ok_and(|n| n >= SHOWN) { " …" } else { "" };
            Err(Error::refused(format!(
                "the ids of several begin with {typed}; type more of the one you mean: {}{more}",
                named.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::named;

    #[test]
    fn a_name_goes_before_the_beginning_of_an_id() {
        let id = |n: u128| Uuid::from_u128(n << 88);
        let all = [
            (id(0xfe_ed00_0001), "inbox".to_owned()),
            (id(0xfe_ed00_0002), "feeds".to_owned()),
            (id(1), "feed".to_owned()),
        ];
        let of = |name: &str| named("watcher", name, &all, |row| (row.0, row.1.as_str()));
        assert_eq!(of("feed").unwrap(), [&all[2]]);
        assert_eq!(of("feed000001").unwrap(), [&all[0]]);
        assert_eq!(of("FEED0000-02").unwrap(), [&all[1]]);
        assert!(of("feed0000").unwrap_err().line().contains("type more of the one you mean"));
        assert!(of("nothing").unwrap().is_empty());
        assert!(of("abcd").unwrap().is_empty());
    }
}
