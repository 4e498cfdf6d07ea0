//! The employee: claims its tasks and works on each, step by step, under the policy and people's decisions.
//!
//! Every step is journalled before and after its call (`domain::work`); what a call may do is decided from the
//! database each time, so that a crash at any point resumes where the work stood and nothing is done twice.

mod call;
mod choose;
mod files;
mod gate;
mod meanwhile;
mod mind;
pub mod rethink;
mod summing;
mod think;
mod unanswered;
mod waits;

use std::sync::Arc;

use domain::{
    accounts, brain,
    playbook::{Next, canonical_json, sha256_hex},
    work::{self, PlannedCall, Work, Worker},
};
use jiff::{SignedDuration, Timestamp};
use store::{
    Actor, Store, Vault, sessions,
    signals::{Receiver, Signal, Topic},
    task_queue::Lease,
    users,
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tools::Supervisors;

use crate::{Error, Result, brains::Brains, checkpoint, library::Library, logs::LogQueue, waiting};

/// After how many claims a task that stops with an error each time fails.
const MOST_ATTEMPTS: i32 = 20;
/// Tasks worked on at once by one node.
const WORKERS: usize = 4;
/// How long a task waits for a server that does not run, before it is taken up again …
const SERVER_RETRY: SignedDuration = SignedDuration::from_secs(2);
/// … and for how long in all, before it fails.
const SERVER_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What the employee works with. Cloning shares it.
#[derive(Clone)]
pub struct Employee {
    /// The database.
    pub store: Store,
    /// The running servers.
    pub supervisors: Arc<Supervisors>,
    /// The playbooks.
    pub library: Library,
    /// The language models, where the owner set some up.
    pub brains: Option<Brains>,
    /// Where files that tools give away are kept.
    pub vault: Vault,
    /// Where its log lines go.
    pub logs: LogQueue,
    /// Name of this node, kept over restarts.
    pub node: String,
    /// How long a claim holds without being renewed.
    pub lease: SignedDuration,
}

/// A worker's session, and when it was last found valid.
struct SignedIn {
    token: String,
    begun: Timestamp,
    seen: Timestamp,
    rests: bool,
}

impl SignedIn {
    /// Whether it ended by its age or for want of use (the machine slept), and not because somebody revoked it.
    fn ran_out(&self, now: Timestamp) -> bool {
        now >= self.seen + accounts::IDLE || now >= self.begun + accounts::ABSOLUTE
    }
}

/// What follows after one move.
enum Turn {
    /// Look at the journal again and go on.
    Again,
    /// The task waits, or is done.
    Leave,
    /// The task was given back, to be taken up again after this time.
    Later(SignedDuration),
}

/// How a look into the queue ended.
enum Found {
    Nothing,
    Work,
    /// Work that is to be taken up again after this time.
    Later(SignedDuration),
}

impl Employee {
    /// Works until `shutdown`; a call in flight is waited for as long as the process gives its parts. Ends earlier only
    /// when a worker ended unexpectedly.
    pub async fn run(self, shutdown: CancellationToken) {
        if let Err(e) = self.end_former_sessions().await {
            // They end by themselves after a while.
            tracing::warn!(error = %e, "sessions of the employee's last run could not be ended");
        }
        let bell = Arc::new(Notify::new());
        let mut workers = JoinSet::new();
        workers.spawn(ring(self.store.signals(), Arc::clone(&bell), shutdown.clone()));
        for number in 0..WORKERS {
            let this = self.clone();
            let (bell, shutdown) = (Arc::clone(&bell), shutdown.clone());
            workers.spawn(async move { Box::pin(this.work(number, &bell, shutdown)).await });
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(e) = ended {
                tracing::error!(error = %e, "a worker of the employee ended unexpectedly");
                return;
            }
        }
    }

    /// What the employee calls itself in its sessions: one node at a time works under this name.
    fn program(&self) -> String {
        format!("steward employee {}", self.node)
    }

    /// Ends the sessions that were left by the last run of this node, however that ended.
    async fn end_former_sessions(&self) -> Result<()> {
        let service = Actor::service();
        if let Some(id) = users::agent(&service, &self.store, accounts::EMPLOYEE).await? {
            sessions::revoke_of_program(&service, &self.store, id, &self.program()).await?;
        }
        Ok(())
    }

    async fn work(&self, number: usize, bell: &Notify, shutdown: CancellationToken) {
        let mut session = None;
        let mut due = None;
        let mut failing = false;
        while !shutdown.is_cancelled() {
            let worked = match Box::pin(self.one_task(number, &mut session, bell, &shutdown)).await {
                Ok(found) => {
                    failing = false;
                    if let Found::Later(delay) = found {
                        let at = Instant::now() + delay.unsigned_abs();
                        due = Some(due.map_or(at, |other: Instant| other.min(at)));
                    }
                    !matches!(found, Found::Nothing)
                }
                Err(Error::Domain(domain::Error::LeaseLost)) => {
                    tracing::warn!("a task passed to another worker; this one leaves it");
                    true
                }
                Err(e) => {
                    if !failing {
                        tracing::warn!(error = %e, "the employee could not go on; it tries again");
                    }
                    failing = true;
                    false
                }
            };
            if !worked {
                // The further workers look more rarely by themselves; whoever finds work rings for them.
                let look = Instant::now() + waiting::poll(&self.store) * (u32::try_from(number).unwrap_or(0) + 1);
                let until = due.map_or(look, |due| due.min(look));
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = bell.notified() => {}
                    () = tokio::time::sleep_until(until) => due = due.filter(|due| *due > until),
                }
            }
        }
    }

    /// The employee's own session, begun anew when it ran out by itself; when it is revoked, or its user suspended,
    /// the employee rests.
    async fn signed_in(&self, session: &mut Option<SignedIn>) -> Result<Option<Actor>> {
        let service = Actor::service().from_request(None, Some(&self.program()), None);
        let now = store::now();
        if session.as_ref().is_some_and(|s| s.ran_out(now)) {
            *session = None;
        }
        if session.is_none() {
            let Some(id) = users::agent(&service, &self.store, accounts::EMPLOYEE).await? else { return Ok(None) };
            match accounts::begin_session(&self.store, &service, id).await {
                Ok((token, _)) => *session = Some(SignedIn { token, begun: now, seen: now, rests: false }),
                Err(domain::Error::LogInRefused) => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
        let Some(signed_in) = session else { return Ok(None) };
        let found = accounts::session(&self.store, &signed_in.token).await?;
        if found.is_some() {
            signed_in.seen = now;
        } else if !signed_in.rests {
            tracing::warn!("the employee rests: its session was revoked, or its user is not active");
        }
        signed_in.rests = found.is_none();
        Ok(found.map(|s| Actor::user(s.user_id).from_request(None, Some(&self.program()), None)))
    }

    /// Claims a task and works on it as far as it goes.
    async fn one_task(
        &self,
        number: usize,
        session: &mut Option<SignedIn>,
        bell: &Notify,
        shutdown: &CancellationToken,
    ) -> Result<Found> {
        let Some(actor) = self.signed_in(session).await? else { return Ok(Found::Nothing) };
        let worker = Worker { actor, name: format!("{}/{number}", self.node), lease: self.lease };
        let Some(lease) = worker.claim(&self.store).await? else { return Ok(Found::Nothing) };
        checkpoint::reached("claimed");
        // One ring wakes one worker; where there was work there may be more.
        bell.notify_one();
        let result = Box::pin(self.work_on(&worker, &lease, shutdown)).await;
        if let Err(e) = &result
            && !matches!(e, Error::Domain(domain::Error::LeaseLost))
        {
            // Whatever went wrong is tried again, not at once; a lost database ends the lease by itself.
            self.logs.push("error", "employee", &format!("work on the task stopped: {e}"), Some(lease.task_id));
            if !e.is_transient() && lease.attempt >= MOST_ATTEMPTS {
                worker
                    .fail_unopened(&self.store, &lease, format!("given up after {MOST_ATTEMPTS} attempts: {e}"))
                    .await?;
            } else {
                let delay = SignedDuration::from_secs(5 << lease.attempt.clamp(0, 6));
                worker.give_back(&self.store, &lease, delay).await?;
            }
        }
        result.map(|later| later.map_or(Found::Work, Found::Later))
    }

    async fn work_on(
        &self,
        worker: &Worker,
        lease: &Lease,
        shutdown: &CancellationToken,
    ) -> Result<Option<SignedDuration>> {
        loop {
            let work = match work::reopen(worker, &self.store, lease).await? {
                Some(work) => work,
                None => match self.begin(worker, lease).await? {
                    Some(work) => work,
                    None => return Ok(None),
                },
            };
            if shutdown.is_cancelled() {
                worker.give_back(&self.store, lease, SignedDuration::ZERO).await?;
                return Ok(None);
            }
            let turn = match work::pending_step(&work.steps).cloned() {
                Some(step) => self.resume(worker, &work, step).await?,
                None => self.advance(worker, &work).await?,
            };
            match turn {
                Turn::Again => {}
                Turn::Leave => return Ok(None),
                Turn::Later(delay) => return Ok(Some(delay)),
            }
        }
    }

    /// Begins a run. `None`: it can't be, and the task has failed with the reason.
    async fn begin(&self, worker: &Worker, lease: &Lease) -> Result<Option<Work>> {
        let task = domain::tasks::get(&self.store, &worker.actor, lease.task_id).await?;
        match self.choose(worker, &task).await? {
            Ok((name, source)) => {
                let work = work::open(worker, &self.store, lease, &name, &source).await?;
                checkpoint::reached("run begun");
                Ok(Some(work))
            }
            Err(reason) => {
                self.logs.push(
                    "warning",
                    "employee",
                    &format!("task {:?} failed: {reason}", task.title),
                    Some(task.id),
                );
                worker.fail_unopened(&self.store, lease, reason).await?;
                Ok(None)
            }
        }
    }

    /// Asks the run's own playbook, or its model, what is next, and does it.
    async fn advance(&self, worker: &Worker, work: &Work) -> Result<Turn> {
        if brain::leading_model(&work.run.playbook).is_some() {
            return Box::pin(self.think(worker, work)).await;
        }
        let playbook = match crate::library::parse(&work.run.playbook, &work.run.playbook_source) {
            Ok(playbook) => playbook,
            Err(e) => return self.finish(worker, work, false, e.to_string()).await,
        };
        let facts = work::facts(work);
        let next = match playbook.mismatch(&facts).filter(|_| work.steps.is_empty()) {
            Some(reason) => {
                Next::Fail { reason: format!("The playbook {} is not for this task: {reason}", playbook.name()) }
            }
            None => playbook
                .next(&facts, &work::outcomes(&work.steps))
                .unwrap_or_else(|e| Next::Fail { reason: e.to_string() }),
        };
        match next {
            Next::Call { step, server, tool, arguments } => {
                let text = canonical_json(&arguments);
                let call = PlannedCall { step, server, tool, arguments_sha256: sha256_hex(&text), arguments: text };
                self.plan(worker, work, call, &arguments).await
            }
            Next::Again { step, server, tool, arguments, after_s } => {
                let text = canonical_json(&arguments);
                let call = PlannedCall { step, server, tool, arguments_sha256: sha256_hex(&text), arguments: text };
                self.again(worker, work, call, &arguments, after_s).await
            }
            Next::Wait { step, arguments } => self.begin_wait(worker, work, step, &arguments).await,
            Next::Task { step, arguments } => self.make_subtask(worker, work, step, &arguments).await,
            Next::Skip { step, reason } => {
                let text = "{}".to_owned();
                let call = PlannedCall {
                    step,
                    server: String::new(),
                    tool: String::new(),
                    arguments_sha256: sha256_hex(&text),
                    arguments: text,
                };
                worker.journal_undone(&self.store, work, call, "skipped", None, reason).await?;
                checkpoint::reached("step skipped");
                Ok(Turn::Again)
            }
            Next::Finish { summary } => self.finish(worker, work, true, summary).await,
            Next::Fail { reason } => self.finish(worker, work, false, reason).await,
        }
    }

    async fn finish(&self, worker: &Worker, work: &Work, completed: bool, words: String) -> Result<Turn> {
        let level = if completed { "info" } else { "warning" };
        let how = if completed { "completed" } else { "failed" };
        worker.finish(&self.store, work, completed, words.clone()).await?;
        checkpoint::reached("finished");
        self.logs.push(level, "employee", &format!("task {:?} {how}: {words}", work.task.title), Some(work.task.id));
        Ok(Turn::Leave)
    }
}

/// Wakes one worker whenever there may be work: a task is ready, the employee's rights changed, or such news was lost.
async fn ring(mut signals: Receiver, bell: Arc<Notify>, shutdown: CancellationToken) {
    loop {
        let signal = tokio::select! {
            () = shutdown.cancelled() => return,
            signal = signals.recv() => signal,
        };
        match signal {
            Some(Signal::Ready | Signal::Missed | Signal::Changed(Topic::Users | Topic::RolePermissions, _)) => {
                bell.notify_one();
            }
            Some(Signal::Changed(..)) => {}
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::accounts;
    use jiff::SignedDuration;

    use super::SignedIn;

    #[test]
    fn a_session_that_ran_out_is_begun_anew_and_a_revoked_one_is_not() {
        let now = store::now();
        let signed_in = SignedIn { token: String::new(), begun: now, seen: now, rests: true };
        assert!(!signed_in.ran_out(now + SignedDuration::from_secs(60)), "revoked a minute ago: it rests");
        assert!(signed_in.ran_out(now + accounts::IDLE), "the machine slept");
        let old = SignedIn { seen: now + accounts::ABSOLUTE, ..signed_in };
        assert!(old.ran_out(now + accounts::ABSOLUTE + SignedDuration::from_secs(1)), "thirty days");
    }
}
