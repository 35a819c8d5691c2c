//! Where functions may connect to: a pure decision over addresses. Names are not known here, and nothing connects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use firelet_sandbox::network::{HOSTS, RESOLVER};
use firelet_sandbox::{Network, Outside};
use thiserror::Error;

const POLICY: &str = include_str!("../../../../policy/destinations.txt");
/// The Runtime API's address inside of every sandbox.
const RUNTIME_API_PORT: u16 = 9001;

/// Why destinations cannot be configured so.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// There is nothing to allow.
    #[error(
        "functions with the host's network reach every address; --allow-host is for those with one of their own"
    )]
    HostNetwork,
    /// Only what is translated can have any address.
    #[error("{0} allows more than one address and port, which only the network mode nat can")]
    NeedsNat(AllowedHost),
    /// A function's loopback is its own but for single ports.
    #[error("{0} would take all of a function's own loopback: name single addresses and ports of it")]
    WholeLoopback(AllowedHost),
    /// The port of the Runtime API.
    #[error("port {RUNTIME_API_PORT} of loopback is the Runtime API inside of every function")]
    RuntimeApi,
    /// More than the server listens at inside of each sandbox.
    #[error("at most {HOSTS} addresses and ports can be allowed one by one")]
    TooMany,
    /// The policy that is part of this program.
    #[error("policy/destinations.txt: not understood: {0}")]
    Policy(String),
}

/// Addresses of the host, or of its networks, that functions reach although they would not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    text: String,
    networks: Vec<Subnet>,
    /// None for every port.
    port: Option<u16>,
}

impl AllowedHost {
    /// Whether it is single addresses at one port.
    fn exact(&self) -> Option<impl Iterator<Item = SocketAddr>> {
        let port = self.port?;
        let is_exact = self.networks.iter().all(Subnet::is_one_address);
        is_exact.then(|| self.networks.iter().map(move |network| SocketAddr::new(network.address, port)))
    }

    fn allows(&self, destination: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == destination.port())
            && self.networks.iter().any(|network| network.contains(destination.ip()))
    }
}

impl std::fmt::Display for AllowedHost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it as HOST:PORT, with an address, `localhost` or a network such as 10.1.0.0/16 for HOST, \
                    and a number or `*` for PORT";
        let (host, port) = text.rsplit_once(':').ok_or(form)?;
        let port = match port {
            "*" => None,
            port => Some(port.parse().ok().filter(|port| *port != 0).ok_or(form)?),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let networks = match bare.unwrap_or(host) {
            "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            host if bare.is_none() && host.contains(':') => return Err(form.to_owned()),
            host => vec![host.parse().map_err(|()| form)?],
        };
        Ok(Self { text: text.to_owned(), networks, port })
    }
}

/// A range of addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subnet {
    address: IpAddr,
    length: u8,
}

impl Subnet {
    fn contains(&self, address: IpAddr) -> bool {
        let (own, width) = bits(self.address);
        let (other, other_width) = bits(address);
        let free = width - u32::from(self.length);
        width == other_width && (own ^ other).checked_shr(free).unwrap_or(0) == 0
    }

