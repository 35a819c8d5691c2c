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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// The two ends of a relayed connection, and who relays between them.
    async fn relayed() -> (TcpStream, TcpStream, JoinSet<()>) {
        let (guest, inside) = pair().await;
        let (outside, peer) = pair().await;
        let mut relaying = JoinSet::new();
        relaying.spawn(relay(inside, outside));
        (guest, peer, relaying)
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connected, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (connected.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn an_end_of_one_direction_leaves_the_other_open() {
        let (mut guest, mut peer, _relaying) = relayed().await;
        guest.write_all(b"question").await.unwrap();
        guest.shutdown().await.unwrap();
        let mut question = Vec::new();
        peer.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        peer.write_all(b"answer").await.unwrap();
        drop(peer);
        let mut answer = Vec::new();
        guest.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }

    #[tokio::test]
    async fn a_reset_arrives_as_a_reset() {
        let (mut guest, peer, _relaying) = relayed().await;
        abort(&peer);
        drop(peer);
        let error = guest.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn the_first_target_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let stream = connect(vec![closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert_eq!(connect(vec![closed]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::HostUnreachable);
    }
}
