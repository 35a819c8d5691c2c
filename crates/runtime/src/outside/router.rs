//! What the guest of one sandbox sends outside, and whom it goes to. Owns every task that it starts.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use firelet_sandbox::network::{Content, Packet, PacketId, Packets, Unreachable, Ways, reset, unreachable};
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

use crate::outside::Outside;
use crate::outside::connection::{abort, connect, relay};
use crate::outside::flow::{Ends, Flow};

/// Connections of one guest; it waits for further ones, as for a network that loses packets.
const CONNECTIONS: usize = 512;
/// Connections that are being made for one guest.
const OPENINGS: usize = 128;
/// Flows of datagrams of one guest; a further one takes the place of the one that has been still the longest.
const FLOWS: usize = 256;
/// Those with the ones that end just now; what would begin further ones is lost.
const FLOWS_WITH_ENDING: usize = 2 * FLOWS;
/// Datagrams of one flow that may wait for the host's network; further ones are lost.
const WAITING_DATAGRAMS: usize = 16;
/// Packets that are taken before other things have their turn.
const PACKETS_AT_A_TIME: usize = 32;
/// How long the guest has to take a connection that was made for it.
const UNTAKEN: Duration = Duration::from_secs(10);
/// What a failed accept, most likely for want of descriptors, waits before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// A connection has an end inside and one outside.
const DESCRIPTORS_OF_A_CONNECTION: u32 = 2;

/// Takes packets to the guest.
#[derive(Clone)]
pub(super) struct Mailbox(Arc<AsyncFd<Packets>>);

impl Mailbox {
    /// Delivers a packet, or loses it, as networks do.
    pub(super) fn deliver(&self, packet: &[u8], guest: SocketAddr) {
        if let Err(error) = self.0.get_ref().send(packet, guest) {
            tracing::debug!(%error, "a packet to a guest is lost");
        }
    }
}

/// How far a connection is that the guest opens.
enum Opening {
    /// It is being made outside.
    Made,
    /// It is made, and the guest's own end of it is on its way.
    Ready { stream: TcpStream, since: Instant, room: OwnedSemaphorePermit },
}

/// A connection that was being made outside, with the guest's packet that waited for it.
struct Dialled {
    ends: Ends,
    packet: PacketId,
    refusal: Option<Vec<u8>>,
    beginning: Vec<u8>,
    result: io::Result<TcpStream>,
    room: OwnedSemaphorePermit,
}

/// A flow that goes on until this is dropped, or for as long as it likes.
struct Current {
    datagrams: mpsc::Sender<Bytes>,
    used: Instant,
}

/// A packet that was looked at.
struct Seen {
    id: PacketId,
    ends: Ends,
    beginning: Vec<u8>,
    content: SeenContent,
}

enum SeenContent {
    Datagram(Bytes),
    Opening { refusal: Option<Vec<u8>> },
}

/// The ways out of one sandbox.
pub(super) struct Router {
    outside: Arc<Outside>,
    listeners: Vec<TcpListener>,
    mailbox: Option<Mailbox>,
    openings: HashMap<Ends, Opening>,
    flows: HashMap<Ends, Current>,
    dialling: JoinSet<Dialled>,
    relays: JoinSet<()>,
    flowing: JoinSet<Ends>,
}

