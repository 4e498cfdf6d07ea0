//! Settings: flags, then environment, then `steward.toml`, then defaults. Whatever is unknown or wrong stops the start
//! with its name; a URL is never shown, as it may hold a password.

mod backups;
mod file;
mod log_level;
mod models;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use jiff::SignedDuration;
use secrecy::SecretString;
use store::{Target, Vault, vault::Limits};

pub use self::{backups::Backups, log_level::LogLevel};
use crate::{Error, Result};

/// Settings given as flags; each goes before environment and file.
#[allow(clippy::doc_markdown, reason = "these comments are the help that people read")]
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// sqlite://PATH or postgres://… (one with a password goes into DATABASE_URL or steward.toml)
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Where Steward keeps its database, key and files [env: STEWARD_DATA_DIR]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// Address and port of the desk [env: STEWARD_LISTEN]
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// The key that seals secrets and files [env: STEWARD_MASTER_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub master_key_file: Option<String>,
    /// A file with the API token that is shown to --server [env: STEWARD_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<String>,
    /// The Steward that is asked; taken anywhere but where `--server` means something else.
    #[arg(skip)]
    pub server: Option<String>,
}

/// Everything that is set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the database is, and its pool.
    pub database: store::Config,
    /// Redis, where there is one.
    pub redis_url: Option<SecretString>,
    /// The folder that holds everything else; absolute.
    pub data_dir: PathBuf,
    /// Where the desk listens.
    pub listen: SocketAddr,
    /// Certificate and key, where the desk speaks TLS itself.
    pub tls: Option<web::TlsFiles>,
    /// Passwords that became known elsewhere; new ones are looked up in it.
    pub known_passwords_file: Option<PathBuf>,
    /// Names under which the desk is reached besides its address: those of a proxy before it.
    pub allowed_hosts: Vec<String>,
    /// The proxies that are believed from where a request comes.
    pub trusted_proxies: web::Proxies,
    /// The key's file; absolute.
    pub master_key_file: PathBuf,
    /// The file of settings; it need not exist.
    pub settings_file: PathBuf,
    /// The language models' file; it need not exist. Absolute.
    pub models_file: PathBuf,
    /// How long a claimed task is held without a sign of life.
    pub lease: SignedDuration,
    /// From which level on Steward's own events go to the database.
    pub log_level: LogLevel,
    /// Whole months of the log that are kept besides the present one, 0–1200; 0 keeps all.
    pub log_retention_months: u32,
    /// After how long whoever was asked something is reminded where no rule says; none never.
    pub remind_after: Option<SignedDuration>,
    /// How much attachments may hold.
    pub attachments: Limits,
    /// Backups.
    pub backups: Backups,
    /// A Steward elsewhere that commands ask, instead of the database here.
    pub server: Option<String>,
    /// The file with the API token that it is shown; absolute.
    pub token_file: Option<PathBuf>,
}

fn remind_after(hours: Option<u64>) -> Option<SignedDuration> {
    let hours = hours.map_or(4, |h| i64::try_from(h).unwrap_or(4));
    (hours > 0).then(|| SignedDuration::from_hours(hours))
}

/// A key: its name in the file and its names in the environment.
struct Key {
    name: &'static str,
    environment: &'static [&'static str],
}

