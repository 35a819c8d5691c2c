//! One connection: made outside, then relayed byte by byte. What is in it is not looked at.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Bytes that are kept in each direction between reading and writing.
const BUFFER: usize = 16 << 10;

/// Connects to the first target that can be connected to.
pub(super) async fn connect(targets: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut result = Err(io::ErrorKind::HostUnreachable.into());
    for target in targets {
        result = TcpStream::connect(target).await;
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Relays until both sides have ended, or one has failed, which the other then sees as a failure too.
pub(super) async fn relay(mut inside: TcpStream, mut outside: TcpStream) {
    for stream in [&inside, &outside] {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot turn off delays on a relayed connection");
        }
    }
    let relayed = tokio::io::copy_bidirectional_with_sizes(&mut inside, &mut outside, BUFFER, BUFFER).await;
    if let Err(error) = relayed {
        tracing::debug!(%error, "a relayed connection failed");
        abort(&inside);
        abort(&outside);
    }
}

/// Has the other side see a reset when the stream is dropped.
pub(super) fn abort(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection ends without a reset");
    }
}
