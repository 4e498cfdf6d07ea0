//! What went wrong, for people and programs: the one place where errors become HTTP statuses.

pub(crate) mod codes;

use std::ops::{Deref, DerefMut};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A result of a handler.
pub(crate) type Result<T, E = Fault> = std::result::Result<T, E>;

/// A wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Its name.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A refusal or a failure. The guard gives it its look: a problem document under `/v1`, a page elsewhere.
///
/// It is rare and every handler's result may hold it, so it is one pointer there.
#[derive(Debug, Clone)]
pub(crate) struct Fault(Box<Told>);

/// What is told of a fault.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// What happened and why.
    pub detail: String,
    /// What to do next.
    pub advice: &'static str,
    pub errors: Vec<FieldError>,
    pub retry_after_s: Option<u32>,
    /// Whose password was right while a code is still to come; never told.
    pub code_for: Option<uuid::Uuid>,
    /// For the log alone.
    pub cause: Option<String>,
    /// How a row stands that is not as it was read, and what changed it.
    pub stands: Option<Stands>,
}

impl Deref for Fault {
    type Target = Told;
    fn deref(&self) -> &Told {
        &self.0
    }
}

impl DerefMut for Fault {
    fn deref_mut(&mut self) -> &mut Told {
        &mut self.0
    }
}

/// How a row stands now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Stands {
    /// The row.
    #[schema(value_type = Object)]
    current: Value,
    /// Its latest changes as the audit trail has them, newest first: `at`, `user_id`, `action`, `from`, `to`.
    #[schema(value_type = Vec<Object>)]
    pub changes: Vec<Value>,
}

/// A refusal or a failure (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    /// `about:blank`: the code says more.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What happened and why, for people.
    detail: &'a str,
    /// What happened, for programs; stable.
    code: &'static str,
    /// The request's id in the log.
    request_id: &'a str,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// How the row stands that is not as it was read.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    stands: Option<&'a Stands>,
}

impl Fault {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            status,
            code,
            detail: detail.into(),
            advice: "",
            errors: Vec::new(),
            retry_after_s: None,
            code_for: None,
            cause: None,
            stands: None,
        }))
    }

    pub fn advice(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} here, or you may not see it"))
            .advice("Check the address, or begin at Today.")
    }

    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not answer to this method")
            .advice("Pages are read with GET; forms are sent from their own page.")
    }

    pub fn log_in_needed() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "log_in_needed", "this needs a valid session; yours is missing or over")
            .advice("Log in.")
    }

    pub fn token_refused() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "token_refused", "this API token is unknown, revoked or over")
            .advice("Make a new one with: steward token create")
    }

    pub fn scope_needed(scope: &str) -> Self {
        let detail = format!("this API token does not reach so far: it lacks the scope {scope}");
        Self::new(StatusCode::FORBIDDEN, "scope_needed", detail).advice("Make a token that has the scope.")
    }

    pub fn person_needed() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "person_needed",
            "no API token reaches this; it is for people who are logged in",
        )
        .advice("Log in for this.")
    }

    pub fn forged(why: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            format!("the request was refused because {why}; nothing was changed"),
        )
        .advice("Open the page again and send the form from there.")
    }

    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let mut fault = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message.clone());
        fault.errors = vec![FieldError { field, message }];
        fault.advice("Correct it and send it again; nothing was changed.")
    }

    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail).advice("Nothing was changed.")
    }

    pub fn refused(what: &str) -> Self {
        store::Error::Refused { what: what.to_owned() }.into()
    }

    fn changed(current: Value) -> Self {
        let detail = "it was changed since you read it; nothing was changed";
        let mut fault = Self::new(StatusCode::PRECONDITION_FAILED, "changed", detail);
        fault.stands = Some(Stands { current, changes: Vec::new() });
        fault.advice("Look at how it stands now, and send the change again with its tag.")
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail).advice("Look at how it stands now.")
    }

    pub fn too_many(retry_after_s: u32) -> Self {
        let minutes = retry_after_s.div_ceil(60);
        let mut fault = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_tries",
            format!("too many log-ins failed from here; the next try is possible in {minutes} min"),
        );
        fault.retry_after_s = Some(retry_after_s);
        fault.advice("Wait, then try again. A forgotten password can be set with: steward user password")
    }

    pub fn too_fast() -> Self {
        let mut fault = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "more requests come from here than are taken: 400 at once and then 100 a second",
        );
        fault.retry_after_s = Some(1);
        fault.advice("Send fewer, or wait a second; nothing was changed.")
    }

    pub fn too_slow() -> Self {
        let mut fault = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_slow",
            "the answer took longer than 40 seconds and was given up",
        );
        fault.retry_after_s = Some(5);
        fault.advice("Look whether the change was made before you send it again.")
    }

    pub fn internal(cause: impl Into<String>) -> Self {
        let mut fault = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong inside Steward; the log has the details",
        );
        fault.cause = Some(cause.into());
        fault.advice("Try again; if it stays, look up the request's id in the log.")
    }

    /// The problem document.
    pub fn problem<'a>(&'a self, request_id: &'a str) -> Problem<'a> {
        Problem {
            r#type: "about:blank",
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
            stands: self.stands.as_ref(),
        }
    }

    /// The status in words.
    pub fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    pub fn busy(detail: String, code: &'static str, retry_after_s: u32) -> Self {
        let mut fault = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        fault.retry_after_s = Some(retry_after_s);
        fault.advice("Try again in a moment.")
    }
}

