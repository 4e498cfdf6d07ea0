//! What may be done with a task, beyond single statements.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::json;
use store::{
    Actor, Run, Store,
    notifications::{self, NewNotification},
    tasks::{self, NewTask, Task},
};
use uuid::Uuid;

use crate::{Error, Result, deceit};

/// Tasks above a task that are looked at for who wants it.
const MOST_PARENTS: usize = 8;

/// When a task is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// On this day, wherever its reader is; it is overdue when that day is over.
    Day(Date),
    /// At this moment.
    At(Timestamp),
}

impl Due {
    /// What a task's `due_date` means: a midnight of UTC stands for the day that it begins, anything else for itself.
    pub fn of(due_date: Timestamp) -> Self {
        let local = due_date.to_zoned(TimeZone::UTC);
        if local.time() == jiff::civil::Time::midnight() { Self::Day(local.date()) } else { Self::At(due_date) }
    }

    /// Whether it is over at a moment, in a zone.
    pub fn is_over(self, now: Timestamp, zone: &TimeZone) -> bool {
        match self {
            Self::Day(day) => day < now.to_zoned(zone.clone()).date(),
            Self::At(at) => at < now,
        }
    }
}

/// A task that the actor may see.
pub async fn get(store: &Store, actor: &Actor, id: Uuid) -> Result<Task> {
    tasks::get(actor, store, id).await?.ok_or_else(|| Error::NotFound(format!("task {id}")))
}

/// Checks what a task's columns must be beyond what the database says of each.
fn check(task: &Task) -> Result<()> {
    check_title(&task.title)?;
    if !task.metadata.is_object() {
        return Err(Error::invalid("metadata", "the metadata must be an object"));
    }
    Ok(())
}

fn check_title(title: &str) -> Result<()> {
    let length = title.chars().count();
    if (1..=255).contains(&length) && !title.trim().is_empty() {
        return Ok(());
    }
    Err(Error::invalid("title", format!("the title has {length} characters; it needs 1 to 255, not all of them white")))
}

/// Makes a task of the actor's. What a program writes is not a person's word, and so counts as content from outside.
pub async fn create(
    store: &Store,
    actor: &Actor,
    new: NewTask,
    source: &'static str,
    is_program: bool,
) -> Result<Task> {
    check_title(&new.title)?;
    if !new.metadata.is_object() {
        return Err(Error::invalid("metadata", "the metadata must be an object"));
    }
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let id = tasks::create(&actor, tx, &new).await?;
                tasks::add_provenance(&actor, tx, id, is_program, source, json!({})).await?;
                tasks::get(&actor, tx, id).await?.ok_or_else(|| Error::NotFound(format!("task {id}")))
            })
        })
        .await
}

/// Whether a task may be of this kind: the owner's own word, by which a model is chosen.
pub fn check_kind(kind: &str) -> Result<()> {
    if (1..=60).contains(&kind.chars().count()) && !kind.trim().is_empty() && !kind.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::invalid("kind", "a task's kind is a word of 1 to 60 characters on one line, as [use.kinds] names it"))
}

/// Changes a task: `change` is given the locked row and answers it as it shall be. Status and assignee may be among what
/// it changes; they go the way of [`set_status`] and of the specification's `assign_task`.
pub async fn change(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    change: impl FnOnce(Task) -> Result<Task> + Send + 'static,
) -> Result<Task> {
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let before = lock(&actor, tx, id).await?;
                let (status, assignee) = (before.status.clone(), before.assigned_to);
                let after = change(before)?;
                check(&after)?;
                if !tasks::update(&actor, tx, &after).await? {
                    return Err(store::Error::Refused { what: "tasks".to_owned() }.into());
                }
                let (wanted, wanted_assignee) = (after.status.clone(), after.assigned_to);
                if wanted != status {
                    move_to(&actor, tx, Task { status, ..after }, &wanted, None).await?;
                }
                // Last: whoever gives a task away may not be able to change it any more.
                if wanted_assignee != assignee {
                    tasks::assign(&actor, tx, id, wanted_assignee).await?;
                }
                tasks::get(&actor, tx, id).await?.ok_or_else(|| Error::NotFound(format!("task {id}")))
            })
        })
        .await
}

/// Deletes a task of the actor's own. `check` is given the row as it stands, and nothing changes it meanwhile. False: it is not
/// the actor's to delete.
pub async fn remove(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    check: impl FnOnce(&Task) -> Result<()> + Send + 'static,
) -> Result<bool> {
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                // Whoever may only see it can't lock it, nor delete it.
                let row = match tasks::lock(&actor, tx, id).await? {
                    Some(row) => Some(row),
                    None => tasks::get(&actor, tx, id).await?,
                };
                check(&row.ok_or_else(|| Error::NotFound(format!("task {id}")))?)?;
                Ok(tasks::delete(&actor, tx, id).await?)
            })
        })
        .await
}

/// Gives a task to somebody, or takes it from everybody, and answers it.
pub async fn assign(store: &Store, actor: &Actor, id: Uuid, assignee: Option<Uuid>) -> Result<Task> {
    // Looked up first, so that an unknown task is told from one that is not the actor's to give away.
    get(store, actor, id).await?;
    if let Some(assignee) = assignee
        && store::users::names(actor, store, vec![assignee]).await?.is_empty()
    {
        return Err(Error::invalid("assigned_to", format!("there is no user {assignee}")));
    }
    tasks::assign(actor, store, id, assignee).await?;
    get(store, actor, id).await
}

/// Begins, completes, fails or cancels a task. Completing an overdue one reschedules it to today and keeps the first
/// date (ruling 05); the answer says so in words.
pub async fn set_status(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    status: &str,
    reason: Option<String>,
) -> Result<Option<String>> {
    let (actor, status) = (actor.clone(), status.to_owned());
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let task = lock(&actor, tx, id).await?;
                move_to(&actor, tx, task, &status, reason.as_deref()).await
            })
        })
        .await
}

