//! A disk that is full: PostgreSQL's table on a file system of its own of a few megabytes.

use std::process::Command;

use serde_json::json;
use store::{
    Actor, Error, Store,
    system_logs::{self, NewLogLine},
    tasks::{self, NewTask},
};

use crate::common::{
    cluster::{Cluster, Stop},
    private::{owner, runtime, settle, until},
};

/// Starts a stopped server within a name space of its own, in which a small file system lies over a folder of its data.
fn start_with_a_small_disk(cluster: &Cluster, folder: &std::path::Path, size: &str) {
    let server = cluster.program("pg_ctl");
    let is_root = server.get_program() != "pg_ctl" && server.get_program() == "runuser";
    let mut words: Vec<String> = vec![server.get_program().to_string_lossy().into_owned()];
    words.extend(server.get_args().map(|a| a.to_string_lossy().into_owned()));
    let start = format!(
        "{} -w -t 60 -D {} -l {}/small-disk.log start",
        words.join(" "),
        cluster.data().display(),
        cluster.data().display()
    );
    let owner = if is_root { ",uid=postgres" } else { "" };
    let mount = format!("mount -t tmpfs -o size={size},mode=0700{owner} small {}", folder.display());
    // Who is no administrator is one within the name space, and steps down again for the server.
    let (flags, start): (&[&str], String) =
        if is_root { (&["-m"], start) } else { (&["-r", "-m"], format!("unshare -U --map-user=1000 {start}")) };
    let out = tempfile::tempfile().unwrap();
    let status = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", &format!("{mount} && exec {start}")])
        .stdin(std::process::Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .status()
        .unwrap();
    assert!(status.success(), "a small file system can't be mounted here; the test needs unshare(1) and mount(8)");
}

fn line(number: usize, length: usize) -> NewLogLine {
    // Nothing that could be packed together.
    let text: String = (0..length / 32).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    NewLogLine {
        id: uuid::Uuid::now_v7(),
        timestamp: store::value::time_text(store::now()),
        level: "info",
        module: "disk".to_owned(),
        message: format!("{number} {text}"),
        user_id: None,
        task_id: None,
        request_id: None,
        ip_address: None,
        user_agent: None,
        metadata: json!({}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    let folder = cluster.data().join("small");
    cluster.stop(Stop::Fast);
    std::fs::create_dir(&folder).unwrap();
    start_with_a_small_disk(&cluster, &folder, "8m");
    let owner = owner(&cluster).await;
    let month: String = owner
        .query_one("SELECT 'system_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')", &[])
        .await
        .unwrap()
        .get(0);
    owner.batch_execute(&format!("CREATE TABLESPACE small LOCATION '{}'", folder.display())).await.unwrap();
    owner.batch_execute(&format!("ALTER TABLE {month} SET TABLESPACE small")).await.unwrap();
    // Room that can be given back.
    owner
        .batch_execute(
            "CREATE TABLE ballast TABLESPACE small AS SELECT n, repeat('x', 1000) AS x FROM generate_series(1, 2000) n",
        )
        .await
        .unwrap();
    let store = Store::open(&runtime(cluster.port)).await.unwrap();
    let service = Actor::service();
    let count = || async {
        owner.query_one("SELECT count(*) FROM system_logs WHERE module = 'disk'", &[]).await.unwrap().get::<_, i64>(0)
    };
    let mut stand = 0;
    let error = loop {
        let lines: Vec<NewLogLine> = (0..20).map(|n| line(n, 8192)).collect();
        match system_logs::append(&service, &store, &lines).await {
            Ok(_) => stand += 20,
            Err(e) => break e,
        }
        assert!(stand < 10_000, "the disk is never full");
    };
    assert!(matches!(&error, Error::Storage(_)), "{error:?}");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert!(stand > 0);
    assert_eq!(count().await, stand, "what was acknowledged stands, and nothing of what was refused");
    // What needs no room on that disk goes on.
    tasks::create(&people.bob, &store, &NewTask::titled("elsewhere")).await.unwrap();
    assert!(matches!(system_logs::append(&service, &store, &[line(0, 8192 * 20)]).await, Err(Error::Storage(_))));
    owner.batch_execute("DROP TABLE ballast").await.unwrap();
    until("it works when there is room", async || {
        system_logs::append(&service, &store, &[line(0, 8192)]).await.is_ok()
    })
    .await;
    assert_eq!(count().await, stand + 1);
    store.close().await;
}
