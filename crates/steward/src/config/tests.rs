//! Which source wins, and what each mistake says.

use std::{ffi::OsString, path::PathBuf};

use super::{Config, Flags, Sources, expand_home, file, has_password};
use crate::Result;

fn load(env: &[(&str, &str)], flags: &Flags) -> Result<Config> {
    let env = env.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))).collect();
    Sources { flags, env, home: Some(PathBuf::from("/home/ada")) }.load(None)
}

fn said<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().line()
}

#[test]
fn defaults_follow_the_data_folder() {
    let config = load(&[("STEWARD_DATA_DIR", "~/desk")], &Flags::default()).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/home/ada/desk"));
    assert_eq!(config.sqlite_file().unwrap(), PathBuf::from("/home/ada/desk/steward.db"));
    assert_eq!(config.master_key_file, PathBuf::from("/home/ada/desk/master.key"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(
        (config.database.pool_size, config.database.idle_timeout.as_secs(), config.database.connect_timeout.as_secs()),
        (20, 300, 30)
    );
    assert_eq!(config.lease.as_secs(), 30);
}

#[test]
fn flags_go_before_environment_before_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    std::fs::write(
        dir.path().join("steward.toml"),
        "listen = \"127.0.0.1:1\"\npool_size = 7\nlease_s = \"9\"\ndatabase_url = \"sqlite://~/x.db\"\n",
    )
    .unwrap();
    let env = [
        ("STEWARD_DATA_DIR", path),
        ("STEWARD_POOL_SIZE", "8"),
        ("STEWARD_POOL_CONNECT_TIMEOUT_S", "2"),
        ("STEWARD_LISTEN", "127.0.0.1:2"),
    ];
    let flags = Flags { listen: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
    let config = load(&env, &flags).unwrap();
    assert_eq!((config.listen.port(), config.database.pool_size, config.lease.as_secs()), (3, 8, 9));
    assert_eq!(config.database.connect_timeout.as_secs(), 2);
    assert_eq!(config.sqlite_file().unwrap(), PathBuf::from("/home/ada/x.db"));
}

#[test]
fn every_mistake_is_named() {
    let none = Flags::default();
    let with = |name: &str, value: &str| said(load(&[("STEWARD_DATA_DIR", "/d"), (name, value)], &none));
    assert!(with("STEWARD_POOLSIZE", "1").contains("STEWARD_POOLSIZE is no setting"));
    assert!(with("STEWARD_POOL_SIZE", "many").contains(
        "pool_size (the environment variable STEWARD_POOL_SIZE) must be a whole number from 1 to 500, not \"many\""
    ));
    assert!(with("STEWARD_LISTEN", "localhost").contains("listen"));
    for url in ["mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d", "sqlite://:memory:", "sqlite://x.db?mode=rw"] {
        let line = with("DATABASE_URL", url);
        assert!(line.contains("database_url") && !line.contains("s3cret"), "{line}");
    }
    assert!(with("STEWARD_ALLOWED_HOSTS", "https://desk.example.org").contains("allowed_hosts"));
    assert_eq!(
        load(&[("STEWARD_DATA_DIR", "/d"), ("STEWARD_ALLOWED_HOSTS", "Desk.example.org, b")], &none)
            .unwrap()
            .allowed_hosts,
        ["desk.example.org", "b"]
    );
    assert!(with("STEWARD_TRUSTED_PROXIES", "127.0.0.1, proxy.example.org").contains("proxy.example.org"));
    let proxies = load(&[("STEWARD_DATA_DIR", "/d"), ("STEWARD_TRUSTED_PROXIES", "127.0.0.1 ::1")], &none);
    assert_eq!(proxies.unwrap().trusted_proxies, web::Proxies::parse("127.0.0.1,::1").unwrap());
    assert!(!with("REDIS_URL", "http://u:s3cret@h").contains("s3cret"));
    let flags = Flags { database_url: Some("postgres://u:s3cret@h/d".to_owned()), ..Flags::default() };
    let line = said(load(&[("STEWARD_DATA_DIR", "/d")], &flags));
    assert!(line.contains("--database-url") && !line.contains("s3cret"), "{line}");
    assert!(load(&[("STEWARD_DATA_DIR", "/d"), ("STEWARD_TEST_X", "1"), ("STEWARD_AS", "ada")], &none).is_ok());
}

#[test]
fn the_file_is_refused_with_its_line() {
    let of = |text: &str| said(file::parse(text, "steward.toml"));
    let line = of("listen = \"127.0.0.1:1\"\n\npoolsize = 3\n");
    assert!(
        line.contains("steward.toml line 3") && line.contains("\"poolsize\"") && line.contains("pool_size"),
        "{line}"
    );
    assert!(of("pool_size = [1]").contains("pool_size must be a text in quotes or a whole number (found: array)"));
    assert!(of("a = 1\nlisten = \n").contains("line 2 is no TOML"));
}

#[test]
fn small_things() {
    assert_eq!(expand_home("~other/x", None).unwrap(), PathBuf::from("~other/x"));
    assert_eq!(expand_home("~/x", None), None);
    assert!(has_password("postgres://u:p@h/d") && has_password("postgres://h/d?password=p"));
    assert!(!has_password("postgres://u@h:5432/d") && !has_password("sqlite:///a:b@c"));
}

#[test]
fn backups_of_postgresql_may_have_a_role_of_their_own() {
    let none = Flags::default();
    let of = |main: &str, reading: &str| {
        load(&[("STEWARD_DATA_DIR", "/d"), ("DATABASE_URL", main), ("STEWARD_BACKUP_DATABASE_URL", reading)], &none)
    };
    let url = "postgres://steward@h/desk";
    // The same database where none is named.
    let config = of(url, "postgres://steward_backup:s3cret@h").unwrap();
    assert!(config.backups.database.unwrap().describe().contains("desk"));
    assert!(said(of("sqlite:///d/x.db", url)).contains("backup_database_url"));
    assert!(said(of(url, "sqlite:///d/x.db")).contains("must be postgres://"));
    let line = said(of(url, "postgres://u:s3cret@h:port/d"));
    assert!(line.contains("backup_database_url") && !line.contains("s3cret"), "{line}");
}
