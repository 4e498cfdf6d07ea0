//! How many requests one may send: a bucket for each address and each API token, refilled steadily. Kept in memory,
//! bounded, on each node by itself. Whoever comes from this very machine (a program beside it, a proxy that is not among
//! the trusted ones) is not held up: a proxy sees more than we do, and bounds what it lets through.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Requests that may be saved up, and sent at once.
const BURST: f64 = 400.0;
/// How many come back each second.
const PER_SECOND: f64 = 100.0;
/// Buckets kept at most; each takes about 60 bytes.
const BUCKETS: usize = 20_000;
/// A bucket that was not used for so long is full again.
const FULL_AFTER: Duration = Duration::from_secs(5);

/// Whose bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// Of IPv6 the network: whoever has one address there has them all.
    Address(IpAddr),
    /// An API token, by its id.
    Token(uuid::Uuid),
}

impl Who {
    /// Who sends from an address; none who is not held up.
    pub fn from_address(ip: Option<IpAddr>) -> Option<Self> {
        match ip? {
            ip if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(Self::Address(ip.into())),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Some(Self::Address(std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()))
            }
        }
    }
}

/// The buckets.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<Who, (Instant, f64)>>);

impl Rates {
    /// Takes one request out of a bucket. False: it is empty.
    pub fn take(&self, who: Who, now: Instant) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS && !buckets.contains_key(&who) {
            buckets.retain(|_, (used, _)| now.duration_since(*used) < FULL_AFTER);
            if buckets.len() >= BUCKETS {
                // So many at once are an attack; those who are known go on.
                return false;
            }
        }
        let (used, left) = buckets.entry(who).or_insert((now, BURST));
        *left = (*left + now.duration_since(*used).as_secs_f64() * PER_SECOND).min(BURST);
        *used = now;
        let is_enough = *left >= 1.0;
        if is_enough {
            *left -= 1.0;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(text: &str) -> Who {
        Who::from_address(Some(text.parse().unwrap())).unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let (rates, start) = (Rates::default(), Instant::now());
        let one = who("192.0.2.1");
        assert_eq!((0..500).filter(|_| rates.take(one, start)).count(), 400);
        assert!(rates.take(who("192.0.2.2"), start), "others have their own");
        let later = start + Duration::from_millis(100);
        assert_eq!((0..500).filter(|_| rates.take(one, later)).count(), 10);
        let full = later + FULL_AFTER;
        assert_eq!((0..500).filter(|_| rates.take(one, full)).count(), 400);
    }

    #[test]
    fn who_is_counted_together() {
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:1"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        for here in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(Who::from_address(Some(here.parse().unwrap())), None);
        }
        assert_eq!(Who::from_address(None), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (rates, start) = (Rates::default(), Instant::now());
        let many = (0..u32::try_from(BUCKETS).unwrap() + 100)
            .filter(|n| rates.take(Who::Address(IpAddr::V4((*n).into())), start));
        assert_eq!(many.count(), BUCKETS);
        assert!(rates.take(Who::Address(IpAddr::V4(0.into())), start), "who is known goes on");
        assert!(rates.take(Who::Address(IpAddr::V4(u32::MAX.into())), start + FULL_AFTER));
    }
}
