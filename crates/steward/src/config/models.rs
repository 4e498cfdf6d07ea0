//! `models.toml`: the language models that the owner set up. Without the file there are none, and work is led by playbooks.

use std::path::Path;

use workers::brains::{Brains, Settings};

use crate::{Error, Result};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Reads the file where there is one, and the keys it names. Blocking.
pub fn read(file: &Path, home: Option<&Path>) -> Result<Option<Brains>> {
    let name = file.display();
    let size = match std::fs::metadata(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|e| Error::file(format!("the models in {name} can't be read"), e))?.len(),
    };
    if size > MAX_BYTES {
        return Err(Error::Config(format!("{name} is larger than {MAX_BYTES} bytes; it is hardly a file of models")));
    }
    let text =
        std::fs::read_to_string(file).map_err(|e| Error::file(format!("the models in {name} can't be read"), e))?;
    let mut settings: Settings = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or_else(String::new, |span| {
            format!(" line {}", text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1)
        });
        Error::Config(format!("{name}{line}: {}", e.message()))
    })?;
    for model in settings.models.values_mut() {
        if let Some(key_file) = &model.key_file {
            let written = key_file.to_string_lossy().into_owned();
            let path = super::expand_home(&written, home);
            // What is not absolute lies beside the file that names it.
            model.key_file = path.map(|p| file.parent().unwrap_or(Path::new(".")).join(p));
        }
    }
    Brains::open(settings).map(Some).map_err(|why| Error::Config(format!("{name}: {why}")))
}
