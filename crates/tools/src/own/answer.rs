//! What a tool of Steward's own answers, and how a refusal reads: what happened, why, and what to do next.

use domain::tokens::Scope;
use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};
use store::tasks::Cursor;

/// Why a tool did nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The rules refused or failed.
    #[error(transparent)]
    Domain(#[from] domain::Error),
    /// What was sent does not fit the tool.
    #[error("{0}")]
    Arguments(String),
    /// The token does not reach so far.
    #[error(
        "this needs a token with the scope {}, which yours lacks; have one made with: steward token create NAME --scope {}",
        .0.as_str(), .0.as_str()
    )]
    Scope(Scope),
    /// The caller withdrew the request.
    #[error("the request was cancelled; nothing was changed")]
    Cancelled,
    /// It went wrong here.
    #[error("Steward could not do it just now; its log says why")]
    Internal(String),
}

impl From<store::Error> for Refusal {
    fn from(e: store::Error) -> Self {
        domain::Error::from(e).into()
    }
}

pub(super) type Answer = Result<Json, Refusal>;

impl Refusal {
    /// The sentence for the caller. What only the log may know goes there.
    fn said(&self) -> String {
        match self {
            Self::Domain(domain::Error::Store(e)) if e.is_internal() || matches!(e, store::Error::Schema(_)) => {
                tracing::error!(cause = %e, "a request over MCP failed");
                Self::Internal(String::new()).to_string()
            }
            Self::Internal(cause) => {
                tracing::error!(cause, "a request over MCP failed");
                self.to_string()
            }
            other => other.to_string(),
        }
    }

    /// The same where the protocol wants an error of its own.
    pub(super) fn as_error(&self) -> ErrorData {
        match self {
            Self::Domain(domain::Error::NotFound(_)) => ErrorData::resource_not_found(self.said(), None),
            Self::Domain(domain::Error::Store(_)) | Self::Internal(_) => ErrorData::internal_error(self.said(), None),
            _ => ErrorData::invalid_params(self.said(), None),
        }
    }
}

/// A tool's answer as the protocol wants it. A failure is told to the caller's model, which can mend what it sent.
pub(super) fn tool_result(tool: &str, done: Answer) -> CallToolResult {
    match done {
        Ok(value) => CallToolResult::structured(value),
        Err(refusal) => {
            let said = refusal.said();
            tracing::debug!(tool, said, "a tool of Steward's own refused");
            CallToolResult::error(vec![ContentBlock::text(said)])
        }
    }
}

/// Reads a tool's arguments; the error names the field.
pub(super) fn arguments<T: DeserializeOwned>(sent: Map<String, Json>) -> Result<T, Refusal> {
    serde_json::from_value(Json::Object(sent))
        .map_err(|e| Refusal::Arguments(format!("the arguments do not fit the tool: {e}; nothing was changed")))
}

/// A row as JSON.
pub(super) fn json(row: &impl Serialize) -> Answer {
    serde_json::to_value(row).map_err(|e| Refusal::Internal(e.to_string()))
}

/// Rows of a page under a name, with the place of the next one. `rows` holds one more than the page where there is more.
pub(super) fn page<T: Serialize>(name: &str, mut rows: Vec<T>, limit: i64, place: impl Fn(&T) -> Cursor) -> Answer {
    let limit = usize::try_from(limit).unwrap_or(1);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|last| {
        let (time, id) = place(last);
        format!("{time}/{id}")
    });
    let mut out = Map::new();
    out.insert(name.to_owned(), json(&rows)?);
    out.insert("next".to_owned(), next.into());
    Ok(Json::Object(out))
}

/// The place that a page gave.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Refusal> {
    let read = |text: &str| {
        let (time, id) = text.split_once('/')?;
        Some((time.parse().ok()?, id.parse().ok()?))
    };
    text.map(|text| {
        read(text).ok_or_else(|| Refusal::Arguments("cursor: use the `next` of the page before, unchanged".to_owned()))
    })
    .transpose()
}
