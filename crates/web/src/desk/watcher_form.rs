//! Adding and changing watchers: a form for each kind. Credentials go one way alone.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::watchers::{CREDENTIALS, NewWatcher};
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use store::{users, watchers::Watcher};
use uuid::Uuid;

use super::{
    as_read::AsRead,
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    parts::say,
    playbooks::usable,
    watcher_fields::{KINDS, Kind, kind},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    hands::Settings,
    params::{Id, Params},
    session::Signed,
};

/// The field of the kind that its tasks are of; `kind` is what it watches.
const TASK_KIND: &str = "task_kind";
/// People who are offered as those who do the work.
const PEOPLE: i64 = 100;

/// `GET /watchers/new`: which kind, or with `?kind=` the form for one.
pub(crate) async fn new_page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["kind"])?;
    match params.get("kind") {
        None => Ok(which(&me)),
        Some(name) => {
            let kind = kind(name).ok_or_else(|| Fault::not_found("such kind of watcher"))?;
            let edited = Edited { kind, id: None, name: String::new(), config: json!({}), is_sealed: false };
            edited.render(&app, &me, Form::default(), None).await
        }
    }
}

/// The kinds to choose from.
fn which(me: &Reader) -> Markup {
    shell(
        me,
        "Add a watcher",
        "/watchers",
        &html! {
            p.crumbs { a href="/watchers" { "Watchers" } }
            h1 { "What shall be watched?" }
            ul.lines {
                @for kind in KINDS {
                    li data-key=(kind.name) {
                        p.title { a href={ "/watchers/new?kind=" (kind.name) } { (kind.title) } }
                        p.meta { (kind.lead) @if kind.is_of_the_machine { " It reads this machine’s disk, so an administrator sets it up." } }
                    }
                }
            }
        },
    )
}

/// A watcher in its form.
struct Edited {
    kind: &'static Kind,
    /// None for a new one.
    id: Option<Uuid>,
    name: String,
    /// Its settings, without the seal.
    config: Json,
    is_sealed: bool,
}

impl Edited {
    fn of(watcher: &Watcher) -> Result<Self> {
        let kind = kind(&watcher.watcher_type).ok_or_else(|| {
            Fault::conflict(format!("a watcher of the type {} has no form here", watcher.watcher_type))
        })?;
        Ok(Self::of_kind(kind, watcher))
    }

    fn of_kind(kind: &'static Kind, watcher: &Watcher) -> Self {
        let mut config = watcher.config.clone().unwrap_or_else(|| json!({}));
        let is_sealed = config.as_object_mut().and_then(|c| c.remove(CREDENTIALS)).is_some();
        Self { kind, id: Some(watcher.id), name: watcher.name.clone(), config, is_sealed }
    }

    /// What its form shows.
    fn as_read(&self, is_admin: bool) -> AsRead {
        let text = |name: &str| self.config.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let mut fields = vec![
            ("name", "Name", self.name.clone()),
            ("playbook", "What leads the work", text("playbook")),
            ("assign_to", "Whose work it is", text("assign_to")),
            (TASK_KIND, "Kind of its tasks", text("kind")),
        ];
        fields.extend(self.kind.as_read(&self.config, is_admin));
        AsRead(fields)
    }

