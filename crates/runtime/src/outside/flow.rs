//! Datagrams from one port of the guest to one destination, and back.
//!
//! Questions for names go to a name server of the host, and to the next one when no answer comes.

use std::collections::VecDeque;
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
/// Questions that are kept until they are answered: two versions of an address, with room.
const QUESTIONS: usize = 4;
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
        let passed = if self.ends.destination == RESOLVER { self.ask().await } else { self.pass().await };
        if let Err(error) = passed {
            self.tell(&error);
        }
    }

    async fn pass(&mut self) -> io::Result<()> {
        let Some(target) = self.targets.first() else { return Ok(()) };
        let socket = open(*target).await?;
        loop {
            match next(&mut self.datagrams, &socket, IDLE).await? {
                Next::Datagram(datagram) => send(&socket, &datagram).await,
                Next::Readable => {
                    self.bring_back(&socket)?;
                }
                Next::Idle => return Ok(()),
            }
        }
    }

    /// Asks one name server after the other, until one answers everything.
    async fn ask(&mut self) -> io::Result<()> {
        let mut questions = Questions::default();
        let mut last = Ok(());
        for target in self.targets.clone() {
            match self.ask_one(target, &mut questions).await {
                Ok(Asked::Answered) => return Ok(()),
                Ok(Asked::InVain) => {}
                Err(error) => last = Err(error),
            }
        }
        last
    }

    async fn ask_one(&mut self, target: SocketAddr, questions: &mut Questions) -> io::Result<Asked> {
        let socket = open(target).await?;
        for question in &questions.unanswered {
            send(&socket, question).await;
        }
        loop {
            match next(&mut self.datagrams, &socket, IDLE_QUESTION).await? {
                Next::Datagram(question) => {
                    let is_late = questions.are_late(Instant::now());
                    questions.add(question.clone(), Instant::now());
                    if is_late {
                        return Ok(Asked::InVain);
                    }
                    send(&socket, &question).await;
                }
                Next::Readable => {
                    if self.bring_back(&socket)? && questions.answer() {
                        return Ok(Asked::Answered);
                    }
                }
                Next::Idle => return Ok(Asked::Answered),
            }
        }
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

/// How far one name server brought it.
enum Asked {
    /// Nothing is left to ask.
    Answered,
    /// A question was asked again before there was an answer.
    InVain,
}

/// Questions that wait for an answer. Which answer belongs to which is not known: they are counted.
#[derive(Default)]
struct Questions {
    unanswered: VecDeque<Bytes>,
    last: Option<Instant>,
}

impl Questions {
    fn add(&mut self, question: Bytes, now: Instant) {
        self.unanswered.retain(|earlier| *earlier != question);
        if self.unanswered.len() == QUESTIONS {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(question);
        self.last = Some(now);
    }

    /// Takes one as answered; says whether none is left.
    fn answer(&mut self) -> bool {
        self.unanswered.pop_front();
        self.unanswered.is_empty()
    }

    fn are_late(&self, now: Instant) -> bool {
        !self.unanswered.is_empty()
            && self.last.is_some_and(|last| now.saturating_duration_since(last) > PATIENCE)
    }
}

/// What comes next.
enum Next {
    /// From the guest.
    Datagram(Bytes),
    /// Something from outside.
    Readable,
    /// Nothing for a while, or nobody is left to send anything.
    Idle,
}

/// An error is what the host's network said about an earlier datagram.
async fn next(datagrams: &mut mpsc::Receiver<Bytes>, socket: &UdpSocket, idle: Duration) -> io::Result<Next> {
    tokio::select! {
        datagram = datagrams.recv() => Ok(datagram.map_or(Next::Idle, Next::Datagram)),
        ready = socket.ready(Interest::READABLE | Interest::ERROR) => {
            if ready?.is_error() {
                take_error(socket)?;
            }
            Ok(Next::Readable)
        }
        () = tokio::time::sleep(idle) => Ok(Next::Idle),
    }
}

fn take_error(socket: &UdpSocket) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // There is none any more: wait for the next.
    let _ = socket.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    Ok(())
}

async fn open(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// Sends a datagram, or loses it, as networks do. An error is left for [`next`] to find.
async fn send(socket: &UdpSocket, datagram: &[u8]) {
    if let Err(error) = socket.send(datagram).await {
        tracing::debug!(%error, "a datagram is lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_is_asked_again_is_one_question() {
        let start = Instant::now();
        let mut questions = Questions::default();
        assert!(!questions.are_late(start + PATIENCE * 2));
        questions.add("a".into(), start);
        questions.add("aaaa".into(), start);
        assert!(!questions.are_late(start + PATIENCE));
        assert!(questions.are_late(start + PATIENCE * 2));
        questions.add("a".into(), start + PATIENCE * 2);
        assert!(!questions.are_late(start + PATIENCE * 3));
        assert!(!questions.answer());
        assert!(questions.answer());
    }

    #[test]
    fn a_guest_that_only_asks_does_not_make_the_server_grow() {
        let mut questions = Questions::default();
        for number in 0..1_000 {
            questions.add(format!("{number}").into(), Instant::now());
        }
        assert_eq!(questions.unanswered.len(), QUESTIONS);
        assert_eq!(questions.unanswered.back().unwrap(), "999");
    }
}
