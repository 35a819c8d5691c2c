//! Messages to the kernel on a netlink socket, and what it says to them. Never waits: the kernel answers while it takes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `NLMSG_ERROR`: an acknowledgement, whose error may be zero.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
pub(super) const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
pub(super) const ACKNOWLEDGE: u16 = 4;
/// `NLM_F_CREATE`.
pub(super) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub(super) const APPEND: u16 = 0x800;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are no flags.
const TYPE: u16 = 0x3fff;
const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// The family of addresses and routes, which is number 0.
pub(super) const ROUTE: Option<Protocol> = None;
/// The family of packet filters.
pub(super) const NETFILTER: Option<Protocol> = Some(rustix::net::netlink::NETFILTER);

/// Opens a socket to a netlink family.
pub(super) fn socket(family: Option<Protocol>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, family)?)
}

/// A message in the making.
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Starts with the netlink header, and the family's own header.
    pub(super) fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(header);
        Self(bytes)
    }

    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        append_attribute(&mut self.0, kind, value);
        self
    }

    pub(super) fn nested(self, kind: u16, attributes: &Attributes) -> Self {
        self.attribute(kind | NESTED, &attributes.0)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("messages of this crate are short");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Attributes that stand inside of another.
#[derive(Clone, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        append_attribute(&mut self.0, kind, value);
        self
    }

    pub(super) fn nested(self, kind: u16, attributes: &Self) -> Self {
        self.with(kind | NESTED, &attributes.0)
    }
}

fn append_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("attributes of this crate are short");
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`, by type; ends where they are malformed.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d] = *bytes.first_chunk::<ATTRIBUTE_HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & TYPE, value))
    })
}

/// One message that came: its type, and what follows the netlink header.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d, e, f, ..] = *bytes.first_chunk::<HEADER>()?;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([e, f]), body))
    })
}

/// Sends messages of which `acknowledged` ask for an acknowledgement; the first error among them is the answer.
pub(super) fn ask(socket: &OwnedFd, bytes: &[u8], acknowledged: usize) -> io::Result<()> {
    rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))?;
    let mut buffer = [0; 8192];
    let mut left = acknowledged;
    let mut result = Ok(());
    while left > 0 {
        let (length, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut buffer, RecvFlags::DONTWAIT))?;
        for (_, body) in messages(&buffer[..length]).filter(|(kind, _)| *kind == ERROR) {
            left = left.saturating_sub(1);
            result = result.and(outcome(body));
        }
    }
    result
}

/// Sends one question and gives the one answer to it.
pub(super) fn question(socket: &OwnedFd, bytes: &[u8]) -> io::Result<Vec<u8>> {
    rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))?;
    let mut buffer = [0; 8192];
    let (length, _) =
        rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut buffer, RecvFlags::DONTWAIT))?;
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let (kind, body) = messages(&buffer[..length]).next().ok_or_else(malformed)?;
    if kind == ERROR { outcome(body).and_then(|()| Err(malformed())) } else { Ok(body.to_vec()) }
}

fn outcome(body: &[u8]) -> io::Result<()> {
    let errno = body.first_chunk().map_or(-libc::EBADMSG, |errno| i32::from_ne_bytes(*errno));
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-errno)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let inner = Attributes::default().with(1, b"abc");
        let message = Message::new(7, ACKNOWLEDGE, &[9; 4]).attribute(2, b"x").nested(3, &inner).finish();
        let (kind, body) = messages(&message).next().unwrap();
        assert_eq!((kind, &body[..4]), (7, &[9; 4][..]));
        let read: Vec<_> = attributes(&body[4..]).collect();
        assert_eq!(read[0], (2, &b"x"[..]));
        assert_eq!(read[1].0, 3);
        assert_eq!(attributes(read[1].1).collect::<Vec<_>>(), [(1, &b"abc"[..])]);
    }

    #[test]
    fn what_is_cut_short_ends_and_never_panics() {
        let message = Message::new(7, 0, &[]).attribute(2, b"value").finish();
        for length in 0..message.len() {
            assert_eq!(messages(&message[..length]).count(), 0);
            assert!(attributes(message[16..].get(..length).unwrap_or_default()).count() <= 1);
        }
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }
}
