//! Packets of IP, as far as a sandbox's ways out need them: read what came out of the guest, make what goes in.
//!
//! What is read comes from the guest and may be anything. Fragments and everything but UDP and TCP are not understood; the
//! kernel makes no fragments on loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
/// RST and ACK.
const RESET: u8 = 0x14;
/// How often packets that we make could be routed on, which they are not.
const HOP_LIMIT: u8 = 64;
/// What of a packet is shown to its sender when it could not be delivered: the header of IP and this much.
const SHOWN: usize = 8;

/// A packet of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The guest.
    pub source: SocketAddr,
    /// Where it goes to.
    pub destination: SocketAddr,
    /// What is in it.
    pub content: Content<'a>,
    /// Its beginning, which [`unreachable`] shows to the guest.
    pub beginning: &'a [u8],
}

/// What is in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A datagram of UDP.
    Datagram(&'a [u8]),
    /// The first packet of a connection of TCP.
    Opening {
        /// Its sequence number.
        sequence: u32,
    },
}

impl<'a> Packet<'a> {
    /// Reads a packet; none where it is not understood.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = Header::parse(bytes)?;
        let transport = bytes.get(header.length..)?;
        let [a, b, c, d, ..] = *transport.first_chunk::<SHOWN>()?;
        let content = match header.protocol {
            UDP => Content::Datagram(udp_payload(transport)?),
            TCP => Content::Opening { sequence: number(transport.get(4..8)?)? },
            _ => return None,
        };
        Some(Self {
            source: SocketAddr::new(header.source, u16::from_be_bytes([a, b])),
            destination: SocketAddr::new(header.destination, u16::from_be_bytes([c, d])),
            content,
            beginning: bytes.get(..header.length + SHOWN)?,
        })
    }
}

struct Header {
    length: usize,
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::parse_v4(bytes),
            6 => Self::parse_v6(bytes),
            _ => None,
        }
    }

    fn parse_v4(bytes: &[u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<V4_HEADER>()?;
        let length = usize::from(fixed[0] & 0xf) * 4;
        // More fragments, or not the first.
        let is_fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0;
        let address =
            |at: usize| fixed.get(at..at + 4)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets));
        (length >= V4_HEADER && !is_fragment).then_some(Self {
            length,
            protocol: fixed[9],
            source: address(12)?.into(),
            destination: address(16)?.into(),
        })
    }

    /// Headers of extensions are not understood.
    fn parse_v6(bytes: &[u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<V6_HEADER>()?;
        let address =
            |at: usize| fixed.get(at..at + 16)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
        Some(Self {
            length: V6_HEADER,
            protocol: fixed[6],
            source: address(8)?.into(),
            destination: address(24)?.into(),
        })
    }
}

fn udp_payload(transport: &[u8]) -> Option<&[u8]> {
    let [.., high, low, _, _] = *transport.first_chunk::<UDP_HEADER>()?;
    transport.get(UDP_HEADER..usize::from(u16::from_be_bytes([high, low])))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A datagram to the guest; none where it is too large for one, or the two addresses are of different versions.
#[must_use]
pub fn datagram(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(UDP_HEADER + payload.len()).ok()?;
    let mut transport = Vec::with_capacity(usize::from(length));
    transport.extend(source.port().to_be_bytes());
    transport.extend(destination.port().to_be_bytes());
    transport.extend(length.to_be_bytes());
    transport.extend([0, 0]);
    transport.extend(payload);
    packet(source.ip(), destination.ip(), UDP, transport, 6)
}

/// The refusal of the connection that `opening` would open; none where it opens none.
#[must_use]
pub fn reset(opening: &Packet<'_>) -> Option<Vec<u8>> {
    let Content::Opening { sequence } = opening.content else { return None };
    let mut transport = Vec::with_capacity(TCP_HEADER);
    transport.extend(opening.destination.port().to_be_bytes());
    transport.extend(opening.source.port().to_be_bytes());
    transport.extend([0; 4]);
    transport.extend(sequence.wrapping_add(1).to_be_bytes());
    // The header's length in words, the flags, no window, the checksum, no urgent data.
    transport.extend([5 << 4, RESET, 0, 0, 0, 0, 0, 0]);
    packet(opening.destination.ip(), opening.source.ip(), TCP, transport, 16)
}

/// Why a packet was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The destination is not for this guest: `EHOSTUNREACH`, and `EACCES` with version 6.
    Forbidden,
    /// The destination is not there: `EHOSTUNREACH`, which the kernel tells of connections only.
    Host,
    /// Nobody listens at the destination's port: `ECONNREFUSED`.
    Port,
}

