//! Addresses and routes of a sandbox's loopback, by rtnetlink.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use crate::network::netlink::{ACKNOWLEDGE, CREATE, Message, ROUTE, ask, socket};
use crate::network::{OWN_V4, OWN_V6};

const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// `IFA_LOCAL`, and `IFA_ADDRESS`, which is all that version 6 knows.
const ADDRESSES: [u16; 2] = [2, 1];
/// `RTA_OIF`, `RTA_PREFSRC`.
const OUTPUT_INTERFACE: u16 = 4;
const PREFERRED_SOURCE: u16 = 7;
/// `RT_TABLE_LOCAL`, `RTPROT_BOOT`, `RT_SCOPE_HOST`, `RTN_LOCAL`.
const TABLE_LOCAL: u8 = 255;
const BY_BOOT: u8 = 3;
const SCOPE_HOST: u8 = 254;
const TYPE_LOCAL: u8 = 2;
/// `IFA_F_NODAD`: nobody else could have it.
const UNDOUBTED: u8 = 0x02;
/// Loopback is the first interface of every network namespace.
const LOOPBACK: u32 = 1;

/// Gives the sandbox its own addresses, and makes all others reach its loopback too. Says whether there is version 6.
pub(super) fn own_everything() -> io::Result<bool> {
    let socket = socket(ROUTE)?;
    let all_of = |address| {
        add(&socket, address)?;
        ask(&socket, &route_everything(address), 1)
    };
    all_of(IpAddr::V4(OWN_V4))?;
    // A host may do without it; then nothing of it has a route.
    Ok(all_of(IpAddr::V6(OWN_V6)).is_ok())
}

/// Gives the sandbox one address.
pub(super) fn own(address: IpAddr) -> io::Result<()> {
    add(&socket(ROUTE)?, address)
}

fn add(socket: &OwnedFd, address: IpAddr) -> io::Result<()> {
    let (family, bytes, length) = parts(address);
    let [a, b, c, d] = LOOPBACK.to_ne_bytes();
    let header = [family, length, UNDOUBTED, 0, a, b, c, d];
    let message = Message::new(NEW_ADDRESS, ACKNOWLEDGE | CREATE, &header);
    let message = ADDRESSES.iter().fold(message, |message, kind| message.attribute(*kind, &bytes));
    ask(socket, &message.finish(), 1)
}

fn route_everything(source: IpAddr) -> Vec<u8> {
    let (family, bytes, _) = parts(source);
    let header = [family, 0, 0, 0, TABLE_LOCAL, BY_BOOT, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
    Message::new(NEW_ROUTE, ACKNOWLEDGE | CREATE, &header)
        .attribute(OUTPUT_INTERFACE, &LOOPBACK.to_ne_bytes())
        .attribute(PREFERRED_SOURCE, &bytes)
        .finish()
}

/// Family, bytes, and length of the prefix that is the address itself.
pub(super) fn parts(address: IpAddr) -> (u8, Vec<u8>, u8) {
    match address {
        IpAddr::V4(address) => (2, address.octets().into(), 32),
        IpAddr::V6(address) => (10, address.octets().into(), 128),
    }
}
