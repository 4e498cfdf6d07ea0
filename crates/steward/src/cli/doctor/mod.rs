//! `steward doctor`: looks at everything Steward stands on, and says what is or will soon be wrong and how to mend it.

mod backups;
mod database;
mod machine;
mod vault;
mod work;

use serde::Serialize;

use super::{
    Context, Json, blocking,
    context::open_store,
    db::count,
    health::{self, Answers},
};
use crate::{Error, Result, config::Config, output};

/// What `doctor` answers in.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    json: Json,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Well,
    /// Worth knowing.
    Note,
    /// Will be wrong unless somebody does something.
    Warning,
    /// Is wrong.
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    said: String,
    /// What to do about it.
    remedy: Option<String>,
}

/// Everything that was looked at so far, and whether the database is as it must be to be looked into.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>, bool);

impl Findings {
    fn add(&mut self, what: &'static str, state: State, said: impl Into<String>, remedy: Option<String>) {
        self.0.push(Finding { what, state, said: said.into(), remedy });
    }
    fn well(&mut self, what: &'static str, said: impl Into<String>) {
        self.add(what, State::Well, said, None);
    }
    fn note(&mut self, what: &'static str, said: impl Into<String>, remedy: impl Into<String>) {
        self.add(what, State::Note, said, Some(remedy.into()));
    }
    fn warning(&mut self, what: &'static str, said: impl Into<String>, remedy: impl Into<String>) {
        self.add(what, State::Warning, said, Some(remedy.into()));
    }
    fn wrong(&mut self, what: &'static str, said: impl Into<String>, remedy: impl Into<String>) {
        self.add(what, State::Wrong, said, Some(remedy.into()));
    }
    /// An error that says itself what to do.
    fn failed(&mut self, what: &'static str, error: &Error) {
        self.add(what, State::Wrong, error.line(), None);
    }
}

pub(super) async fn run(config: Config, acting_as: Option<&str>, args: Args) -> Result<()> {
    let mut findings = everything(&config).await?;
    you(config, acting_as, &mut findings).await;
    let wrong = findings.0.iter().filter(|f| f.state == State::Wrong).count();
    output::list(args.json.json, &findings.0, "nothing was looked at", &["what", "state", "more"], |f| {
        let more = f.remedy.as_ref().map_or_else(|| f.said.clone(), |remedy| format!("{}; {remedy}", f.said));
        vec![f.what.to_owned(), f.state.word().to_owned(), more]
    })?;
    if wrong == 0 { Ok(()) } else { Err(Error::refused(format!("{} to mend; see above", count(wrong, "thing")))) }
}

/// The same for the desk.
pub(crate) async fn findings(config: &Config) -> Result<Vec<web::Finding>> {
    let found = everything(config).await?.0.into_iter();
    let found =
        found.map(|f| web::Finding { what: f.what.to_owned(), state: f.state.word(), said: f.said, remedy: f.remedy });
    Ok(found.collect())
}

async fn everything(config: &Config) -> Result<Findings> {
    let mut findings = Findings::default();
    let on_disk = config.clone();
    findings.0.extend(blocking(move || Ok(machine::look(&on_disk).0)).await?);
    if let Some(url) = &config.redis_url {
        database::redis(url, &mut findings).await;
    }
    desk(config, &mut findings).await;
    let is_up = database::schema(config, &mut findings).await;
    findings.1 = is_up;
    backups::look(config, is_up, &mut findings).await;
    if is_up {
        database::look(config, &mut findings).await;
        parts(config, &mut findings).await;
    }
    Ok(findings)
}

async fn desk(config: &Config, findings: &mut Findings) {
    let at = format!("http://{}", config.listen);
    match health::desk(config).await {
        Answers::This => findings.well("desk", format!("answers at {at}")),
        Answers::Nobody => findings.note("desk", format!("does not answer at {at}"), "start it with: steward"),
        Answers::Another => findings.warning(
            "desk",
            format!("something else answers at {at}, and not the Steward of {}", config.data_dir.display()),
            "choose another address with --listen (STEWARD_LISTEN), or name that Steward's folder with --data-dir",
        ),
    }
}

/// What stands in the database.
async fn parts(config: &Config, findings: &mut Findings) {
    let store = match open_store(config).await {
        Ok(store) => store,
        Err(e) => return findings.failed("database", &e),
    };
    work::look(&store, findings).await;
    vault::look(config, &store, findings).await;
    backups::by_the_clock(&store, findings).await;
    store.close().await;
}

/// Who looks.
async fn you(config: Config, acting_as: Option<&str>, findings: &mut Findings) {
    if !findings.1 {
        return;
    }
    match Context::open(config, acting_as).await {
        Ok(ctx) => {
            findings.well("you", format!("{} ({})", ctx.user.username, ctx.user.role));
            ctx.close().await;
        }
        Err(e) => findings.add("you", State::Note, e.line(), None),
    }
}