/// Tells the guest that the packet with this beginning was not delivered.
#[must_use]
pub fn unreachable(beginning: &[u8], why: Unreachable) -> Option<Vec<u8>> {
    let header = Header::parse(beginning)?;
    let (protocol, kind, code) = match (header.source, why) {
        (IpAddr::V4(_), Unreachable::Forbidden) => (ICMP, 3, 10),
        (IpAddr::V4(_), Unreachable::Host) => (ICMP, 3, 1),
        (IpAddr::V4(_), Unreachable::Port) => (ICMP, 3, 3),
        (IpAddr::V6(_), Unreachable::Forbidden) => (ICMP_V6, 1, 1),
        (IpAddr::V6(_), Unreachable::Host) => (ICMP_V6, 1, 3),
        (IpAddr::V6(_), Unreachable::Port) => (ICMP_V6, 1, 4),
    };
    let mut transport = vec![kind, code, 0, 0, 0, 0, 0, 0];
    transport.extend(beginning);
    packet(header.destination, header.source, protocol, transport, 2)
}

/// Puts IP around `transport`, after filling in the checksum that it has at `checksum_at`.
fn packet(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    mut transport: Vec<u8>,
    checksum_at: usize,
) -> Option<Vec<u8>> {
    let length = u16::try_from(transport.len()).ok()?;
    let mut sum = Checksum::default();
    if protocol != ICMP {
        sum.add_address(source);
        sum.add_address(destination);
        sum.add(&u16::from(protocol).to_be_bytes());
        sum.add(&length.to_be_bytes());
    }
    sum.add(&transport);
    transport.get_mut(checksum_at..checksum_at + 2)?.copy_from_slice(&sum.finish());
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => v4_header(source, destination, protocol, length)?,
        (IpAddr::V6(source), IpAddr::V6(destination)) => v6_header(source, destination, protocol, length),
        _ => return None,
    };
    packet.extend(transport);
    Some(packet)
}

fn v4_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Option<Vec<u8>> {
    let total = length.checked_add(20)?;
    let mut header = vec![0x45, 0];
    header.extend(total.to_be_bytes());
    // Number 0, which may not be fragmented.
    header.extend([0, 0, 0x40, 0, HOP_LIMIT, protocol, 0, 0]);
    header.extend(source.octets());
    header.extend(destination.octets());
    let mut sum = Checksum::default();
    sum.add(&header);
    header[10..12].copy_from_slice(&sum.finish());
    Some(header)
}

fn v6_header(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u16) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(length.to_be_bytes());
    header.extend([protocol, HOP_LIMIT]);
    header.extend(source.octets());
    header.extend(destination.octets());
    header
}

/// The checksum of the Internet protocols (RFC 1071).
#[derive(Default)]
struct Checksum(u32);