    fn is_one_address(&self) -> bool {
        u32::from(self.length) == bits(self.address).1
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl<T: Into<IpAddr>> From<T> for Subnet {
    fn from(address: T) -> Self {
        let address = address.into();
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Subnet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Some((address, length)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| ());
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let length: u8 = length.parse().map_err(|_| ())?;
        let (value, width) = bits(address);
        let free = width.checked_sub(length.into()).ok_or(())?;
        // Bits behind the length are most likely a mistake.
        let is_network = value.trailing_zeros() >= free;
        is_network.then_some(Self { address, length }).ok_or(())
    }
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is made.
    Allowed,
    /// It is made, to a name server of the host.
    Resolver,
    /// It is made unless the destination is the host itself.
    UnlessHost,
    /// It is not made.
    Refused,
}

/// Where functions may connect to.
#[derive(Debug, Clone)]
pub struct Destinations {
    nat: bool,
    allowed: Vec<AllowedHost>,
    refused: Vec<Subnet>,
}

impl Destinations {
    /// For functions with this network, and these exceptions.
    ///
    /// # Errors
    ///
    /// When an exception makes no sense with the network.
    pub fn new(network: Network, allowed: Vec<AllowedHost>) -> Result<Self, Error> {
        let nat = network == Network::Nat;
        if network == Network::Host && !allowed.is_empty() {
            return Err(Error::HostNetwork);
        }
        for host in &allowed {
            check(host, nat)?;
        }
        let destinations = Self { nat, allowed, refused: policy()? };
        if destinations.listening().count() > HOSTS { Err(Error::TooMany) } else { Ok(destinations) }
    }

    /// What sandboxes have to be made with.
    #[must_use]
    pub fn outside(&self) -> Outside {
        Outside { nat: self.nat, hosts: self.listening().collect() }
    }

    /// Whether functions reach anything at all, for which the server has to work.
    #[must_use]
    pub fn are_any(&self) -> bool {
        self.nat || !self.allowed.is_empty()
    }

    /// Where the server has to listen inside: with nat, all but loopback comes to it anyway.
    fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        let exact = self.allowed.iter().filter_map(AllowedHost::exact).flatten();
        exact.filter(|host| !self.nat || host.ip().is_loopback())
    }

    pub(super) fn judge(&self, destination: SocketAddr) -> Judgement {
        let address = meaning(destination.ip());
        let meant = SocketAddr::new(address, destination.port());
        let mut allowing = self.allowed.iter().filter(|host| host.allows(meant) || host.allows(destination));
        if allowing.clone().any(|host| host.exact().is_some()) {
            Judgement::Allowed
        } else if allowing.next().is_some() {
            // Whoever allows a network that the host is in does not mean the host.
            Judgement::UnlessHost
        } else if !self.nat {
            Judgement::Refused
        } else if destination == RESOLVER {
            Judgement::Resolver
        } else if self.refused.iter().any(|network| network.contains(address)) {
            Judgement::Refused
        } else {
            Judgement::UnlessHost
        }
    }
}

fn check(host: &AllowedHost, nat: bool) -> Result<(), Error> {
    let is_exact = host.exact().is_some();
    let is_loopback =
        |network: &Subnet| network.address.is_loopback() || LOOPBACK.iter().any(|own| network.contains(*own));
    let on_loopback = host.networks.iter().any(is_loopback);
    match host.port {
        _ if is_exact && on_loopback && host.port == Some(RUNTIME_API_PORT) => Err(Error::RuntimeApi),
        _ if !is_exact && !nat => Err(Error::NeedsNat(host.clone())),
        _ if !is_exact && on_loopback => Err(Error::WholeLoopback(host.clone())),
        _ => Ok(()),
    }
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The address of version 4 that stands in one of version 6: mapped, or translated on the way (RFC 6052).
fn meaning(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let translated = match six.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => six.to_ipv4_mapped(),
    };
    translated.map_or(address, IpAddr::V4)
}

fn policy() -> Result<Vec<Subnet>, Error> {
    let lines = POLICY.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| parse_line(line).ok_or_else(|| Error::Policy(line.to_owned()))).collect()
}

