//! The machine: folder, key, free space, playbooks, the desk's address. All of it blocking.

use std::{os::unix::fs::PermissionsExt, path::Path};

use super::{super::health, Findings};
use crate::{config::Config, open_files, shared_disk};

/// Less than this is wrong, in bytes: the next write may fail.
const LEAST_FREE: u64 = 100 << 20;
/// Less than this will soon be wrong, in bytes.
const LITTLE_FREE: u64 = 1 << 30;

/// Files that are open where everything is in use: connections, streams, the database, attachments.
const NEEDED_FILES: u64 = 4096;

/// Looks at all of it.
pub(super) fn look(config: &Config) -> Findings {
    let mut findings = Findings::default();
    folder(config, &mut findings);
    space(config, &mut findings);
    shared(config, &mut findings);
    key(config, &mut findings);
    playbooks(config, &mut findings);
    address(config, &mut findings);
    files(config, &mut findings);
    findings
}

fn folder(config: &Config, findings: &mut Findings) {
    let dir = &config.data_dir;
    if !dir.exists() {
        return findings.note("data folder", format!("{} is not there yet", dir.display()), "steward makes it");
    }
    match config.ensure_data_dir() {
        Ok(()) => findings.well("data folder", dir.display().to_string()),
        Err(e) => findings.failed("data folder", &e),
    }
    private("data folder", dir, findings);
}

/// What others on the machine may not open.
fn private(what: &'static str, path: &Path, findings: &mut Findings) {
    let Ok(meta) = std::fs::metadata(path) else { return };
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.wrong(
            what,
            format!("others on this machine may open {} (mode {mode:o})", path.display()),
            format!("mend it with: chmod go= {}", path.display()),
        );
    }
}

/// Room on the disk under the data folder, and under the database's file where that lies elsewhere.
fn space(config: &Config, findings: &mut Findings) {
    let mut folders = vec![config.data_dir.as_path()];
    folders.extend(config.sqlite_file().and_then(Path::parent).filter(|f| !f.starts_with(&config.data_dir)));
    for folder in folders {
        // What is not there yet will lie where the nearest folder above it does.
        let Some(there) = folder.ancestors().find(|f| f.exists()) else { continue };
        let Ok(disk) = nix::sys::statvfs::statvfs(there) else { continue };
        let unit: u64 = disk.fragment_size();
        let (free, all): (u64, u64) = (disk.blocks_available() * unit, disk.blocks() * unit);
        let said = format!("{} of {} are free under {}", size(free), size(all), folder.display());
        let remedy = "free some, or move data_dir to a larger disk";
        if free < LEAST_FREE {
            findings.wrong("disk space", said, remedy);
        } else if free < LITTLE_FREE {
            findings.warning("disk space", said, remedy);
        } else {
            findings.well("disk space", said);
        }
    }
}

/// SQLite's write-ahead log wants a disk of this machine.
fn shared(config: &Config, findings: &mut Findings) {
    let Some(file) = config.sqlite_file() else { return };
    if let Some(kind) = shared_disk::kind(file) {
        let (said, remedy) = shared_disk::trouble(kind, file);
        findings.wrong("shared disk", said, remedy);
    }
}

/// Each connection is an open file, and there may be two thousand of them.
fn files(config: &Config, findings: &mut Findings) {
    let Some(open) = open_files::of(health::process(config)) else { return };
    let said = format!("{open} files may be open at once");
    if open >= NEEDED_FILES {
        return findings.well("open files", said);
    }
    findings.warning(
        "open files",
        format!("{said}; with 2,048 connections and their files {NEEDED_FILES} are needed"),
        "raise the limit where Steward is started: ulimit -n 8192, or LimitNOFILE=8192 in its systemd unit",
    );
}

/// Bytes as people say them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        b if b >= 10 << 30 => format!("{} GiB", b >> 30),
        b if b >= 10 << 20 => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b >> 10),
    }
}

fn key(config: &Config, findings: &mut Findings) {
    let key = &config.master_key_file;
    if key.exists() {
        match config.vault() {
            Ok(_) => {
                findings.well("master key", format!("{}; keep a copy of it apart from your backups", key.display()));
            }
            Err(e) => findings.failed("master key", &e),
        }
        private("master key", key, findings);
    } else if config.attachments_dir().exists() {
        findings.wrong(
            "master key",
            format!("{} is gone, and files are sealed with it", key.display()),
            "restore it from your backup before you start Steward",
        );
    } else {
        findings.note("master key", format!("{} is not there yet", key.display()), "steward makes it");
    }
}

fn playbooks(config: &Config, findings: &mut Findings) {
    for entry in workers::library::Library::open(&config.playbooks_dir()).names() {
        if let Some(error) = entry.errors.first() {
            findings.wrong(
                "playbook",
                format!("{}: {error}", entry.origin),
                "correct the file, then: steward playbook check",
            );
        }
    }
}

fn address(config: &Config, findings: &mut Findings) {
    if config.listen.ip().is_loopback() || config.tls.is_some() {
        return;
    }
    let said = format!("the desk listens at {}, which other machines reach, without TLS", config.listen);
    let remedy = "put a TLS proxy before it, or set listen to 127.0.0.1";
    if config.allowed_hosts.is_empty() {
        findings.warning("address", said, remedy);
    } else {
        // Names besides the address are those of a proxy.
        findings.note(
            "address",
            said,
            format!("see that only the proxy of {} reaches it", config.allowed_hosts.join(", ")),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_in_words() {
        let all =
            [(0, "0 KiB"), (5 << 20, "5120 KiB"), (10 << 20, "10 MiB"), (9 << 30, "9216 MiB"), (12 << 30, "12 GiB")];
        for (bytes, words) in all {
            assert_eq!(size(bytes), words);
        }
    }
}
