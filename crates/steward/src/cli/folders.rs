//! Folders that a watcher or a server needs: made where they lie in the person's home, and only spoken of elsewhere.

use std::{
    os::unix::fs::DirBuilderExt,
    path::{Component, Path, PathBuf},
};

use crate::{Error, Result, output};

/// A folder that was made, with those above it, so that it can be taken back when what needed it was refused.
#[derive(Debug, Default)]
pub(crate) struct Made(Vec<PathBuf>);

impl Made {
    /// Makes `folder`, for its owner alone, where it is missing and lies below `home`; elsewhere says that it is missing.
    /// Blocking.
    pub(crate) fn folder(folder: &Path, home: Option<&Path>) -> Result<Self> {
        let shown = output::safe(&folder.display().to_string());
        match std::fs::metadata(folder) {
            Ok(found) if found.is_dir() => return Ok(Self::default()),
            Ok(_) => {
                return Err(Error::refused(format!("{shown} is no folder; name a folder, or move that file away")));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::file(format!("the folder {shown} can't be looked at"), e)),
        }
        let climbs = folder.components().any(|c| c == Component::ParentDir);
        if climbs || !home.is_some_and(|home| folder.starts_with(home)) {
            output::note(format!("Note: the folder {shown} is missing; make it, or correct the path."));
            return Ok(Self::default());
        }
        let missing: Vec<PathBuf> = folder.ancestors().take_while(|f| !f.exists()).map(Path::to_owned).collect();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| Error::file(format!("the folder {shown} can't be made; make it yourself and try again"), e))?;
        Ok(Self(missing))
    }

    /// What was made, in a sentence; none where nothing was.
    pub(super) fn said(&self) -> Option<String> {
        self.0.first().map(|folder| {
            format!("Made the folder {}, which only you may open.", output::safe(&folder.display().to_string()))
        })
    }

    /// Takes back what was made, as far as nobody has put anything into it. Blocking.
    pub(super) fn take_back(self) {
        for folder in &self.0 {
            if let Err(e) = std::fs::remove_dir(folder) {
                output::note(format!("Note: the folder {} stays ({e}).", output::safe(&folder.display().to_string())));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::Made;

    #[test]
    fn made_at_home_alone_and_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/b");
        let made = Made::folder(&folder, Some(home.path())).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(made.said().unwrap().contains("a/b"));
        made.take_back();
        assert!(!home.path().join("a").exists());
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(Made::folder(&elsewhere.path().join("x"), Some(home.path())).unwrap().said().is_none());
        assert!(!elsewhere.path().join("x").exists());
        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(Made::folder(&home.path().join("file"), Some(home.path())).is_err());
    }
}
