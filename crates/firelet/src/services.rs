//! The table of what runs in a server: each service by name, started together, stopped in order.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::anyhow;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One long-running part of the server. None of them may end before the server does.
pub(crate) struct Service {
    name: &'static str,
    /// How long it may take to stop.
    patience: Duration,
    stop: CancellationToken,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

struct Started {
    name: &'static str,
    patience: Duration,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Service {
    /// A service whose work ends soon after its token is cancelled.
    pub(crate) fn new<F>(
        name: &'static str,
        patience: Duration,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let work = Box::pin(work(stop.clone()));
        Self { name, patience, stop, work }
    }
}

/// Runs `services` until `stop`, then stops them one after the other in the order of the table.
///
/// # Errors
///
/// When a service ended before `stop`; the others are stopped.
pub(crate) async fn run(services: Vec<Service>, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut started: Vec<Started> = services
        .into_iter()
        .map(|Service { name, patience, stop, work }| Started {
            name,
            patience,
            stop,
            task: tokio::spawn(work),
        })
        .collect();
    let ended = tokio::select! {
        () = stop => None,
        name = first_to_end(&mut started) => Some(name),
    };
    for service in started {
        stop_one(service).await;
    }
    match ended {
        None => Ok(()),
        Some(name) => Err(anyhow!("the {name} ended by itself, which it never should; see the lines above")),
    }
}

async fn first_to_end(started: &mut [Started]) -> &'static str {
    std::future::poll_fn(|context| {
        for service in started.iter_mut() {
            if Pin::new(&mut service.task).poll(context).is_ready() {
                return std::task::Poll::Ready(service.name);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

async fn stop_one(service: Started) {
    service.stop.cancel();
    if service.task.is_finished() {
        return;
    }
    let abort = service.task.abort_handle();
    match tokio::time::timeout(service.patience, service.task).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(service = service.name, %error, "a service failed while it stopped");
        }
        Err(_) => {
            abort.abort();
            tracing::warn!(service = service.name, "a service did not stop in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn services_stop_in_the_order_of_the_table() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let service = |name: &'static str| {
            let order = Arc::clone(&order);
            Service::new(name, PATIENCE, |stop| async move {
                stop.cancelled().await;
                order.lock().unwrap().push(name);
            })
        };
        run(vec![service("first"), service("second")], std::future::ready(())).await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["first", "second"]);
    }

    #[tokio::test]
    async fn a_service_that_ends_by_itself_stops_the_server() {
        let lasting = Service::new("lasting", PATIENCE, |stop| async move { stop.cancelled().await });
        let failing = Service::new("failing", PATIENCE, |_| std::future::ready(()));
        let error = run(vec![lasting, failing], std::future::pending()).await.unwrap_err();
        assert!(error.to_string().starts_with("the failing ended by itself"), "{error}");
    }
}
