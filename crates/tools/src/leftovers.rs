//! Server processes that outlived a Steward that was killed: noted while they run, ended at the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use uuid::Uuid;

use crate::spec::MARKER;

/// How long a killed group may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// How long a process that is just starting its program may take to have an environment.
const STARTED_WITHIN: Duration = Duration::from_millis(100);

/// Ends the server processes that an earlier Steward left behind, and says how many groups that were.
///
/// `run_dir` holds one `<server id>.pid` file a running server. A group is ended when its head is still the process
/// that was noted (same number, same start, same boot), or when the head is gone and a member carries the server's
/// mark in its environment. Anything else is somebody else's and is left alone. Call it only while holding the lock
/// of the data directory: a second Steward's servers would look like leftovers.
pub async fn reap_leftovers(run_dir: &Path) -> io::Result<usize> {
    let run_dir = run_dir.to_owned();
    tokio::task::spawn_blocking(move || reap(&run_dir)).await.map_err(io::Error::other)?
}

/// Notes a running server; `None` where the system has no `/proc` to recognise it by.
pub(crate) async fn note(run_dir: &Path, server: Uuid, pid: i32) -> io::Result<Option<PathBuf>> {
    let run_dir = run_dir.to_owned();
    tokio::task::spawn_blocking(move || {
        let Some(start) = stat(pid).map(|stat| stat.start) else { return Ok(None) };
        fs::create_dir_all(&run_dir)?;
        let file = run_dir.join(format!("{server}.pid"));
        fs::write(&file, format!("{pid} {start} {}\n", boot_id()))?;
        Ok(Some(file))
    })
    .await
    .map_err(io::Error::other)?
}

fn reap(run_dir: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(run_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut ended = 0;
    for entry in entries {
        let file = entry?.path();
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        let Some(server) = stem.and_then(|stem| Uuid::parse_str(stem).ok()) else { continue };
        if file.extension().is_none_or(|extension| extension != "pid") {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        if let Some(pid) = still_there(&text, server) {
            ended += 1;
            end(pid);
        }
        fs::remove_file(&file)?;
    }
    Ok(ended)
}

/// The group to end, when what was noted still runs.
fn still_there(noted: &str, server: Uuid) -> Option<i32> {
    let mut fields = noted.split_whitespace();
    let pid: i32 = fields.next()?.parse().ok()?;
    let start: u64 = fields.next()?.parse().ok()?;
    // 0 and 1 would mean our own group, or everybody.
    if pid <= 1 || fields.next()? != boot_id() {
        return None;
    }
    match stat(pid) {
        Some(head) => (head.start == start && head.group == pid).then_some(pid),
        None => members(pid).into_iter().any(|member| is_marked(member, server)).then_some(pid),
    }
}

fn end(group: i32) {
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    let until = Instant::now() + GONE_WITHIN;
    while Instant::now() < until && !members(group).is_empty() {
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// What is needed of `/proc/<pid>/stat`.
struct Stat {
    group: i32,
    start: u64,
}

/// `None` when there is no such process, or nothing of it but its exit code.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may itself hold brackets and spaces.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some(Stat { group: fields.get(2)?.parse().ok()?, start: fields.get(19)?.parse().ok()? })
}

/// The living processes of a group.
fn members(group: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.group == group))
        .collect()
}

fn is_marked(pid: i32, server: Uuid) -> bool {
    let mark = format!("{MARKER}={server}").into_bytes();
    let until = Instant::now() + STARTED_WITHIN;
    loop {
        match fs::read(format!("/proc/{pid}/environ")) {
            // A process that is just becoming another program has none for a moment.
            Ok(environment) if environment.is_empty() && Instant::now() < until => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Ok(environment) => return environment.split(|byte| *byte == 0).any(|entry| entry == mark),
            Err(_) => return false,
        }
    }
}

/// Tells this boot from another, after which the same number and start may mean another process.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_noted_is_taken_for_a_leftover() {
        let me = i32::try_from(std::process::id()).unwrap();
        let mine = stat(me).unwrap();
        let boot = boot_id();
        for noted in [
            format!("{me} {} {boot}", mine.start + 1),
            format!("{me} {} another-boot", mine.start),
            format!("0 {} {boot}", mine.start),
            format!("1 {} {boot}", mine.start),
            format!("-1 {} {boot}", mine.start),
            "garbage".into(),
            String::new(),
        ] {
            assert_eq!(still_there(&noted, Uuid::nil()), None, "{noted}");
        }
    }
}
