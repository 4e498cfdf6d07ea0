//! Setting archiving up: first what will be changed, word for word, then the changes, then the proof that it works.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::ExposeSecret;
use store::{
    Config,
    backup::postgres::{Server, server, set_archiving},
};
use tokio_util::sync::CancellationToken;

use super::{
    ASK_TIME, NAME, PgBackRest,
    configuration::{Options, new_pass_phrase, stanza_of, value_of},
    program,
};
use crate::{
    Error, Result,
    postgres::{
        child::{Identity, run},
        unusable,
    },
};

/// How long a setting may take until the server runs with it.
const RELOAD_TIME: Duration = Duration::from_secs(20);

/// What is going to be changed.
#[derive(Debug)]
pub struct Plan {
    config: Config,
    options: Options,
    server: Server,
    program: PathBuf,
    identity: Identity,
    command: String,
    has_file: bool,
    lines: Vec<String>,
}

/// How it stands after the changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The server archives from its next start on; this is how it is restarted.
    NeedsRestart(String),
    /// It archives, what it archives arrives, and a backup of this kind was made.
    Archives(&'static str),
}

impl Plan {
    /// Looks at the server and at this machine; changes nothing. The settings must name a superuser.
    pub async fn make(config: &Config, options: Options) -> Result<Self> {
        options.check()?;
        let program = program().await?;
        let server = server(config).await?;
        is_here(&server)?;
        if server.is_standby {
            return Err(Error::refused("this server is a standby; set archiving up on the primary"));
        }
        if server.wal_level == "minimal" {
            return Err(Error::refused(
                "the server's log holds too little for recovery (wal_level = minimal); set it to replica, restart the server, and run this again",
            ));
        }
        let command = options.archive_command(&program)?;
        if !server.archive_command.is_empty() && server.archive_command != command {
            return Err(Error::refused(format!(
                "the server archives already, by {:?}, and it can do so in one way only; keep that (steward doctor watches it), or end it with ALTER SYSTEM RESET archive_command and run this again; nothing was changed",
                server.archive_command
            )));
        }
        let identity = Identity::owner_of(&server.data_directory)?;
        // Whether this process may become that user shows now, before anything is changed.
        drop(identity.command(&program)?);
        let has_file = existing(&options, &server)?;
        let lines = lines(&options, &server, &command, has_file);
        Ok(Self { config: config.clone(), options, server, program, identity, command, has_file, lines })
    }

    /// What will be changed, line by line.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Makes the changes and looks whether they work. It may be run again at any time.
    pub async fn carry_out(&self, stop: &CancellationToken) -> Result<Standing> {
        self.make_folder(&self.options.repository)?;
        if !self.has_file {
            self.write_file()?;
        }
        let engine = PgBackRest {
            program: self.program.clone(),
            file: self.options.file.clone(),
            stanza: self.options.stanza.clone(),
            identity: self.identity,
        };
        run(engine.command(&["stanza-create"])?, "pgbackrest stanza-create", ASK_TIME, stop).await?;
        let as_wanted = self.server.archive_command == self.command
            && self.server.archive_mode != "off"
            && self.server.archive_timeout_s == self.options.archive_timeout_s;
        if !as_wanted {
            set_archiving(&self.config, &self.command, self.options.archive_timeout_s).await?;
        }
        let standing = self.reloaded().await?;
        if standing.archive_mode == "off" {
            return Ok(Standing::NeedsRestart(restart_command(&self.server)));
        }
        engine.check(stop).await?;
        Ok(Standing::Archives(engine.back_up(stop).await?))
    }

