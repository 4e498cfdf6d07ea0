//! PostgreSQL: the store against pgbench, in the same server, on the same rows.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::TryStreamExt;
use jiff::SignedDuration;
use store::{
    Actor, Store, audit_trail, system_logs, task_queue,
    tasks::{self, NewTask},
};
use tokio_postgres::{binary_copy::BinaryCopyInWriter, types::Type};
use uuid::Uuid;

use crate::{
    cluster::Cluster,
    data::{self, Size, looked_at},
    error::{Error, Result},
    measure::{Aim, Line, Plan, Series, as_f64, in_turn, rate},
    pgbench::{Length, Script, begin, named, statement},
};

/// Pairs of a person and a task that both sides look at in turn.
const LOOKED_AT: usize = 8;
/// Lines in a batch.
const BATCH: usize = 1000;
/// A page.
pub(crate) const PAGE: i64 = 20;
/// A page that everybody fills, also in the small table.
pub(crate) const FULL_IN_BOTH: i64 = 10;
/// How many claim at once.
const WORKERS: usize = 16;
/// The place past every row, where a first page begins.
const PAST: (&str, &str) = ("9999-12-30 22:00:00+00", "ffffffff-ffff-ffff-ffff-ffffffffffff");

/// The server with its two databases.
#[derive(Debug)]
pub(crate) struct Postgres<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) small: Size,
    pub(crate) big: Size,
    pub(crate) plan: Plan,
    /// Tasks that wait while claims are measured.
    pub(crate) waiting: usize,
}

