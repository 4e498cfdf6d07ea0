//! `pg_dump` of one held moment, streamed: no plain copy touches the disk.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use store::{
    Config,
    backup::postgres::{Held, LibPq},
};
use tokio_util::sync::CancellationToken;

use super::{
    child::{Identity, Running},
    connect::Connection,
    programs,
};
use crate::{Error, Result, error::back};

const NAME: &str = "pg_dump";
/// What is copied at once.
const PIECE_BYTES: usize = 256 * 1024;

/// A dump that is ready to be taken.
#[derive(Debug)]
pub(crate) struct Dump {
    command: Command,
    /// Its password file lasts as long as the program.
    _connection: Connection,
}

impl Dump {
    /// Of the held moment, in PostgreSQL's custom format, not compressed: who keeps it does that better.
    pub(crate) async fn of(config: &Config, held: &Held) -> Result<Self> {
        let program = programs::find(NAME, held.facts.server_major).await?;
        let connection = Connection::new(LibPq::new(config)?)?;
        let mut command = Identity::own()?.command(&program)?;
        connection.tell(&mut command);
        command
            .args(["--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=60000"])
            .arg(format!("--snapshot={}", held.snapshot))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(Self { command, _connection: connection })
    }

    /// Writes it; on a thread that may block. Ends early when asked to stop.
    pub(crate) fn write(mut self, out: &mut dyn Write, stop: &CancellationToken) -> Result<u64> {
        Running::start(&mut self.command, NAME)?.through(|child| {
            let Some(mut dumped) = child.stdout.take() else { return Err(Error::failed("pg_dump has no output")) };
            let (mut piece, mut bytes) = (vec![0; PIECE_BYTES], 0_u64);
            loop {
                if stop.is_cancelled() {
                    return Err(Error::failed("the dump was stopped"));
                }
                let n = dumped.read(&mut piece).map_err(|e| Error::failed(format!("the dump can't be read: {e}")))?;
                if n == 0 {
                    return Ok(bytes);
                }
                out.write_all(&piece[..n]).map_err(|e| back(e, "the dump can't be written"))?;
                bytes += n as u64;
            }
        })
    }
}
