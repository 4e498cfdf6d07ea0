//! How far one must reach to ask for an address. The one place where the scopes of API tokens meet addresses; what is
//! not named here is for people who are logged in.

use axum::http::Method;
use domain::tokens::Scope;

/// What an address asks of whoever comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A page: the cookie alone counts.
    Page,
    /// The log-in of a person; no token reaches it.
    LogIn,
    /// Whoever is known.
    Known,
    /// A log-in, or a token with this scope.
    Scope(Scope),
}

/// What the address asks for; `path` is the whole one.
pub(crate) fn needed(method: &Method, path: &str) -> Need {
    // Each tool of Steward's own MCP server asks for its scope.
    if path == "/mcp" {
        return Need::Known;
    }
    let Some(path) = path.strip_prefix("/v1/") else { return Need::Page };
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let is_read = *method == Method::GET || *method == Method::HEAD;
    let scope = match (first, rest) {
        ("auth", "session") if is_read => return Need::Known,
        ("auth" | "tokens" | "push", _) => return Need::LogIn,
        _ if is_read => Scope::Read,
        // Asking for an approval is work on a task; all that is done to one is deciding.
        ("tasks" | "attachments", _) | ("approvals", "") => Scope::Tasks,
        ("approvals", _) => Scope::Decide,
        ("notifications", _) => Scope::Notifications,
        ("logs", _) => Scope::Logs,
        ("watchers", _) => Scope::Watchers,
        ("servers", _) => Scope::Servers,
        ("policies" | "playbooks" | "handbook" | "memories", _) => Scope::Policies,
        ("users", _) => Scope::Users,
        ("schedules" | "backups" | "system", _) => Scope::System,
        _ => return Need::LogIn,
    };
    Need::Scope(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_for_people() {
        let scope = Need::Scope;
        for (method, path, need) in [
            (Method::GET, "/tasks", Need::Page),
            (Method::POST, "/approvals/1/decision", Need::Page),
            (Method::GET, "/v1/tasks", scope(Scope::Read)),
            (Method::HEAD, "/v1/approvals/1", scope(Scope::Read)),
            (Method::GET, "/v1/events", scope(Scope::Read)),
            (Method::POST, "/v1/tasks", scope(Scope::Tasks)),
            (Method::PATCH, "/v1/tasks/1", scope(Scope::Tasks)),
            (Method::POST, "/v1/approvals", scope(Scope::Tasks)),
            (Method::POST, "/v1/approvals/1/decision", scope(Scope::Decide)),
            (Method::PATCH, "/v1/approvals/1", scope(Scope::Decide)),
            (Method::DELETE, "/v1/watchers/1", scope(Scope::Watchers)),
            (Method::POST, "/v1/users", scope(Scope::Users)),
            (Method::POST, "/mcp", Need::Known),
            (Method::GET, "/v1/auth/session", Need::Known),
            (Method::POST, "/v1/auth/session", Need::LogIn),
            (Method::GET, "/v1/auth/sessions", Need::LogIn),
            (Method::GET, "/v1/tokens", Need::LogIn),
            (Method::POST, "/v1/tokens", Need::LogIn),
            (Method::POST, "/v1/something-new", Need::LogIn),
            (Method::POST, "/v1/", Need::LogIn),
        ] {
            assert_eq!(needed(&method, path), need, "{method} {path}");
        }
    }
}