impl Router {
    pub(super) fn new(ways: Ways, outside: Arc<Outside>) -> io::Result<Self> {
        let listeners = ways.listeners.into_iter().map(TcpListener::from_std);
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types whose descriptor changes; that of packets stays the same"
        )]
        let packets = ways.packets.map(AsyncFd::new).transpose()?;
        Ok(Self {
            outside,
            listeners: listeners.collect::<io::Result<_>>()?,
            mailbox: packets.map(|packets| Mailbox(Arc::new(packets))),
            openings: HashMap::new(),
            flows: HashMap::new(),
            dialling: JoinSet::new(),
            relays: JoinSet::new(),
            flowing: JoinSet::new(),
        })
    }

    pub(super) async fn run(mut self) -> Infallible {
        loop {
            tokio::select! {
                seen = seen(self.mailbox.as_ref()) => {
                    for packet in seen {
                        self.on_packet(packet);
                    }
                    // A guest that never stops sending must not keep the thread from others.
                    tokio::task::yield_now().await;
                }
                accepted = accept(&self.listeners), if self.relays.len() < CONNECTIONS => match accepted {
                    Ok((stream, guest)) => self.on_connection(stream, guest),
                    Err(error) => {
                        tracing::debug!(%error, "a guest's connection failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(dialled) = self.dialling.join_next() => {
                    if let Ok(dialled) = dialled {
                        self.on_dialled(dialled);
                    }
                }
                Some(_) = self.relays.join_next() => {}
                Some(ended) = self.flowing.join_next() => {
                    if let Ok(ends) = ended {
                        self.on_flow_ended(ends);
                    }
                }
            }
        }
    }

    fn on_packet(&mut self, packet: Seen) {
        match packet.content {
            SeenContent::Datagram(datagram) => {
                self.decide(packet.id, false);
                self.on_datagram(packet.ends, packet.beginning, datagram);
            }
            SeenContent::Opening { refusal } => {
                self.on_opening(packet.id, packet.ends, packet.beginning, refusal);
            }
        }
    }

    fn decide(&self, packet: PacketId, accept: bool) {
        let Some(mailbox) = &self.mailbox else { return };
        if let Err(error) = mailbox.0.get_ref().decide(packet, accept) {
            tracing::debug!(%error, "a guest's packet is lost");
        }
    }

    /// What is not decided now, for want of room or because the same packet came before, is lost; the guest sends it again.
    fn on_opening(&mut self, packet: PacketId, ends: Ends, beginning: Vec<u8>, refusal: Option<Vec<u8>>) {
        self.openings.retain(|_, opening| match opening {
            Opening::Made => true,
            Opening::Ready { since, .. } => since.elapsed() < UNTAKEN,
        });
        match self.openings.get(&ends) {
            Some(Opening::Made) => return self.decide(packet, false),
            Some(Opening::Ready { .. }) => return self.decide(packet, true),
            None => {}
        }
        let targets = self.outside.targets(ends.destination);
        if targets.is_empty() {
            tracing::debug!(destination = %ends.destination, "a guest may not connect to there");
            self.decide(packet, false);
            return self.tell(ends, &beginning, Unreachable::Forbidden);
        }
        let room = self.outside.room(DESCRIPTORS_OF_A_CONNECTION);
        let Some(room) = room.filter(|_| self.openings.len() < OPENINGS && self.relays.len() < CONNECTIONS)
        else {
            return self.decide(packet, false);
        };
        self.openings.insert(ends, Opening::Made);
        self.dialling.spawn(async move {
            Dialled { ends, packet, refusal, beginning, result: connect(targets).await, room }
        });
    }

    fn on_dialled(&mut self, dialled: Dialled) {
        let Dialled { ends, packet, refusal, beginning, result, room } = dialled;
        self.openings.remove(&ends);
        match result {
            Ok(stream) => {
                self.openings.insert(ends, Opening::Ready { stream, since: Instant::now(), room });
                self.decide(packet, true);
            }
            Err(error) => {
                self.decide(packet, false);
                match error.kind() {
                    io::ErrorKind::ConnectionRefused => self.deliver(refusal, ends),
                    // The guest finds out by itself.
                    io::ErrorKind::TimedOut => {}
                    _ => self.tell(ends, &beginning, Unreachable::Host),
                }
            }
        }
    }

    /// What was made outside before meets its end inside; what comes by a listener of its own is made now.
    fn on_connection(&mut self, inside: TcpStream, guest: SocketAddr) {
        let Ok(destination) = inside.local_addr() else { return };
        match self.openings.remove(&Ends { guest, destination }) {
            Some(Opening::Ready { stream, room, .. }) => {
                self.relays.spawn(async move {
                    relay(inside, stream).await;
                    drop(room);
                });
            }
            Some(Opening::Made) | None => self.connect_for(inside, destination),
        }
    }

    fn connect_for(&mut self, inside: TcpStream, destination: SocketAddr) {
        let targets = self.outside.targets(destination);
        let Some(room) = self.outside.room(DESCRIPTORS_OF_A_CONNECTION).filter(|_| !targets.is_empty())
        else {
            return abort(&inside);
        };
        self.relays.spawn(async move {
            match connect(targets).await {
                Ok(stream) => relay(inside, stream).await,
                Err(error) => {
                    tracing::debug!(%destination, %error, "cannot connect for a guest");
                    abort(&inside);
                }
            }
            drop(room);
        });
    }

    fn on_datagram(&mut self, ends: Ends, beginning: Vec<u8>, datagram: Bytes) {
        let now = Instant::now();
        if let Some(flow) = self.flows.get_mut(&ends) {
            flow.used = now;
            let sent = flow.datagrams.try_send(datagram.clone());
            if !matches!(sent, Err(mpsc::error::TrySendError::Closed(_))) {
                return;
            }
        }
        let targets = self.outside.targets(ends.destination);
        if targets.is_empty() {
            return self.tell(ends, &beginning, Unreachable::Forbidden);
        }
        if self.flows.len() >= FLOWS {
            self.end_the_stillest_flow();
        }
        let room = self.outside.room(1).filter(|_| self.flowing.len() < FLOWS_WITH_ENDING);
        let (Some(room), Some(mailbox)) = (room, self.mailbox.clone()) else { return };
        let (sender, datagrams) = mpsc::channel(WAITING_DATAGRAMS);
        if sender.try_send(datagram).is_err() {
            return;
        }
        self.flows.insert(ends, Current { datagrams: sender, used: now });
        let flow = Flow { ends, targets, beginning, datagrams, mailbox, _room: room };
        self.flowing.spawn(async move {
            flow.run().await;
            ends
        });
    }

    fn end_the_stillest_flow(&mut self) {
        let stillest = self.flows.iter().min_by_key(|(_, flow)| flow.used).map(|(ends, _)| *ends);
        if let Some(ends) = stillest {
            self.flows.remove(&ends);
        }
    }

    /// Another flow with the same ends may have begun since.
    fn on_flow_ended(&mut self, ends: Ends) {
        if self.flows.get(&ends).is_some_and(|flow| flow.datagrams.is_closed()) {
            self.flows.remove(&ends);
        }
    }

    fn tell(&self, ends: Ends, beginning: &[u8], why: Unreachable) {
        self.deliver(unreachable(beginning, why), ends);
    }

    fn deliver(&self, packet: Option<Vec<u8>>, ends: Ends) {
        if let (Some(packet), Some(mailbox)) = (packet, &self.mailbox) {
            mailbox.deliver(&packet, ends.guest);
        }
    }
}

/// The next connection to any of the listeners. Loses nothing when it is dropped while it waits.
async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        let mut accepted = listeners.iter().map(|listener| listener.poll_accept(context));
        accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// The next packets that wait; those that are not understood are dropped. Loses nothing when it is dropped while it waits.
async fn seen(mailbox: Option<&Mailbox>) -> Vec<Seen> {
    let Some(Mailbox(packets)) = mailbox else { return std::future::pending().await };
    let Ok(mut ready) = packets.readable().await else { return std::future::pending().await };
    let mut seen = Vec::new();
    for _ in 0..PACKETS_AT_A_TIME {
        match ready.get_inner().receive(look) {
            Ok(Some(Ok(packet))) => seen.push(packet),
            Ok(Some(Err(unknown))) => {
                let _ = ready.get_inner().decide(unknown, false);
            }
            Ok(None) => {}
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    tracing::debug!(%error, "cannot read a guest's packet");
                }
                ready.clear_ready();
                break;
            }
        }
    }
    seen
}

/// What is kept of a packet; its id where it is not understood.
fn look(id: PacketId, bytes: &[u8]) -> Result<Seen, PacketId> {
    let packet = Packet::parse(bytes).ok_or(id)?;
    let content = match packet.content {
        Content::Datagram(payload) => SeenContent::Datagram(Bytes::copy_from_slice(payload)),
        Content::Opening { .. } => SeenContent::Opening { refusal: reset(&packet) },
    };
    let ends = Ends { guest: packet.source, destination: packet.destination };
    Ok(Seen { id, ends, beginning: packet.beginning.to_vec(), content })
}