const KEYS: [Key; 36] = [
    Key { name: "database_url", environment: &["DATABASE_URL"] },
    Key { name: "read_replica_url", environment: &["STEWARD_READ_REPLICA_URL"] },
    Key { name: "redis_url", environment: &["REDIS_URL"] },
    Key { name: "data_dir", environment: &["STEWARD_DATA_DIR"] },
    Key { name: "listen", environment: &["STEWARD_LISTEN"] },
    Key { name: "allowed_hosts", environment: &["STEWARD_ALLOWED_HOSTS"] },
    Key { name: "trusted_proxies", environment: &["STEWARD_TRUSTED_PROXIES"] },
    Key { name: "tls_certificate_file", environment: &["STEWARD_TLS_CERTIFICATE_FILE"] },
    Key { name: "tls_key_file", environment: &["STEWARD_TLS_KEY_FILE"] },
    Key { name: "known_passwords_file", environment: &["STEWARD_KNOWN_PASSWORDS_FILE"] },
    Key { name: "master_key_file", environment: &["STEWARD_MASTER_KEY_FILE"] },
    Key { name: "pool_size", environment: &["STEWARD_POOL_SIZE"] },
    Key { name: "idle_timeout_s", environment: &["STEWARD_POOL_IDLE_TIMEOUT_S", "STEWARD_IDLE_TIMEOUT_S"] },
    Key { name: "connect_timeout_s", environment: &["STEWARD_POOL_CONNECT_TIMEOUT_S", "STEWARD_CONNECT_TIMEOUT_S"] },
    Key { name: "lease_s", environment: &["STEWARD_LEASE_S"] },
    Key { name: "log_level", environment: &["STEWARD_LOG_LEVEL"] },
    Key { name: "models_file", environment: &["STEWARD_MODELS_FILE"] },
    Key { name: "log_retention_months", environment: &["STEWARD_LOG_RETENTION_MONTHS"] },
    Key { name: "remind_after_h", environment: &["STEWARD_REMIND_AFTER_H"] },
    Key { name: "attachment_max_mb", environment: &["STEWARD_ATTACHMENT_MAX_MB"] },
    Key { name: "attachments_total_mb", environment: &["STEWARD_ATTACHMENTS_TOTAL_MB"] },
    Key { name: "server", environment: &["STEWARD_SERVER"] },
    Key { name: "token_file", environment: &["STEWARD_TOKEN_FILE"] },
    Key { name: "backup_target", environment: &["STEWARD_BACKUP_TARGET"] },
    Key { name: "backup_database_url", environment: &["STEWARD_BACKUP_DATABASE_URL"] },
    Key { name: "backup_recipients", environment: &["STEWARD_BACKUP_RECIPIENTS"] },
    Key { name: "backup_keep_daily", environment: &["STEWARD_BACKUP_KEEP_DAILY"] },
    Key { name: "backup_keep_weekly", environment: &["STEWARD_BACKUP_KEEP_WEEKLY"] },
    Key { name: "backup_keep_monthly", environment: &["STEWARD_BACKUP_KEEP_MONTHLY"] },
    Key { name: "backup_ship_log", environment: &["STEWARD_BACKUP_SHIP_LOG"] },
    Key { name: "backup_spool_mb", environment: &["STEWARD_BACKUP_SPOOL_MB"] },
    Key { name: "backup_ssh_config", environment: &["STEWARD_BACKUP_SSH_CONFIG"] },
    Key { name: "backup_s3_endpoint", environment: &["STEWARD_BACKUP_S3_ENDPOINT"] },
    Key { name: "backup_s3_region", environment: &["STEWARD_BACKUP_S3_REGION"] },
    Key { name: "backup_s3_access_key_id", environment: &["STEWARD_BACKUP_S3_ACCESS_KEY_ID"] },
    Key { name: "backup_s3_secret_access_key", environment: &["STEWARD_BACKUP_S3_SECRET_ACCESS_KEY"] },
];
/// Names in the environment that are no settings but known: who acts, how much is logged, the mark of a server's process
/// (a server may call Steward), and where a move goes.
const OTHER_NAMES: [&str; 4] = ["STEWARD_AS", "STEWARD_LOG", "STEWARD_SERVER_ID", "STEWARD_MOVE_TO"];
/// Names for tests of the program itself.
const TEST_PREFIX: &str = "STEWARD_TEST_";

/// A value as it was written, and where.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    origin: String,
}

impl Config {
    /// Reads all settings. Nothing is made or changed.
    pub fn load(flags: &Flags, file: Option<&Path>) -> Result<Self> {
        let config = Sources { flags, env: std::env::vars_os().collect(), home: std::env::home_dir() }.load(file)?;
        // Whatever of this process starts servers and watchers: none gets at what Steward itself keeps.
        let mut own = vec![config.data_dir.clone(), config.master_key_file.clone()];
        own.extend(config.sqlite_file().map(Path::to_owned));
        own.extend(config.tls.as_ref().map(|tls| tls.key.clone()));
        if !config.backups.target.contains("://") {
            own.push(config.backups.target.clone().into());
        }
        domain::own_places::keep_off(own);
        Ok(config)
    }

