//! The ways out of a sandbox's own network, made ahead of a launch and handed to the server.
//!
//! A sandbox has no link to the host, no interface but loopback and no address that anyone else could send to: no packet
//! ever leaves its network namespace. What leaves are connections, and the server makes them, after looking at where they
//! go. For this, every address is an address of the sandbox's loopback, connections to others than its own arrive at a
//! listener of the server, and whatever opens one, or is a datagram, waits in a queue until the server has decided. So
//! nothing on the host has to be changed, and nothing can be left behind there.
//!
//! Nothing here decides who may reach what, and nothing here connects anywhere.

mod address;
mod netlink;
mod packet;
mod queue;
mod route;
mod rules;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::error::{At, Failure, Step};
pub use crate::network::packet::{Content, Packet, Unreachable, datagram, reset, unreachable};
pub use crate::network::queue::{PacketId, Packets};
pub use crate::network::route::belongs_to_host;
pub(crate) use crate::network::rules::Queueing;
use crate::spec::Outside;
use crate::sys;

/// Where a sandbox with [`Network::Nat`](crate::Network::Nat) sends its questions for names.
pub const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 78, 1)), 53);
/// The most addresses in [`Outside::hosts`].
pub const HOSTS: usize = 16;

/// A sandbox's own addresses. No two sandboxes ever meet, so all have the same.
const OWN_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 76, 1);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd66, 0x6972, 0x656c, 0, 0, 0, 0, 1);
/// Where the server listens for connections to everywhere; a guest may not bind to a port below 1024.
const CATCH_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 78, 2)), 1);
const CATCH_V6: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd66, 0x6972, 0x656c, 0, 0, 0, 0, 2)), 1);
/// Connections that may wait for the server.
const BACKLOG: i32 = 128;

/// What the server serves of the ways out of one sandbox.
#[derive(Debug)]
pub struct Ways {
    /// Nonblocking listeners inside. The local address of what they accept is where the guest means to connect to.
    pub listeners: Vec<TcpListener>,
    /// With [`Network::Nat`](crate::Network::Nat): datagrams, and what would open a connection to a listener.
    pub packets: Option<Packets>,
}

/// [`Outside`], with what was found out about this host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlets {
    /// How packets get into the queue; none without [`Outside::nat`].
    pub(crate) nat: Option<Queueing>,
    pub(crate) hosts: Vec<SocketAddr>,
}

impl Outlets {
    /// Which ways to try for `outside`, best first.
    pub(crate) fn candidates(outside: &Outside) -> Vec<Self> {
        let with = |nat| Self { nat, hosts: outside.hosts.clone() };
        if outside.nat {
            [Queueing::Native, Queueing::Compatible].map(|queueing| with(Some(queueing))).into()
        } else {
            vec![with(None)]
        }
    }
}

/// The open ends of the ways out of one network namespace.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The queue, and sockets for packets to the guest: of version 4 and, where the host has it, of version 6.
    pub(crate) packets: Vec<OwnedFd>,
    pub(crate) listeners: Vec<OwnedFd>,
}

impl Ends {
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        self.packets.iter().chain(&self.listeners)
    }

    /// From descriptors in the order of [`Self::descriptors`], of which so many are for packets.
    pub(crate) fn from_descriptors(mut descriptors: Vec<OwnedFd>, packets: u8) -> Self {
        let listeners = descriptors.split_off(usize::from(packets).min(descriptors.len()));
        Self { packets: descriptors, listeners }
    }
}

impl Ways {
    pub(crate) fn new(ends: Ends) -> Self {
        let listeners = ends.listeners.into_iter().map(TcpListener::from).collect();
        Self { listeners, packets: Packets::new(ends.packets) }
    }
}

/// Makes the ways out of the network namespace that this process is in. Its loopback is up.
pub(crate) fn open(outlets: &Outlets) -> Result<Ends, Failure> {
    let mut ends = Ends::default();
    if let Some(queueing) = outlets.nat {
        let has_v6 = address::own_everything().at(Step::RouteOutside, "")?;
        let catches = [Some(CATCH_V4), has_v6.then_some(CATCH_V6)];
        for catch in catches.into_iter().flatten() {
            ends.listeners.push(listen(catch, true).at(Step::ListenOutside, "")?);
        }
        rules::install(queueing, has_v6).at(Step::FilterOutside, "")?;
        ends.packets = queue::open(has_v6).at(Step::QueueOutside, "")?;
    }
    for host in &outlets.hosts {
        if outlets.nat.is_none() && !host.ip().is_loopback() {
            address::own(host.ip()).at(Step::RouteOutside, "")?;
        }
        ends.listeners.push(listen(*host, false).at(Step::ListenOutside, "")?);
    }
    Ok(ends)
}

/// A listener; a transparent one takes connections to whatever address the rules send to it.
fn listen(address: SocketAddr, is_transparent: bool) -> std::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if is_transparent {
        sys::set_transparent(&socket, address.is_ipv6())?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}
