//! Which addresses may be spoken to: public ones, and those that were allowed by name.
//!
//! Whoever may have something fetched could otherwise look into the machine and its network. The check is made on the
//! addresses a name resolves to, and only those that passed are connected to, so that a name cannot answer differently
//! the second time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Result, Trouble};

/// Addresses of one name that are looked at.
const MOST_ADDRESSES: usize = 32;

/// What may be reached beyond the public net.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    allowed: Vec<String>,
}

impl Reach {
    /// Public addresses alone.
    pub fn public() -> Self {
        Self::default()
    }

    /// Public addresses, and these hosts (names or addresses) wherever they are.
    pub fn with(hosts: impl IntoIterator<Item = String>) -> Self {
        Self { allowed: hosts.into_iter().map(|h| plain(&h)).collect() }
    }

    fn allows(&self, host: &str) -> bool {
        self.allowed.iter().any(|h| *h == host)
    }

    /// Whether this address of `host` may be connected to.
    pub fn permits(&self, host: &str, ip: IpAddr) -> bool {
        is_public(ip) || self.allows(&plain(host)) || self.allows(&ip.to_string())
    }

    /// The addresses of a host that may be connected to; an error where it has none such.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let host = plain(host);
        let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::net::lookup_host((host.as_str(), port))
                .await
                .map_err(|e| Trouble::passing(format!("{host} can't be found ({e}); check the name and the network")))?
                .take(MOST_ADDRESSES)
                .collect(),
        };
        let allowed: Vec<SocketAddr> = found.iter().copied().filter(|a| self.permits(&host, a.ip())).collect();
        match (allowed.is_empty(), found.first()) {
            (false, _) => Ok(allowed),
            (true, Some(first)) => Err(refusal(&host, first.ip())),
            (true, None) => Err(Trouble::passing(format!("{host} has no address"))),
        }
    }
}

/// Why an address was refused.
pub(crate) fn refusal(host: &str, ip: IpAddr) -> Trouble {
    Trouble::lasting(format!(
        "{host} is at {ip}, which is not a public address; if it is to be reached, an administrator names it in allow_private"
    ))
}

/// A host without brackets, in lower case, without the dot at its end.
fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_lowercase()
}

/// Whether an address belongs to the public net: not to this machine, its network, its cloud's metadata, documentation,
/// groups, or a translation of one of these.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let segments = ip.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match segments {
        // NAT64 carries an address of the old net.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2001, 0x0000..=0x01ff | 0x0db8, ..] | [0x2002 | 0x3fff | 0x5f00, ..] => false,
        // Of the whole space only 2000::/3 is given out; loopback, ULA, link-local and groups lie outside it.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_net_is_public() {
        for text in [
            "1.1.1.1",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:db8::1",
            "::127.0.0.1",
            "fec0::1",
            "2001::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_allowed_by_name_is_reached_and_nothing_else() {
        let said = Reach::public().resolve("127.0.0.1", 80).await.unwrap_err();
        assert!(said.message.contains("allow_private"), "{said}");
        assert!(Reach::public().resolve("localhost", 80).await.is_err());
        assert!(Reach::public().resolve("[::1]", 80).await.is_err());
        assert!(Reach::with(["LOCALHOST.".to_owned()]).resolve("localhost", 80).await.is_ok());
        assert!(Reach::with(["127.0.0.1".to_owned()]).resolve("127.0.0.1", 80).await.is_ok());
        assert!(Reach::with(["nas".to_owned()]).resolve("127.0.0.1", 80).await.is_err());
    }
}