    /// Makes the data folder where it is missing, for its owner alone, and proves that it can be written. Blocking.
    pub fn ensure_data_dir(&self) -> Result<()> {
        let fail = |e: std::io::Error| Error::DataDir { path: self.data_dir.clone(), reason: e.to_string() };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.data_dir).map_err(fail)?;
        let probe = self.data_dir.join(format!(".writable-{}", std::process::id()));
        let written = std::fs::write(&probe, [0_u8; 4096]);
        let removed = std::fs::remove_file(&probe);
        written.and(removed).map_err(fail)
    }

    /// How to reach the database, for whoever opens it.
    #[allow(clippy::unnecessary_wraps, reason = "opening may have to look something up one day, and callers are ready")]
    pub fn store_config(&self) -> Result<store::Config> {
        Ok(self.database.clone())
    }

    /// Where the owner's playbooks lie.
    pub fn playbooks_dir(&self) -> PathBuf {
        self.data_dir.join("playbooks")
    }

    /// The language models that are set up, with their keys. Blocking.
    pub fn brains(&self) -> Result<Option<workers::brains::Brains>> {
        models::read(&self.models_file, std::env::home_dir().as_deref())
    }

    /// Where encrypted files are kept.
    pub fn attachments_dir(&self) -> PathBuf {
        self.data_dir.join("attachments")
    }

    /// How the log is kept.
    pub fn log_keeping(&self) -> workers::log_keeping::Keeping {
        workers::log_keeping::Keeping {
            archive_dir: self.data_dir.join("log-archive"),
            retention_months: self.log_retention_months,
        }
    }

    /// Where log lines that must not be lost wait while the database does not answer.
    pub fn log_spill(&self) -> PathBuf {
        self.data_dir.join("log-waiting.jsonl")
    }

    /// Opens the vault; its key is made when missing. Blocking.
    pub fn vault(&self) -> Result<Vault> {
        self.ensure_data_dir()?;
        Ok(Vault::open(&self.master_key_file, &self.attachments_dir())?.with_limits(self.attachments))
    }

    /// The database's file, where it is one.
    pub fn sqlite_file(&self) -> Option<&Path> {
        match &self.database.target {
            Target::Sqlite(path) => Some(path),
            Target::Postgres(_) => None,
        }
    }
}

/// Where settings come from.
struct Sources<'a> {
    flags: &'a Flags,
    env: Vec<(OsString, OsString)>,
    home: Option<PathBuf>,
}

