//! Making a task, and changing one.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::tasks::Due;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use maud::{Markup, html};
use serde_json::json;
use store::{
    Actor,
    tasks::{self, NewTask, Task},
    users,
};
use uuid::Uuid;

use super::{
    as_read::AsRead,
    form::{Form, choices},
    layout::{Reader, fault_notice, shell, token},
    parts::say,
};
use crate::{
    app::{App, names},
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    params::Id,
    session::Signed,
};

const PRIORITIES: [&str; 4] = ["low", "medium", "high", "critical"];
/// Labels of a task, and characters of one.
const TAGS: usize = 20;
const TAG_CHARS: usize = 50;
/// Tasks that may be needed first.
pub(super) const NEEDED: usize = 50;

/// What the form begins with.
#[derive(Debug, Default)]
struct First {
    title: String,
    description: String,
    priority: String,
    due: String,
    estimate: String,
    tags: String,
    needed: String,
    assignee: String,
}

impl First {
    fn of(task: &Task, assignee: Option<&String>) -> Self {
        let day = |at: Timestamp| match Due::of(at) {
            Due::Day(day) => day.to_string(),
            Due::At(at) => at.to_zoned(TimeZone::UTC).date().to_string(),
        };
        Self {
            title: task.title.clone(),
            description: task.description.clone().unwrap_or_default(),
            priority: task.priority.clone(),
            due: task.due_date.map(day).unwrap_or_default(),
            estimate: task.estimated_duration.map(|m| m.to_string()).unwrap_or_default(),
            tags: task.tags.join(", "),
            needed: task.dependencies.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            assignee: assignee.cloned().unwrap_or_default(),
        }
    }

    fn as_read(&self) -> AsRead {
        AsRead(vec![
            ("title", "Title", self.title.clone()),
            ("description", "The rest of it", self.description.clone()),
            ("due_date", "Due", self.due.clone()),
            ("priority", "Priority", self.priority.clone()),
            ("estimated_duration", "Minutes it should take", self.estimate.clone()),
            ("assigned_to", "Who works on it", self.assignee.clone()),
            ("tags", "Labels", self.tags.clone()),
            ("dependencies", "Tasks that must be completed first", self.needed.clone()),
        ])
    }
}

fn render(me: &Reader, task: Option<&Task>, first: &First, form: Form<'_>, notice: Option<&Markup>) -> Markup {
    let (title, action) = match task {
        Some(task) => ("Edit a task", format!("/tasks/{}/edit", task.id)),
        None => ("New task", "/tasks/new".to_owned()),
    };
    let back = task.map_or_else(|| "/tasks".to_owned(), |t| format!("/tasks/{}", t.id));
    shell(
        me,
        title,
        "/tasks",
        &html! {
            p.crumbs { a href="/tasks" { "Tasks" } @if let Some(task) = task { " / " a href=(back) { (say(&task.title)) } } }
            h1 { (title) }
            @if let Some(notice) = notice { (notice) } @else if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action=(action) data-once="" {
                (token(me))
                @if task.is_some() { (first.as_read().field(form.sent)) }
                (form.line("title", "What is to be done, in a few words", &first.title, ""))
                (form.lines("description", "The rest of it", &first.description, "", 5))
                div.pair {
                    (form.of_kind("date", "due_date", "Due", &first.due, due_hint(task)))
                    (form.choice("priority", "Priority", &first.priority, &choices(&PRIORITIES), ""))
                    (form.of_kind("number", "estimated_duration", "Minutes it should take", &first.estimate, "At most 1440 for a critical task."))
                }
                div.pair {
                    (form.line("assigned_to", "Who works on it", &first.assignee, "A user name, or employee; empty for nobody."))
                    (form.line("tags", "Labels", &first.tags, "With commas between."))
                    @if task.is_none() { (form.line("kind", "Kind", "", "A word by which a model is chosen; empty for none.")) }
                }
                (form.lines("dependencies", "Tasks that must be completed first", &first.needed, "Their ids or addresses, one a line.", 2))
                div.buttons { button.primary type="submit" { @if task.is_some() { "Keep it so" } @else { "Add the task" } } a.button href=(back) { "Leave it" } }
            }
        },
    )
}

fn due_hint(task: Option<&Task>) -> &'static str {
    match task.and_then(|t| t.due_date).map(Due::of) {
        Some(Due::At(_)) => "It is due at a time of this day (UTC), which stays unless you choose another day.",
        _ => "A day; it is overdue when the day is over.",
    }
}