impl Checksum {
    fn add_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.add(&address.octets()),
            IpAddr::V6(address) => self.add(&address.octets()),
        }
    }

    /// Adds at most 64 KiB, after an even number of bytes.
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            self.0 += u32::from(u16::from_be_bytes([pair[0], low]));
        }
    }

    /// A sum of zero is sent as all ones, which is the same and not mistaken for none.
    fn finish(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        let sum = u16::try_from(sum).map_or(0, |sum| !sum);
        (if sum == 0 { 0xffff } else { sum }).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: (&str, &str) = ("169.254.76.1:4000", "198.51.100.7:53");
    const V6: (&str, &str) = ("[fd66::1]:4000", "[2001:db8::7]:53");

    fn addresses((one, other): (&str, &str)) -> (SocketAddr, SocketAddr) {
        (one.parse().unwrap(), other.parse().unwrap())
    }

    /// The sum over a packet with its checksum in place is all ones.
    fn check_sum(packet: &[u8]) {
        let header = Header::parse(packet).unwrap();
        let transport = &packet[header.length..];
        let mut sum = Checksum::default();
        if header.protocol != ICMP {
            sum.add_address(header.source);
            sum.add_address(header.destination);
            sum.add(&u16::from(header.protocol).to_be_bytes());
            sum.add(&u16::try_from(transport.len()).unwrap().to_be_bytes());
        }
        sum.add(transport);
        assert_eq!(sum.finish(), [0xff, 0xff]);
    }

    #[test]
    fn a_datagram_is_read_as_it_was_made() {
        for pair in [V4, V6] {
            let (source, destination) = addresses(pair);
            for payload in [&b""[..], b"odd", b"even"] {
                let bytes = datagram(source, destination, payload).unwrap();
                check_sum(&bytes);
                let packet = Packet::parse(&bytes).unwrap();
                assert_eq!((packet.source, packet.destination), (source, destination));
                assert_eq!(packet.content, Content::Datagram(payload));
            }
        }
    }

    #[test]
    fn a_refusal_names_the_connection() {
        for pair in [V4, V6] {
            let (guest, destination) = addresses(pair);
            let opening = Packet {
                source: guest,
                destination,
                content: Content::Opening { sequence: u32::MAX },
                beginning: &[],
            };
            let bytes = reset(&opening).unwrap();
            check_sum(&bytes);
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!((packet.source, packet.destination), (destination, guest));
            let header = Header::parse(&bytes).unwrap();
            assert_eq!(bytes[header.length + 8..][..6], [0, 0, 0, 0, 0x50, RESET]);
        }
    }

    #[test]
    fn what_is_not_delivered_comes_back_with_its_beginning() {
        for (pair, why, expected) in [
            (V4, Unreachable::Forbidden, [3, 10]),
            (V4, Unreachable::Host, [3, 1]),
            (V4, Unreachable::Port, [3, 3]),
            (V6, Unreachable::Forbidden, [1, 1]),
            (V6, Unreachable::Host, [1, 3]),
            (V6, Unreachable::Port, [1, 4]),
        ] {
            let (source, destination) = addresses(pair);
            let bytes = datagram(source, destination, b"question").unwrap();
            let beginning = Packet::parse(&bytes).unwrap().beginning;
            let answer = unreachable(beginning, why).unwrap();
            check_sum(&answer);
            let header = Header::parse(&answer).unwrap();
            assert_eq!((header.source, header.destination), (destination.ip(), source.ip()));
            assert_eq!(answer[header.length..][..2], expected);
            assert_eq!(&answer[header.length + 8..], beginning);
        }
    }

    #[test]
    fn what_is_no_whole_packet_is_not_understood_and_never_panics() {
        let (source, destination) = addresses(V4);
        let whole = datagram(source, destination, b"x").unwrap();
        for length in 0..whole.len() {
            assert_eq!(Packet::parse(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for value in [0, 0x0f, 0x40, 0x4f, 0x60, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = Packet::parse(&bytes).map(|packet| unreachable(packet.beginning, Unreachable::Host));
            }
        }
        let mut fragment = whole.clone();
        fragment[6] = 0x20;
        assert_eq!(Packet::parse(&fragment), None);
        assert_eq!(datagram(source, destination, &[0; 65_530]), None);
    }
}