impl Sources<'_> {
    fn load(&self, file: Option<&Path>) -> Result<Config> {
        self.refuse_unknown_names()?;
        // The file may lie in the data folder, so that folder is looked up without it first.
        let data_dir = self.outer("data_dir")?.map_or_else(default_data_dir, |written| self.path(&written))?;
        let usual = data_dir.join("steward.toml");
        let found = match file {
            Some(file) => file::read(file)?,
            None if usual.is_file() => file::read(&usual)?,
            None => file::Settings::default(),
        };
        let get = |key: &str| -> Result<Option<Written>> { Ok(self.outer(key)?.or_else(|| found.get(key))) };
        let data_dir = get("data_dir")?.map_or(Ok(data_dir), |written| self.path(&written))?;
        let mut database = self.database(get("database_url")?, &data_dir)?;
        if let Some(size) = number(get("pool_size")?, "pool_size", 1..=500)? {
            database.pool_size = usize::try_from(size).unwrap_or(database.pool_size);
        }
        if let Some(seconds) = number(get("idle_timeout_s")?, "idle_timeout_s", 1..=86_400)? {
            database.idle_timeout = Duration::from_secs(seconds);
        }
        if let Some(seconds) = number(get("connect_timeout_s")?, "connect_timeout_s", 1..=600)? {
            database.connect_timeout = Duration::from_secs(seconds);
        }
        if let Some(written) = get("read_replica_url")? {
            database = database
                .with_read_replica(&written.text)
                .map_err(|e| wrong("read_replica_url", &written.origin, &format!("is wrong: {e}")))?;
        }
        let redis_url = redis(get("redis_url")?)?;
        database.redis_url.clone_from(&redis_url);
        let listen = get("listen")?.unwrap_or(Written { text: "127.0.0.1:8000".to_owned(), origin: String::new() });
        let listen = SocketAddr::from_str(&listen.text).map_err(|_| {
            wrong(
                "listen",
                &listen.origin,
                &format!("must be an address with a port such as 127.0.0.1:8000, not {}", shown(&listen.text)),
            )
        })?;
        let backups = backups::read(&get, &data_dir, &database, |written| self.path(written))?;
        Ok(Config {
            settings_file: file.map_or(usual, Path::to_owned),
            database,
            redis_url,
            listen,
            tls: self.tls(get("tls_certificate_file")?, get("tls_key_file")?)?,
            known_passwords_file: get("known_passwords_file")?.map(|w| self.path(&w)).transpose()?,
            allowed_hosts: hosts(get("allowed_hosts")?)?,
            trusted_proxies: proxies(get("trusted_proxies")?)?,
            master_key_file: get("master_key_file")?
                .map_or_else(|| Ok(data_dir.join("master.key")), |w| self.path(&w))?,
            models_file: get("models_file")?.map_or_else(|| Ok(data_dir.join("models.toml")), |w| self.path(&w))?,
            lease: SignedDuration::from_secs(
                number(get("lease_s")?, "lease_s", 1..=3600)?.map_or(30, |s| i64::try_from(s).unwrap_or(30)),
            ),
            log_level: log_level(get("log_level")?)?,
            log_retention_months: number(get("log_retention_months")?, "log_retention_months", 0..=1200)?
                .map_or(13, |n| u32::try_from(n).unwrap_or(13)),
            remind_after: remind_after(number(get("remind_after_h")?, "remind_after_h", 0..=168)?),
            attachments: attachments(get("attachment_max_mb")?, get("attachments_total_mb")?)?,
            server: get("server")?.map(|written| written.text),
            token_file: get("token_file")?.map(|w| self.path(&w)).transpose()?,
            backups,
            data_dir,
        })
    }

    /// A value from flags or environment; an empty one counts as not set.
    fn outer(&self, key: &str) -> Result<Option<Written>> {
        let flag = match key {
            "database_url" => &self.flags.database_url,
            "data_dir" => &self.flags.data_dir,
            "listen" => &self.flags.listen,
            "master_key_file" => &self.flags.master_key_file,
            "token_file" => &self.flags.token_file,
            "server" => &self.flags.server,
            _ => &None,
        };
        if let Some(text) = flag {
            let origin = format!("the flag --{}", key.replace('_', "-"));
            if key == "database_url" && has_password(text) {
                return Err(wrong(
                    key,
                    &origin,
                    "holds a password, which everybody on this machine can read in the list of processes; put it into DATABASE_URL or steward.toml",
                ));
            }
            return Ok(Some(Written { text: text.clone(), origin }));
        }
        let names = KEYS.iter().find(|k| k.name == key).map_or(&[][..], |k| k.environment);
        for name in names {
            let Some((_, value)) = self.env.iter().find(|(n, v)| n == name && !v.is_empty()) else { continue };
            let origin = format!("the environment variable {name}");
            let text = value.to_str().ok_or_else(|| wrong(key, &origin, "is not UTF-8 text"))?;
            return Ok(Some(Written { text: text.to_owned(), origin }));
        }
        Ok(None)
    }

    fn refuse_unknown_names(&self) -> Result<()> {
        let is_known = |name: &str| {
            OTHER_NAMES.contains(&name)
                || name.starts_with(TEST_PREFIX)
                || KEYS.iter().any(|k| k.environment.contains(&name))
        };
        let names = self.env.iter().map(|(name, _)| name.to_string_lossy());
        let mut unknown: Vec<_> = names.filter(|n| n.starts_with("STEWARD_") && !is_known(n)).collect();
        unknown.sort();
        match unknown.first() {
            None => Ok(()),
            Some(name) => Err(Error::Config(format!(
                "the environment variable {name} is no setting of Steward; remove it, or use one of {}",
                KEYS.iter().flat_map(|k| k.environment).copied().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// Both files, or none of them.
    fn tls(&self, certificate: Option<Written>, key: Option<Written>) -> Result<Option<web::TlsFiles>> {
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                Ok(Some(web::TlsFiles { certificate: self.path(&certificate)?, key: self.path(&key)? }))
            }
            (Some(one), None) => Err(wrong("tls_certificate_file", &one.origin, "needs tls_key_file beside it")),
            (None, Some(one)) => Err(wrong("tls_key_file", &one.origin, "needs tls_certificate_file beside it")),
        }
    }

    fn path(&self, written: &Written) -> Result<PathBuf> {
        let fail = |why: String| Error::Config(format!("{} names a path that can't be used: {why}", written.origin));
        if written.text.is_empty() {
            return Err(fail("it is empty".to_owned()));
        }
        let path = expand_home(&written.text, self.home.as_deref())
            .ok_or_else(|| fail("it begins with ~, but there is no home folder".to_owned()))?;
        std::path::absolute(&path).map_err(|e| fail(e.to_string()))
    }

    fn database(&self, written: Option<Written>, data_dir: &Path) -> Result<store::Config> {
        let Some(written) = written else {
            return Ok(store::Config {
                target: Target::Sqlite(data_dir.join("steward.db")),
                ..store::Config::from_url("sqlite://steward.db")?
            });
        };
        let mut config = store::Config::from_url(&written.text)
            .map_err(|e| wrong("database_url", &written.origin, &format!("is wrong: {e}")))?;
        if let Target::Sqlite(path) = &config.target {
            let text = path.to_string_lossy().into_owned();
            if text == ":memory:" || text.contains('?') {
                return Err(wrong(
                    "database_url",
                    &written.origin,
                    "must name a file: sqlite://PATH, without options behind it",
                ));
            }
            config.target = Target::Sqlite(self.path(&Written { text, origin: written.origin })?);
        }
        Ok(config)
    }
}

/// The platform's folder for data.
fn default_data_dir() -> Result<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "steward");
    dirs.map(|d| d.data_dir().to_owned()).ok_or_else(|| {
        Error::Config("there is no home folder to keep data in; say where with data_dir (STEWARD_DATA_DIR)".to_owned())
    })
}