impl Postgres<'_> {
    pub(crate) async fn open(&self, size: Size, connections: usize) -> Result<Store> {
        let mut config = store::Config::from_url(&self.cluster.url(size.name))?;
        config.pool_size = connections;
        Ok(Store::open(&config).await?)
    }

    /// One task by its id.
    pub(crate) async fn read(&self, connections: usize, aim: f64) -> Result<Line> {
        let pairs = looked_at(self.big, LOOKED_AT);
        let mut script = Script::default();
        for (i, (task, me)) in pairs.iter().enumerate() {
            let names = named(&["me", "task"], i);
            script.value(&names[0], me.to_string());
            script.value(&names[1], task.to_string());
            let text = statement("tasks/get", &[&format!(":{}", names[1])])?;
            script.variant(Script::pipelined(&format!("{}{text};\nCOMMIT;\n", begin(&names[0]))));
        }
        let on = self.open(self.big, connections).await?;
        let (pairs, reader) = (Arc::new(pairs), on.clone());
        let work = move |caller: usize, count: usize| {
            let (on, pairs) = (reader.clone(), Arc::clone(&pairs));
            async move {
                let (task, me) = pairs[(caller + count) % pairs.len()];
                let found = tasks::get(&Actor::user(me), &on, task).await?;
                found.map(drop).ok_or_else(|| Error::Tool("a task that was loaded is not seen".to_owned()))
            }
        };
        let (ours, limit) = in_turn(
            self.plan,
            async || rate(connections, self.plan.length(), work.clone()).await,
            async || script.run(self.cluster, self.big.name, connections, Length::Seconds(self.plan.seconds)),
        )
        .await?;
        on.close().await;
        let plural = if connections == 1 { "" } else { "s" };
        let work = format!("PostgreSQL, read one task under row-level security, {connections} connection{plural}");
        Ok(Line { work, unit: "reads/s", ours, against: "pgbench, same statements", limit, aim: Aim::AtLeast(aim) })
    }

    /// The page of one's own newest: big against small, time against time. In the small table a person has some dozen tasks,
    /// so that a page of 20 is not full there; one of [`FULL_IN_BOTH`] is.
    pub(crate) async fn page_growth(&self, status: Option<&'static str>, page: i64) -> Result<Line> {
        let (big, small) = (self.open(self.big, 1).await?, self.open(self.small, 1).await?);
        let time = async |on: &Store, size: Size| {
            let people: Arc<Vec<Uuid>> = Arc::new(looked_at(size, LOOKED_AT).into_iter().map(|(_, me)| me).collect());
            let on = on.clone();
            let work = move |caller: usize, count: usize| {
                let (on, me) = (on.clone(), people[(caller + count) % people.len()]);
                async move { tasks::list(&Actor::user(me), &on, status, None, page).await.map(drop).map_err(Error::from) }
            };
            Ok(1e6 / rate(1, self.plan.length(), work).await?)
        };
        let (ours, limit) =
            in_turn(self.plan, async || time(&big, self.big).await, async || time(&small, self.small).await).await?;
        big.close().await;
        small.close().await;
        let of = status.map_or_else(String::new, |status| format!(" that are {status}"));
        let work = format!(
            "PostgreSQL, page of {page} of one's own newest tasks{of}: {} against {}",
            self.big.tasks, self.small.tasks
        );
        // Of a status some have fewer than a page in the small table: the time is shown, and the plan is what is checked.
        let aim = if status.is_none() && page == PAGE { Aim::AtMost(1.2) } else { Aim::Shown };
        Ok(Line { work, unit: "µs", ours, against: "the small table", limit, aim })
    }

    /// A task with its audit row.
    pub(crate) async fn create(&self, connections: usize) -> Result<Line> {
        let client = data::connect(self.cluster, self.big.name).await?;
        client.batch_execute("CREATE SEQUENCE IF NOT EXISTS bench_ids").await?;
        client.batch_execute("GRANT USAGE ON SEQUENCE bench_ids TO app_user").await?;
        let mut script = Script::default();
        script.value("me", data::user(7).to_string());
        // Ids that grow with time, as the store's do.
        let id = "('0199' || lpad(to_hex(nextval('bench_ids')), 8, '0') || '70008000000000000000')::uuid";
        let text = statement(
            "tasks/create",
            &[id, ":title", "NULL", ":priority", "NULL", "NULL", "NULL", ":metadata", ":none", ":none"],
        )?;
        for (name, value) in
            [("title", "a task of the limit"), ("priority", "medium"), ("metadata", "{}"), ("none", "{}")]
        {
            script.value(name, value);
        }
        script.variant(Script::pipelined(&format!("{}{text};\nCOMMIT;\n", begin("me"))));
        let on = self.open(self.big, connections).await?;
        let maker = on.clone();
        let work = move |_: usize, _: usize| {
            let on = maker.clone();
            async move {
                let new = NewTask::titled("a task of the store");
                tasks::create(&Actor::user(data::user(7)), &on, &new).await.map(drop).map_err(Error::from)
            }
        };
        let (ours, limit) = in_turn(
            self.plan,
            async || rate(connections, self.plan.length(), work.clone()).await,
            async || script.run(self.cluster, self.big.name, connections, Length::Seconds(self.plan.seconds)),
        )
        .await?;
        on.close().await;
        let work = format!("PostgreSQL, create a task with its audit row, {connections} connections");
        Ok(Line { work, unit: "tasks/s", ours, against: "pgbench, same statements", limit, aim: Aim::AtLeast(0.70) })
    }

    /// The page against the same page where nothing guards the rows, on the best index.
    pub(crate) async fn page_against_unguarded(&self, connections: usize) -> Result<[Line; 2]> {
        let columns = <tasks::Task as store::value::FromRow>::COLUMNS.join(", ");
        let arm = |person: &str| {
            format!(
                "SELECT * FROM (SELECT {columns} FROM tasks WHERE {person} = :me AND (created_at, id) < (:time, :id) \
                 ORDER BY created_at DESC, id DESC LIMIT :limit) AS {person}"
            )
        };
        let page = format!(
            "SELECT * FROM ({} UNION ALL ({} WHERE created_by IS DISTINCT FROM :me ORDER BY created_at DESC, id DESC)) AS seen \
             ORDER BY created_at DESC, id DESC LIMIT :limit",
            arm("created_by"),
            arm("assigned_to")
        );
        let scripts = |guarded: bool| {
            let mut script = Script::default();
            script.value("time", PAST.0);
            script.value("id", PAST.1);
            script.value("limit", PAGE.to_string());
            for (i, (_, me)) in looked_at(self.big, LOOKED_AT).into_iter().enumerate() {
                let name = format!("me{i}");
                script.value(&name, me.to_string());
                let text = if guarded {
                    statement("tasks/list", &[":time", ":id", ":limit"])?
                } else {
                    page.replace(":me", &format!(":{name}"))
                };
                let begin = if guarded { begin(&name) } else { begin(&name).replace(":role", "'postgres'") };
                script.variant(Script::pipelined(&format!("{begin}{text};\nCOMMIT;\n")));
            }
            Ok::<_, Error>(script)
        };
        let (unguarded, guarded) = (scripts(false)?, scripts(true)?);
        let on = self.open(self.big, connections).await?;
        let people: Arc<Vec<Uuid>> = Arc::new(looked_at(self.big, LOOKED_AT).into_iter().map(|(_, me)| me).collect());
        let reader = on.clone();
        let work = move |caller: usize, count: usize| {
            let (on, me) = (reader.clone(), people[(caller + count) % people.len()]);
            async move { tasks::list(&Actor::user(me), &on, None, None, PAGE).await.map(drop).map_err(Error::from) }
        };
        let mut same = Series::default();
        let length = Length::Seconds(self.plan.seconds);
        let (ours, limit) = in_turn(
            self.plan,
            async || rate(connections, self.plan.length(), work.clone()).await,
            async || {
                same.0.push(guarded.run(self.cluster, self.big.name, connections, length)?);
                unguarded.run(self.cluster, self.big.name, connections, length)
            },
        )
        .await?;
        on.close().await;
        let work = format!(
            "PostgreSQL, page of 20 of one's own newest tasks under row-level security, {connections} connections"
        );
        let line =
            |against, limit, aim| Line { work: work.clone(), unit: "pages/s", ours: ours.clone(), against, limit, aim };
        Ok([
            line("pgbench without row-level security, on the best index", limit, Aim::AtLeast(0.60)),
            line("pgbench, same statements", same, Aim::Shown),
        ])
    }

    /// Claims and finishes what waits; in the small database few tasks are finished, in the big one many.
    pub(crate) async fn claim(&self) -> Result<[Line; 2]> {
        let each = if self.waiting >= 100_000 { 150 } else { 20 };
        let rounds = self.plan.rounds;
        for size in [self.small, self.big] {
            // What a database's rounds of both sides take, so that at the end as many still wait as were asked for.
            let taken = WORKERS * each * rounds * 3;
            data::load_waiting(self.cluster, size.name, self.waiting + taken).await?;
        }
        let script = claiming()?;
        let (big, small) = (self.open(self.big, WORKERS).await?, self.open(self.small, WORKERS).await?);
        let mut few = Series::default();
        let (ours, limit) = in_turn(
            self.plan,
            async || {
                few.0.push(finish_some(&small, each).await?);
                finish_some(&big, each).await
            },
            async || script.run(self.cluster, self.big.name, WORKERS, Length::Each(each)),
        )
        .await?;
        big.close().await;
        small.close().await;
        let in_us = |series: &Series| Series(series.0.iter().map(|rate| 1e6 / rate).collect());
        let work = format!("PostgreSQL, claim and finish tasks, {WORKERS} workers, {} waiting", self.waiting);
        Ok([
            Line {
                work: format!("{work}: {} finished against {}", self.big.tasks, self.small.tasks),
                unit: "µs a task",
                ours: in_us(&ours),
                against: "the small table",
                limit: in_us(&few),
                aim: Aim::AtMost(1.2),
            },
            Line { work, unit: "tasks/s", ours, against: "pgbench, same statements", limit, aim: Aim::AtLeast(0.70) },
        ])
    }

    /// Lines of the log in batches, each batch durable.
    pub(crate) async fn logs(&self) -> Result<Line> {
        let on = self.open(self.big, 1).await?;
        let client = data::connect(self.cluster, self.big.name).await?;
        let batches = if self.plan.rounds >= 5 { 20 } else { 5 };
        let (ours, limit) = in_turn(
            self.plan,
            async || {
                let batches: Vec<_> = (0..batches).map(|_| lines()).collect();
                let began = std::time::Instant::now();
                for batch in &batches {
                    system_logs::append(&Actor::service(), &on, batch).await?;
                }
                Ok(as_f64(batches.len() * BATCH) / began.elapsed().as_secs_f64())
            },
            async || {
                let batches: Vec<_> = (0..batches).map(|_| lines()).collect();
                let began = std::time::Instant::now();
                for batch in &batches {
                    copy(&client, batch).await?;
                }
                Ok(as_f64(batches.len() * BATCH) / began.elapsed().as_secs_f64())
            },
        )
        .await?;
        on.close().await;
        let work = format!("PostgreSQL, log lines in batches of {BATCH} under row-level security");
        Ok(Line {
            work,
            unit: "lines/s",
            ours,
            against: "binary COPY as the owner, same batches",
            limit,
            aim: Aim::AtLeast(0.80),
        })
    }

    /// The whole audit chain, looked at once.
    pub(crate) async fn verify(&self) -> Result<Line> {
        let on = self.open(self.big, 4).await?;
        let began = std::time::Instant::now();
        let report = audit_trail::verify(&Actor::service(), &on).await?;
        let took_s = began.elapsed().as_secs_f64();
        on.close().await;
        if report.links < i64::try_from(self.big.tasks).unwrap_or(i64::MAX) {
            return Err(Error::Tool(format!("the audit chain does not stand: {report:?}")));
        }
        let work = format!("PostgreSQL, check the audit chain, {} rows", report.links);
        Ok(Line {
            work,
            unit: "s",
            ours: Series(vec![took_s]),
            against: "",
            limit: Series::default(),
            aim: Aim::Under(20.0),
        })
    }
}

