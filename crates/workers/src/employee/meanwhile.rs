//! While a call lasts, and what it brought: the lease is renewed, the server's progress is noted, its questions are brought
//! to a person, and the files that it gives away are hung on the task.

use std::{
    future::pending,
    io::Cursor,
    pin::Pin,
    time::{Duration, Instant},
};

use domain::{
    files::{self, NewFile},
    server_questions::{self, NewServerQuestion},
    work::{Work, Worker},
};
use jiff::SignedDuration;
use serde_json::Value as Json;
use store::{approvals, mcp_servers::ServerTool, runs::Step};
use tokio::sync::mpsc;
use tools::{Asks, CallError, CallNews, CallResult, Progress, Question, Resource, ServerHandle, ToolCall};

use super::Employee;
use crate::{Error, Result};

/// News of a call that wait to be taken.
const NEWS: usize = 16;
/// How often progress is noted at most, at first; the pause doubles …
const NOTED: Duration = Duration::from_secs(5);
/// … up to this.
const NOTED_MOST: Duration = Duration::from_secs(60);
/// How long a person has to answer what a server asks: its call waits.
const QUESTION: Duration = Duration::from_secs(30 * 60);
/// How often a question is looked at where no signal comes.
const QUESTION_POLL: Duration = Duration::from_secs(2);
/// Signals that come together are one look.
const TOGETHER: Duration = Duration::from_millis(50);
/// Files that one call may bring, and bytes of all of them.
const MOST_FILES: usize = 8;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How long the files that a result only names may take to be read.
const READING: Duration = Duration::from_secs(60);

/// Somebody is being asked.
type Asking<'a> = Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>;

/// When progress was noted last.
struct Noting {
    next: Instant,
    pause: Duration,
}

impl Noting {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        self.next = now + self.pause;
        self.pause = (self.pause * 2).min(NOTED_MOST);
        true
    }
}

impl Employee {
    /// Sends the call and waits for its answer. An error means that the lease is lost: then the server was told that nobody
    /// waits any more, and what became of the call is for whoever holds the task now.
    pub(super) async fn call(
        &self,
        worker: &Worker,
        work: &Work,
        step: &Step,
        (handle, tool): (&ServerHandle, &ServerTool),
        arguments: &str,
    ) -> Result<std::result::Result<CallResult, CallError>> {
        let (sender, mut news) = mpsc::channel(NEWS);
        let call = handle.call(ToolCall {
            tool: &step.tool,
            definition_sha256: Some(&tool.definition_sha256),
            arguments,
            timeout: None,
            news: Some(&sender),
        });
        tokio::pin!(call);
        let mut renewal = self.renewal();
        renewal.tick().await;
        let mut noting = Noting { next: Instant::now(), pause: NOTED };
        let mut asking: Asking<'_> = None;
        loop {
            tokio::select! {
                outcome = &mut call => return Ok(outcome),
                Some(said) = news.recv(), if asking.is_none() => match said {
                    CallNews::Progress(progress) => self.note(work, step, &progress, &mut noting),
                    CallNews::Question(question) => {
                        asking = Some(Box::pin(self.bring_to_person(worker, work, step, question)));
                    }
                },
                () = async {
                    match asking.as_mut() {
                        Some(asking) => asking.await,
                        None => pending().await,
                    }
                } => asking = None,
                // With a lost lease the call is dropped, and so the server is told.
                _ = renewal.tick() => self.renew(worker, work).await?,
            }
        }
    }

    /// Does something that may take longer than a lease lasts; with the lease it ends.
    pub(super) async fn renewing<T>(&self, worker: &Worker, work: &Work, what: impl Future<Output = T>) -> Result<T> {
        tokio::pin!(what);
        let mut renewal = self.renewal();
        renewal.tick().await;
        loop {
            tokio::select! {
                done = &mut what => return Ok(done),
                _ = renewal.tick() => self.renew(worker, work).await?,
            }
        }
    }

    fn renewal(&self) -> tokio::time::Interval {
        tokio::time::interval((self.lease.unsigned_abs() / 3).max(Duration::from_millis(200)))
    }

