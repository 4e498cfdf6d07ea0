//! Changing a row by a merge patch under `If-Match`, the same for every table; and what a refused change is told: how the
//! row stands now, and who changed it last.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    response::Response,
};
use serde::Serialize;
use serde_json::{Value, json};
use store::audit_trail;
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, IfMatch},
    patch::Patch,
};
use crate::{
    app::App,
    body::{SignedJson, SignedPatch},
    fault::{Fault, Result},
    params::Id,
    session::Signed,
};

/// Changes that are shown.
const SHOWN: i64 = 5;

/// A change that is asked for: whose, of which row, and what.
#[derive(Debug)]
pub(super) struct Change(pub Signed, pub Uuid, pub Wanted);

/// What shall become of a row, and as which it was read.
#[derive(Debug)]
pub(super) struct Wanted {
    patch: Patch,
    expected: IfMatch,
}

impl FromRequest<App> for Change {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let Id(id) = Id::from_request_parts(&mut parts, app).await?;
        let expected = IfMatch::of(&parts.headers);
        let SignedPatch(me, body) = SignedPatch::from_request(Request::from_parts(parts, body), app).await?;
        Ok(Self(me, id, Wanted { patch: Patch::of(body)?, expected: expected? }))
    }
}

impl Wanted {
    /// Refuses a row, as it is answered, that is not as it was read.
    pub fn check<T: Serialize>(&self, row: &T) -> domain::Result<()> {
        self.expected.check(row)
    }

    /// The row as it shall be, whatever it was read as.
    pub fn patch(&self) -> &Patch {
        &self.patch
    }

    /// The row as it shall be, made by `patched` of one that is as it was read.
    pub fn of<T: Serialize>(&self, row: T, patched: impl FnOnce(&Patch, T) -> domain::Result<T>) -> domain::Result<T> {
        self.check(&row)?;
        patched(&self.patch, row)
    }
}

/// A removal that is asked for: by whom, and as which the row was read.
#[derive(Debug)]
pub(super) struct Removal(pub Signed, pub IfMatch);

impl FromRequest<App> for Removal {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let expected = IfMatch::of(&parts.headers);
        let SignedJson(me, Nothing {}) = SignedJson::from_request(Request::from_parts(parts, body), app).await?;
        Ok(Self(me, expected?))
    }
}

impl Removal {
    /// Refuses where the row, as it is answered, is not as it was read, and says what became of it.
    pub async fn check<T: Serialize>(&self, app: &App, place: (&str, Uuid), row: &T) -> Result<()> {
        let Self(me, expected) = self;
        match expected.check(row) {
            Ok(()) => Ok(()),
            Err(e) => Err(told(app, me, place, e.into()).await),
        }
    }
}

/// The answer to a change: the row as it stands now. One that was refused because the row is another by now says what
/// became of it.
pub(super) async fn answer<T: Serialize, E: Into<Fault>>(
    app: &App,
    me: &Signed,
    (kind, id): (&str, Uuid),
    changed: impl Future<Output = Result<T, E>>,
) -> Result<Response> {
    match changed.await {
        Ok(row) => answer::row(&row),
        Err(e) => Err(told(app, me, (kind, id), e.into()).await),
    }
}

/// The fault of a change with what changed the row meanwhile.
pub(super) async fn told(app: &App, me: &Signed, (kind, id): (&str, Uuid), mut fault: Fault) -> Fault {
    if let Some(stands) = &mut fault.stands {
        // Without the trail the row itself still says how it stands.
        let rows = audit_trail::list(&me.actor, app.store(), Some(kind), Some(id), SHOWN).await.unwrap_or_default();
        stands.changes = rows
            .into_iter()
            .map(|row| {
                json!({ "at": row.created_at, "user_id": row.user_id, "action": row.action,
                        "from": row.old_values, "to": row.new_values })
            })
            .collect::<Vec<Value>>();
    }
    fault
}
