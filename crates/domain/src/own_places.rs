//! Where Steward keeps its own: database, key, attachments. No tool is given these places and no watcher watches them, as what
//! is read there could leave by any other tool.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{Error, Result};

static OWN: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Names them, once, before anything is watched or started. Blocking, for a moment.
pub fn keep_off(places: impl IntoIterator<Item = PathBuf>) {
    let real = |path: PathBuf| std::fs::canonicalize(&path).unwrap_or(path);
    drop(OWN.set(places.into_iter().map(real).collect()));
}

/// The place of Steward's own that a path lies in or above, links followed; none: it reaches none. Blocking, for a moment.
pub fn reached_from(path: &Path) -> Option<&'static Path> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    OWN.get()?.iter().find(|own| own.starts_with(&real) || real.starts_with(own)).map(PathBuf::as_path)
}

/// Refuses a text that names such a place: a whole path, or one from the home folder on.
pub fn check(field: &'static str, text: &str) -> Result<()> {
    let home = std::env::home_dir();
    let path = match (text.strip_prefix("~/").or((text == "~").then_some("")), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ if text.starts_with('/') => text.into(),
        _ => return Ok(()),
    };
    match reached_from(&path) {
        None => Ok(()),
        Some(own) => Err(Error::invalid(
            field,
            format!("{text} reaches {}, where Steward keeps its own data; name a narrower folder", own.display()),
        )),
    }
}
