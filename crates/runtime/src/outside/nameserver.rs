//! The host's name servers, which answer functions' questions too. Questions and answers are not looked at.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long what was read is believed.
const FRESH: Duration = Duration::from_secs(5);
/// As many as resolvers look at.
const COUNT: usize = 3;
/// What resolvers ask where none is configured.
const DEFAULT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 53;

/// The name servers in `/etc/resolv.conf` of the host, which may change with the network that a laptop is in. Those on
/// the host's loopback are as good as others: it is the server that asks them.
#[derive(Debug)]
pub(super) struct Nameservers {
    file: PathBuf,
    known: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

impl Nameservers {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, known: Mutex::new(None) }
    }

    /// At least one.
    pub(super) fn get(&self, now: Instant) -> Vec<SocketAddr> {
        let mut known = self.known.lock();
        match &*known {
            Some((read, servers)) if now.saturating_duration_since(*read) < FRESH => servers.clone(),
            _ => {
                let servers = parse(&std::fs::read_to_string(&self.file).unwrap_or_default());
                *known = Some((now, servers.clone()));
                servers
            }
        }
    }
}

/// See resolv.conf(5). A server with the name of an interface in its address is left out.
fn parse(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| -> Option<SocketAddr> {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        Some(SocketAddr::new(words.next()?.parse().ok()?, PORT))
    };
    let mut servers: Vec<_> = text.lines().filter_map(server).take(COUNT).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(DEFAULT, PORT));
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_resolvers_read_them() {
        for (text, expected) in [
            ("", vec!["127.0.0.1:53"]),
            ("# nameserver 1.1.1.1\nsearch example.com\n", vec!["127.0.0.1:53"]),
            ("nameserver 127.0.0.53\noptions edns0\n", vec!["127.0.0.53:53"]),
            (
                "nameserver\tfd00::1\nnameserver fe80::1%eth0\nnameserver 9.9.9.9",
                vec!["[fd00::1]:53", "9.9.9.9:53"],
            ),
            (
                "nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4",
                vec!["1.0.0.1:53", "1.0.0.2:53", "1.0.0.3:53"],
            ),
        ] {
            let expected: Vec<SocketAddr> = expected.iter().map(|server| server.parse().unwrap()).collect();
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_change_is_seen_after_a_moment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("resolv.conf");
        let servers = Nameservers::new(file.clone());
        let start = Instant::now();
        assert_eq!(servers.get(start), parse(""));
        std::fs::write(&file, "nameserver 9.9.9.9").unwrap();
        assert_eq!(servers.get(start + FRESH / 2), parse(""));
        assert_eq!(servers.get(start + FRESH), parse("nameserver 9.9.9.9"));
    }
}