impl From<store::Error> for Fault {
    fn from(e: store::Error) -> Self {
        use store::Error as E;
        let text = e.to_string();
        if e.is_internal() {
            return Self::internal(text);
        }
        match e {
            E::Refused { .. } => Self::new(StatusCode::FORBIDDEN, "refused", text).advice("Nothing was changed."),
            E::Constraint { constraint, message } => match constraint.as_str() {
                "chk_approval_final" | "chk_approval_not_expired" => Self::conflict(message),
                _ => Self::invalid(field_of(&constraint), message),
            },
            E::Unavailable(_) => Self::busy(text, "database_unavailable", 5),
            // No time to try again is given: whoever sends it again looks first.
            E::OutcomeUnknown(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", text)
                .advice("Look whether the change was made before you send it again."),
            E::Busy(_) => Self::busy(text, "database_busy", 1),
            E::Storage(_) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage", text).advice("Nothing was changed.")
            }
            E::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
                .advice("Send a smaller file, or have the operator raise attachment_max_mb."),
            E::Quota { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, "quota", text)
                .advice("Have the operator raise attachments_total_mb, or let files go."),
            E::Damaged(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", text)
                .advice("The administrators know; the file comes back from a backup."),
            E::Schema(_) => Self::busy(text, "schema", 60),
            // Looked at above.
            _ => Self::internal(text),
        }
    }
}

/// The field that a constraint guards; the constraint's own name where it is about several.
fn field_of(constraint: &str) -> String {
    match constraint {
        "idx_users_username" | "users_username_key" => "username",
        "idx_users_email" | "users_email_key" => "email",
        "chk_role" => "role",
        "chk_status" => "status",
        "chk_priority" => "priority",
        "chk_due_date_not_past" => "due_date",
        "chk_approval_extension" => "expires_at",
        "chk_priority_duration" => "estimated_duration",
        "chk_task_dependencies" => "dependencies",
        "mcp_servers_name_key" | "policies_name_key" => "name",
        other => other,
    }
    .to_owned()
}

impl From<domain::Error> for Fault {
    fn from(e: domain::Error) -> Self {
        use domain::Error as E;
        let text = e.to_string();
        match e {
            E::TooManyTries { retry_after_s } => Self::too_many(retry_after_s),
            E::SecondFactorNeeded { user_id } => {
                let mut fault = Self::new(StatusCode::UNAUTHORIZED, "second_factor_needed", text);
                fault.code_for = Some(user_id);
                fault.advice("Send the same again with the code, or show a passkey.")
            }
            E::ReauthenticationNeeded => Self::new(StatusCode::FORBIDDEN, "reauthentication_needed", text)
                .advice("Enter your password again; nothing was decided yet."),
            E::Store(e) => e.into(),
            E::NotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, "not_found", text).advice("Check the address, or begin at Today.")
            }
            E::Conflict(_) | E::LeaseLost | E::Duplicate => Self::conflict(text),
            E::Changed { current } => Self::changed(*current),
            E::Invalid { field, message } => Self::invalid(field, message),
            E::LogInRefused => {
                Self::new(StatusCode::UNAUTHORIZED, "log_in_refused", text).advice("Check both and try again.")
            }
            E::Playbook { .. } => Self::invalid("playbook", text),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut answer = self.status.into_response();
        if let Some(seconds) = self.retry_after_s {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer.extensions_mut().insert(self);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_problem() {
        let errors: Vec<domain::Error> = vec![
            store::Error::Refused { what: "approvals".to_owned() }.into(),
            store::Error::Constraint {
                constraint: "users_email_key".to_owned(),
                message: "this e-mail address is in use; choose another".to_owned(),
            }
            .into(),
            store::Error::Constraint {
                constraint: "chk_approval_final".to_owned(),
                message: "this approval is already decided or expired; nothing was changed".to_owned(),
            }
            .into(),
            store::Error::Unavailable("connection refused".to_owned()).into(),
            store::Error::OutcomeUnknown("the connection broke".to_owned()).into(),
            store::Error::Busy("the pool is full".to_owned()).into(),
            store::Error::Storage("no space left on device".to_owned()).into(),
            store::Error::Schema("the schema is older".to_owned()).into(),
            store::Error::Decode { column: "status".to_owned(), reason: "a secret value".to_owned() }.into(),
            store::Error::Database { statement: "tasks/get".to_owned(), reason: "a secret value".to_owned() }.into(),
            domain::Error::NotFound("task 1".to_owned()),
            domain::Error::Conflict("this approval is already approved".to_owned()),
            domain::Error::invalid("due_date", "this is no time"),
            domain::Error::LogInRefused,
            domain::Error::LeaseLost,
            domain::Error::changed(&serde_json::json!({"id": 1})),
            domain::Error::Duplicate,
        ];
        let lines: Vec<String> = errors
            .into_iter()
            .map(|e| {
                let fault = Fault::from(e);
                let problem = serde_json::to_string(&fault.problem("r-1")).unwrap();
                format!("{} retry={:?}", problem, fault.retry_after_s)
            })
            .collect();
        let text = lines.join("\n");
        assert!(!text.contains("a secret value"), "causes stay in the log");
        insta::assert_snapshot!(text);
    }
}
