//! Slows down the guessing of passwords: at most ten failed log-ins an account and address, and sixty an address, in
//! fifteen minutes. Kept in memory, bounded; a restart forgets it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

const WINDOW: Duration = Duration::from_secs(15 * 60);
const TRIES_PER_ACCOUNT: u32 = 10;
const TRIES_PER_ADDRESS: u32 = 60;
/// Entries kept at most; each takes about 80 bytes.
const ENTRIES: usize = 20_000;

/// An account from an address, or an address alone.
type Key = (Option<[u8; 16]>, Option<IpAddr>);

/// The tries of late.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<Key, (Instant, u32)>>);

fn account(login: &str) -> [u8; 16] {
    let digest = Sha256::digest(login.trim().to_lowercase());
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]);
    out
}

impl Throttle {
    /// Counts a try before it is made, so that many at once are counted too. An error is the time to wait, in seconds.
    pub fn begin(&self, login: &str, ip: Option<IpAddr>, now: Instant) -> Result<(), u32> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= ENTRIES {
            map.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        // Full of fresh entries is an attack from very many addresses: only those already known may go on.
        let is_full = map.len() + 2 > ENTRIES;
        let keys = [((Some(account(login)), ip), TRIES_PER_ACCOUNT), ((None, ip), TRIES_PER_ADDRESS)];
        for (key, limit) in &keys {
            match map.get(key) {
                Some((since, tries)) if now.duration_since(*since) < WINDOW && tries >= limit => {
                    let left = WINDOW.saturating_sub(now.duration_since(*since)).as_secs() + 1;
                    return Err(u32::try_from(left).unwrap_or(u32::MAX));
                }
                None if is_full => return Err(60),
                _ => {}
            }
        }
        for (key, _) in keys {
            let entry = map.entry(key).or_insert((now, 0));
            if now.duration_since(entry.0) >= WINDOW {
                *entry = (now, 0);
            }
            entry.1 += 1;
        }
        Ok(())
    }

    /// Forgets the tries of an account that logged in.
    pub fn succeeded(&self, login: &str, ip: Option<IpAddr>) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(&(Some(account(login)), ip));
        if let Some((_, tries)) = map.get_mut(&(None, ip)) {
            *tries = tries.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn the_eleventh_try_waits_and_the_window_ends() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..10 {
            throttle.begin("ada", HERE, start).unwrap();
        }
        let wait = throttle.begin("Ada ", HERE, start + Duration::from_secs(60)).unwrap_err();
        assert_eq!(wait, 14 * 60 + 1);
        throttle.begin("bob", HERE, start).unwrap();
        throttle.begin("ada", HERE, start + WINDOW).unwrap();
    }

    #[test]
    fn success_clears_and_an_address_has_its_own_bound() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            throttle.begin("ada", HERE, start).unwrap();
            throttle.succeeded("ada", HERE);
        }
        for n in 0..60 {
            throttle.begin(&format!("user{n}"), HERE, start).unwrap();
        }
        assert!(throttle.begin("user60", HERE, start).is_err());
        assert!(throttle.begin("user60", None, start).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let refused = (0..u32::try_from(ENTRIES).unwrap() * 2)
            .filter(|n| throttle.begin("ada", Some(IpAddr::V4((*n).into())), start).is_err())
            .count();
        assert!(refused > 0);
        assert!(throttle.0.lock().unwrap().len() <= ENTRIES);
        throttle.begin("ada", Some(IpAddr::V4(u32::MAX.into())), start + WINDOW).unwrap();
    }
}
