//! Nothing a server started outlives it, however it ends, and nobody else's process is touched.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{PATIENCE, Watched, context, eventually, is_alive, limits, pid_in, spec, with};
use tools::{Context, EventKind, Limits, ServerSpec, Supervisors, probe, reap_leftovers, supervise};

fn noted(spec: &ServerSpec, dir: &Path, limits: Limits) -> Watched {
    let (context, events) = context(limits);
    let context = Context { run_dir: Some(dir.join("run")), ..context };
    Watched { handle: supervise(spec.clone(), &context), events, context }
}

fn note_of(spec: &ServerSpec, dir: &Path) -> std::path::PathBuf {
    dir.join("run").join(format!("{}.pid", spec.id))
}

#[tokio::test]
async fn grandchildren_go_with_the_server_however_it_ends() {
    let stubborn = &["--linger", "--ignore-sigterm"][..];
    for (args, how) in
        [(&[][..], "stop"), (stubborn, "stop"), (&[][..], "crash"), (stubborn, "ping"), (&[][..], "kill")]
    {
        let dir = tempfile::tempdir().unwrap();
        let grandchild = dir.path().join("grandchild");
        let mut all = vec!["--grandchild", grandchild.to_str().unwrap(), "--crash-on", "append"];
        all.extend(args);
        let mut limits = limits();
        if how == "ping" {
            all.push("--ignore-ping");
            limits =
                Limits { ping_interval: Duration::from_millis(50), ping_timeout: Duration::from_millis(50), ..limits };
        }
        let spec = spec("files", &all);
        let mut server = noted(&spec, dir.path(), limits);
        server.running().await;
        let note = note_of(&spec, dir.path());
        let (child, grandchild) = (pid_in(&note), pid_in(&grandchild));
        assert!(is_alive(child) && is_alive(grandchild));
        match how {
            "stop" => {
                tokio::time::timeout(Duration::from_secs(5), server.handle.stop()).await.unwrap();
                assert!(!note.exists(), "the note goes with the process");
            }
            "crash" => drop(server.call("append", "{}").await.unwrap_err()),
            "kill" => assert!(Command::new("kill").args(["-9", &child.to_string()]).status().unwrap().success()),
            _ => {}
        }
        if how == "stop" {
            assert!(!is_alive(child) && !is_alive(grandchild), "{how} {args:?}");
        } else {
            // By the time its failure is told, nothing of it is left.
            server.failed().await;
            assert!(!is_alive(child) && !is_alive(grandchild), "{how} {args:?}");
            server.handle.stop().await;
        }
        assert!(!Path::new(&format!("/proc/{child}")).exists(), "no zombie stays");
    }
}

#[tokio::test]
async fn a_probe_leaves_nothing_even_when_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("grandchild");
    probe(&spec("files", &["--grandchild", file.to_str().unwrap(), "--linger"]), &limits()).await.unwrap();
    assert!(!is_alive(pid_in(&file)));
    std::fs::remove_file(&file).unwrap();
    let never = spec("files", &["--grandchild", file.to_str().unwrap(), "--never-ready", "--linger"]);
    let limits = limits();
    tokio::select! {
        result = probe(&never, &limits) => panic!("{result:?}"),
        () = eventually("it runs", || std::fs::read_to_string(&file).is_ok_and(|text| !text.is_empty())) => {}
    }
    let grandchild = pid_in(&file);
    eventually("it is gone", || !is_alive(grandchild)).await;
}

#[tokio::test]
async fn leftovers_of_a_killed_steward_are_ended_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    assert_eq!(reap_leftovers(&run).await.unwrap(), 0, "no directory, nothing to do");
    let file = dir.path().join("grandchild");
    let spec = spec("files", &["--grandchild", file.to_str().unwrap(), "--linger", "--ignore-sigterm"]);
    let mut server = noted(&spec, dir.path(), limits());
    server.running().await;
    let note = note_of(&spec, dir.path());
    let text = std::fs::read_to_string(&note).unwrap();
    let (child, grandchild) = (pid_in(&note), pid_in(&file));

    // Somebody else's process under a number that was once a server's: another start, so it is left alone.
    let mut other = Command::new("sleep").arg("60").process_group(0).stdin(Stdio::null()).spawn().unwrap();
    let foreign = run.join(format!("{}.pid", uuid::Uuid::new_v4()));
    let boot = text.split_whitespace().last().unwrap();
    std::fs::write(&foreign, format!("{} 1 {boot}", other.id())).unwrap();
    std::fs::write(run.join("notes.txt"), "not ours").unwrap();

    assert_eq!(reap_leftovers(&run).await.unwrap(), 1);
    assert!(!is_alive(child) && !is_alive(grandchild));
    assert!(is_alive(i32::try_from(other.id()).unwrap()));
    assert!(!note.exists() && !foreign.exists() && run.join("notes.txt").exists());
    other.kill().unwrap();
    other.wait().unwrap();
    server.handle.stop().await;
}