    async fn render(&self, app: &App, me: &Reader, form: Form<'_>, notice: Option<&Markup>) -> Result<Markup> {
        let books = usable(app, &me.actor).await?.into_iter();
        let books: Vec<(String, String)> = books.map(|n| (n.clone(), n)).collect();
        let people = users::accounts(&me.actor, app.store(), None, PEOPLE).await?;
        let text = |name: &str| self.config.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let (mut book, person) = (text("playbook"), text("assign_to"));
        if book.is_empty() && person.is_empty() && self.id.is_none() {
            book = books.first().map(|(name, _)| name.clone()).unwrap_or_default();
        }
        let mut playbooks = books;
        if self.kind.name != "folder" {
            playbooks.insert(0, (String::new(), "none: a person, or a model, does it".to_owned()));
        }
        if !book.is_empty() && !playbooks.iter().any(|(name, _)| *name == book) {
            playbooks.push((book.clone(), format!("{book} (not at hand)")));
        }
        let mut persons = vec![(String::new(), "the employee".to_owned())];
        persons.extend(people.into_iter().map(|p| (p.username.clone(), p.username)));
        if !person.is_empty() && !persons.iter().any(|(name, _)| *name == person) {
            persons.push((person.clone(), person.clone()));
        }
        let title = if self.id.is_some() { "Change a watcher" } else { "Add a watcher" };
        let (action, back) = match self.id {
            Some(id) => (format!("/watchers/{id}/edit"), format!("/watchers/{id}")),
            None => ("/watchers/new".to_owned(), "/watchers/new".to_owned()),
        };
        Ok(shell(
            me,
            title,
            "/watchers",
            &html! {
                p.crumbs { a href="/watchers" { "Watchers" } " / " @if self.id.is_some() { a href=(back) { (say(&self.name)) } } @else { a href=(back) { "Add one" } } }
                h1 { (self.kind.title) }
                p.lead { (self.kind.lead) }
                @if let Some(notice) = notice { (notice) } @else if let Some(fault) = form.fault { (fault_notice(fault)) }
                form.form method="post" action=(action) data-once="" autocomplete="off" {
                    (token(me))
                    input type="hidden" name="kind" value=(self.kind.name);
                    @if self.id.is_some() { (self.as_read(me.is_admin()).field(form.sent)) }
                    (form.line("name", "Name", if self.id.is_some() { &self.name } else { self.kind.name }, "Each watcher has its own."))
                    div.pair {
                        (form.choice("playbook", "What leads the work", &book, &playbooks, "A playbook: written steps."))
                        (form.choice("assign_to", "Whose work it is", &person, &persons, ""))
                        (form.line(TASK_KIND, "Kind of its tasks", &text("kind"), "A word by which a model is chosen; empty for none."))
                    }
                    (self.kind.render(form, &self.config, me.is_admin()))
                    (self.kind.render_secrets(form, self.is_sealed))
                    div.buttons { button.primary type="submit" { @if self.id.is_some() { "Keep it so" } @else { "Watch it" } } a.button href=(back) { "Leave it" } }
                }
            },
        ))
    }

    /// Name, settings and credentials as they were sent, looked at as those of any watcher.
    async fn read(
        &self,
        app: &App,
        me: &Signed,
        sent: &Fields,
        sealed: Option<Json>,
    ) -> Result<(String, Json, Option<Json>)> {
        let is_admin = domain::watchers::may_reach_private(app.store(), &me.actor).await?;
        let name = sent.text("name").unwrap_or_default().to_owned();
        if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(Fault::invalid("name", "a watcher's name needs 1 to 100 characters on one line"));
        }
        let mut config = self.kind.read(sent, &self.config, is_admin)?;
        for who in ["playbook", "assign_to"] {
            match sent.text(who) {
                Some(text) => config[who] = json!(text),
                None => drop(config.as_object_mut().and_then(|c| c.remove(who))),
            }
        }
        match sent.text(TASK_KIND) {
            Some(kind) => {
                let said = |_| Fault::invalid(TASK_KIND, "a kind is a word of 1 to 60 characters on one line");
                domain::tasks::check_kind(kind).map_err(said)?;
                config["kind"] = json!(kind);
            }
            None => drop(config.as_object_mut().and_then(|c| c.remove("kind"))),
        }
        if let Some(book) = sent.text("playbook")
            && !usable(app, &me.actor).await?.iter().any(|name| name == book)
        {
            return Err(Fault::invalid("playbook", "choose one of the playbooks that are at hand and right"));
        }
        if let Some(person) = sent.text("assign_to")
            && users::named(&me.actor, app.store(), person).await?.is_none()
        {
            return Err(Fault::invalid("assign_to", format!("there is no user {person}")));
        }
        domain::watchers::check_place(&me.actor, app.store(), self.kind.name, &config).await?;
        if self.kind.is_of_the_machine {
            let path = config.get("path").and_then(Json::as_str).unwrap_or_default();
            if !(path.starts_with('/') || path == "~" || path.starts_with("~/")) || path.contains('\0') {
                return Err(Fault::invalid("path", "write the whole path, from / or ~/ on"));
            }
        }
        domain::watchers::check(app.store(), &me.actor, &config).await?;
        let entered = self.kind.read_secrets(sent);
        let settings = Settings {
            watcher_type: self.kind.name.to_owned(),
            config: config.clone(),
            credentials: entered.clone().or(sealed),
            may_reach_private: is_admin,
        };
        app.check_watcher(settings).await?;
        Ok((name, config, entered))
    }
}

