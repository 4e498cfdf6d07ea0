//! One connection at work: the context of the actor, a statement of its own, and a transaction of several.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use deadpool_postgres::Object;
use futures_util::future::{OptionFuture, join, join3, join5};
use tokio_postgres::types::PgLsn;
use uuid::Uuid;

use super::{
    error::{chain, ends_the_session, is_another_session, is_lost, is_read_only, may_be_repeated, translate},
    pool::Connections,
    sent::Sent,
};
use crate::{
    Actor, Error, Result,
    statement::Statement,
    value::{Row, Value},
};

/// Sets who acts until the transaction ends; the database's policies and audit triggers read it.
const CONTEXT: &str = "SELECT set_config('role', $1, true), set_config('app.current_user_id', $2, true), \
     set_config('app.ip_address', $3, true), set_config('app.user_agent', $4, true), \
     set_config('app.request_id', $5, true)";
/// The same, with what a session of ours is begun with, where a pooler does not pass that on or a statement is given more
/// time.
const POOLED_CONTEXT: &str = "SELECT set_config('role', $1, true), set_config('app.current_user_id', $2, true), \
     set_config('app.ip_address', $3, true), set_config('app.user_agent', $4, true), \
     set_config('app.request_id', $5, true), set_config('timezone', 'UTC', true), \
     set_config('statement_timeout', $6, true), set_config('lock_timeout', $7, true), \
     set_config('idle_in_transaction_session_timeout', '60000', true)";
/// A place in the log of changes at or behind what was just committed.
const WRITTEN: &str = "SELECT CASE WHEN current_setting('synchronous_commit') = 'off' \
     THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END";

/// A statement that did not succeed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether it certainly changed nothing and may succeed if it is done again at once.
    pub(super) again: bool,
}

impl Failure {
    fn lasting(error: Error) -> Self {
        Self { error, again: false }
    }
}

/// One statement in a transaction of its own, in one round trip. With `mark` it also answers how far the log of changes
/// reaches then.
pub(super) async fn once(
    on: &Connections,
    actor: &Actor,
    statement: &'static Statement,
    params: &[Value],
    wanted: Wanted,
    mark: bool,
) -> Result<(Answer, Option<PgLsn>), Failure> {
    let connection = Connection::new(on.client().await.map_err(Failure::lasting)?);
    // Until the statement is sent nothing is changed, whatever goes wrong.
    let is_long = statement.is_long();
    let prepared = on.answer(connection.prepare(on, statement, mark)).await;
    let prepared = prepared.ok_or_else(|| Failure::lasting(Error::Unavailable(on.silence(false))))?.map_err(|e| {
        on.notice(&e);
        Failure { again: is_lost(&e) || may_be_repeated(&e), error: translate(statement.name, &e) }
    })?;
    let client = connection.client().map_err(Failure::lasting)?;
    let who = on.context(actor, is_long);
    let asked = join5(
        client.batch_execute("BEGIN"),
        prepared.context.rows(client, &who),
        wanted.ask(client, &prepared.statement, params),
        client.batch_execute("COMMIT"),
        prepared.reach(client),
    );
    let Some((begin, context, answer, commit, reach)) = on.answer_to(is_long, asked).await else {
        // Silence is not tried a second time: whoever waits has waited long enough.
        return Err(Failure::lasting(lost(statement.writes(), on.silence(is_long))));
    };
    let failed = match begin.and(context).and(answer) {
        Ok(answer) => match commit {
            Ok(()) => {
                connection.give_back();
                return Ok((answer, reach.flatten()));
            }
            // A session that ends while it commits does not say whether it did.
            Err(e) if is_lost(&e) || ends_the_session(&e) => Err(e),
            Err(e) => Ok(e),
        },
        Err(e) if is_lost(&e) => Err(e),
        Err(e) => Ok(e),
    };
    match failed {
        Err(e) => {
            let said = format!("the connection broke: {}", chain(&e));
            Err(Failure { error: lost(statement.writes(), said), again: !statement.writes() })
        }
        Ok(e) => {
            on.notice(&e);
            // What the server refused is rolled back, and the connection is as good as before, unless it was ended.
            if is_read_only(&e) {
                on.forget_free();
            } else if !ends_the_session(&e) {
                connection.give_back();
            }
            Err(Failure { again: may_be_repeated(&e), error: translate(statement.name, &e) })
        }
    }
}

/// What is known of a change whose answer was lost; reading changes nothing.
fn lost(wrote: bool, said: String) -> Error {
    if wrote { Error::OutcomeUnknown(said) } else { Error::Unavailable(said) }
}