/// One claim and what finishes it, as the store sends it: the claim in a transaction of its own, then task, lease and
/// status in one.
fn claiming() -> Result<Script> {
    let mut script = Script::default();
    let values = [
        ("me", data::agent().to_string()),
        ("length", "60000".to_owned()),
        ("done", "completed".to_owned()),
        ("metadata", "{}".to_owned()),
    ];
    for (name, value) in values {
        script.value(name, value);
    }
    let claim = statement("task_queue/claim", &[":client_id", ":length"])?;
    let lock = statement("tasks/lock", &[":task_id"])?;
    let hold = statement("task_queue/hold", &[":task_id", ":client_id", ":attempt", ":length"])?;
    let done = statement("tasks/set_status", &[":task_id", ":done", "NULL", ":metadata"])?;
    let begin = begin("me");
    // What a pipeline answers pgbench can't read, so the claim stands alone.
    script.variant(format!(
        "{}{claim} \\gset\n{}",
        Script::pipelined(&begin),
        Script::pipelined(&format!("COMMIT;\n{begin}{lock};\n{hold};\n{done};\nCOMMIT;\n"))
    ));
    Ok(script)
}

/// Claims and finishes, each worker as many; answers tasks a second.
async fn finish_some(on: &Store, each: usize) -> Result<f64> {
    let claimed = Arc::new(AtomicUsize::new(0));
    let began = std::time::Instant::now();
    let workers = (0..WORKERS).map(|number| {
        let (on, claimed) = (on.clone(), Arc::clone(&claimed));
        tokio::spawn(async move {
            let (me, name, length) = (Actor::user(data::agent()), number.to_string(), SignedDuration::from_secs(60));
            for _ in 0..each {
                let lease = task_queue::claim(&me, &on, &name, length).await?;
                let lease = lease.ok_or_else(|| Error::Tool("nothing waits any more".to_owned()))?;
                let me = me.clone();
                on.transaction(move |tx| {
                    Box::pin(async move {
                        let task = tasks::lock(&me, tx, lease.task_id).await?;
                        let held = task_queue::hold(&me, tx, &lease, length).await?;
                        let mut task = task.filter(|_| held).ok_or(store::Error::RolledBack)?;
                        "completed".clone_into(&mut task.status);
                        tasks::set_status(&me, tx, &task).await.map(drop)
                    })
                })
                .await?;
                claimed.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>(())
        })
    });
    for done in futures_util::future::join_all(workers).await {
        done??;
    }
    Ok(as_f64(claimed.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64())
}

/// A batch of lines, alike on both sides.
fn lines() -> Vec<system_logs::NewLogLine> {
    (0..BATCH)
        .map(|i| system_logs::NewLogLine {
            user_id: Some(data::user(1 + i % data::USERS)),
            request_id: Some(format!("r{i}")),
            ..system_logs::NewLogLine::new(
                "info",
                "worker",
                format!("step {} of request {i} took {} ms", i % 7, i % 991),
            )
        })
        .collect()
}

/// The same batch by binary COPY, which PostgreSQL refuses to a role under row-level security.
async fn copy(client: &tokio_postgres::Client, lines: &[system_logs::NewLogLine]) -> Result<()> {
    let types = [
        Type::UUID,
        Type::TIMESTAMPTZ,
        Type::VARCHAR,
        Type::VARCHAR,
        Type::TEXT,
        Type::UUID,
        Type::VARCHAR,
        Type::JSONB,
    ];
    let sink = client
        .copy_in(
            "COPY system_logs (id, timestamp, level, module, message, user_id, request_id, metadata) FROM STDIN BINARY",
        )
        .await?;
    let writer = BinaryCopyInWriter::new(sink, &types);
    let mut writer = std::pin::pin!(writer);
    for line in lines {
        let at: jiff::Timestamp = line.timestamp.parse().map_err(|e: jiff::Error| Error::Tool(e.to_string()))?;
        writer
            .as_mut()
            .write(&[
                &line.id,
                &at,
                &line.level,
                &line.module,
                &line.message,
                &line.user_id,
                &line.request_id,
                &line.metadata,
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Rows of a query beside the store, for what the report says of the server.
pub(crate) async fn version(cluster: &Cluster) -> Result<String> {
    let client = data::connect(cluster, "postgres").await?;
    let rows: Vec<_> = client.query_raw("SHOW server_version", std::iter::empty::<&str>()).await?.try_collect().await?;
    let row = rows.first().ok_or_else(|| Error::Tool("the server does not say its version".to_owned()))?;
    Ok(row.try_get(0)?)
}
