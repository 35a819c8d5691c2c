//! Function logs on their way out.
//!
//! Writing never blocks the caller and never fails an invocation: lines go to a bounded queue that one thread
//! empties onto disk. When the queue is full, lines are dropped and the log says how many. The crate knows
//! nothing of invocations; what the platform's own lines say is decided by its callers.

pub mod log;

pub use log::{Error, Follow, LogGroup, LogLine, LogStream, LogWriter, Logs, Options};
