//! pgBackRest's file of settings, as Steward writes it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use store::backup::postgres::Server;

use crate::{Error, Result};

/// Where the file of settings stands unless it is said otherwise: in the home of the database's user, who may write there
/// and nobody else reads; not pgBackRest's own file, which an operator may use for more, and not beside the archive, whose
/// key it holds.
pub const DEFAULT_FILE: &str = "/var/lib/postgresql/steward-archive.conf";
/// Where Debian's package makes room for a repository.
const DEFAULT_REPOSITORY: &str = "/var/lib/pgbackrest";
/// A minute is promised: half of it is the server's, to fill or close a segment, half is for the way to the repository.
const ARCHIVE_TIMEOUT_S: u32 = 30;
/// Processes at most that copy and pack the server's files: half of the machine's is the server's own.
const MOST_PROCESSES: usize = 8;
/// Bytes of the pass phrase.
const PASS_PHRASE_BYTES: usize = 48;

/// How archiving is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// pgBackRest's file of settings, which is made; mode 0600, the database user's.
    pub file: PathBuf,
    /// Where the archive is kept.
    pub repository: PathBuf,
    /// pgBackRest's name for this server.
    pub stanza: String,
    /// After how many seconds the server closes a segment that is not full, 1 to 60.
    pub archive_timeout_s: u32,
    /// Full backups that are kept, with the log from the oldest of them on; one a week is made.
    pub full_backups: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file: PathBuf::from(DEFAULT_FILE),
            repository: PathBuf::from(DEFAULT_REPOSITORY),
            stanza: "steward".to_owned(),
            archive_timeout_s: ARCHIVE_TIMEOUT_S,
            full_backups: 5,
        }
    }
}

impl Options {
    /// Refuses what a server's command or pgBackRest would read as something else.
    pub(super) fn check(&self) -> Result<()> {
        plain(&self.file)?;
        plain(&self.repository)?;
        let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.stanza.is_empty() || self.stanza.len() > 64 || !self.stanza.chars().all(name) {
            return Err(Error::refused(format!(
                "the name {:?} of the stanza may have letters, digits, - and _ only",
                self.stanza
            )));
        }
        if !(1..=60).contains(&self.archive_timeout_s) {
            return Err(Error::refused(format!(
                "the archive's time limit is {} s; it must be 1 to 60, or more than a minute of work could be lost",
                self.archive_timeout_s
            )));
        }
        if !(1..=1000).contains(&self.full_backups) {
            return Err(Error::refused("1 to 1000 full backups can be kept"));
        }
        Ok(())
    }

    /// The text of the file.
    pub(super) fn text(&self, server: &Server, pass_phrase: &SecretString) -> Result<SecretString> {
        let socket = server.socket_directory.as_deref().ok_or_else(|| {
            Error::refused(
                "the server has no socket (unix_socket_directories is empty), and pgBackRest needs one; give it one",
            )
        })?;
        for path in [socket, &server.data_directory] {
            plain(path)?;
        }
        let database = if server.databases.iter().any(|d| d == "postgres") {
            "postgres"
        } else {
            server.databases.first().map_or("postgres", String::as_str)
        };
        Ok(SecretString::from(format!(
            "# Made by steward backup setup. The pass phrase below opens the archive: keep a copy of this file away from this\n\
             # machine, or the archive is lost with it.\n\
             [global]\n\
             repo1-path={repository}\n\
             repo1-cipher-type=aes-256-cbc\n\
             repo1-cipher-pass={pass_phrase}\n\
             repo1-retention-full={full}\n\
             lock-path={repository}/lock\n\
             spool-path={repository}/spool\n\
             compress-type=zst\n\
             start-fast=y\n\
             process-max={processes}\n\
             archive-timeout=60\n\
             log-level-console=warn\n\
             log-level-file=off\n\
             \n\
             [{stanza}]\n\
             pg1-path={data}\n\
             pg1-port={port}\n\
             pg1-socket-path={socket}\n\
             pg1-user={user}\n\
             pg1-database={database}\n",
            repository = self.repository.display(),
            pass_phrase = pass_phrase.expose_secret(),
            full = self.full_backups,
            processes = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2).min(MOST_PROCESSES)),
            stanza = self.stanza,
            data = server.data_directory.display(),
            port = server.port,
            socket = socket.display(),
            user = server.role,
        )))
    }

    /// The command by which the server hands over a segment of its log.
    pub(super) fn archive_command(&self, program: &Path) -> Result<String> {
        plain(program)?;
        Ok(format!(
            "{} --config={} --stanza={} archive-push \"%p\"",
            program.display(),
            self.file.display(),
            self.stanza
        ))
    }
}

