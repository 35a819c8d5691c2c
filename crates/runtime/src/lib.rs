//! All that faces the guest: which program serves a runtime, what it finds in its sandbox, the Runtime API through which
//! it takes invocations and gives answers, and the Extensions API.
//!
//! An [`Environment`] knows one sandbox and no callers: it does not choose what to run, does not retry, and does
//! not count concurrency. The way in which a guest is shut in belongs to `firelet-sandbox`.

mod answer;
mod application_log;
pub mod bootstrap;
pub mod catalogue;
mod credentials_api;
pub mod environment;
mod extensions;
mod extensions_api;
pub mod failure;
mod guest_api;
mod output;
pub mod outside;
mod platform_log;
mod prepared;
mod runtime_api;
mod sandboxes;
mod snapshot;
mod state;
mod stream;
mod telemetry;
mod telemetry_api;
mod timeline;
mod variables;

pub use bootstrap::Bootstraps;
pub use catalogue::{Catalogue, Interpreter};
pub use environment::{
    Activity, Begun, Capturing, Environment, Function, InitFailed, InitFailure, InitPhase,
    InitializationType, JsonLogging, Observation, Observer, Options, Outcome, Readiness, RestoreFailed,
    RestoreFailure, Restoring, Running, StartError, Starting, restore, start, start_for_snapshot,
};
pub use firelet_sandbox::{HostMemory, MemoryGauge, Stock};
pub use outside::{AllowedHost, Destinations, Outside};
pub use prepared::PreparedInterpreters;
pub use sandboxes::Sandboxes;
pub use snapshot::Snapshot;
pub use state::{Invocation, Undelivered};
pub use stream::AnswerStream;
