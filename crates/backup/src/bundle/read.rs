//! Reading a bundle: first the manifest, then each part against it. Whatever does not agree is named.

use std::io::{self, Read};

use super::{CONTENTS_BYTES, MANIFEST, contents, part_name};
use crate::{
    Contents, Error, Manifest, Opener, Place, Progress, Result,
    error::{back, joined},
    manifest::Part,
    progress::Passing,
    sealed::{Label, OpeningReader, Sealed},
};

/// A bundle whose manifest was opened and agrees with its table of contents.
#[derive(Debug, Clone)]
pub struct Bundle {
    place: Place,
    opener: Opener,
    manifest: Manifest,
    contents: Contents,
    progress: Progress,
}

impl Bundle {
    /// Opens the bundle's manifest with the keys at hand.
    pub async fn open(place: &Place, id: &str, opener: &Opener) -> Result<Self> {
        let contents = contents(place, id).await.map_err(|e| match e {
            Error::Missing { .. } => Error::Missing { what: format!("a whole bundle {id}") },
            other => other,
        })?;
        let label = Label { bundle: id.to_owned(), part: MANIFEST.to_owned(), index: 0 };
        let read = |source: &mut dyn Read| {
            let mut text = Vec::new();
            source
                .take(CONTENTS_BYTES as u64)
                .read_to_end(&mut text)
                .map_err(|e| back(e, "the manifest can't be read"))?;
            Ok(text)
        };
        let (text, was) = open_part(place, opener, label.clone(), read).await?;
        let damaged = |reason: String| Error::Damaged { part: label.to_string(), reason };
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if manifest.id != id {
            return Err(damaged(format!("it is that of {}", manifest.id)));
        }
        let clear = contents.parts.iter().map(|p| (&p.name, &p.sealed));
        let own = (&label.part, &was.sealed);
        let sealed = std::iter::once(own).chain(manifest.parts.iter().map(|p| (&p.name, &p.sealed)));
        if !clear.eq(sealed) {
            let part = format!("contents of {id}");
            return Err(Error::Damaged { part, reason: "it does not agree with the sealed manifest".to_owned() });
        }
        Ok(Self { place: place.clone(), opener: opener.clone(), manifest, contents, progress: Progress::default() })
    }

    /// The same, telling how far reading it has come.
    #[must_use]
    pub fn telling(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(crate) fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Whether it has a part of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.manifest.parts.iter().any(|part| part.name == name)
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What anybody may see of it.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Reads a part's content on a thread that may block. Only when this has returned well was it the part that the
    /// manifest names, whole: act on what `take` saw only then.
    pub async fn read<T: Send + 'static>(
        &self,
        name: &str,
        take: impl FnOnce(&mut dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let found = self.manifest.parts.iter().zip(1_u64..).find(|(part, _)| part.name == name);
        let Some((part, index)) = found else {
            return Err(Error::Missing { what: format!("a part {name} in the bundle {}", self.manifest.id) });
        };
        let label = Label { bundle: self.manifest.id.clone(), part: name.to_owned(), index };
        let (progress, what) = (self.progress.clone(), format!("{name} read"));
        let take = move |source: &mut dyn Read| take(&mut Passing::new(source, &progress, what));
        let (taken, was) = open_part(&self.place, &self.opener, label, take).await?;
        self.agree(part, &was)?;
        Ok(taken)
    }

    /// Reads every part to its end and keeps nothing: they are all there, whole, and open with the keys at hand.
    pub async fn verify(&self) -> Result<()> {
        for part in &self.manifest.parts {
            self.read(&part.name, |source| {
                io::copy(source, &mut io::sink()).map(drop).map_err(|e| back(e, "a part can't be read"))
            })
            .await?;
        }
        Ok(())
    }

    fn agree(&self, part: &Part, was: &Sealed) -> Result<()> {
        if was.plain == part.plain && was.sealed == part.sealed {
            return Ok(());
        }
        let reason = "it is not the one that the manifest names".to_owned();
        Err(Error::Damaged { part: format!("{} of {}", part.name, self.manifest.id), reason })
    }
}

async fn open_part<T: Send + 'static>(
    place: &Place,
    opener: &Opener,
    label: Label,
    take: impl FnOnce(&mut dyn Read) -> Result<T> + Send + 'static,
) -> Result<(T, Sealed)> {
    let pieces = place.get(&part_name(&label.bundle, label.index)).await.map_err(|e| match e {
        Error::Missing { .. } => Error::Missing { what: format!("the part {label}") },
        other => other,
    })?;
    let opener = opener.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut reader = OpeningReader::new(&opener, &label, pieces.into_reader())?;
        let taken = take(&mut reader)?;
        Ok((taken, reader.finish()?))
    });
    joined(read.await)
}
