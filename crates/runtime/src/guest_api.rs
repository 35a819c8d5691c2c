//! What one execution environment can ask over HTTP: its connections, and which API a request belongs to.
//!
//! Everything here comes from the guest and is not to be trusted: sizes are bounded while they arrive, and no input ends
//! the server. Which calls are allowed when is decided by [`crate::state`].

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use firelet_types::Ids;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::answer::{Answer, not_found, text};
use crate::credentials_api::{self, Credentials};
use crate::extensions_api::{self, Registrant};
use crate::output::Output;
use crate::state::State;
use crate::{runtime_api, telemetry_api};

/// What a failed accept, most likely for want of descriptors, waits before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Connections that one environment may have open; a guest that opens more waits for its own.
const CONNECTIONS: usize = 32;
/// Bytes of a request's head, with room for the 64 KiB of an X-Ray cause; and of one piece of its body.
const HEAD_BYTES: usize = 128 << 10;

/// What all connections of one guest speak to.
pub(crate) struct Shared {
    pub(crate) state: Arc<Mutex<State>>,
    /// What extensions are told when they register.
    pub(crate) registrant: Registrant,
    /// Where the ids of extensions and their events come from.
    pub(crate) ids: Arc<Ids>,
    /// Where what happens is told.
    pub(crate) output: Arc<Output>,
    /// What a function is given that starts from a snapshot.
    pub(crate) credentials: Option<Credentials>,
}

/// The open connections of one guest.
pub(crate) struct Connections {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Connections {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tasks: JoinSet::new() }
    }

    /// Takes the next connection and serves it. Loses nothing when it is dropped while it waits.
    pub(crate) async fn accept(&mut self, listener: &TcpListener) {
        while self.tasks.len() >= CONNECTIONS {
            self.tasks.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                self.tasks.spawn(serve_connection(stream, Arc::clone(&self.shared)));
            }
            // The guest reset its own connection before it was accepted.
            Err(error) => {
                tracing::debug!(%error, "a guest's connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Waits until all connections have ended by themselves.
    pub(crate) async fn finish(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off delays on a guest's connection");
    }
    let kept = Kept::default();
    let service = service_fn(|request| {
        let (shared, kept) = (Arc::clone(&shared), kept.clone());
        async move { Ok::<_, Infallible>(answer(&shared, &kept, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        // Of trailers too, which hold the description of an error.
        .max_header_size(HEAD_BYTES)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a guest's connection ended");
    }
    kept.finish().await;
}

/// The work for a request that is not given up when its connection ends: what the guest had sent until then is taken.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<Work>>>);

/// Ends with the answer, for which the connection may no longer be there.
pub(crate) type Work = Pin<Box<dyn Future<Output = Answer> + Send>>;

impl Kept {
    /// Does `work`, as long as the connection is there.
    pub(crate) async fn run(&self, work: Work) -> Answer {
        *self.0.lock() = Some(work);
        poll_fn(|context| {
            let mut work = self.0.lock();
            // It is there: only the end of the connection, and so of this, takes it away.
            let answer = work.as_mut().map_or(Poll::Pending, |work| work.as_mut().poll(context));
            if answer.is_ready() {
                *work = None;
            }
            answer
        })
        .await
    }

    /// Does what is left when the connection has ended.
    async fn finish(&self) {
        let work = self.0.lock().take();
        if let Some(work) = work {
            work.await;
        }
    }
}

async fn answer(shared: &Arc<Shared>, kept: &Kept, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if let Some(path) = path.strip_prefix(runtime_api::PREFIX) {
        return runtime_api::answer(shared, kept, path, &parts, body).await;
    }
    if let Some(path) = path.strip_prefix(extensions_api::PREFIX) {
        return extensions_api::answer(shared, path, &parts, body).await;
    }
    if let Some(api) = telemetry_api::at(path) {
        return telemetry_api::answer(shared, api, &parts, body).await;
    }
    if path == credentials_api::PATH {
        return credentials_api::answer(shared.credentials.as_ref(), &parts);
    }
    if path == "/ping" { text(StatusCode::OK, Bytes::from_static(b"pong")) } else { not_found() }
}
