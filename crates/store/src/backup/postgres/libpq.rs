//! How PostgreSQL's own programs are told what Steward connects to: environment and a file for the password, never the
//! command line, which everybody on the machine can read.

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::{Config, Error, Result, Target};

/// A connection in the words of libpq.
#[derive(Debug, Clone)]
pub struct LibPq {
    /// Variables for the program's environment; none of them is a secret.
    pub variables: Vec<(&'static str, String)>,
    /// The password, where there is one: a line for a password file of mode 0600.
    pub password_line: Option<SecretString>,
    /// The database's name.
    pub database: String,
}

impl LibPq {
    /// From the store's settings.
    pub fn new(config: &Config) -> Result<Self> {
        let Target::Postgres(target) = &config.target else {
            return Err(Error::Config("this is not a PostgreSQL URL".to_owned()));
        };
        let hosts: Vec<String> = target
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let ports: Vec<String> = target.get_ports().iter().map(u16::to_string).collect();
        let user = target.get_user().unwrap_or("postgres").to_owned();
        let database = target.get_dbname().unwrap_or(&user).to_owned();
        let mut variables = vec![
            ("PGHOST", hosts.join(",")),
            ("PGUSER", user),
            ("PGDATABASE", database.clone()),
            ("PGAPPNAME", "steward backup".to_owned()),
            ("PGCONNECT_TIMEOUT", config.connect_timeout.as_secs().max(2).to_string()),
        ];
        if !ports.is_empty() {
            variables.push(("PGPORT", ports.join(",")));
        }
        if hosts.len() > 1 || target.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
            variables.push(("PGTARGETSESSIONATTRS", "read-write".to_owned()));
        }
        match target.get_ssl_mode() {
            SslMode::Disable => variables.push(("PGSSLMODE", "disable".to_owned())),
            // Steward itself checks the server's certificate wherever it asks for TLS.
            SslMode::Require => {
                variables.push(("PGSSLMODE", "verify-full".to_owned()));
                if std::env::var_os("PGSSLROOTCERT").is_none() {
                    variables.push(("PGSSLROOTCERT", "/etc/ssl/certs/ca-certificates.crt".to_owned()));
                }
            }
            _ => {}
        }
        let password_line = target.get_password().map(|password| {
            let password = String::from_utf8_lossy(password);
            SecretString::from(format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:")))
        });
        if password_line.as_ref().is_some_and(|line| line.expose_secret().trim_end().contains('\n')) {
            return Err(Error::Config(
                "the database's password holds a line break, which a password file can't".to_owned(),
            ));
        }
        Ok(Self { variables, password_line, database })
    }

    /// The same for another database of the server.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        name.clone_into(&mut self.database);
        for (variable, value) in &mut self.variables {
            if *variable == "PGDATABASE" {
                name.clone_into(value);
            }
        }
        self
    }
}

impl Config {
    /// The same settings for another database of the server; a file stays as it is.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut this = self.clone();
        if let Target::Postgres(target) = &mut this.target {
            target.dbname(name);
        }
        this
    }

    /// The same, where every transaction is a reading one unless it says otherwise (PostgreSQL).
    #[must_use]
    pub fn read_only(&self) -> Self {
        let mut this = self.clone();
        if let Target::Postgres(target) = &mut this.target {
            let given = target.get_options().map(|o| format!("{o} ")).unwrap_or_default();
            target.options(format!("{given}-c default_transaction_read_only=on"));
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::LibPq;
    use crate::Config;

    #[test]
    fn the_password_is_in_no_variable() {
        let config = Config::from_url("postgres://ada:pa%3Ass%5Cword@h1:5433,h2:5434/db?sslmode=require").unwrap();
        let said = LibPq::new(&config).unwrap();
        assert_eq!(said.password_line.unwrap().expose_secret(), "*:*:*:*:pa\\:ss\\\\word\n");
        let get = |name| said.variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        assert_eq!(get("PGHOST"), Some("h1,h2"));
        assert_eq!(get("PGPORT"), Some("5433,5434"));
        assert_eq!(get("PGTARGETSESSIONATTRS"), Some("read-write"));
        assert_eq!(get("PGSSLMODE"), Some("verify-full"));
        assert!(said.variables.iter().all(|(_, value)| !value.contains("word")));
    }
}
