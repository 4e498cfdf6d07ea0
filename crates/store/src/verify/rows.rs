//! What no constraint holds: rows that point to nothing, and a queue that does not agree with the tasks.

use super::MOST;

/// A question that answers `(where, what)` for each row that is wrong.
pub(super) struct RowCheck {
    pub(super) name: &'static str,
    pub(super) remedy: &'static str,
    text: &'static str,
}

impl RowCheck {
    /// The text for one of the engines; both read it but for how a list becomes rows.
    pub(super) fn sql(&self, list: &str) -> String {
        format!("{} LIMIT {}", self.text.replace("{dependencies}", list), MOST + 1)
    }
}

/// How PostgreSQL makes rows of a task's dependencies.
pub(super) const POSTGRES_LIST: &str = "unnest(t.dependencies) AS d (value)";
/// How SQLite does.
pub(super) const SQLITE_LIST: &str = "json_each(t.dependencies) AS d";

/// All of them; each may be asked while others write.
pub(super) const ALL: &[RowCheck] = &[
    RowCheck {
        name: "dependencies",
        remedy: "take the missing task out of the dependencies: steward task depends",
        text: "SELECT 'task ' || t.id, 'depends on the task ' || d.value || ', which is not there'
            FROM tasks t, {dependencies} WHERE NOT EXISTS (SELECT 1 FROM tasks x WHERE x.id = d.value)",
    },
    RowCheck {
        name: "steps and runs",
        remedy: "cancel the task and make it anew; the rows were written past Steward",
        text: "SELECT 'step ' || s.id, 'belongs to the task ' || s.task_id || ', but its run to ' || r.task_id
            FROM steps s JOIN runs r ON r.id = s.run_id WHERE r.task_id <> s.task_id",
    },
    RowCheck {
        name: "steps and approvals",
        remedy: "cancel the task and make it anew: nobody can decide this step any more",
        text: "SELECT 'step ' || s.id, CASE WHEN a.id IS NULL THEN 'waits for an approval that is not there'
              ELSE 'waits for an approval of another task' END
            FROM steps s LEFT JOIN approvals a ON a.id = s.approval_id
            WHERE s.state = 'awaiting_approval' AND (a.id IS NULL OR a.task_id <> s.task_id)",
    },
    RowCheck {
        name: "approvals and their calls",
        remedy: "reject the approval; the frozen call was written past Steward",
        text: "SELECT 'approval ' || a.id, 'freezes a call of a step that belongs to another task'
            FROM approval_calls c JOIN approvals a ON a.id = c.approval_id JOIN steps s ON s.id = c.step_id
            WHERE a.task_id <> s.task_id",
    },
    RowCheck {
        name: "the queue lacks a task",
        remedy: "assign the task anew (steward task assign), which queues it",
        text: "SELECT 'task ' || t.id, 'is open and assigned to an agent, but not in the queue: nobody works on it'
            FROM tasks t JOIN agents g ON g.user_id = t.assigned_to
            WHERE t.status NOT IN ('completed', 'failed', 'cancelled') AND NOT EXISTS (SELECT 1 FROM task_queue q WHERE q.task_id = t.id)",
    },
    RowCheck {
        name: "the queue against the tasks",
        remedy: "assign the task anew (steward task assign), which sets its place in the queue right",
        text: "SELECT 'task ' || t.id, CASE
              WHEN t.status IN ('completed', 'failed', 'cancelled') THEN 'is ' || t.status || ' and still in the queue'
              WHEN t.assigned_to IS NULL OR q.assignee <> t.assigned_to THEN 'is queued for another than its assignee'
              WHEN q.state IN ('ready', 'leased') THEN 'is ready to be worked on while a task it depends on is not completed'
              WHEN q.state = 'blocked' THEN 'is held back although all it depends on is completed'
              ELSE 'has another priority in the queue' END
            FROM task_queue q JOIN tasks t ON t.id = q.task_id
            WHERE t.status IN ('completed', 'failed', 'cancelled') OR t.assigned_to IS NULL OR q.assignee <> t.assigned_to
               OR q.priority_rank <> CASE t.priority WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'medium' THEN 1 ELSE 0 END
               OR q.state = 'ready' AND EXISTS (SELECT 1 FROM {dependencies} WHERE NOT EXISTS (SELECT 1 FROM tasks x WHERE x.id = d.value AND x.status = 'completed'))
               OR q.state = 'blocked' AND NOT EXISTS (SELECT 1 FROM {dependencies} WHERE NOT EXISTS (SELECT 1 FROM tasks x WHERE x.id = d.value AND x.status = 'completed'))",
    },
    RowCheck {
        name: "tasks that wait for nothing",
        remedy: "assign the task to another agent and back (steward task assign), which makes it ready",
        text: "SELECT 'task ' || q.task_id, 'waits for a decision, and no approval of it is open'
            FROM task_queue q WHERE q.state = 'waiting'
              AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.task_id = q.task_id AND a.status = 'pending')",
    },
];
