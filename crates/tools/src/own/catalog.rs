//! The tools of Steward's own server: name, words, scope and schema of each, and who carries it out.

use std::sync::Arc;

use domain::tokens::Scope;
use rmcp::{
    RoleServer,
    handler::server::tool::schema_for_input,
    model::{JsonObject, Tool, ToolAnnotations},
    schemars::JsonSchema,
    service::RequestContext,
};

use super::{
    Caller, OwnServer,
    answer::{Answer, Refusal, arguments},
    approvals, records, tasks,
};

/// A tool of Steward's own.
pub(super) struct OwnTool {
    pub name: &'static str,
    title: &'static str,
    description: &'static str,
    /// What a token needs for it.
    pub scope: Scope,
    schema: fn() -> Arc<JsonObject>,
}

impl OwnTool {
    /// As the protocol shows it. What changes anything only adds to it; nothing here is destructive.
    pub(super) fn described(&self) -> Tool {
        let reads = self.scope == Scope::Read;
        let hints = ToolAnnotations::with_title(self.title).read_only(reads).destructive(false).open_world(false);
        Tool::new(self.name, self.description, (self.schema)()).with_title(self.title).with_annotations(hints)
    }
}

/// The schema of a tool's arguments; one that is no object is a fault that the tests see.
fn schema<T: JsonSchema + 'static>() -> Arc<JsonObject> {
    schema_for_input::<T>().unwrap_or_default()
}

macro_rules! own_tools {
    ($($name:literal, $title:literal, $scope:ident, $arguments:ty, $call:path, $description:literal;)*) => {
        /// Every tool.
        pub(super) const ALL: &[OwnTool] = &[$(OwnTool {
            name: $name, title: $title, description: $description, scope: Scope::$scope, schema: schema::<$arguments>,
        }),*];

        /// Carries a tool out.
        pub(super) async fn call(
            own: &OwnServer,
            caller: &Caller,
            tool: &OwnTool,
            sent: JsonObject,
            context: &RequestContext<RoleServer>,
        ) -> Answer {
            match tool.name {
                $($name => $call(own, caller, arguments::<$arguments>(sent)?, context).await,)*
                other => Err(Refusal::Internal(format!("{other} is not carried out by anybody"))),
            }
        }
    };
}

own_tools! {
    "approval_request", "Ask a person", Tasks, approvals::Request, approvals::request,
        "Asks people for a yes or a no to something that you would do yourself, with exactly what you would do as `arguments`. Answers the approval with its id, pending. Steward runs nothing itself. Wait with approval_wait.";
    "approval_wait", "Wait for a decision", Read, approvals::Wait, approvals::wait,
        "Waits until an approval is decided, at most `seconds` (0 to 300, 25 where nothing is said), and answers it as it then stands. Call it again while the status is `pending`. `approved` alone means yes; do then what `arguments` says.";
    "approval_list", "List approvals", Read, approvals::List, approvals::list,
        "Approvals that you may see, newest first: `pending`, `approved`, `rejected` or `expired`.";
    "task_create", "Make a task", Tasks, tasks::New, tasks::create,
        "Makes a task of yours. Give it to somebody with `assigned_to`, a user's name: `employee` is Steward's own employee, who then works on it under the owner's rules. It is marked as content from outside.";
    "task_get", "Look at a task", Read, tasks::One, tasks::get,
        "A task with where it came from, its files, its approvals and its runs.";
    "task_list", "List tasks", Read, tasks::List, tasks::list,
        "Tasks that you may see, newest first, of a status if you name one.";
    "task_search", "Search tasks", Read, tasks::Search, tasks::search,
        "Tasks whose title or description answers the query: words, \"a phrase\", or, -not, begin*. The best first, with what matches marked.";
    "task_finish", "Finish a task", Tasks, tasks::Finish, tasks::finish,
        "Ends a task of yours: `completed`, `failed` or `cancelled`, with what came of it in a sentence.";
    "task_assign", "Give a task away", Tasks, tasks::Assign, tasks::assign,
        "Gives a task to somebody by name, or takes it from everybody.";
    "file_read", "Read a file", Read, records::ReadFile, records::read_file,
        "A part of a file that hangs on a task: text as it is, anything else in base64. `offset` and `length` (at most 262144) are bytes.";
    "file_add", "Add a file", Tasks, records::AddFile, records::add_file,
        "Hangs a file on a task, as text or in base64, at most about 180 KiB; larger ones go to POST /v1/tasks/{id}/attachments.";
    "log_search", "Search the log", Read, records::Logs, records::logs,
        "Lines of the log that you may see, newest first: of a level or a heavier one, of a task, with words in their message.";
    "log_write", "Write to the log", Logs, records::Line, records::write_line,
        "Writes one line to the log, where the owner and the operator find it.";
    "audit_history", "History of a row", Read, records::History, records::history,
        "Who changed a row, when, and from what to what: the audit trail of a task, an approval and so on.";
}

/// The tool of this name.
pub(super) fn named(name: &str) -> Option<&'static OwnTool> {
    ALL.iter().find(|tool| tool.name == name)
}
