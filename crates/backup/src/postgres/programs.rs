//! Finding PostgreSQL's own programs: on the PATH, or where Debian keeps each version; never an older one than the server.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::{Error, Result};

/// Where Debian and its like keep the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Finds one of PostgreSQL's programs whose version is at least the server's main version; the nearest of them.
pub(crate) async fn find(name: &str, server_major: u32) -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for path in candidates(name) {
        if let Some(major) = version(&path).await {
            found.push((major, path));
        }
    }
    let newest = found.iter().map(|(major, _)| *major).max();
    found.retain(|(major, _)| *major >= server_major);
    // The server's own programs before newer ones: what they write, it can read.
    found.sort();
    found.into_iter().next().map(|(_, path)| path).ok_or_else(|| {
        let there = newest.map_or_else(|| "none was found".to_owned(), |v| format!("only version {v} was found"));
        Error::refused(format!(
            "this needs {name} of PostgreSQL {server_major} or newer, and {there} on the PATH and in {VERSIONS}/*/bin; install it (Debian: apt install postgresql-client-{server_major})"
        ))
    })
}

/// A program of exactly the version that wrote a data directory.
pub(crate) fn of_version(name: &str, major: u32) -> Result<PathBuf> {
    let path = Path::new(VERSIONS).join(major.to_string()).join("bin").join(name);
    if path.is_file() {
        return Ok(path);
    }
    on_path(name).filter(|p| p.parent().is_some_and(|bin| bin.join("postgres").is_file())).ok_or_else(|| {
        Error::refused(format!(
            "{} is missing; install PostgreSQL {major} (Debian: apt install postgresql-{major})",
            path.display()
        ))
    })
}

/// A program on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn candidates(name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = on_path(name).into_iter().collect();
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    found.extend(versions.map(|v| v.path().join("bin").join(name)).filter(|file| file.is_file()));
    found
}

async fn version(path: &Path) -> Option<u32> {
    let out = Command::new(path).arg("--version").stdin(Stdio::null()).output().await.ok()?;
    main_version(&String::from_utf8_lossy(&out.stdout))
}

/// `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15.
fn main_version(said: &str) -> Option<u32> {
    let after = said.split("(PostgreSQL)").nth(1)?.trim_start();
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::main_version;

    #[test]
    fn the_main_version_is_read() {
        assert_eq!(main_version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(main_version("pg_restore (PostgreSQL) 17devel"), Some(17));
        assert_eq!(main_version("something else"), None);
    }

    #[tokio::test]
    async fn an_older_program_is_refused_by_name() {
        let said = super::find("pg_dump", 999).await.unwrap_err().to_string();
        assert!(said.contains("pg_dump") && said.contains("999") && said.contains("install"), "{said}");
    }
}
