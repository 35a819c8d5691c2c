//! One invocation from accept to answer: which version runs, whether there is room for it, and what comes back.
//!
//! Knows callers and no processes; environments are leased from the pool. Knows no HTTP.

mod admission;
mod concurrency;
mod invoker;
mod lineage;
mod payload;
mod queue;
mod routing;
mod scaling;
mod stream;
mod trace;

pub use firelet_pool::{
    Activity, CodeError, InitializationType, Inventory, LeaseError, Observation, Resident, SnapshotStock,
    Stock,
};
pub use firelet_store::Version;

pub use invoker::{Error, InvocationType, Invoker, Options, Request, Response};
pub use queue::{Accepted, Queue, QueueOptions, QueueService};
pub use scaling::{ScalingLimit, ScalingOptions};
pub use stream::{Piece, StreamEnd, StreamError, StreamedResponse};
