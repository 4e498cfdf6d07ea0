//! Tasks and reminders for people, as the employee makes them.

use domain::{accounts::EMPLOYEE, deceit};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{
    Actor, Store,
    notifications::{self, Notification},
    tasks::NewTask,
    users::{self, User},
};
use uuid::Uuid;

use super::{Done, Failure, arguments, tool, unknown_tool};

/// Days that a reminder may lie ahead.
const MOST_DAYS: i64 = 3660;
/// Characters of a reminder's or a task's further words.
const WORDS_CHARS: usize = 4000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Whom tasks and reminders may be for; everybody where it is left out.
    people: Option<Vec<String>>,
}

/// The server.
pub(super) struct House {
    /// None where it is only asked what it offers.
    store: Option<Store>,
    people: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    title: String,
    assigned_to: String,
    description: Option<String>,
    priority: Option<String>,
    due: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reminder {
    to: String,
    at: Timestamp,
    title: String,
    details: Option<String>,
}

pub(super) fn tools() -> Vec<Value> {
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 100, "description": "A person's user name" });
    let title = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
    let words = json!({ "type": "string", "maxLength": WORDS_CHARS });
    let time = json!({ "type": "string", "format": "date-time", "description": "Such as 2026-12-01T09:00:00Z" });
    vec![
        tool(
            "create_task",
            "Makes a task for a person. It is marked as content from outside.",
            false,
            &json!({
                "title": title, "assigned_to": name, "description": words, "due": time,
                "priority": { "enum": ["low", "medium", "high", "critical"] },
            }),
            &["title", "assigned_to"],
        ),
        tool(
            "create_reminder",
            "Reminds a person at a time, by the ways in which that person wants to be told.",
            false,
            &json!({ "to": name, "at": time, "title": title, "details": words }),
            &["to", "at", "title"],
        ),
    ]
}

/// What the store or the rules said, and whether it may have been done.
fn failed(e: &domain::Error) -> Failure {
    match e {
        domain::Error::Store(store::Error::OutcomeUnknown(_)) => Failure::Unknown(e.to_string()),
        domain::Error::Store(inner) if inner.is_transient() => Failure::NotStarted(e.to_string()),
        _ => Failure::Refused(e.to_string()),
    }
}

fn of_store(e: store::Error) -> Failure {
    failed(&e.into())
}

impl House {
    pub(super) fn open(settings: Settings, store: Option<Store>) -> Result<Self, String> {
        if settings.people.as_ref().is_some_and(|people| people.is_empty() || people.len() > 200) {
            return Err("people must name 1 to 200 users; leave it out for everybody".to_owned());
        }
        Ok(Self { store, people: settings.people })
    }

    pub(super) async fn call(&self, tool: &str, sent: Value) -> Done {
        let store = self.store.as_ref().ok_or_else(|| Failure::refused("no Steward runs that could do it"))?;
        match tool {
            "create_task" => self.task(store, arguments(sent)?).await,
            "create_reminder" => self.reminder(store, arguments(sent)?).await,
            other => Err(unknown_tool(other)),
        }
    }

    /// The person of this name. A program is told nothing and given nothing by this way: it could go round in a circle.
    async fn person(&self, store: &Store, name: &str) -> Result<User, Failure> {
        let service = Actor::service();
        let is_named = |one: &String| one.eq_ignore_ascii_case(name);
        if self.people.as_ref().is_some_and(|people| !people.iter().any(is_named)) {
            return Err(Failure::refused(format!(
                "{name} is not among those whom this server may be used for (people)"
            )));
        }
        let unknown = || Failure::refused(format!("there is no active person called {name:?}"));
        let user = users::named(&service, store, name).await.map_err(of_store)?.ok_or_else(unknown)?;
        // Whether it is a program is shown to itself alone; who may not sign in sees nothing.
        let account = users::account(&Actor::user(user.id), store, user.id).await.map_err(of_store)?;
        if account.is_some_and(|account| !account.is_agent) { Ok(user) } else { Err(unknown()) }
    }

    async fn task(&self, store: &Store, new: Task) -> Done {
        let person = self.person(store, &new.assigned_to).await?;
        let employee = users::agent(&Actor::service(), store, EMPLOYEE).await.map_err(of_store)?;
        let employee = employee.ok_or_else(|| Failure::refused("there is no employee in this house"))?;
        let mut task = NewTask {
            description: new.description.map(|words| words.replace('\0', "")),
            assigned_to: Some(person.id),
            due_date: new.due,
            ..NewTask::titled(new.title.chars().filter(|c| !c.is_control()).collect::<String>())
        };
        if let Some(priority) = new.priority {
            task.priority = priority;
        }
        // What stands in it was written by a program, perhaps after what came from outside.
        let made = domain::tasks::create(store, &Actor::user(employee), task, "employee", true).await;
        let made = made.map_err(|e| failed(&e))?;
        Ok(json!({ "task_id": made.id, "assigned_to": person.username }))
    }

    async fn reminder(&self, store: &Store, new: Reminder) -> Done {
        let person = self.person(store, &new.to).await?;
        let now = store::now();
        if new.at < now || new.at > now + SignedDuration::from_hours(24 * MOST_DAYS) {
            return Err(Failure::refused("at must lie ahead, and at most ten years"));
        }
        let id = Uuid::now_v7();
        let reminder = Notification {
            id,
            user_id: Some(person.id),
            title: format!("Reminder: {}", deceit::visible(&new.title)).chars().take(255).collect(),
            // Not Steward's own words: whoever reads them shall know.
            message: Some(format!(
                "Written by the employee, perhaps after what came from outside.\n\n{}",
                deceit::visible(&new.details.unwrap_or_default().replace('\0', ""))
            )),
            r#type: "alert".to_owned(),
            priority: "normal".to_owned(),
            status: "unread".to_owned(),
            data: Some(json!({ "reminder": true })),
            read_at: None,
            sent_at: None,
            created_at: now,
            scheduled_for: Some(new.at),
            channel: "web".to_owned(),
        };
        notifications::put_copy(&Actor::service(), store, id, "web", &reminder, Some(new.at))
            .await
            .map_err(of_store)?;
        Ok(json!({ "reminder_id": id, "to": person.username, "at": new.at }))
    }
}