/// `GET /tasks/new`
pub(crate) async fn new_page(me: Reader) -> Markup {
    let first = First { priority: "medium".to_owned(), ..First::default() };
    render(&me, None, &first, Form::default(), None)
}

/// `GET /tasks/{id}/edit`
pub(crate) async fn edit_page(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    Ok(render(&me, Some(&task), &first_of(&app, &me, &task).await?, Form::default(), None))
}

async fn first_of(app: &App, me: &Signed, task: &Task) -> Result<First> {
    let names = names(app, &me.actor, task.assigned_to).await?;
    Ok(First::of(task, task.assigned_to.and_then(|id| names.get(&id))))
}

/// `POST /tasks/new`
pub(crate) async fn create(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    match add(&app, &me, &sent).await {
        Ok(id) => Ok(Redirect::to(&format!("/tasks/{id}")).into_response()),
        Err(fault) => again(&app, me, None, &sent, fault).await,
    }
}

/// `POST /tasks/{id}/edit`
pub(crate) async fn edit(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    match change(&app, &me, id, &sent).await {
        Ok(()) => Ok(Redirect::to(&format!("/tasks/{id}")).into_response()),
        Err(fault) => {
            let task = domain::tasks::get(app.store(), &me.actor, id).await?;
            again(&app, me, Some(&task), &sent, fault).await
        }
    }
}

async fn again(app: &App, me: Signed, task: Option<&Task>, sent: &Fields, fault: Fault) -> Result<Response> {
    if !fault.status.is_client_error() {
        return Err(fault);
    }
    let me = Reader::of(app, me).await?;
    let Some(task) = task else {
        return Ok(
            (fault.status, render(&me, None, &First::default(), Form::again(sent, &fault), None)).into_response()
        );
    };
    let first = first_of(app, &me, task).await?;
    let now = first.as_read();
    let notice = now.notice(sent, &fault);
    let merged = if notice.is_some() { now.merged(sent) } else { sent.clone() };
    // With the marks of what stands now: whoever keeps it now has seen that.
    let page = render(&me, Some(task), &first, Form::again(&merged, &fault), notice.as_ref());
    Ok((fault.status, page).into_response())
}

async fn read(app: &App, me: &Signed, sent: &Fields) -> Result<NewTask> {
    let title = sent.text("title").unwrap_or_default().to_owned();
    if !(1..=255).contains(&title.chars().count()) {
        return Err(Fault::invalid("title", "the title needs 1 to 255 characters; say the rest below it"));
    }
    let due_date = sent.text("due_date").map(day).transpose()?;
    let estimated_duration = sent
        .text("estimated_duration")
        .map(|t| t.parse().map_err(|_| Fault::invalid("estimated_duration", "the minutes must be a whole number")))
        .transpose()?;
    let tags: Vec<String> = sent
        .get("tags")
        .unwrap_or_default()
        .split(',')
        .map(|t| t.trim().trim_start_matches('#').to_owned())
        .filter(|t| !t.is_empty())
        .collect();
    if tags.len() > TAGS || tags.iter().any(|t| t.chars().count() > TAG_CHARS) {
        let said = format!("a task has at most {TAGS} labels of at most {TAG_CHARS} characters");
        return Err(Fault::invalid("tags", said));
    }
    let assigned_to = match sent.text("assigned_to") {
        None => None,
        Some(name) => {
            let found = users::named(&me.actor, app.store(), name).await?;
            Some(found.ok_or_else(|| Fault::invalid("assigned_to", format!("there is no user {name}")))?.id)
        }
    };
    let mut metadata = json!({});
    if let Some(kind) = sent.text("kind") {
        domain::tasks::check_kind(kind)?;
        metadata["kind"] = json!(kind);
    }
    Ok(NewTask {
        metadata,
        description: sent.text("description").map(|t| t.replace("\r\n", "\n")),
        priority: sent.get("priority").unwrap_or("medium").to_owned(),
        assigned_to,
        due_date,
        estimated_duration,
        dependencies: needed(sent.get("dependencies").unwrap_or_default())?,
        tags,
        ..NewTask::titled(title)
    })
}