/// Locks a task for a change; says whether it is unknown or just not the actor's to change.
async fn lock(actor: &Actor, on: impl Run, id: Uuid) -> Result<Task> {
    if let Some(task) = tasks::lock(actor, on, id).await? {
        return Ok(task);
    }
    match tasks::get(actor, on, id).await? {
        Some(_) => Err(store::Error::Refused { what: "tasks".to_owned() }.into()),
        None => Err(Error::NotFound(format!("task {id}"))),
    }
}

/// The moves a person or the employee may make.
const MOVES: [(&str, &[&str]); 5] = [
    ("pending", &["in_progress", "completed", "failed", "cancelled"]),
    ("in_progress", &["pending", "completed", "failed", "cancelled"]),
    ("failed", &["pending", "cancelled"]),
    ("cancelled", &["pending"]),
    ("completed", &["pending"]),
];

/// Moves a locked task to a status within a transaction, and answers what else the person must know.
pub async fn move_to(
    actor: &Actor,
    on: impl Run,
    mut task: Task,
    status: &str,
    reason: Option<&str>,
) -> Result<Option<String>> {
    let allowed = MOVES.iter().find(|(from, _)| *from == task.status).map_or(&[][..], |(_, to)| *to);
    if !allowed.contains(&status) {
        return Err(Error::Conflict(format!(
            "a task that is {} can't become {status}; it can become {}",
            task.status,
            allowed.join(", ")
        )));
    }
    if status == "completed" && !task.dependencies.is_empty() {
        let open = tasks::open_among(actor, on, task.dependencies.clone()).await?;
        if !open.is_empty() {
            return Err(Error::Conflict(format!(
                "this task waits for others that are not completed: {}; complete them first, or remove the dependency",
                open.join(", ")
            )));
        }
    }
    let mut said = None;
    let Some(metadata) = task.metadata.as_object_mut() else {
        return Err(Error::invalid("metadata", "the task's metadata must be an object"));
    };
    metadata.remove("failure_reason");
    if let Some(reason) = reason {
        let field = if status == "completed" { "summary" } else { "failure_reason" };
        metadata.insert(field.to_owned(), json!(reason));
    }
    if status == "completed"
        && let Some(due) = task.due_date
        && due < start_of_day(store::now())
    {
        let today = start_of_day(store::now());
        metadata.entry("original_due_date").or_insert_with(|| json!(due.to_string()));
        task.due_date = Some(today);
        said = Some(format!("The task was due {}; its due date was moved to today and the first one kept.", day(due)));
    }
    status.clone_into(&mut task.status);
    if tasks::set_status(actor, on, &task).await? {
        Ok(said)
    } else {
        Err(store::Error::Refused { what: "tasks".to_owned() }.into())
    }
}

fn start_of_day(time: Timestamp) -> Timestamp {
    time.to_zoned(TimeZone::UTC).start_of_day().map_or(time, |z| z.timestamp())
}

fn day(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).date().to_string()
}

/// Who wants a task done: of one that the employee made as a part of another, whoever wants that.
pub async fn wanted_by(actor: &Actor, on: impl Run, task: &Task) -> Result<Option<Uuid>> {
    let mut wanted = task.created_by;
    let parent_of = |task: &Task| task.metadata.get("parent_task_id").and_then(|id| id.as_str()?.parse().ok());
    let mut parent: Option<Uuid> = if task.created_by == task.assigned_to { parent_of(task) } else { None };
    for _ in 0..MOST_PARENTS {
        let Some(id) = parent else { break };
        let Some(found) = tasks::get(actor, on, id).await? else { break };
        wanted = found.created_by;
        parent = if found.created_by == found.assigned_to { parent_of(&found) } else { None };
    }
    Ok(wanted)
}

/// Tells the person who wants a task done how it stands, within a transaction.
pub async fn tell_creator(
    actor: &Actor,
    on: impl Run,
    task: &Task,
    kind: &'static str,
    title: String,
    message: Option<String>,
    approval: Option<Uuid>,
) -> Result<()> {
    let Some(user_id) = wanted_by(actor, on, task).await? else { return Ok(()) };
    // Of titles from outside nothing hides, wherever the message is read.
    let new = NewNotification {
        user_id,
        title: deceit::visible(&title),
        message: message.map(|said| deceit::visible(&said)),
        r#type: kind,
        data: json!({ "task_id": task.id, "approval_id": approval }),
    };
    notifications::create(actor, on, &new).await.map(drop).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date, tz::TimeZone};

    use super::Due;

    #[test]
    fn a_day_is_over_when_it_is_over_where_its_reader_is() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let christmas = Due::of(at("2026-12-24T00:00:00Z"));
        assert_eq!(christmas, Due::Day(date(2026, 12, 24)));
        let (home, utc) = (TimeZone::get("America/New_York").unwrap(), TimeZone::UTC);
        assert!(!christmas.is_over(at("2026-12-24T23:59:59Z"), &utc), "due today is not overdue");
        assert!(christmas.is_over(at("2026-12-25T00:00:00Z"), &utc));
        assert!(!christmas.is_over(at("2026-12-25T04:59:59Z"), &home), "it is still the 24th there");
        assert!(christmas.is_over(at("2026-12-25T05:00:00Z"), &home));
        let hour = Due::of(at("2026-12-24T15:00:00Z"));
        assert_eq!(hour, Due::At(at("2026-12-24T15:00:00Z")));
        assert!(hour.is_over(at("2026-12-24T15:00:01Z"), &home) && !hour.is_over(at("2026-12-24T15:00:00Z"), &home));
    }
}
