//! Writing a bundle: part after part, the manifest, and last the table of contents.

use std::io::Write;

use bytes::Bytes;

use super::{CONTENTS, FOLDER, MANIFEST, new_id, part_name};
use crate::{
    Contents, Error, Manifest, Place, Progress, Result, Sealer,
    error::{back, joined},
    keys::Recipients,
    manifest::{Attachments, ClearPart, FORMAT, Facts, Part},
    place::pieces,
    progress::Passing,
    sealed::SealingWriter,
};

/// A bundle in the making. Dropped before [`Writer::finish`], what is there is no bundle, and goes at the next clean-up.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    sealer: Sealer,
    began_at: jiff::Timestamp,
    parts: Vec<Part>,
    progress: Progress,
}

impl Writer {
    /// Begins one at the place.
    pub fn begin(place: &Place, recipients: &Recipients) -> Result<Self> {
        let began_at = store::now();
        Ok(Self {
            place: place.clone(),
            sealer: Sealer::new(&new_id(began_at), recipients)?,
            began_at,
            parts: Vec::new(),
            progress: Progress::default(),
        })
    }

    /// The same, telling how far it has come.
    #[must_use]
    pub fn telling(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The bundle's id.
    pub fn id(&self) -> &str {
        self.sealer.bundle()
    }

    /// Adds a part: `fill` writes its content on a thread that may block, and is held back by the place's pace.
    /// Names are plain words, with slashes for parts that belong together, each once.
    pub async fn add<T: Send + 'static>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if name == MANIFEST || self.parts.iter().any(|p| p.name == name) {
            return Err(Error::Internal(format!("the bundle has a part {name} already")));
        }
        // The manifest has index 0.
        let (filled, part) = self.write(name, self.parts.len() as u64 + 1, fill).await?;
        self.parts.push(part);
        Ok(filled)
    }

    async fn write<T: Send + 'static>(
        &self,
        name: &str,
        index: u64,
        fill: impl FnOnce(&mut dyn Write) -> Result<T> + Send + 'static,
    ) -> Result<(T, Part)> {
        let (writer, pieces) = pieces::channel();
        let (sealer, label, progress) = (self.sealer.clone(), name.to_owned(), self.progress.clone());
        let filling = tokio::task::spawn_blocking(move || {
            let mut out = SealingWriter::new(&sealer, &label, index, writer)?;
            let filled = fill(&mut Passing::new(&mut out, &progress, format!("{label} kept")))?;
            let (writer, was) = out.finish()?;
            writer.finish().map_err(|e| back(e, "a part can't be written"))?;
            Ok((filled, Part { name: label, plain: was.plain, sealed: was.sealed }))
        });
        let put = self.place.put(&part_name(self.id(), index), pieces).await;
        let filled = joined(filling.await);
        match (filled, put) {
            // Where the place failed first, the filling only tells that it could not go on.
            (Err(Error::File { source, .. }), Err(e)) if source.kind() == std::io::ErrorKind::BrokenPipe => Err(e),
            // Where the filling failed first, the place only tells that it broke off.
            (Err(e), _) | (Ok(_), Err(e)) => Err(e),
            (Ok(done), Ok(())) => Ok(done),
        }
    }

    /// Writes manifest and table of contents: from here on it is a bundle.
    pub async fn finish(
        self,
        facts: Facts,
        attachments: Attachments,
        holds_master_key: bool,
        steward_version: &str,
    ) -> Result<Contents> {
        let manifest = Manifest {
            format: FORMAT,
            id: self.id().to_owned(),
            steward_version: steward_version.to_owned(),
            facts,
            attachments,
            holds_master_key,
            began_at: self.began_at,
            parts: self.parts.clone(),
        };
        let text = serde_json::to_vec(&manifest).map_err(|e| Error::Internal(e.to_string()))?;
        let fill =
            move |out: &mut dyn Write| out.write_all(&text).map_err(|e| back(e, "the manifest can't be written"));
        let ((), own) = self.write(MANIFEST, 0, fill).await?;
        let clear = |part: &Part| ClearPart { name: part.name.clone(), sealed: part.sealed.clone() };
        let contents = Contents {
            format: FORMAT,
            id: manifest.id.clone(),
            as_of: manifest.facts.as_of,
            finished_at: store::now(),
            engine: manifest.facts.engine.clone(),
            schema_version: manifest.facts.schema_version,
            steward_version: manifest.steward_version.clone(),
            has_log: manifest.facts.log_position.is_some(),
            log_series: manifest
                .facts
                .log_position
                .as_ref()
                .and_then(|place| place.get("series")?.as_str())
                .map(str::to_owned),
            parts: std::iter::once(&own).chain(&self.parts).map(clear).collect(),
        };
        let text = serde_json::to_vec_pretty(&contents).map_err(|e| Error::Internal(e.to_string()))?;
        self.place.put_bytes(&format!("{FOLDER}/{}/{CONTENTS}", manifest.id), Bytes::from(text)).await?;
        Ok(contents)
    }
}
