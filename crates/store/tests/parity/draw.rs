//! What sequences are drawn from: who acts, the kinds of operations, the few arguments, and what has been made.

use jiff::{SignedDuration, Timestamp};
use store::Actor;
use uuid::Uuid;

use crate::common::{People, id};

/// An operation: who, what, and three numbers that choose the arguments.
#[derive(Clone)]
pub struct Op {
    pub actor: &'static str,
    pub kind: &'static str,
    pub a: u8,
    pub b: u8,
    pub c: u8,
}

/// On one line, however it is asked for.
impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} {} {} {}", self.actor, self.kind, self.a, self.b, self.c)
    }
}

/// Who acts, the busy ones more often.
pub const ACTORS: [&str; 16] = [
    "ada",
    "ada",
    "bob",
    "bob",
    "bob",
    "cat",
    "employee",
    "employee",
    "employee",
    "obs",
    "sus",
    "ina",
    "admin_agent",
    "service",
    "service",
    "nobody",
];

pub fn actor(people: &People, name: &str) -> Actor {
    match name {
        "ada" => &people.ada,
        "bob" => &people.bob,
        "cat" => &people.cat,
        "employee" => &people.employee,
        "obs" => &people.obs,
        "sus" => &people.sus,
        "ina" => &people.ina,
        "admin_agent" => &people.admin_agent,
        "service" => &people.service,
        _ => &people.nobody,
    }
    .clone()
}

/// Seconds from the beginning that times are set to: days before and after, and what is over or still to come.
pub const OFFSETS: [i64; 5] = [-3 * 86400, -60, 3600, 86400, 40 * 86400];

pub fn at(start: Timestamp, seconds: i64) -> Timestamp {
    start + SignedDuration::from_secs(seconds)
}

/// Tokens of sessions, by the digit that is repeated.
pub const TOKENS: [&str; 4] = ["a", "b", "c", "d"];

macro_rules! ids {
    ($($kind:ident),*) => {
        /// What has been made, in order: the same order on both databases.
        #[derive(Debug, Clone, Default)]
        pub struct Ids { $(pub $kind: Vec<Uuid>),* }
        impl Ids {
            pub fn each(&self) -> Vec<(&'static str, &Vec<Uuid>)> {
                vec![$((stringify!($kind), &self.$kind)),*]
            }
            pub fn add(&mut self, made: Made) {
                match made {
                    Some((kind, id)) => match kind { $(stringify!($kind) => self.$kind.push(id),)* other => panic!("{other}") },
                    None => {}
                }
            }
        }
    };
}
ids!(users, tasks, approvals, runs, steps, watchers, servers, policies, attachments, notifications, sessions);

/// What an operation made: its kind and its id.
pub type Made = Option<(&'static str, Uuid)>;

impl Ids {
    pub fn new(people: &People) -> Self {
        let all = [
            &people.ada,
            &people.bob,
            &people.cat,
            &people.obs,
            &people.sus,
            &people.ina,
            &people.employee,
            &people.admin_agent,
        ];
        Self { users: all.into_iter().map(id).collect(), ..Self::default() }
    }
}

/// Every kind of operation.
pub const KINDS: [&str; 72] = [
    "user create",
    "user role",
    "user status",
    "user password",
    "user login",
    "user agent",
    "user names",
    "user allowed",
    "user credentials",
    "task create",
    "task create",
    "task create",
    "task depends",
    "task update",
    "task status",
    "task status",
    "task assign",
    "task assign",
    "task delete",
    "task get",
    "task lock",
    "task search",
    "task provenance",
    "queue claim",
    "queue claim",
    "queue claim",
    "queue hold",
    "queue wait",
    "queue release",
    "queue reclaim",
    "approval create",
    "approval create",
    "approval approve",
    "approval approve",
    "approval reject",
    "approval expire",
    "approval lock",
    "approval call",
    "approval edit",
    "run create",
    "run finish",
    "step add",
    "step add",
    "step start",
    "step unsend",
    "step ask",
    "step end",
    "file add",
    "file stored",
    "notify",
    "notify",
    "notification status",
    "watcher create",
    "watcher active",
    "watcher report",
    "watcher delete",
    "watcher event",
    "watcher event",
    "watcher cursor",
    "server create",
    "server active",
    "server status",
    "server delete",
    "tool see",
    "tool see",
    "tool approve",
    "tool withdraw",
    "policy create",
    "policy delete",
    "session create",
    "session other",
    "log",
];

/// One of everything, so that there is something to work on from the start.
pub fn beginning() -> Vec<Op> {
    let op = |actor, kind, a, b, c| Op { actor, kind, a, b, c };
    vec![
        op("bob", "task create", 0, 6, 1),
        op("bob", "task create", 1, 6, 2),
        op("cat", "task create", 2, 2, 0),
        op("employee", "queue claim", 0, 2, 0),
        op("employee", "run create", 0, 0, 0),
        op("employee", "step add", 0, 0, 1),
        op("employee", "approval create", 0, 2, 0),
        op("employee", "approval create", 0, 1, 0),
        op("employee", "approval call", 0, 0, 0),
        op("bob", "watcher create", 0, 0, 0),
        op("ada", "server create", 0, 0, 0),
        op("service", "tool see", 0, 0, 0),
        op("ada", "policy create", 0, 0, 0),
        op("service", "session create", 1, 0, 2),
        op("bob", "file add", 0, 0, 0),
        op("service", "notify", 1, 0, 0),
    ]
}
