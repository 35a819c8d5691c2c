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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
}

impl Outside {
    /// Lets functions reach `destinations`, with at most so many descriptors open for all of them.
    #[must_use]
    pub fn new(destinations: Destinations, descriptors: usize) -> Self {
        let descriptors = Arc::new(Semaphore::new(descriptors.min(Semaphore::MAX_PERMITS)));
        Self { destinations, nameservers: Nameservers::new(Path::new(RESOLVER_FILE).to_owned()), descriptors }
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
///
/// # Errors
///
/// When the ways cannot be waited for.
pub(crate) fn serve_during<F: Future<Output = ()>>(
    ways: Option<Ways>,
    outside: &Arc<Outside>,
    work: F,
) -> io::Result<impl Future<Output = ()> + use<F>> {
    let router = ways.map(|ways| Router::new(ways, Arc::clone(outside))).transpose()?;
    Ok(async move {
        let Some(router) = router else { return work.await };
        tokio::select! {
            () = work => {}
            never = router.run() => match never {},
        }
    })
}
