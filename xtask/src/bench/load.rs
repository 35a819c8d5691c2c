//! Load: the same request again and again over a fixed number of connections, and how long each answer took.
//!
//! Runs on the calling thread alone.

use std::net::SocketAddr;
use std::sync::Arc;
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
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(aim.address).await?);
    }
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for connection in open {
        workers.spawn(repeat(connection, Arc::clone(&aim.request), until));
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

fn count(samples: usize) -> f64 {
    f64::from(u32::try_from(samples).unwrap_or(u32::MAX))
}
