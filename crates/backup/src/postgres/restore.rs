//! Putting a dump back with `pg_restore`, all of it or nothing, so that neither row-level security, triggers nor the audit
//! chain change what was dumped: they are made after the rows are in, in the order that the dump itself has.

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use store::{
    Config,
    backup::postgres::{LibPq, Place, make_database, swap_in},
};
use tokio_util::sync::CancellationToken;

use super::{
    child::{Identity, Running},
    connect::Connection,
    programs, unusable,
};
use crate::{Error, Result, error::back};

const NAME: &str = "pg_restore";
/// What is copied at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Where a restore goes, and what became of what was there.
#[derive(Debug)]
pub(crate) struct Target {
    /// The database that is restored into: the one that was named, or one beside it.
    pub(crate) config: Config,
    /// The name of the one beside it, where the named one holds something.
    beside: Option<String>,
}

impl Target {
    /// Looks at where a restore is to go. A database that holds something is refused unless `replace` is said; even then
    /// it is not touched before what is restored has been verified, and it is kept afterwards under another name.
    pub(crate) async fn find(config: &Config, replace: bool) -> Result<Self> {
        match Place::look(config).await? {
            Place::Empty => Ok(Self { config: config.clone(), beside: None }),
            Place::Missing => {
                make_database(config).await?;
                Ok(Self { config: config.clone(), beside: None })
            }
            Place::Occupied(with) if !replace => Err(Error::refused(format!(
                "{} is not empty: it holds {with}; nothing was changed; name an empty database, or one that is not there yet, or say twice that it may take its place: --replace --force; what is there is then kept under another name",
                config.describe()
            ))),
            Place::Occupied(_) => {
                let name = format!("steward_restoring_{}", uuid::Uuid::now_v7().simple());
                let beside = config.with_database(&name);
                make_database(&beside).await?;
                Ok(Self { config: beside, beside: Some(name) })
            }
        }
    }

    /// Puts what was restored and verified into its place; answers the name under which the former one is kept.
    pub(crate) async fn put_in_place(self, named: &Config) -> Result<Option<String>> {
        let Some(beside) = self.beside else { return Ok(None) };
        let moment = store::now().strftime("%Y%m%d%H%M%S").to_string();
        let kept = format!("steward_before_restore_{moment}");
        swap_in(named, &beside, &kept).await?;
        Ok(Some(kept))
    }
}

/// The list of a dump's contents, of which the rest is not read; on a thread that may block.
pub(crate) fn contents(program: &Path, dump: &mut dyn Read) -> Result<String> {
    let mut command = Identity::own()?.command(program)?;
    command.args(["--format=custom", "--list"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    Running::start(&mut command, NAME)?.through(|child| {
        let (Some(mut into), Some(mut out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::failed("pg_restore has no input or output"));
        };
        std::thread::scope(|threads| {
            let list = threads.spawn(move || {
                let mut text = String::new();
                out.read_to_string(&mut text).map(|_| text)
            });
            let copied = std::io::copy(dump, &mut into);
            drop(into);
            let list = list.join().map_err(|_| Error::failed("the dump's list can't be read"))?;
            match copied {
                // It closes its end once it has the list.
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {}
                Err(e) => return Err(back(e, "the dump can't be read")),
                Ok(_) => {}
            }
            list.map_err(|e| Error::failed(format!("the dump's list can't be read: {e}")))
        })
    })
}

/// A restore that is ready to begin: the roles are there, and what is left out is known.
#[derive(Debug)]
pub(crate) struct Restore {
    command: Command,
    _connection: Connection,
    _chosen: tempfile::NamedTempFile,
}

impl Restore {
    /// Into an empty database, of what `list` (see [`contents`]) has of Steward's.
    pub(crate) fn into(config: &Config, program: &Path, list: &str) -> Result<Self> {
        let mut chosen = tempfile::NamedTempFile::new().map_err(|e| unusable(&std::env::temp_dir(), e))?;
        let kept: String = list.lines().filter(|line| is_ours(line)).flat_map(|line| [line, "\n"]).collect();
        chosen.write_all(kept.as_bytes()).and_then(|()| chosen.flush()).map_err(|e| unusable(chosen.path(), e))?;
        let connection = Connection::new(LibPq::new(config)?)?;
        let mut command = Identity::own()?.command(program)?;
        connection.tell(&mut command);
        command
            .args(["--format=custom", "--no-password", "--exit-on-error", "--single-transaction"])
            .arg("--use-list")
            .arg(chosen.path())
            .arg(format!("--dbname={}", connection.database()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        Ok(Self { command, _connection: connection, _chosen: chosen })
    }

    /// Puts all of it back or nothing; on a thread that may block. A dump that breaks off or does not open is never taken
    /// for a whole one: the program is killed before it sees an end, and its transaction goes with it.
    pub(crate) fn read(mut self, dump: &mut dyn Read, stop: &CancellationToken) -> Result<()> {
        Running::start(&mut self.command, NAME)?.through(|child| {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                if stop.is_cancelled() {
                    return Err(Error::failed("the restore was stopped; nothing of it stands"));
                }
                let n = dump.read(&mut piece).map_err(|e| back(e, "the dump can't be read"))?;
                if n == 0 {
                    return Ok(());
                }
                let Some(into) = child.stdin.as_mut() else { return Err(Error::failed("pg_restore has no input")) };
                into.write_all(&piece[..n]).map_err(|e| Error::failed(format!("pg_restore takes no more: {e}")))?;
            }
        })
    }
}

/// The program that puts a dump back.
pub(crate) async fn program(server_major: u32) -> Result<std::path::PathBuf> {
    programs::find(NAME, server_major).await
}

/// Whether an entry of the list is Steward's: an extension that the operator added (`pg_cron`, amcheck) is his to add
/// again, and may be missing where the dump is put back.
fn is_ours(line: &str) -> bool {
    let Some((_, entry)) = line.split_once("; ") else { return false };
    // Two numbers, then what it is (in capitals, perhaps several words), its schema, its name.
    let mut words =
        entry.split(' ').skip(2).skip_while(|word| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()));
    let what = entry.split(' ').nth(2).unwrap_or_default();
    let schema = words.next().unwrap_or_default();
    let name = words.next().unwrap_or_default();
    let outside = ["EXTENSION", "PUBLICATION", "SUBSCRIPTION", "EVENT"].contains(&what) || name == "EXTENSION";
    !outside && ["-", "public"].contains(&schema)
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn what_is_not_stewards_is_left_out() {
        for (line, ours) in [
            (";     TOC Entries: 398", false),
            ("2; 3079 16390 EXTENSION - pg_cron ", false),
            ("4321; 0 0 COMMENT - EXTENSION pg_cron ", false),
            ("3456; 0 16393 TABLE DATA cron job postgres", false),
            ("4000; 0 0 ACL - SCHEMA public pg_database_owner", true),
            ("4001; 0 0 ACL public TABLE tasks postgres", true),
            ("215; 1259 16455 TABLE public users postgres", true),
            ("3457; 0 16455 TABLE DATA public users postgres", true),
            ("3458; 0 16455 ROW SECURITY public users postgres", true),
            ("3300; 2606 16500 FK CONSTRAINT public tasks tasks_created_by_fkey postgres", true),
            ("3301; 0 0 TABLE ATTACH public system_logs_2026_01 postgres", true),
            ("3302; 3256 16600 POLICY public tasks user_can_view_own_tasks postgres", true),
            ("3303; 6104 16601 PUBLICATION - all_of_it postgres", false),
        ] {
            assert_eq!(is_ours(line), ours, "{line}");
        }
    }
}
