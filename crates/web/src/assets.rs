//! The style, the optional script and the mark, from the binary, under names that change with their content.

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
    content: &'static str,
    path: LazyLock<String>,
}

macro_rules! asset {
    ($name:ident, $stem:literal, $ending:literal, $kind:literal) => {
        pub(crate) static $name: Asset = Asset {
            stem: $stem,
            ending: $ending,
            content_type: $kind,
            content: include_str!(concat!("assets/", $stem, ".", $ending)),
            path: LazyLock::new(|| $name.make_path()),
        };
    };
}
asset!(STYLE, "desk", "css", "text/css; charset=utf-8");
asset!(SCRIPT, "desk", "js", "text/javascript; charset=utf-8");
asset!(MARK, "mark", "svg", "image/svg+xml");

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

/// `GET /assets/{file}`
pub(crate) async fn asset(Path(file): Path<String>) -> Result<Response, Fault> {
    let asked = format!("/assets/{file}");
    let found = [&STYLE, &SCRIPT, &MARK]
        .into_iter()
        .find(|a| a.path() == asked)
        .ok_or_else(|| Fault::not_found("such file"))?;
    let headers =
        [(header::CONTENT_TYPE, found.content_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, found.content).into_response())
}
