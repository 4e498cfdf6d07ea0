//! How many files, and so connections, the program may have open at once.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Connections, streams, databases and files together, with room to spare.
pub const WANTED: u64 = 8192;

/// Raises the limit as far as the system lets it, up to [`WANTED`]; answers what it is then.
pub fn raise() -> nix::Result<u64> {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = WANTED.min(most);
    if now >= wanted {
        return Ok(now);
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, most)?;
    Ok(wanted)
}

/// What a process may have open: one that runs, or this one, after it would have raised the limit.
pub fn of(pid: Option<i32>) -> Option<u64> {
    let place = pid.map_or_else(|| "/proc/self/limits".to_owned(), |pid| format!("/proc/{pid}/limits"));
    let text = std::fs::read_to_string(place).ok()?;
    let (soft, hard) = read(&text)?;
    Some(if pid.is_some() { soft } else { soft.max(hard.min(WANTED)) })
}

/// The soft and the hard limit in what the system says of a process.
fn read(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut limits =
        line.split_whitespace().map(|word| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() });
    limits.next().flatten().zip(limits.next().flatten())
}

#[cfg(test)]
mod tests {
    use super::{of, raise, read};

    #[test]
    fn limits_are_read_as_the_system_writes_them() {
        let text = "Max processes 1 2 processes\nMax open files            1024                 524288               files     \n";
        assert_eq!(read(text), Some((1024, 524_288)));
        assert_eq!(read("Max open files 1024 unlimited files"), Some((1024, u64::MAX)));
        assert_eq!(read("nothing"), None);
        let raised = raise().unwrap();
        assert!(of(None).is_none_or(|open| open >= raised));
    }
}
