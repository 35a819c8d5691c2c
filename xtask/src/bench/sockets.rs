//! The floor of large payloads: two loopback sockets. One process passes on what it reads, in both directions at once,
//! between the client and another process, which answers with what it got once it has all of it.
//!
//! firelet cannot begin as early: it checks the whole payload before a function gets it, and takes the whole answer
//! before the caller gets it. What is passed on is no more than bytes here; to the client it is a whole HTTP answer, so
//! that the same client reads it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::Context;

use super::floor::{self, Floor};
use super::payload;

/// The command that makes a child of this program one of the two processes.
pub(crate) const COMMAND: &str = "bench-sockets";

const PIECE: usize = 256 * 1024;

/// Both processes.
pub(crate) struct Sockets {
    relay: Floor,
    _peer: Floor,
}

impl Sockets {
    pub(crate) fn start(program: &Path) -> anyhow::Result<Self> {
        let peer = Floor::start(program, &[COMMAND])?;
        let relay = Floor::start(program, &[COMMAND, &peer.address().to_string()])?;
        Ok(Self { relay, _peer: peer })
    }

    /// Where [`message`] is sent and comes back from.
    pub(crate) fn address(&self) -> SocketAddr {
        self.relay.address()
    }
}

/// What is passed on: an HTTP answer with the payload.
pub(crate) fn message() -> Vec<u8> {
    let payload = payload::content();
    let mut message = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    message
}

/// Says its address on standard output and serves until standard input ends: passes on to `peer`, or without one
/// answers itself.
pub(crate) fn serve(peer: Option<SocketAddr>) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    floor::announce(listener.local_addr().context("learn the address")?)?;
    loop {
        let (stream, _) = listener.accept().context("accept a connection")?;
        // A connection that breaks off has nobody left who could be told.
        thread::spawn(move || match peer {
            Some(peer) => drop(relay(&stream, peer)),
            None => drop(answer(&stream)),
        });
    }
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = message();
    loop {
        stream.read_exact(&mut received)?;
        stream.write_all(&received)?;
    }
}

fn relay(near: &TcpStream, peer: SocketAddr) -> std::io::Result<()> {
    let far = TcpStream::connect(peer)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(|| pass_on(near, &far));
        pass_on(&far, near)
    })
}

/// By reads and writes, which any server has to do that looks at what it passes on.
fn pass_on(mut source: &TcpStream, mut target: &TcpStream) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece)? {
            0 => return target.shutdown(std::net::Shutdown::Write),
            count => target.write_all(&piece[..count])?,
        }
    }
}
