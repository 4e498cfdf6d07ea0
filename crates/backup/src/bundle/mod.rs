//! Bundles at a place: writing one, listing them, reading one back, and removing what is left of an unfinished one.
//!
//! `bundles/<id>/<index>.part`, the manifest at index 0, and `bundles/<id>/contents.json`, written last.

mod read;
mod write;

use jiff::Timestamp;

pub use self::{read::Bundle, write::Writer};
use crate::{Contents, Error, Place, Result, manifest::FORMAT};

/// Where bundles lie.
pub(crate) const FOLDER: &str = "bundles";
/// The clear table of contents.
const CONTENTS: &str = "contents.json";
/// The manifest's name among the parts.
pub(crate) const MANIFEST: &str = "manifest";
/// Bytes of a table of contents, and of a manifest, at most.
const CONTENTS_BYTES: usize = 16 * 1024 * 1024;

/// A new id: its time to the second, so that ids sort, and eight random digits.
pub fn new_id(at: Timestamp) -> String {
    let mut bytes = [0_u8; 4];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    format!("{}-{}", at.strftime("%Y%m%dT%H%M%SZ"), hex::encode(bytes))
}

/// When a bundle of this id was begun.
pub(crate) fn time_of(id: &str) -> Option<Timestamp> {
    let (time, _) = id.split_once('-')?;
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time)
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|z| z.timestamp())
}

fn part_name(id: &str, index: u64) -> String {
    format!("{FOLDER}/{id}/{index:05}.part")
}

/// What is at the place.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Whole bundles, oldest first.
    pub bundles: Vec<Contents>,
    /// Ids of bundles that were not finished, or whose table of contents can't be read, with why.
    pub unfinished: Vec<(String, String)>,
}

/// Looks what is at the place.
pub async fn list(place: &Place) -> Result<Found> {
    let mut ids: Vec<(String, bool)> = Vec::new();
    for entry in place.list(FOLDER).await? {
        let mut words = entry.name.split('/').skip(1);
        let (Some(id), Some(name)) = (words.next(), words.next()) else { continue };
        match ids.last_mut().filter(|(known, _)| known == id) {
            Some((_, whole)) => *whole |= name == CONTENTS,
            None => ids.push((id.to_owned(), name == CONTENTS)),
        }
    }
    let mut found = Found::default();
    for (id, is_whole) in ids {
        if !is_whole {
            found.unfinished.push((id, "it was not finished".to_owned()));
            continue;
        }
        match contents(place, &id).await {
            Ok(contents) => found.bundles.push(contents),
            Err(e @ (Error::Damaged { .. } | Error::Missing { .. } | Error::Refused(_))) => {
                found.unfinished.push((id, e.to_string()));
            }
            Err(e) => return Err(e),
        }
    }
    found.bundles.sort_by(|a, b| (a.as_of, &a.id).cmp(&(b.as_of, &b.id)));
    Ok(found)
}

async fn contents(place: &Place, id: &str) -> Result<Contents> {
    let bytes = place.get_bytes(&format!("{FOLDER}/{id}/{CONTENTS}"), CONTENTS_BYTES).await?;
    let damaged = |reason: String| Error::Damaged { part: format!("contents of {id}"), reason };
    let contents: Contents = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    if contents.format > FORMAT {
        return Err(Error::refused(format!(
            "the bundle {id} was written by a newer Steward ({}); use that version or newer",
            contents.steward_version
        )));
    }
    if contents.id != id {
        return Err(damaged(format!("it is that of {}", contents.id)));
    }
    Ok(contents)
}

/// Removes a bundle: its table of contents first, so that what a crash leaves is no bundle.
pub async fn remove(place: &Place, id: &str) -> Result<()> {
    place.remove(&format!("{FOLDER}/{id}/{CONTENTS}")).await?;
    for entry in place.list(&format!("{FOLDER}/{id}")).await? {
        place.remove(&entry.name).await?;
    }
    Ok(())
}