    /// The server as it stands once it has read its settings again.
    async fn reloaded(&self) -> Result<Server> {
        let wait = async {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            loop {
                tick.tick().await;
                let found = server(&self.config).await?;
                if found.archive_command == self.command && found.archive_timeout_s == self.options.archive_timeout_s {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(RELOAD_TIME, wait).await.map_err(|_| {
            Error::refused(
                "the server does not take the settings over: something else sets archive_command or archive_timeout (its command line, or a setting of the role or the database); the view pg_settings says which",
            )
        })?
    }

    fn make_folder(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        DirBuilder::new().mode(0o700).create(path).map_err(|e| unusable(path, e))?;
        self.identity.give(path)
    }

    fn write_file(&self) -> Result<()> {
        let path = &self.options.file;
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|e| unusable(folder, e))?;
        }
        let text = self.options.text(&self.server, &new_pass_phrase())?;
        // Nobody but its owner ever could read it, and no other file is written over.
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| unusable(path, e))?;
        let written = file.write_all(text.expose_secret().as_bytes()).and_then(|()| file.sync_all());
        if let Err(e) = written {
            // Half a file would be taken for a whole one the next time.
            drop(std::fs::remove_file(path));
            return Err(unusable(path, e));
        }
        self.identity.give(path)
    }
}

/// The server's data must lie on this machine, and it must be that server which runs on it.
fn is_here(server: &Server) -> Result<()> {
    let pid_file = server.data_directory.join("postmaster.pid");
    let elsewhere = |why: String| {
        Error::refused(format!(
            "archiving is set up on the database's own machine, as its user or as root: {} {why}; run this there",
            server.data_directory.display()
        ))
    };
    let text = match std::fs::read_to_string(&pid_file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(elsewhere("is not here".to_owned())),
        Err(e) => return Err(elsewhere(format!("can't be read here ({e})"))),
    };
    // Lines: process, data folder, start, port.
    let port = text.lines().nth(3).and_then(|line| line.trim().parse::<u16>().ok());
    if port == Some(server.port) { Ok(()) } else { Err(elsewhere("belongs to another server here".to_owned())) }
}

/// Whether the file of settings is there already; one that is about another server is refused.
fn existing(options: &Options, server: &Server) -> Result<bool> {
    let path = &options.file;
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(unusable(path, e)),
    };
    let about = value_of(&text, "pg1-path");
    let same = stanza_of(&text).as_deref() == Some(options.stanza.as_str())
        && about.as_deref().map(Path::new) == Some(server.data_directory.as_path())
        && value_of(&text, "repo1-path").as_deref().map(Path::new) == Some(options.repository.as_path());
    if same {
        return Ok(true);
    }
    Err(Error::refused(format!(
        "{} is there already and is about another server, stanza or repository (its pg1-path is {}); name another file, or move it away; nothing was changed",
        path.display(),
        about.as_deref().unwrap_or("missing")
    )))
}

fn lines(options: &Options, server: &Server, command: &str, has_file: bool) -> Vec<String> {
    let (file, repository) = (options.file.display(), options.repository.display());
    let mut lines = vec![if options.repository.is_dir() {
        format!("archive       {repository} is used as it is (stanza {}, encrypted with AES-256)", options.stanza)
    } else {
        format!("archive       {repository} is made, mode 0700 (stanza {}, encrypted with AES-256)", options.stanza)
    }];
    lines.push(if has_file {
        format!("settings      {file} stays as it is; the pass phrase is in it")
    } else {
        format!("settings      {file} is made, mode 0600, for the database's user; a new pass phrase lies in it and nowhere else")
    });
    if server.archive_mode == "off" {
        lines.push("server        ALTER SYSTEM SET archive_mode = 'on'   (from its next restart on)".to_owned());
    }
    if server.archive_command != command {
        lines.push(format!("server        ALTER SYSTEM SET archive_command = '{command}'"));
    }
    if server.archive_timeout_s != options.archive_timeout_s {
        lines.push(format!(
            "server        ALTER SYSTEM SET archive_timeout = '{}s'   (was {} s)",
            options.archive_timeout_s, server.archive_timeout_s
        ));
    }
    lines.push("server        SELECT pg_reload_conf()".to_owned());
    lines.push(format!(
        "proof         {NAME} check, then a first backup (one full a week, {} are kept with their log)",
        options.full_backups
    ));
    lines
}

/// How this server is restarted, as far as one can see from here.
fn restart_command(server: &Server) -> String {
    let data = server.data_directory.display().to_string();
    let name = data.strip_prefix(&format!("/var/lib/postgresql/{}/", server.major)).filter(|n| !n.contains('/'));
    match name {
        Some(name) => format!("systemctl restart postgresql@{}-{name}", server.major),
        None => format!("pg_ctl restart -D {data}"),
    }
}
