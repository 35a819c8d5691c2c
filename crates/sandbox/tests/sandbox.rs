//! Real sandboxes. This program is its own sandbox helper, so it has its own `main` in place of the test harness.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sandbox {
    pub(crate) mod channel;
    pub(crate) mod counted;
    pub(crate) mod harness;
    pub(crate) mod isolation;
    pub(crate) mod life;
    pub(crate) mod limits;
    pub(crate) mod network;
    pub(crate) mod programs;
    pub(crate) mod snapshot;
    pub(crate) mod world;
}

use std::process::ExitCode;

use sandbox::{channel, counted, harness, isolation, life, limits, network, programs, snapshot, world};

fn main() -> ExitCode {
    if std::env::args().next().as_deref() == Some(firelet_sandbox::HELPER_NAME) {
        return firelet_sandbox::run_helper();
    }
    if let Some(role) = std::env::args().nth(1).filter(|argument| argument.starts_with("role-")) {
        return world::play(&role);
    }
    harness::run(&[
        life::TESTS,
        channel::TESTS,
        isolation::TESTS,
        limits::TESTS,
        counted::TESTS,
        network::TESTS,
        programs::TESTS,
        snapshot::TESTS,
    ])
}
