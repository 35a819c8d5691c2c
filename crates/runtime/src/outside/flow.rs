//! Datagrams from one port of the guest to one destination, and back.
//!
//! Questions for names go to a name server of the host, and to the next one when no answer comes.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use firelet_sandbox::network::{RESOLVER, Unreachable, datagram, unreachable};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use crate::outside::router::Mailbox;

/// How long a flow may stand still. A name server that has not answered by then does not.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_QUESTION: Duration = Duration::from_secs(10);
/// How long an answer is waited for until a question that is asked again goes to the next name server.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest datagram.
const LARGEST: usize = 65_535;

/// Which flow: the guest's end, and where its datagrams go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) guest: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// A flow of datagrams.
pub(super) struct Flow {
    pub(super) ends: Ends,
    /// Never empty.
    pub(super) targets: Vec<SocketAddr>,
    /// The beginning of the guest's first datagram, with which failures are told.
    pub(super) beginning: Vec<u8>,
    pub(super) datagrams: mpsc::Receiver<Bytes>,
    pub(super) mailbox: Mailbox,
    pub(super) _room: OwnedSemaphorePermit,
}

impl Flow {
    /// Passes datagrams on until none came for a while, or, of questions for names, all are answered.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.pass().await {
            self.tell(&error);
        }
    }

    async fn pass(&mut self) -> io::Result<()> {
        let is_questions = self.ends.destination == RESOLVER;
        let idle = if is_questions { IDLE_QUESTION } else { IDLE };
        let mut turn = 0;
        let mut socket = self.open(turn).await?;
        let mut unanswered = 0_usize;
        let mut asked = Instant::now();
        loop {
            tokio::select! {
                datagram = self.datagrams.recv() => {
                    let Some(datagram) = datagram else { return Ok(()) };
                    if is_questions && unanswered > 0 && asked.elapsed() > PATIENCE {
                        turn += 1;
                        socket = self.open(turn).await?;
                        unanswered = 0;
                    }
                    // A datagram that is lost is what datagrams are; an error comes with the next read.
                    let _ = socket.send(&datagram).await;
                    unanswered += 1;
                    asked = Instant::now();
                }
                ready = socket.ready(Interest::READABLE | Interest::ERROR) => {
                    if ready?.is_error() {
                        clear_error(&socket)?;
                    }
                    if self.bring_back(&socket)? {
                        unanswered = unanswered.saturating_sub(1);
                        if is_questions && unanswered == 0 {
                            return Ok(());
                        }
                    }
                }
                () = tokio::time::sleep(idle) => return Ok(()),
            }
        }
    }

    async fn open(&self, turn: usize) -> io::Result<UdpSocket> {
        let target = self.targets[turn % self.targets.len()];
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(target).await?;
        Ok(socket)
    }

    /// Brings one datagram from outside to the guest; says whether there was one.
    fn bring_back(&self, socket: &UdpSocket) -> io::Result<bool> {
        let mut buffer = [0; LARGEST];
        let length = match socket.try_recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        if let Some(packet) = datagram(self.ends.destination, self.ends.guest, &buffer[..length]) {
            self.mailbox.deliver(&packet, self.ends.guest);
        }
        Ok(true)
    }

    fn tell(&self, error: &io::Error) {
        let why = if error.kind() == io::ErrorKind::ConnectionRefused {
            Unreachable::Port
        } else {
            Unreachable::Host
        };
        if let Some(packet) = unreachable(&self.beginning, why) {
            self.mailbox.deliver(&packet, self.ends.guest);
        }
    }
}

/// What the host's network said about an earlier datagram.
fn clear_error(socket: &UdpSocket) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // There is none any more: wait for the next.
    let _ = socket.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    Ok(())
}
