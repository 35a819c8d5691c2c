//! The life of execution environments on this node: made on demand or, for provisioned versions, ahead of it, used one
//! invocation at a time, kept warm, and ended when idle, replaced or unwanted.
//!
//! The contract with callers is to lease an environment and to give it back; the pool knows neither what an
//! invocation is for nor how many may run at once.

mod busy_poll;
mod code_cache;
mod demand;
mod freezing;
mod group;
mod inventory;
mod lease;
mod memory;
mod preparation;
mod provisioning;
mod saturation;
mod service;
mod snapshot;
mod snapshotting;

pub use firelet_runtime::{
    Activity, AnswerStream, InitializationType, Invocation, Observation, Outcome, RestoreFailure, Stock,
    Undelivered, catalogue,
};

pub use code_cache::{CodeCache, CodeError};
pub use group::Group;
pub use inventory::{Inventory, Resident};
pub use lease::{Begun, Lease, LeaseError, Unfinished};
pub use memory::MemoryReserve;
pub use service::{Options, Pool, PoolService};
pub use snapshot::SnapshotStock;