fn day(text: &str) -> Result<Timestamp> {
    let day = text.parse::<Date>().ok().and_then(|d| d.to_zoned(TimeZone::UTC).ok());
    day.map(|z| z.timestamp()).ok_or_else(|| Fault::invalid("due_date", "write the day as 2026-12-24"))
}

/// A task's id, also at the end of its address.
pub(super) fn id_in(text: &str) -> Option<Uuid> {
    text.trim().rsplit('/').next()?.parse().ok()
}

/// Ids, one a line, also at the end of an address.
fn needed(text: &str) -> Result<Vec<Uuid>> {
    let mut ids = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let wrong = || Fault::invalid("dependencies", format!("{line} is no task’s id or address"));
        let id = id_in(line).ok_or_else(wrong)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.len() > NEEDED {
        return Err(Fault::invalid("dependencies", format!("a task needs at most {NEEDED} others first")));
    }
    Ok(ids)
}

async fn add(app: &App, me: &Signed, sent: &Fields) -> Result<Uuid> {
    let new = read(app, me, sent).await?;
    let (actor, is_program) = (me.actor.clone(), me.is_program());
    let made = app.store().transaction(move |tx| {
        Box::pin(async move {
            let id = tasks::create(&actor, tx, &new).await?;
            // What a program writes is not a person's word, and so counts as content from outside.
            tasks::add_provenance(&actor, tx, id, is_program, "desk", json!({})).await?;
            Ok::<_, domain::Error>(id)
        })
    });
    Ok(made.await?)
}

async fn change(app: &App, me: &Signed, id: Uuid, sent: &Fields) -> Result<()> {
    let (new, actor, sent) = (read(app, me, sent).await?, me.actor.clone(), sent.clone());
    let done = app.store().transaction(move |tx| {
        Box::pin(async move {
            let Some(mut task) = tasks::lock(&actor, tx, id).await? else { return Err(refused()) };
            let assignee = task.assigned_to;
            let names = users::names(&actor, tx, assignee.into_iter().collect()).await?;
            First::of(&task, names.first().map(|u| &u.username)).as_read().check(&sent, &task)?;
            // A day that stands for the moment there is leaves that moment as it is.
            let same_day =
                |a: Timestamp, b: Timestamp| a.to_zoned(TimeZone::UTC).date() == b.to_zoned(TimeZone::UTC).date();
            let is_same_day = task.due_date.zip(new.due_date).is_some_and(|(a, b)| same_day(a, b));
            task.due_date = if is_same_day { task.due_date } else { new.due_date };
            (task.title, task.description, task.priority) = (new.title, new.description, new.priority);
            (task.estimated_duration, task.tags) = (new.estimated_duration, new.tags);
            task.dependencies = new.dependencies;
            if !tasks::update(&actor, tx, &task).await? {
                return Err(refused());
            }
            if assignee != new.assigned_to {
                tasks::assign(&actor, tx, id, new.assigned_to).await?;
            }
            Ok::<_, domain::Error>(())
        })
    });
    Ok(done.await?)
}

fn refused() -> domain::Error {
    store::Error::Refused { what: "tasks".to_owned() }.into()
}

/// Takes a task, or gives it to the employee, with one press.
pub(crate) async fn assign(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let to = match sent.get("to") {
        Some("me") => me.user_id(),
        Some("employee") => employee(&app, &me.actor).await?,
        _ => return Err(Fault::invalid("to", "say who is to work on it")),
    };
    // Looked up first, so that an unknown task is told from one that is not the person's to give away.
    domain::tasks::get(app.store(), &me.actor, id).await?;
    tasks::assign(&me.actor, app.store(), id, Some(to)).await?;
    Ok(Redirect::to(&format!("/tasks/{id}")).into_response())
}

async fn employee(app: &App, actor: &Actor) -> Result<Uuid> {
    let found = users::agent(actor, app.store(), domain::accounts::EMPLOYEE).await?;
    found.ok_or_else(|| Fault::conflict("there is no employee yet"))
}

#[cfg(test)]
mod tests {
    use super::needed;

    #[test]
    fn ids_are_taken_from_addresses_too() {
        let id = "018f3c1e-7d6a-7c00-8000-000000000001";
        let text = format!("{id}\r\n\r\n http://127.0.0.1:8000/tasks/{id} \n");
        assert_eq!(needed(&text).unwrap().len(), 1);
        assert_eq!(needed("nothing of the kind").unwrap_err().errors[0].field, "dependencies");
    }
}
