//! Written steps that the employee follows.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::playbook;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::answer::{self, List};
use crate::{
    PlaybookEntry,
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::Params,
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(check))
}

/// The playbooks at hand: the owner's, and those that come with Steward
#[utoipa::path(get, path = "/playbooks", tag = "Playbooks",
    responses((status = 200, description = "All of them, the owner's first", body = List<PlaybookEntry>)))]
async fn list(State(app): State<App>, _: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    let playbooks = app.state.playbooks.clone();
    let found = tokio::task::spawn_blocking(move || playbooks.all()).await;
    answer::whole(found.map_err(|e| Fault::internal(e.to_string()))?)
}

/// A playbook's text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    /// The YAML, at most 64 KiB.
    source: String,
}

/// A step of a playbook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outline {
    /// Its name.
    name: String,
    /// The server it calls.
    server: String,
    /// The tool it calls.
    tool: String,
}

/// A mistake in a playbook's text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Mistake {
    /// Line, from 1.
    line: usize,
    /// Column, from 1, in characters.
    column: usize,
    /// What is wrong and what to do about it.
    message: String,
}

/// What was found in a playbook's text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    /// Whether it can be used.
    is_right: bool,
    /// Its name.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Its steps in the order of the text.
    steps: Vec<Outline>,
    /// Every mistake, in the order of the lines.
    errors: Vec<Mistake>,
}

/// Check a playbook's text
///
/// Nothing is kept and nothing runs; every mistake is named with its line and column.
#[utoipa::path(post, path = "/playbooks/check", tag = "Playbooks", request_body = Text,
    responses((status = 200, description = "What was found", body = Checked)))]
async fn check(State(_): State<App>, SignedJson(_, text): SignedJson<Text>) -> Result<Response> {
    if text.source.len() > playbook::MAX_SOURCE_BYTES {
        return Err(Fault::invalid(
            "source",
            format!("the text has {} bytes; a playbook has at most {}", text.source.len(), playbook::MAX_SOURCE_BYTES),
        ));
    }
    // Reading YAML and its templates is work for a thread that may be busy.
    let read = tokio::task::spawn_blocking(move || playbook::parse(&text.source)).await;
    let checked = match read.map_err(|e| Fault::internal(e.to_string()))? {
        Ok(playbook) => Checked {
            is_right: true,
            name: Some(playbook.name().to_owned()),
            description: playbook.description().map(str::to_owned),
            steps: playbook
                .steps()
                .iter()
                .map(|s| Outline { name: s.name.to_owned(), server: s.server.to_owned(), tool: s.tool.to_owned() })
                .collect(),
            errors: Vec::new(),
        },
        Err(errors) => Checked {
            is_right: false,
            name: None,
            description: None,
            steps: Vec::new(),
            errors: errors
                .into_iter()
                .map(|e| Mistake { line: e.line, column: e.column, message: e.message })
                .collect(),
        },
    };
    answer::json(StatusCode::OK, &checked)
}