fn parse_line(line: &str) -> Option<Subnet> {
    let (network, reason) = line.split_once(" : ")?;
    if reason.is_empty() { None } else { network.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(texts: &[&str]) -> Vec<AllowedHost> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn judge(network: Network, exceptions: &[&str], destination: &str) -> Judgement {
        let destinations = Destinations::new(network, allowed(exceptions)).unwrap();
        destinations.judge(destination.parse().unwrap())
    }

    #[test]
    fn nat_reaches_what_is_public_and_nothing_else() {
        for (destination, expected) in [
            ("93.184.215.14:443", Judgement::UnlessHost),
            ("[2606:2800:21f::1]:443", Judgement::UnlessHost),
            ("[64:ff9b::5db8:d70e]:443", Judgement::UnlessHost),
            ("169.254.78.1:53", Judgement::Resolver),
            ("169.254.78.1:80", Judgement::Refused),
            ("169.254.78.2:1", Judgement::Refused),
            ("169.254.169.254:80", Judgement::Refused),
            ("[::ffff:169.254.169.254]:80", Judgement::Refused),
            ("[64:ff9b::a9fe:a9fe]:80", Judgement::Refused),
            ("[::169.254.169.254]:80", Judgement::Refused),
            ("[fd00:ec2::254]:80", Judgement::Refused),
            ("168.63.129.16:80", Judgement::Refused),
            ("168.63.129.17:80", Judgement::UnlessHost),
            ("100.100.100.200:80", Judgement::Refused),
            ("0.0.0.0:80", Judgement::Refused),
            ("127.0.0.1:80", Judgement::Refused),
            ("[::1]:80", Judgement::Refused),
            ("[::]:80", Judgement::Refused),
            ("10.1.2.3:80", Judgement::Refused),
            ("172.31.255.255:80", Judgement::Refused),
            ("172.32.0.0:80", Judgement::UnlessHost),
            ("192.168.1.1:80", Judgement::Refused),
            ("[fe80::1]:80", Judgement::Refused),
            ("224.0.0.251:5353", Judgement::Refused),
            ("255.255.255.255:67", Judgement::Refused),
        ] {
            assert_eq!(judge(Network::Nat, &[], destination), expected, "{destination}");
            assert_eq!(judge(Network::Isolated, &[], destination), Judgement::Refused, "{destination}");
        }
    }

    #[test]
    fn an_exception_is_for_its_address_and_port_only() {
        for (exception, destination, expected) in [
            ("127.0.0.1:5432", "127.0.0.1:5432", Judgement::Allowed),
            ("127.0.0.1:5432", "127.0.0.1:5433", Judgement::Refused),
            ("127.0.0.1:5432", "127.0.0.2:5432", Judgement::Refused),
            ("127.0.0.1:5432", "[::ffff:127.0.0.1]:5432", Judgement::Allowed),
            ("localhost:5432", "[::1]:5432", Judgement::Allowed),
            ("[::1]:5432", "127.0.0.1:5432", Judgement::Refused),
            ("192.168.1.7:80", "192.168.1.7:80", Judgement::Allowed),
        ] {
            for network in [Network::Nat, Network::Isolated] {
                assert_eq!(judge(network, &[exception], destination), expected, "{exception} {destination}");
            }
        }
        let networks = &["10.1.0.0/16:*"];
        assert_eq!(judge(Network::Nat, networks, "10.1.255.1:80"), Judgement::UnlessHost);
        assert_eq!(judge(Network::Nat, networks, "10.2.0.1:80"), Judgement::Refused);
        assert_eq!(judge(Network::Nat, &["[fd01::/16]:80"], "[fd01::7]:80"), Judgement::UnlessHost);
        assert_eq!(judge(Network::Nat, &["[fd01::/16]:80"], "[fd01::7]:81"), Judgement::Refused);
        assert_eq!(judge(Network::Nat, &["0.0.0.0/8:80"], "8.8.8.8:53"), Judgement::UnlessHost);
    }

    #[test]
    fn an_exception_that_makes_no_sense_is_refused() {
        for (network, exception, expected) in [
            (Network::Host, "127.0.0.1:80", Some("functions with the host's network")),
            (Network::Isolated, "10.0.0.0/8:80", Some("10.0.0.0/8:80 allows more than one")),
            (Network::Isolated, "10.0.0.1:*", Some("10.0.0.1:* allows more than one")),
            (Network::Nat, "10.0.0.1:*", None),
            (Network::Nat, "127.0.0.1:*", Some("127.0.0.1:* would take all")),
            (Network::Nat, "[::/0]:80", Some("[::/0]:80 would take all")),
            (Network::Nat, "0.0.0.0/0:80", Some("0.0.0.0/0:80 would take all")),
            (Network::Nat, "localhost:9001", Some("port 9001")),
            (Network::Nat, "192.168.1.7:9001", None),
        ] {
            let error =
                Destinations::new(network, allowed(&[exception])).err().map(|error| error.to_string());
            let matches = error.as_deref().unwrap_or_default().starts_with(expected.unwrap_or_default());
            assert!(matches && error.is_some() == expected.is_some(), "{exception}: {error:?}");
        }
        let many: Vec<_> = (1..=17).map(|port| format!("127.0.0.1:{port}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(Destinations::new(Network::Nat, allowed(&many)).unwrap_err(), Error::TooMany);
    }

    #[test]
    fn an_exception_is_an_address_and_a_port() {
        for text in [
            "",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "::1:80",
            "10.0.0.1/8:80",
            "10.0.0.0/33:80",
            "db:80",
        ] {
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
        assert_eq!("[::1]:80".parse::<AllowedHost>().unwrap().to_string(), "[::1]:80");
    }

    #[test]
    fn the_server_listens_inside_where_nothing_else_brings_connections_to_it() {
        let hosts = || allowed(&["localhost:5432", "192.168.1.7:80", "10.0.0.9:1"]);
        let count = |network| Destinations::new(network, hosts()).unwrap().outside().hosts.len();
        assert_eq!(count(Network::Isolated), 4);
        assert_eq!(count(Network::Nat), 2);
    }
}
