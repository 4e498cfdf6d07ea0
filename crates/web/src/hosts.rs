//! Which `Host` a request may name. A page of somebody else whose name suddenly resolves to this machine (DNS
//! rebinding) is refused: its requests carry its own name.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, Uri, header, uri::Authority};

use crate::fault::Fault;

/// The names this server answers to.
#[derive(Debug)]
pub(crate) struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    pub fn new(listen: SocketAddr, names: &[String]) -> Self {
        Self {
            listen: listen.ip(),
            names: names.iter().map(|n| n.trim().trim_end_matches('.').to_ascii_lowercase()).collect(),
        }
    }

    /// Refuses a request that names another host, or none, or two.
    pub fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Fault> {
        let named = host_of(headers).is_some_and(|h| self.knows(&h)) && uri.authority().is_none_or(|a| self.knows(a));
        if named {
            return Ok(());
        }
        Err(Fault::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            "this Steward does not answer to the host that the request names",
        )
        .advice("Use the address that Steward printed at start, or add the name to its allowed hosts."))
    }

    fn knows(&self, authority: &Authority) -> bool {
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // An address can't be rebound; where Steward listens on all of them, each is its own.
            return ip.is_loopback() || ip == self.listen || self.listen.is_unspecified();
        }
        host == "localhost" || self.names.contains(&host)
    }
}

/// The one `Host` of a request, without user information.
pub(crate) fn host_of(headers: &HeaderMap) -> Option<Authority> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok().filter(|h| !h.contains('@'))?.parse().ok()?;
    all.next().is_none().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(listen: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        Hosts::new(listen.parse().unwrap(), &["Desk.Example.org".to_owned()])
            .check(&headers, &"/".parse().unwrap())
            .is_ok()
    }

    #[test]
    fn only_known_hosts_are_answered() {
        for good in [
            "localhost:8000",
            "LOCALHOST",
            "localhost.:1",
            "127.0.0.1:8000",
            "127.9.9.9",
            "[::1]:8000",
            "desk.example.org",
            "desk.example.org:443",
            "192.168.1.5:8000",
        ] {
            assert!(answers("192.168.1.5:8000", &[good]), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.6:8000",
            "desk.example.org.evil",
            "me@localhost",
            "a b",
            "",
        ] {
            assert!(!answers("192.168.1.5:8000", &[bad]), "{bad}");
        }
        assert!(!answers("127.0.0.1:8000", &[]), "none");
        assert!(!answers("127.0.0.1:8000", &["localhost", "localhost"]), "two");
        assert!(answers("0.0.0.0:8000", &["10.0.0.7:8000"]), "all addresses are its own");
        assert!(!answers("0.0.0.0:8000", &["evil.example"]));
    }

    #[test]
    fn an_absolute_address_must_be_known_too() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost".parse().unwrap());
        let hosts = Hosts::new("127.0.0.1:8000".parse().unwrap(), &[]);
        assert!(hosts.check(&headers, &"http://evil.example/".parse().unwrap()).is_err());
        assert!(hosts.check(&headers, &"http://localhost/".parse().unwrap()).is_ok());
    }
}