/// A connection that goes back to the pool only when its work ended cleanly: if the future that uses it is dropped
/// half-way, the connection is closed, so that no context or open transaction reaches the next request.
#[derive(Debug)]
struct Connection(Option<Object>);

/// What is sent, understood by the server.
struct Ready {
    context: Sent,
    statement: Sent,
    reach: Option<Sent>,
}

impl Connection {
    fn new(object: Object) -> Self {
        Self(Some(object))
    }
    fn client(&self) -> Result<&Object> {
        self.0.as_ref().ok_or_else(|| Error::Unavailable("the connection was given back".to_owned()))
    }
    async fn prepare(
        &self,
        on: &Connections,
        statement: &'static Statement,
        mark: bool,
    ) -> Result<Ready, tokio_postgres::Error> {
        let Some(client) = &self.0 else { unreachable!("a connection is given back with its work") };
        let pooled = on.is_pooled();
        let context = if pooled || statement.is_long() { POOLED_CONTEXT } else { CONTEXT };
        let reach: OptionFuture<_> = mark.then(|| Sent::ready(client, WRITTEN, pooled)).into();
        let (context, statement, reach) =
            join3(Sent::ready(client, context, pooled), Sent::ready(client, statement.postgres(), pooled), reach).await;
        Ok(Ready { context: context?, statement: statement?, reach: reach.transpose()? })
    }
    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Ready {
    /// How far the log of changes reaches; none where that can't be said.
    fn reach<'c>(&'c self, client: &'c Object) -> OptionFuture<impl Future<Output = Option<PgLsn>> + 'c> {
        self.reach.as_ref().map(|asked| reach(client, asked)).into()
    }
}

async fn reach(client: &Object, asked: &Sent) -> Option<PgLsn> {
    asked.rows(client, &[]).await.ok()?.first()?.try_get(0).ok()
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// A transaction on one connection. It begins with its first statement, in the same round trip.
#[derive(Debug)]
pub(crate) struct PostgresTransaction {
    on: Box<Connections>,
    connection: Connection,
    actor: Mutex<Option<Actor>>,
    /// Users who wrote in it.
    writers: Mutex<Vec<Option<Uuid>>>,
    failed: AtomicBool,
    /// The connection is of no more use.
    broken: AtomicBool,
}

impl PostgresTransaction {
    pub(super) async fn begin(on: &Connections) -> Result<Self> {
        Ok(Self {
            on: Box::new(on.clone()),
            connection: Connection::new(on.client().await?),
            actor: Mutex::new(None),
            writers: Mutex::new(Vec::new()),
            failed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        })
    }

    /// What must be sent before a statement of `actor`: begin, context, or nothing.
    fn take_turn(&self, actor: &Actor) -> Turn {
        let mut current = self.actor.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = match &*current {
            None => Turn::Begin,
            Some(a) if a == actor => Turn::Go,
            Some(_) => Turn::Switch,
        };
        if turn != Turn::Go {
            *current = Some(actor.clone());
        }
        turn
    }

    pub(crate) async fn rows(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
    ) -> Result<Vec<Row>> {
        Box::pin(self.next(actor, statement, params, Wanted::Rows)).await.map(Answer::into_rows)
    }

    pub(crate) async fn execute(&self, actor: &Actor, statement: &'static Statement, params: &[Value]) -> Result<u64> {
        Box::pin(self.next(actor, statement, params, Wanted::Count)).await.map(|answer| answer.count)
    }

    /// The next statement; the first one, and one of another actor, takes along what must precede it.
    async fn next(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
        wanted: Wanted,
    ) -> Result<Answer> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::RolledBack);
        }
        let prepared =
            self.watch(statement, self.on.answer(self.connection.prepare(&self.on, statement, false)).await)?;
        let (client, who) = (self.connection.client()?, self.on.context(actor, statement.is_long()));
        let ask = wanted.ask(client, &prepared.statement, params);
        let turn = self.take_turn(actor);
        if statement.writes() {
            let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
            if !writers.contains(&actor.user_id()) {
                writers.push(actor.user_id());
            }
        }
        let sent = async {
            match turn {
                Turn::Begin => {
                    let first = client.batch_execute("BEGIN");
                    let (begun, set, answer) = join3(first, prepared.context.rows(client, &who), ask).await;
                    begun.and(set).and(answer)
                }
                Turn::Switch => {
                    let (set, answer) = join(prepared.context.rows(client, &who), ask).await;
                    set.and(answer)
                }
                Turn::Go => ask.await,
            }
        };
        self.watch(statement, self.on.answer_to(statement.is_long(), sent).await)
    }

    /// Notes what a failure means for the rest. Nothing is committed yet, so it changed nothing.
    fn watch<T>(&self, statement: &Statement, answer: Option<Result<T, tokio_postgres::Error>>) -> Result<T> {
        let error = match answer {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(e)) => {
                self.on.notice(&e);
                if is_lost(&e) || ends_the_session(&e) {
                    self.broken.store(true, Ordering::Relaxed);
                }
                if is_read_only(&e) {
                    self.on.forget_free();
                }
                translate(statement.name, &e)
            }
            None => {
                self.broken.store(true, Ordering::Relaxed);
                Error::Unavailable(self.on.silence(statement.is_long()))
            }
        };
        self.failed.store(true, Ordering::Relaxed);
        Err(error)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Commits (`keep`) or rolls back. With `mark` it answers who wrote and how far the log of changes reaches then.
    pub(super) async fn end(self, keep: bool, mark: bool) -> Result<Option<(Vec<Option<Uuid>>, Option<PgLsn>)>> {
        let begun = self.actor.lock().is_ok_and(|a| a.is_some());
        let writers = std::mem::take(&mut *self.writers.lock().unwrap_or_else(PoisonError::into_inner));
        let mark = mark && !writers.is_empty();
        if self.broken.load(Ordering::Relaxed) {
            // Closing the connection rolls back.
            return Ok(None);
        }
        if !begun {
            self.connection.give_back();
            return Ok(None);
        }
        let client = self.connection.client()?;
        if !keep {
            if let Some(Ok(())) = self.on.answer(client.batch_execute("ROLLBACK")).await {
                self.connection.give_back();
            }
            return Ok(None);
        }
        let sent = async {
            if !mark {
                return (client.batch_execute("COMMIT").await, None);
            }
            let asked = Sent::ready(client, WRITTEN, self.on.is_pooled()).await;
            let reach: OptionFuture<_> = asked.as_ref().ok().map(|asked| reach(client, asked)).into();
            let (committed, reach) = join(client.batch_execute("COMMIT"), reach).await;
            (committed, reach.flatten())
        };
        let Some((committed, reach)) = self.on.answer(sent).await else {
            return Err(lost(!writers.is_empty(), self.on.silence(false)));
        };
        match committed {
            Ok(()) => {
                self.connection.give_back();
                Ok(mark.then_some((writers, reach)))
            }
            Err(e) if is_lost(&e) || ends_the_session(&e) => {
                Err(lost(!writers.is_empty(), format!("the connection broke: {}", chain(&e))))
            }
            Err(e) => {
                self.connection.give_back();
                Err(translate("transaction/end", &e))
            }
        }
    }
}