#[tokio::test]
async fn a_leftover_group_without_its_head_is_known_by_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for is_marked in [true, false] {
        let server = uuid::Uuid::new_v4();
        let mark = if is_marked { server } else { uuid::Uuid::new_v4() };
        let file = dir.path().join(format!("member-{is_marked}"));
        let mut head = Command::new("sh")
            .args(["-c", "sleep 60 </dev/null >/dev/null 2>&1 & echo $! > \"$0\""])
            .arg(&file)
            .env("STEWARD_SERVER_ID", mark.to_string())
            .process_group(0)
            .spawn()
            .unwrap();
        head.wait().unwrap();
        std::fs::write(run.join(format!("{server}.pid")), format!("{} 1 {boot}", head.id())).unwrap();
        let member = pid_in(&file);
        assert_eq!(reap_leftovers(&run).await.unwrap(), usize::from(is_marked));
        assert_eq!(is_alive(member), !is_marked);
        if !is_marked {
            assert!(Command::new("kill").args(["-9", &member.to_string()]).status().unwrap().success());
        }
    }
}

#[tokio::test]
async fn what_is_wanted_runs_and_what_is_not_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (context, mut events) = context(limits());
    let context = Context { run_dir: Some(dir.path().join("run")), ..context };
    let servers = Supervisors::new(context);
    let (one, two) = (spec("one", &[]), spec("two", &["--linger"]));
    servers.set_wanted(vec![one.clone(), two.clone()]).await;
    for name in ["one", "two"] {
        servers.handle(name).unwrap().wait_running(PATIENCE).await.unwrap();
    }
    let pids = [pid_in(&note_of(&one, dir.path())), pid_in(&note_of(&two, dir.path()))];

    // The same again changes nothing.
    servers.set_wanted(vec![two.clone(), one.clone()]).await;
    assert_eq!(pids, [pid_in(&note_of(&one, dir.path())), pid_in(&note_of(&two, dir.path()))]);

    // A changed one is another process; one that is no longer wanted is gone when the call returns.
    let changed = with(one.clone(), "ANYTHING", "else".as_ref());
    servers.set_wanted(vec![changed]).await;
    assert!(!is_alive(pids[0]) && !is_alive(pids[1]));
    assert!(servers.handle("two").is_none());
    servers.handle("one").unwrap().wait_running(PATIENCE).await.unwrap();
    assert_ne!(pid_in(&note_of(&one, dir.path())), pids[0]);

    servers.shutdown().await;
    assert!(servers.handles().is_empty());
    servers.set_wanted(vec![one]).await;
    assert!(servers.handle("one").is_none(), "nothing starts after a shutdown");
    let mut stopped = 0;
    while let Ok(event) = events.try_recv() {
        stopped += usize::from(event.kind == EventKind::Stopped);
    }
    assert_eq!(stopped, 3);
}

#[tokio::test]
async fn ten_stubborn_servers_stop_side_by_side_within_five_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let (context, _events) = context(Limits { stop_grace: Limits::default().stop_grace, ..limits() });
    let context = Context { run_dir: Some(dir.path().join("run")), ..context };
    let servers = Supervisors::new(context);
    let specs: Vec<ServerSpec> = (0..10).map(|n| spec(&format!("s{n}"), &["--linger", "--ignore-sigterm"])).collect();
    servers.set_wanted(specs.clone()).await;
    for handle in servers.handles() {
        handle.wait_running(PATIENCE).await.unwrap();
    }
    let pids: Vec<i32> = specs.iter().map(|spec| pid_in(&note_of(spec, dir.path()))).collect();
    let started = Instant::now();
    servers.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(pids.into_iter().all(|pid| !is_alive(pid)));
}
