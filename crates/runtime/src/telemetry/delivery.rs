//! How events get to their subscribers: by HTTP or TCP, to a port inside the environment.
//!
//! Whoever listens there is not to be trusted: connections, answers and waiting are bounded, and nobody else waits. A batch
//! that cannot be delivered is tried again, at longer and longer intervals, as documented; AWS does not say how often.
//! Time in which the environment stands still does not count.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use firelet_sandbox::Sandbox;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Telemetry;
use super::buffer::Parcel;
use super::request::Destination;

/// How often a batch is tried.
const TRIES: u32 = 6;
/// The pause after the first try; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 16 << 10;
/// Bytes of an answer's body that are read, so that whoever sends it can go on.
const BODY_BYTES: usize = 64 << 10;

/// The way to the ports of an environment.
#[derive(Debug, Clone)]
pub(crate) enum Connector {
    /// They are in a network of their own. The sandbox is its owner's: this alone does not keep it.
    Sandbox(Weak<Sandbox>),
    /// They are the host's own.
    Host,
}

impl Connector {
    async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        match self {
            Self::Sandbox(sandbox) => {
                let sandbox = sandbox.upgrade().ok_or(io::ErrorKind::NotConnected)?;
                let begun = tokio::task::spawn_blocking(move || sandbox.connect(port)).await;
                connected(begun?.map_err(io::Error::other)?).await
            }
            Self::Host => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await,
        }
    }
}

/// Waits until a connection that was begun stands.
async fn connected(begun: std::net::TcpStream) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(begun)?;
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(stream), Err)
}

/// Why a batch did not arrive.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot connect to the subscriber")]
    Connect(#[source] io::Error),
    #[error("cannot write to the subscriber")]
    Write(#[source] io::Error),
    #[error("the exchange with the subscriber failed")]
    Exchange(#[source] hyper::Error),
    #[error("the subscriber answered with status {0}")]
    Status(StatusCode),
    #[error("the subscriber took too long")]
    Slow,
}

/// Delivers what subscribers shall get, for as long as it is polled: while the processes of the environment live.
pub(crate) async fn deliver(telemetry: Arc<Telemetry>, connector: Connector) -> Infallible {
    let mut couriers = JoinSet::new();
    telemetry.hurry(false);
    loop {
        for index in couriers.len()..telemetry.subscriber_count() {
            let courier =
                Courier { telemetry: Arc::clone(&telemetry), connector: connector.clone(), open: None };
            couriers.spawn(courier.run(index));
        }
        telemetry.joined.notified().await;
    }
}

/// What a courier carries. One that is called off, as when the environment is reset, leaves it to its successor.
struct Bag {
    telemetry: Arc<Telemetry>,
    index: usize,
    parcel: Option<Parcel>,
}

impl Bag {
    fn empty(mut self, has_arrived: bool) {
        let lost = self.parcel.take().filter(|_| !has_arrived).map(|parcel| parcel.size);
        self.telemetry.sent(self.index, lost);
    }
}

impl Drop for Bag {
    fn drop(&mut self) {
        if let Some(parcel) = self.parcel.take() {
            self.telemetry.put_back(self.index, parcel);
        }
    }
}

/// Delivers the batches of one subscriber, one after the other.
struct Courier {
    telemetry: Arc<Telemetry>,
    connector: Connector,
    /// The connection of a subscriber by TCP, with its port.
    open: Option<(u16, TcpStream)>,
}

impl Courier {
    async fn run(mut self, index: usize) {
        loop {
            let (destination, parcel) = self.telemetry.next(index).await;
            let bag = Bag { telemetry: Arc::clone(&self.telemetry), index, parcel: Some(parcel.clone()) };
            let has_arrived = self.deliver(&destination, &parcel).await;
            bag.empty(has_arrived);
        }
    }

    /// Says whether a try succeeded.
    async fn deliver(&mut self, destination: &Destination, parcel: &Parcel) -> bool {
        if parcel.is_array != destination.takes_arrays() {
            // The subscriber is another one than the one that it was made up for.
            return false;
        }
        let mut pause = FIRST_PAUSE;
        for tried in 1..=TRIES {
            let error = match self.send(destination, &parcel.bytes).await {
                Ok(()) => return true,
                Err(error) => error,
            };
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                tried,
                "a batch of telemetry did not arrive"
            );
            if tried < TRIES {
                self.telemetry.awake_for(pause).await;
                pause *= 2;
            }
        }
        false
    }

    /// One try, within its time.
    async fn send(&mut self, destination: &Destination, bytes: &Bytes) -> Result<(), Error> {
        let telemetry = Arc::clone(&self.telemetry);
        tokio::select! {
            sent = self.send_to(destination, bytes) => sent,
            () = telemetry.awake_for(PATIENCE) => {
                self.open = None;
                Err(Error::Slow)
            }
        }
    }

    async fn send_to(&mut self, destination: &Destination, bytes: &Bytes) -> Result<(), Error> {
        match destination {
            Destination::Http { method, port, path } => {
                let stream = self.connector.connect(*port).await.map_err(Error::Connect)?;
                exchange(stream, request(method, *port, path, bytes.clone())).await
            }
            Destination::Tcp { port } => self.write(*port, bytes).await,
        }
    }

    /// Writes to the connection that is open, or to a new one. A batch that broke off is sent again whole.
    async fn write(&mut self, port: u16, bytes: &Bytes) -> Result<(), Error> {
        let mut stream = match self.open.take() {
            Some((known, stream)) if known == port => stream,
            _ => self.connector.connect(port).await.map_err(Error::Connect)?,
        };
        stream.write_all(bytes).await.map_err(Error::Write)?;
        self.open = Some((port, stream));
        Ok(())
    }
}

fn request(method: &Method, port: u16, path: &PathAndQuery, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.clone().into();
    let headers = request.headers_mut();
    if let Ok(host) = HeaderValue::try_from(format!("sandbox.localdomain:{port}")) {
        headers.insert(HOST, host);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// Sends a request and reads its answer, on a connection of its own. As in AWS's open emulator, statuses from 400 on are
/// errors.
async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<(), Error> {
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(Error::Exchange)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async move {
        let response = sender.send_request(request).await.map_err(Error::Exchange)?;
        let status = response.status();
        pass_over(response.into_body()).await;
        if status.as_u16() < 400 { Ok(()) } else { Err(Error::Status(status)) }
    });
    tokio::select! {
        result = &mut answer => return result,
        // All that came is with the answer already.
        _ = &mut connection => {}
    }
    answer.await
}

/// Reads a body, or its beginning, and keeps none of it.
async fn pass_over(mut body: Incoming) {
    let mut left = BODY_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