/// A pass phrase that nobody has thought of.
pub(super) fn new_pass_phrase() -> SecretString {
    let mut bytes = [0; PASS_PHRASE_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    SecretString::from(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// The stanza that a file of settings is about.
pub(super) fn stanza_of(text: &str) -> Option<String> {
    let sections = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    sections.filter(|name| !name.starts_with("global")).map(str::to_owned).next()
}

/// The value of a key in a file of settings.
pub(super) fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

/// A path that means the same to a shell, to the server and to pgBackRest.
fn plain(path: &Path) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.is_absolute() && path.to_str().is_some_and(|p| p.chars().all(good)) {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the path {} must be absolute and have letters, digits and / . _ - only, because the server's archive command goes through a shell",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use secrecy::ExposeSecret;
    use store::backup::postgres::Server;

    use super::{Options, new_pass_phrase, stanza_of, value_of};

    fn server() -> Server {
        Server {
            role: "postgres".to_owned(),
            is_superuser: true,
            data_directory: PathBuf::from("/var/lib/postgresql/15/main"),
            port: 5432,
            socket_directory: Some(PathBuf::from("/var/run/postgresql")),
            archive_mode: "off".to_owned(),
            archive_command: String::new(),
            archive_timeout_s: 0,
            wal_level: "replica".to_owned(),
            major: 15,
            is_standby: false,
            databases: vec!["postgres".to_owned(), "steward".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let options = Options::default();
        options.check().unwrap();
        let phrase = new_pass_phrase();
        let text = options.text(&server(), &phrase).unwrap();
        assert_eq!(stanza_of(text.expose_secret()).as_deref(), Some("steward"));
        assert_eq!(value_of(text.expose_secret(), "pg1-path").as_deref(), Some("/var/lib/postgresql/15/main"));
        assert_eq!(value_of(text.expose_secret(), "repo1-cipher-pass").as_deref(), Some(phrase.expose_secret()));
        assert_ne!(new_pass_phrase().expose_secret(), phrase.expose_secret());
    }

    #[test]
    fn nothing_reaches_the_servers_shell_but_plain_paths() {
        for path in ["/a b/c", "/a;reboot", "/a/$(x)", "/a/%p", "relative", "/a/\"b", "/a/b\nc"] {
            let options = Options { file: PathBuf::from(path), ..Options::default() };
            assert!(options.check().is_err(), "{path}");
            let options = Options { repository: PathBuf::from(path), ..Options::default() };
            assert!(options.check().is_err(), "{path}");
            assert!(Options::default().archive_command(Path::new(path)).is_err(), "{path}");
        }
        assert!(Options { stanza: "a b".to_owned(), ..Options::default() }.check().is_err());
        assert!(Options { archive_timeout_s: 61, ..Options::default() }.check().is_err());
        let command = Options::default().archive_command(Path::new("/usr/bin/pgbackrest")).unwrap();
        assert_eq!(
            command,
            "/usr/bin/pgbackrest --config=/var/lib/postgresql/steward-archive.conf --stanza=steward archive-push \"%p\""
        );
    }
}
