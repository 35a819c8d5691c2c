//! The queue of packets that wait for the server's word (nfnetlink_queue), and sockets for packets to the guest.
//!
//! Never blocks. What the guest put into its packets is passed on as it is and not looked at here.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::network::netlink::{ACKNOWLEDGE, Message, NETFILTER, ask, attributes, messages, socket};
use crate::sys;

const SUBSYSTEM: u16 = 3;
/// `NFQNL_MSG_PACKET`, `NFQNL_MSG_VERDICT`, `NFQNL_MSG_CONFIG`.
const PACKET: u16 = SUBSYSTEM << 8;
const VERDICT: u16 = SUBSYSTEM << 8 | 1;
const CONFIGURE: u16 = SUBSYSTEM << 8 | 2;
/// `NFQA_CFG_CMD` with `NFQNL_CFG_CMD_BIND`, `NFQA_CFG_PARAMS` with `NFQNL_COPY_PACKET`, `NFQA_CFG_QUEUE_MAXLEN`.
const COMMAND: u16 = 1;
const BIND: [u8; 4] = [1, 0, 0, 0];
const PARAMETERS: u16 = 2;
const WHOLE_PACKETS: [u8; 5] = [0, 0, 0xff, 0xff, 2];
const LENGTH: u16 = 3;
/// `NFQA_PACKET_HDR`, `NFQA_VERDICT_HDR`, `NFQA_PAYLOAD`.
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const PAYLOAD: u16 = 10;
const ACCEPT: u32 = 1;
const DROP: u32 = 0;
/// The header of a message of this family: the version of IP, which does not matter here, and queue 0.
const HEADER: [u8; 4] = [0; 4];
/// Packets that may wait. The kernel drops further ones, as a network would.
const WAITING: u32 = 512;
/// The largest packet, with what the kernel says about it.
const BUFFER: usize = 66 * 1024;

/// Opens the queue, and a socket for each version of IP, in the network namespace of this process.
pub(super) fn open(has_v6: bool) -> io::Result<Vec<OwnedFd>> {
    let queue = socket(NETFILTER)?;
    let configure = |kind, value: &[u8]| {
        ask(&queue, &Message::new(CONFIGURE, ACKNOWLEDGE, &HEADER).attribute(kind, value).finish(), 1)
    };
    configure(COMMAND, &BIND)?;
    configure(PARAMETERS, &WHOLE_PACKETS)?;
    configure(LENGTH, &WAITING.to_be_bytes())?;
    sys::never_report_overruns(&queue)?;
    let mut descriptors = vec![queue, raw(AddressFamily::INET)?];
    if has_v6 {
        descriptors.push(raw(AddressFamily::INET6)?);
    }
    Ok(descriptors)
}

/// A socket for whole packets.
fn raw(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Protocol::from_raw(std::num::NonZero::new(255).expect("IPPROTO_RAW is not 0"));
    Ok(rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol))?)
}

/// The name of a waiting packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketId([u8; 4]);

/// Packets of one sandbox that wait for the server's word.
#[derive(Debug)]
pub struct Packets {
    queue: OwnedFd,
    v4: OwnedFd,
    v6: Option<OwnedFd>,
}

impl Packets {
    /// From what [`open`] gave, if it was asked.
    pub(super) fn new(descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut descriptors = descriptors.into_iter();
        Some(Self { queue: descriptors.next()?, v4: descriptors.next()?, v6: descriptors.next() })
    }

    /// Takes the next packet that waits and hands it to `look`, whose answer it gives.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when none waits.
    pub fn receive<T>(&self, look: impl FnOnce(PacketId, &[u8]) -> T) -> io::Result<Option<T>> {
        let mut buffer = [0; BUFFER];
        let (length, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(&self.queue, &mut buffer, RecvFlags::DONTWAIT))?;
        let packet = messages(&buffer[..length]).find(|(kind, _)| *kind == PACKET);
        Ok(packet.and_then(|(_, body)| parse(body)).map(|(id, packet)| look(id, packet)))
    }

    /// Lets a packet go on its way, or drops it. An answer too late changes nothing.
    ///
    /// # Errors
    ///
    /// When the kernel takes no answer.
    pub fn decide(&self, id: PacketId, accept: bool) -> io::Result<()> {
        let verdict = if accept { ACCEPT } else { DROP };
        let value = [verdict.to_be_bytes(), id.0].concat();
        let message = Message::new(VERDICT, 0, &HEADER).attribute(VERDICT_HEADER, &value).finish();
        rustix::net::send(&self.queue, &message, SendFlags::DONTWAIT)?;
        Ok(())
    }

    /// Sends a whole packet to the guest, which has the address `to`.
    ///
    /// # Errors
    ///
    /// When the kernel does not take it; then it is lost, as packets may be.
    pub fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        let socket = if to.is_ipv4() { Some(&self.v4) } else { self.v6.as_ref() };
        let socket = socket.ok_or(io::ErrorKind::AddrNotAvailable)?;
        // The port of a raw socket's address has no meaning, and version 6 refuses any.
        let to = SocketAddr::new(to.ip(), 0);
        rustix::net::sendto(socket, packet, SendFlags::DONTWAIT, &to)?;
        Ok(())
    }
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl AsRawFd for Packets {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.as_raw_fd()
    }
}

fn parse(body: &[u8]) -> Option<(PacketId, &[u8])> {
    let mut id = None;
    let mut packet = None;
    for (kind, value) in attributes(body.get(HEADER.len()..)?) {
        match kind {
            PACKET_HEADER => id = value.first_chunk().copied().map(PacketId),
            PAYLOAD => packet = Some(value),
            _ => {}
        }
    }
    Some((id?, packet.unwrap_or_default()))
}