/// What is wanted of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    Rows,
    Count,
}

/// What a statement answered.
#[derive(Debug)]
pub(super) struct Answer {
    rows: Vec<tokio_postgres::Row>,
    pub(super) count: u64,
}

impl Wanted {
    async fn ask(self, client: &Object, statement: &Sent, params: &[Value]) -> Result<Answer, tokio_postgres::Error> {
        Ok(match self {
            Self::Rows => Answer { rows: statement.rows(client, params).await?, count: 0 },
            Self::Count => Answer { rows: Vec::new(), count: statement.count(client, params).await? },
        })
    }
}

impl Answer {
    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows.into_iter().map(Row::Postgres).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Begin,
    Switch,
    Go,
}

impl Connections {
    /// The parameters of the context's statement.
    fn context(&self, actor: &Actor, is_long: bool) -> Vec<Value> {
        let text = |v: Option<String>| Value::Text(v.unwrap_or_default());
        let mut values = vec![
            Value::Text(actor.database_role().to_owned()),
            text(actor.user_id().map(|id| id.to_string())),
            text(actor.ip_address.map(|ip| ip.to_string())),
            text(actor.user_agent.clone()),
            text(actor.request_id.clone()),
        ];
        if self.is_pooled() || is_long {
            values.extend(self.timeouts_ms(is_long).map(|ms| Value::Text(ms.to_string())));
        }
        values
    }

    /// Looks whether an error shows that statements meet another session than the one that prepared them.
    fn notice(&self, error: &tokio_postgres::Error) {
        if is_another_session(error) {
            self.is_from_now_on_pooled();
        }
    }
}
