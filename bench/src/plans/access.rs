//! How a statement may reach its rows, who runs it while it is looked at, and what it is often given.

/// Who runs a statement while it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// One of the thousand users.
    Person,
    /// The agent.
    Agent,
    /// Who may see everything.
    Admin,
    /// Steward itself.
    Service,
}

/// What a statement does. Parameters are SQL; `{me}` and `{task}` stand for a user and one of its tasks.
#[derive(Debug)]
pub(crate) enum Access {
    /// Meets no table that grows with work: people, servers, rules, schedules.
    Small,
    /// Reaches a page or a row by an index, at a cost that does not grow with any table.
    Page(Who, &'static [&'static str]),
    /// By an index too, but in proportion to what is the actor's own, for this reason.
    Own(Who, &'static [&'static str], &'static str),
    /// Reads in proportion to a table, for this reason.
    Whole(&'static str),
}

/// A task's id.
pub(crate) const TASK: &[&str] = &["'{task}'"];
/// The ids that begin as a task's does, in as many digits as must be typed: those of a minute.
pub(crate) const MINUTE: &[&str] = &[
    "(left('{task}', 8) || '-0000-0000-0000-000000000000')::uuid",
    "(left('{task}', 8) || '-ffff-ffff-ffff-ffffffffffff')::uuid",
    "6",
];
/// The first page of a list.
pub(crate) const FIRST: &[&str] = &["'9999-12-30'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "20"];
/// The same, of one priority.
pub(crate) const CHOSEN: &[&str] = &[
    "'9999-12-30'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    "20",
    "NULL",
    "'critical'",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
];
/// The same, of one status too.
pub(crate) const CHOSEN_STATUS: &[&str] = &[
    "'9999-12-30'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    "20",
    "'pending'",
    "'critical'",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
];
/// The same, of what one person works on.
pub(crate) const CHOSEN_ASSIGNED: &[&str] = &[
    "'9999-12-30'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    "20",
    "NULL",
    "NULL",
    "'{me}'",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
];
/// The same, of what one person wants done.
pub(crate) const CHOSEN_MADE: &[&str] = &[
    "'9999-12-30'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    "20",
    "NULL",
    "NULL",
    "NULL",
    "'{me}'",
    "NULL",
    "NULL",
    "NULL",
];
/// The first page by when tasks are due.
pub(crate) const CHOSEN_DUE: &[&str] = &[
    "'0001-01-01'",
    "'00000000-0000-0000-0000-000000000000'",
    "20",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
    "NULL",
];
