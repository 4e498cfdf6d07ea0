//! Which address a request comes from where a proxy stands before the desk. What a proxy says counts only if it is one of
//! those that are trusted; what its client said before it does not.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};

/// Networks whose word about addresses counts, at most this many.
const NETS: usize = 64;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A network: the first `bits` of `ip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Net {
    ip: IpAddr,
    bits: u32,
}

impl Net {
    fn read(text: &str) -> Option<Self> {
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip = ip.parse::<IpAddr>().ok()?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
        Some(Self { ip, bits })
    }

    fn holds(self, ip: IpAddr) -> bool {
        // A network of no bits holds everything, and a shift by the whole width is none.
        match (self.ip, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                (net.to_bits() ^ ip.to_bits()).checked_shr(32 - self.bits).is_none_or(|differs| differs == 0)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                (net.to_bits() ^ ip.to_bits()).checked_shr(128 - self.bits).is_none_or(|differs| differs == 0)
            }
            _ => false,
        }
    }
}

/// The word that says that they write `Forwarded`.
const WORD: &str = "forwarded";

/// The proxies that are trusted to say whom they speak for, and in which header: the other one is what a client likes to
/// send, and a proxy passes it on as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    nets: Vec<Net>,
    is_forwarded: bool,
}

impl Proxies {
    /// Addresses and networks as in `127.0.0.1, 10.0.0.0/8, ::1`, with commas or blanks between; an error is the first that
    /// is neither. The word `forwarded` among them says that they write `Forwarded`, and not `X-Forwarded-For`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (words, nets): (Vec<&str>, Vec<&str>) =
            text.split([',', ' ']).filter(|part| !part.is_empty()).partition(|part| part.eq_ignore_ascii_case(WORD));
        let nets = nets.into_iter().map(|part| Net::read(part).ok_or_else(|| part.to_owned()));
        let nets = nets.collect::<Result<Vec<_>, _>>()?;
        match nets.get(NETS) {
            Some(one) => Err(format!("{}/{} (more than {NETS})", one.ip, one.bits)),
            None => Ok(Self { nets, is_forwarded: !words.is_empty() }),
        }
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.nets.iter().any(|net| net.holds(ip))
    }

    /// Who asks: the peer, or, where that is a trusted proxy, the last address before it that is none.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.nets.is_empty() {
            return client;
        }
        let mut hops = if self.is_forwarded { forwarded(headers) } else { forwarded_for(headers) };
        while self.trusts(client) {
            // What can't be read was not said by a proxy that is one: then its sender is all that is known.
            let Some(Some(before)) = hops.pop() else { break };
            client = before;
        }
        client
    }
}

/// What the lines of a header say, part by part.
fn parts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The addresses that the request is said to have come by, the nearest last.
fn forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    parts(headers, &FORWARDED_FOR).map(address).collect()
}

/// The same, said by the standard's own header.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let of_part = |part: &str| {
        let mut pairs = part.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| name.eq_ignore_ascii_case("for")).and_then(|(_, value)| address(value))
    };
    parts(headers, &header::FORWARDED).map(of_part).collect()
}

/// An address with or without a port, quoted or not.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let ip = bare.unwrap_or(text).parse::<IpAddr>().ok();
    // The port of an address of the fourth version.
    ip.or_else(|| text.rsplit_once(':')?.0.parse().ok()).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, headers: &[(&str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Proxies::parse(proxies).unwrap().client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_whom_it_speaks_for() {
        let said = [("x-forwarded-for", "203.0.113.9, 198.51.100.7")];
        assert_eq!(client("", "127.0.0.1", &said), "127.0.0.1", "nobody is trusted unless somebody said so");
        assert_eq!(client("127.0.0.1", "192.0.2.1", &said), "192.0.2.1", "not by whoever comes");
        assert_eq!(client("127.0.0.1", "127.0.0.1", &said), "198.51.100.7", "what its client claimed does not count");
        assert_eq!(client("127.0.0.1 198.51.100.0/24", "127.0.0.1", &said), "203.0.113.9", "a proxy before the proxy");
        assert_eq!(client("0.0.0.0/0", "127.0.0.1", &said), "203.0.113.9", "all are: the furthest");
        let several = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7:4711")];
        assert_eq!(client("127.0.0.1", "127.0.0.1", &several), "198.51.100.7");
        for odd in ["unknown", "", "203.0.113.9, ???"] {
            assert_eq!(client("127.0.0.1", "127.0.0.1", &[("x-forwarded-for", odd)]), "127.0.0.1", "{odd}");
        }
        let forwarded = [("forwarded", "for=203.0.113.9, For=\"[2001:db8::1]:4711\";proto=https")];
        assert_eq!(client("::1 forwarded", "::1", &forwarded), "2001:db8::1");
        assert_eq!(client("127.0.0.1", "::ffff:127.0.0.1", &said), "198.51.100.7");
    }

    #[test]
    fn a_header_that_the_proxy_does_not_write_is_its_clients_word_and_counts_for_nothing() {
        let both = [("forwarded", "for=192.0.2.77"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client("127.0.0.1", "127.0.0.1", &both), "198.51.100.7");
        assert_eq!(client("forwarded, 127.0.0.1", "127.0.0.1", &both), "192.0.2.77");
        assert_eq!(client("127.0.0.1", "127.0.0.1", &both[..1]), "127.0.0.1");
        assert_eq!(client("Forwarded 127.0.0.1", "127.0.0.1", &both[1..]), "127.0.0.1");
        assert_eq!(client("forwarded", "127.0.0.1", &both), "127.0.0.1", "and nobody is trusted by the word alone");
    }

    #[test]
    fn networks_are_read_and_hold_what_is_theirs() {
        let holds = |net: &str, ip: &str| Net::read(net).unwrap().holds(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("::/0", "::1") && !holds("::/0", "127.0.0.1"));
        for wrong in ["desk", "10.0.0.0/33", "10.0.0/8", "::1/129", "10.0.0.0/"] {
            assert_eq!(Proxies::parse(wrong), Err(wrong.to_owned()));
        }
    }
}