    async fn renew(&self, worker: &Worker, work: &Work) -> Result<()> {
        match worker.renew(&self.store, &work.lease).await {
            // Cancelled, or taken over.
            Err(domain::Error::LeaseLost) => Err(Error::Domain(domain::Error::LeaseLost)),
            // If the lease is lost meanwhile, the writing of the outcome is refused.
            Err(e) => {
                tracing::warn!(error = %e, "a lease could not be renewed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// A line in the task's log, now and then.
    fn note(&self, work: &Work, step: &Step, progress: &Progress, noting: &mut Noting) {
        if noting.is_due() {
            let line = format!("{}: {progress}", step.tool);
            self.logs.push("info", &format!("server:{}", step.server), &line, Some(work.task.id));
        }
    }

    /// Asks whoever wants the task done what a server wants to know. Whatever keeps that from happening, the server hears
    /// that nobody answered.
    async fn bring_to_person(&self, worker: &Worker, work: &Work, step: &Step, question: Question) {
        let patience = question.longest().min(QUESTION);
        let (schema, url) = match &question.asks {
            Asks::Fields { schema } => (Some(schema.clone()), None),
            Asks::Address { url } => (None, Some(url.clone())),
        };
        let new = NewServerQuestion {
            message: question.message.clone(),
            schema,
            defaults: Json::Object(question.asks.defaults()),
            url,
            patience: SignedDuration::try_from(patience).unwrap_or(SignedDuration::ZERO),
        };
        let end = tokio::time::Instant::now() + patience;
        // Made before the first look, so that no decision falls between the two.
        let mut signals = self.store.signals();
        let asked = match worker.ask_for_server(&self.store, work, step, new).await {
            Ok(id) => id,
            Err(e) => {
                let line = format!("a question of the server {} could not be asked: {e}", step.server);
                self.logs.push("warning", "employee", &line, Some(work.task.id));
                return;
            }
        };
        loop {
            match approvals::get(&worker.actor, &self.store, asked).await {
                Ok(Some(approval)) if approval.status == "pending" => {}
                Ok(Some(approval)) if approval.status == "approved" => {
                    match server_questions::answer(&worker.actor, &self.store, &approval).await {
                        Ok(Json::Object(content)) => return question.accept(content).await,
                        Ok(_) => {
                            tracing::error!(approval = %asked, "an answer is no object; the server hears that nobody answered");
                            return;
                        }
                        Err(e) => {
                            tracing::warn!(approval = %asked, error = %e, "an answer could not be read; it is tried again");
                        }
                    }
                }
                Ok(Some(approval)) if approval.status == "rejected" => return question.decline().await,
                Ok(_) => return,
                Err(e) => tracing::debug!(error = %e, "a question could not be looked at; it is tried again"),
            }
            let now = tokio::time::Instant::now();
            if now >= end {
                return;
            }
            tokio::select! {
                signal = signals.recv() => match signal {
                    Some(_) => tokio::time::sleep(TOGETHER).await,
                    None => return,
                },
                () = tokio::time::sleep_until(end.min(now + QUESTION_POLL)) => {}
            }
        }
    }

    /// Hangs on the task what a result carries or names beyond text, as far as there is room. What can't be had is noted:
    /// the call happened all the same.
    pub(super) async fn take_files(
        &self,
        worker: &Worker,
        work: &Work,
        step: &Step,
        handle: &ServerHandle,
        result: &CallResult,
    ) {
        let note = |line: &str| {
            self.logs.push("warning", &format!("server:{}", step.server), line, Some(work.task.id));
        };
        let mut found = tools::resources_in(&result.json);
        let until = tokio::time::Instant::now() + READING;
        for link in tools::links(&result.json) {
            if found.len() >= MOST_FILES {
                break;
            }
            match tokio::time::timeout_at(until, handle.read_resource(&link.uri)).await {
                Ok(Ok(mut parts)) => {
                    if let [only] = parts.as_mut_slice() {
                        only.name.clone_from(&link.name);
                    }
                    found.extend(parts);
                }
                Ok(Err(reason)) => note(&format!("{} was named and could not be read: {reason}", link.name)),
                Err(_) => note(&format!("{} was named and could not be read in time", link.name)),
            }
        }
        let mut room = MOST_BYTES;
        for (number, file) in found.into_iter().enumerate() {
            let size = file.bytes.len();
            if number >= MOST_FILES || size > room {
                note(&format!(
                    "{} ({size} bytes) was not attached: a call brings at most {MOST_FILES} files of {MOST_BYTES} bytes in all",
                    file.name
                ));
                continue;
            }
            room -= size;
            let name = file.name.clone();
            match self.attach(worker, work, file).await {
                Ok(()) => {
                    let line = format!("{name} ({size} bytes), which {} gave, was attached", step.tool);
                    self.logs.push("info", &format!("server:{}", step.server), &line, Some(work.task.id));
                }
                Err(e) => note(&format!("{name} could not be attached: {e}")),
            }
        }
    }

    async fn attach(&self, worker: &Worker, work: &Work, file: Resource) -> domain::Result<()> {
        let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
        let kept = files::keep(&self.store, &self.vault, Cursor::new(file.bytes), most).await?;
        let new = NewFile { name: file.name, kept, expires_at: None };
        files::add(&self.store, &self.vault, &worker.actor, work.task.id, new).await.map(drop)
    }
}
