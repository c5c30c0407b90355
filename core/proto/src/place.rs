//! Where a server says that we should go: `see-other-host` (RFC 6120 §4.9.3.19) and `location` (XEP-0198 §5).
//!
//! `host`, `host:port`, `[v6]` or `[v6]:port`. It is a hint for the next connection and no more: whose certificate is
//! expected does not change by it.

use serde::{Deserialize, Serialize};

/// A host, and a port where one is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// A name, or an address without brackets.
    pub host: String,
    /// TCP port.
    pub port: Option<u16>,
}

impl Place {
    /// Reads what a server said. `None` where it names no host.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some("?")))
            }
            // More than one colon and no brackets: an address of IPv6 alone.
            None if text.matches(':').count() > 1 => {
                text.parse::<std::net::Ipv6Addr>().ok()?;
                (text, None)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
            None => None,
        };
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        (!host.is_empty() && host.len() <= 253 && host.chars().all(fits))
            .then(|| Self { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<u16>)> {
        Place::parse(text).map(|place| (place.host, place.port))
    }

    #[test]
    fn host_may_have_a_port_and_an_address_its_brackets() {
        assert_eq!(parsed("x2.montague.lit"), Some(("x2.montague.lit".into(), None)));
        assert_eq!(parsed(" 192.0.2.1:9222\n"), Some(("192.0.2.1".into(), Some(9222))));
        assert_eq!(parsed("[2001:41d0:1:a49b::1]:9222"), Some(("2001:41d0:1:a49b::1".into(), Some(9222))));
        assert_eq!(parsed("[2001:db8::1]"), Some(("2001:db8::1".into(), None)));
        assert_eq!(parsed("2001:db8::1"), Some(("2001:db8::1".into(), None)));
    }

    #[test]
    fn what_names_no_host_is_none() {
        for text in [
            "",
            ":5222",
            "host:",
            "host:0",
            "host:70000",
            "a b",
            "x\u{0}y",
            "[nonsense]:1",
            "[::1]x",
            "a:b:c",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }
}
