//! Load: the same request again and again, or each of many once, over a fixed number of connections, and how long each
//! answer took.
//!
//! Runs on the calling thread alone.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use super::client::Connection;
use super::samples::Samples;

/// What is driven.
#[derive(Clone)]
pub(crate) struct Aim {
    pub(crate) address: SocketAddr,
    pub(crate) request: Arc<[u8]>,
}

/// When a connection stops sending.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Count(usize),
    Elapsed(Duration),
}

/// What one round of load showed.
pub(crate) struct Round {
    pub(crate) latencies: Samples,
    pub(crate) per_second: f64,
}

/// Drives `aim` over `connections` at once, each until `until`.
pub(crate) async fn drive(aim: &Aim, connections: usize, until: Until) -> anyhow::Result<Round> {
    drive_apart(aim.address, vec![Arc::clone(&aim.request); connections], until).await
}

/// Drives all of `requests` at once, each over a connection of its own until `until`.
pub(crate) async fn drive_apart(
    address: SocketAddr,
    requests: Vec<Arc<[u8]>>,
    until: Until,
) -> anyhow::Result<Round> {
    gather(address, requests, |connection, request| repeat(connection, request, until)).await
}

/// Sends each of `requests` once, over `connections` at once.
pub(crate) async fn drive_each(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: usize,
) -> anyhow::Result<Round> {
    let (requests, next): (Arc<[Vec<u8>]>, _) = (requests.into(), Arc::new(AtomicUsize::new(0)));
    gather(address, vec![requests; connections], |connection, requests| {
        take(connection, requests, Arc::clone(&next))
    })
    .await
}

/// Does `work` with each of `tasks` at once, over a connection for each; what all of them showed.
async fn gather<Task, Work>(
    address: SocketAddr,
    tasks: Vec<Task>,
    work: impl Fn(Connection, Task) -> Work,
) -> anyhow::Result<Round>
where
    Work: Future<Output = anyhow::Result<Vec<Duration>>> + Send + 'static,
{
    let mut open = Vec::new();
    for task in tasks {
        open.push((Connection::open(address).await?, task));
    }
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for (connection, task) in open {
        workers.spawn(work(connection, task));
    }
    let mut latencies = Vec::new();
    while let Some(worker) = workers.join_next().await {
        latencies.extend(worker.context("run a connection")??);
    }
    let elapsed = started.elapsed().as_secs_f64();
    let latencies = Samples::new(latencies);
    let per_second = count(latencies.count()) / elapsed;
    Ok(Round { latencies, per_second })
}

async fn repeat(
    mut connection: Connection,
    request: Arc<[u8]>,
    until: Until,
) -> anyhow::Result<Vec<Duration>> {
    let started = Instant::now();
    let mut latencies = Vec::new();
    let mut sent = started;
    while match until {
        Until::Count(limit) => latencies.len() < limit,
        Until::Elapsed(limit) => sent.duration_since(started) < limit,
    } {
        connection.exchange(&request).await?.check()?;
        let answered = Instant::now();
        latencies.push(answered.duration_since(sent));
        sent = answered;
    }
    Ok(latencies)
}

async fn take(
    mut connection: Connection,
    requests: Arc<[Vec<u8>]>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let sent = Instant::now();
        connection.exchange(request).await?.check()?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

pub(crate) fn count(samples: usize) -> f64 {
    f64::from(u32::try_from(samples).unwrap_or(u32::MAX))
}
