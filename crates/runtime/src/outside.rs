//! The ways out of a sandbox's own network: the server looks at where a function connects to, and connects for it.
//!
//! A connection of the function is made outside first, and only then does the function see it made, or refused, as it would
//! without anybody between. Datagrams to one destination from one port have a socket outside of their own. Everything that
//! comes from the guest is bounded: what is under way, what is open, what is kept between reading and writing.
//!
//! Nothing is let in from outside, and no name is resolved here: see [`nameserver`] for who does.

mod connection;
mod destination;
mod flow;
mod nameserver;
mod router;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use firelet_sandbox::network::{Ways, belongs_to_host};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use self::destination::Judgement;
pub use self::destination::{AllowedHost, Destinations, Error};
use self::nameserver::Nameservers;
use self::router::Router;

/// The host's resolver configuration.
const RESOLVER_FILE: &str = "/etc/resolv.conf";

/// What the ways out of all sandboxes of a node share.
#[derive(Debug)]
pub struct Outside {
    destinations: Destinations,
    nameservers: Nameservers,
    /// Descriptors that all sandboxes together may have open outside.
    descriptors: Arc<Semaphore>,
    /// Where the work is done: not on the threads that serve requests, since it is functions that say how much it is.
    threads: Handle,
}

impl Outside {
    /// Lets functions reach `destinations`, with at most so many descriptors open for all of them, by work on `threads`.
    #[must_use]
    pub fn new(destinations: Destinations, descriptors: usize, threads: Handle) -> Self {
        let descriptors = Arc::new(Semaphore::new(descriptors.min(Semaphore::MAX_PERMITS)));
        let nameservers = Nameservers::new(Path::new(RESOLVER_FILE).to_owned());
        Self { destinations, nameservers, descriptors, threads }
    }

    /// Where to connect to for a function that connects to `destination`; the first that works. None where it may not.
    fn targets(&self, destination: SocketAddr) -> Vec<SocketAddr> {
        let destination = SocketAddr::new(destination.ip().to_canonical(), destination.port());
        match self.destinations.judge(destination) {
            Judgement::Allowed => vec![destination],
            Judgement::Resolver => self.nameservers.get(Instant::now()),
            Judgement::UnlessHost => match belongs_to_host(destination.ip()) {
                Ok(false) => vec![destination],
                // No route: connecting fails with the reason.
                Err(error) if is_unreachable(&error) => vec![destination],
                Ok(true) => Vec::new(),
                Err(error) => {
                    tracing::warn!(%error, "cannot tell whether an address is this host's; a function may not connect to it");
                    Vec::new()
                }
            },
            Judgement::Refused => Vec::new(),
        }
    }

    /// Room for so many descriptors, if there is.
    fn room(&self, descriptors: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.descriptors).try_acquire_many_owned(descriptors).ok()
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable)
}

/// Serves the ways out of a sandbox, if it has any, while `work` is done.
pub(crate) async fn serve_during(ways: Option<Ways>, outside: Arc<Outside>, work: impl Future<Output = ()>) {
    // Dropped with this future, and the task with it.
    let mut serving = JoinSet::new();
    if let Some(ways) = ways {
        let threads = outside.threads.clone();
        serving.spawn_on(serve(ways, outside), &threads);
    }
    work.await;
}

async fn serve(ways: Ways, outside: Arc<Outside>) {
    match Router::new(ways, outside) {
        Ok(router) => match router.run().await {},
        Err(error) => tracing::error!(%error, "cannot serve the network of a function, which has none"),
    }
}
