//! Telling PostgreSQL's programs what to connect to, with the password in a file that ends with this value.

use std::{io::Write, os::unix::fs::PermissionsExt, process::Command};

use secrecy::ExposeSecret;
use store::backup::postgres::LibPq;

use super::unusable;
use crate::Result;

/// What a program needs to connect.
#[derive(Debug)]
pub(crate) struct Connection {
    libpq: LibPq,
    password: Option<tempfile::NamedTempFile>,
}

impl Connection {
    pub(crate) fn new(libpq: LibPq) -> Result<Self> {
        let password = match &libpq.password_line {
            None => None,
            Some(line) => {
                let unwritable = |e: std::io::Error| unusable(&std::env::temp_dir(), e);
                // Made with mode 0600; libpq passes over a file that others may read.
                let mut file = tempfile::Builder::new()
                    .prefix("steward-pass-")
                    .permissions(std::fs::Permissions::from_mode(0o600))
                    .tempfile()
                    .map_err(unwritable)?;
                file.write_all(line.expose_secret().as_bytes()).and_then(|()| file.flush()).map_err(unwritable)?;
                Some(file)
            }
        };
        Ok(Self { libpq, password })
    }

    /// Adds what is connected to to a program's environment; nothing of the caller's own stays.
    pub(crate) fn tell(&self, command: &mut Command) {
        for name in
            ["PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGHOSTADDR", "PGPORT", "PGSSLMODE"]
        {
            command.env_remove(name);
        }
        command.envs(self.libpq.variables.iter().map(|(name, value)| (name, value)));
        if let Some(file) = &self.password {
            command.env("PGPASSFILE", file.path());
        }
    }

    pub(crate) fn database(&self) -> &str {
        &self.libpq.database
    }
}
