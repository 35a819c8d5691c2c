//! Whether an address is one of the host's own, which the kernel's routes know best. Changes nothing.

use std::io;
use std::net::IpAddr;

use crate::network::address::parts;
use crate::network::netlink::{Message, ROUTE, question, socket};

const GET_ROUTE: u16 = 26;
/// `RTA_DST`.
const DESTINATION: u16 = 1;
/// `RTN_UNICAST`: somebody else's address.
const UNICAST: u8 = 1;
/// Where `rtm_type` stands in the C structure `rtmsg`.
const TYPE: usize = 7;

/// Whether what is sent to `address` from this process arrives at this host, or at several: its own addresses,
/// broadcast, multicast.
///
/// # Errors
///
/// When the kernel cannot tell, for want of a route to there among other reasons.
pub fn belongs_to_host(address: IpAddr) -> io::Result<bool> {
    let (family, bytes, length) = parts(address);
    let header = [family, length, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let message = Message::new(GET_ROUTE, 0, &header).attribute(DESTINATION, &bytes).finish();
    let answer = question(&socket(ROUTE)?, &message)?;
    let kind = answer.get(TYPE).ok_or(io::ErrorKind::InvalidData)?;
    Ok(*kind != UNICAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_broadcast_and_multicast_are_the_hosts_own() {
        for address in ["127.0.0.1", "127.1.2.3", "0.0.0.0", "255.255.255.255", "224.0.0.1"] {
            assert!(belongs_to_host(address.parse().unwrap()).unwrap(), "{address}");
        }
        assert!(belongs_to_host("::1".parse().unwrap()).unwrap());
    }
}