/// `~` and `~/…` as the home folder; `None` where there is no home.
pub fn expand_home(text: &str, home: Option<&Path>) -> Option<PathBuf> {
    match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Some(home?.join(rest.trim_start_matches('/'))),
        _ => Some(PathBuf::from(text)),
    }
}

fn wrong(key: &str, origin: &str, what: &str) -> Error {
    let place = if origin.is_empty() { String::new() } else { format!(" ({origin})") };
    Error::Config(format!("the setting {key}{place} {what}"))
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// Whether a URL holds a password.
pub fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
    authority.rsplit_once('@').is_some_and(|(who, _)| who.contains(':')) || url.contains("password=")
}

/// How much one file and all of them may hold; a megabyte is 1,000,000 bytes.
fn attachments(one: Option<Written>, all: Option<Written>) -> Result<Limits> {
    let usual = Limits::default();
    let megabytes = |n: Option<u64>, usual: u64| n.map_or(usual, |n| n * 1_000_000);
    Ok(Limits {
        file_bytes: megabytes(number(one, "attachment_max_mb", 1..=1_000_000)?, usual.file_bytes),
        total_bytes: megabytes(number(all, "attachments_total_mb", 1..=100_000_000)?, usual.total_bytes),
    })
}

fn redis(written: Option<Written>) -> Result<Option<SecretString>> {
    let Some(Written { text, origin }) = written else { return Ok(None) };
    if text.starts_with("redis://") || text.starts_with("rediss://") {
        return Ok(Some(SecretString::from(text)));
    }
    Err(wrong(
        "redis_url",
        &origin,
        "must begin with redis:// or rediss:// (its value is not shown, as it may hold a password)",
    ))
}

/// Host names, separated by commas or blanks.
fn hosts(written: Option<Written>) -> Result<Vec<String>> {
    let Some(Written { text, origin }) = written else { return Ok(Vec::new()) };
    let names: Vec<String> =
        text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect();
    match names.iter().find(|name| name.contains(['/', '@', '*']) || name.len() > 253) {
        Some(name) => Err(wrong(
            "allowed_hosts",
            &origin,
            &format!("must be names such as desk.example.org, separated by commas, not {}", shown(name)),
        )),
        None => Ok(names),
    }
}

/// Addresses and networks of proxies.
fn proxies(written: Option<Written>) -> Result<web::Proxies> {
    let Some(Written { text, origin }) = written else { return Ok(web::Proxies::default()) };
    web::Proxies::parse(&text).map_err(|part| {
        wrong(
            "trusted_proxies",
            &origin,
            &format!("must be addresses or networks such as 127.0.0.1, 10.0.0.0/8, or forwarded, not {}", shown(&part)),
        )
    })
}

fn log_level(written: Option<Written>) -> Result<LogLevel> {
    let Some(Written { text, origin }) = written else { return Ok(LogLevel::Info) };
    text.parse().map_err(|()| {
        let known = LogLevel::ALL.map(LogLevel::name).join(", ");
        wrong("log_level", &origin, &format!("must be one of {known}, not {}", shown(&text)))
    })
}

fn number(written: Option<Written>, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>> {
    let Some(Written { text, origin }) = written else { return Ok(None) };
    let found = text.trim().parse::<u64>().ok().filter(|n| range.contains(n));
    found.map(Some).ok_or_else(|| {
        wrong(
            key,
            &origin,
            &format!("must be a whole number from {} to {}, not {}", range.start(), range.end(), shown(&text)),
        )
    })
}