/// `POST /watchers/new`
pub(crate) async fn create(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let kind = sent.get("kind").and_then(kind).ok_or_else(|| Fault::not_found("such kind of watcher"))?;
    let edited = Edited { kind, id: None, name: String::new(), config: json!({}), is_sealed: false };
    match add(&app, &me, &edited, &sent).await {
        Ok((id, None)) => Ok(Redirect::to(&format!("/watchers/{id}")).into_response()),
        Ok((id, Some(secret))) => {
            let me = Reader::of(&app, me).await?;
            Ok(super::watchers::with_secret(&app, &me, id, &secret).await?.into_response())
        }
        Err(fault) => again(&app, me, &edited, &sent, fault).await,
    }
}

async fn add(app: &App, me: &Signed, edited: &Edited, sent: &Fields) -> Result<(Uuid, Option<String>)> {
    let made = (edited.kind.name == "webhook" && edited.kind.read_secrets(sent).is_none())
        .then(|| domain::accounts::new_token().0);
    let given = made.as_ref().map(|secret| json!({ "secret": secret }));
    let (name, config, entered) = edited.read(app, me, sent, given.clone()).await?;
    if edited.kind.name == "folder"
        && let Some(path) = config.get("path").and_then(Json::as_str)
    {
        // One that can't be made may be there later: the watcher says so until then.
        if let Err(fault) = super::begin::folder(app, path).await {
            tracing::info!(reason = %fault.detail, "the folder to be watched was not made");
        }
    }
    let new = NewWatcher { name, watcher_type: edited.kind.name.to_owned(), config, credentials: entered.or(given) };
    let id = domain::watchers::add(app.store(), &app.state.vault, &me.actor, new).await.map_err(by_name)?;
    Ok((id, made))
}

/// A name that is taken is a mistake of that field.
fn by_name(error: domain::Error) -> Fault {
    match error {
        domain::Error::Conflict(text) if text.contains("a watcher called") => Fault::invalid("name", text),
        other => other.into(),
    }
}

async fn again(app: &App, me: Signed, edited: &Edited, sent: &Fields, fault: Fault) -> Result<Response> {
    if !fault.status.is_client_error() {
        return Err(fault);
    }
    let me = Reader::of(app, me).await?;
    let now = edited.as_read(me.is_admin());
    let notice = edited.id.and_then(|_| now.notice(sent, &fault));
    let merged = if notice.is_some() { now.merged(sent) } else { sent.clone() };
    Ok((fault.status, edited.render(app, &me, Form::again(&merged, &fault), notice.as_ref()).await?).into_response())
}

/// `GET /watchers/{id}/edit`
pub(crate) async fn edit_page(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    let edited = Edited::of(&super::watchers::find(&app, &me, id).await?)?;
    edited.render(&app, &me, Form::default(), None).await
}

/// `POST /watchers/{id}/edit`
pub(crate) async fn edit(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let watcher = super::watchers::find(&app, &me, id).await?;
    let edited = Edited::of(&watcher)?;
    match change(&app, &me, &watcher, &edited, &sent).await {
        Ok(()) => Ok(Redirect::to(&format!("/watchers/{id}")).into_response()),
        Err(fault) => {
            let edited = Edited::of(&super::watchers::find(&app, &me, id).await?)?;
            again(&app, me, &edited, &sent, fault).await
        }
    }
}

async fn change(app: &App, me: &Signed, watcher: &Watcher, edited: &Edited, sent: &Fields) -> Result<()> {
    let sealed = domain::watchers::credentials(&app.state.vault, watcher)?;
    let (name, config, entered) = edited.read(app, me, sent, sealed).await?;
    let (kind, is_admin, sent) = (edited.kind, me.is_admin(), sent.clone());
    let changed = domain::watcher_changes::change(app.store(), &me.actor, watcher.id, move |row| {
        Edited::of_kind(kind, &row).as_read(is_admin).check(&sent, &row)?;
        let mut config = config.clone();
        // The seal stays where it is, as it stands now.
        if let (Some(seal), Some(map)) = (row.config.as_ref().and_then(|c| c.get(CREDENTIALS)), config.as_object_mut())
        {
            map.insert(CREDENTIALS.to_owned(), seal.clone());
        }
        Ok(Watcher { name: name.clone(), config: Some(config), ..row })
    });
    let changed = changed.await.map_err(by_name)?;
    if let Some(secret) = entered {
        domain::watchers::set_credentials(app.store(), &app.state.vault, &me.actor, &changed, &secret).await?;
    }
    Ok(())
}
