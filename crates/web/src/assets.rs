//! The style, the optional script, the marks and the manifest, from the binary, under names that change with their content.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// A file that the pages bring along.
#[derive(Debug)]
pub(crate) struct Asset {
    stem: &'static str,
    ending: &'static str,
    content_type: &'static str,
    content: &'static [u8],
    path: LazyLock<String>,
}

macro_rules! asset {
    ($name:ident, $stem:literal, $ending:literal, $kind:literal) => {
        pub(crate) static $name: Asset = Asset {
            stem: $stem,
            ending: $ending,
            content_type: $kind,
            content: include_bytes!(concat!("assets/", $stem, ".", $ending)),
            path: LazyLock::new(|| $name.make_path()),
        };
    };
}
asset!(STYLE, "desk", "css", "text/css; charset=utf-8");
asset!(SCRIPT, "desk", "js", "text/javascript; charset=utf-8");
asset!(PASSKEYS, "passkeys", "js", "text/javascript; charset=utf-8");
asset!(PUSH, "push", "js", "text/javascript; charset=utf-8");
asset!(MARK, "mark", "svg", "image/svg+xml");
asset!(MASKABLE, "maskable", "svg", "image/svg+xml");
asset!(PICTURE, "mark", "png", "image/png");
asset!(MANIFEST, "desk", "webmanifest", "application/manifest+json");

/// All of them.
static ALL: [&Asset; 8] = [&STYLE, &SCRIPT, &PASSKEYS, &PUSH, &MARK, &MASKABLE, &PICTURE, &MANIFEST];

impl Asset {
    fn make_path(&self) -> String {
        let digest = hex::encode(Sha256::digest(self.content));
        format!("/assets/{}.{}.{}", self.stem, &digest[..16], self.ending)
    }

    /// Its address.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// `GET /assets/{file}`: under the name with its hash for ever; a picture also under its bare name, which the manifest
/// uses, for an hour.
pub(crate) async fn asset(Path(file): Path<String>) -> Result<Response, Fault> {
    let asked = format!("/assets/{file}");
    let is_bare = |a: &Asset| {
        let is_named = file.strip_suffix(a.ending).and_then(|f| f.strip_suffix('.')) == Some(a.stem);
        is_named && a.content_type.starts_with("image/")
    };
    let (found, keep) = match ALL.iter().find(|a| a.path() == asked) {
        Some(found) => (found, "public, max-age=31536000, immutable"),
        None => (ALL.iter().find(|a| is_bare(a)).ok_or_else(|| Fault::not_found("such file"))?, "public, max-age=3600"),
    };
    let headers = [(header::CONTENT_TYPE, found.content_type), (header::CACHE_CONTROL, keep)];
    Ok((headers, found.content).into_response())
}
