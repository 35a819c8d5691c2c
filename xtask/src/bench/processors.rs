//! Which processors the measuring client and its floors run on.
//!
//! Left alone, the kernel has an echo and its client share a processor in one run, where an exchange takes 20 us, and not in
//! the next, where it takes 50. So the client keeps to one processor and each floor to a known side of it. Nothing else is
//! told where to run.

use anyhow::{Context, ensure};
use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where a floor runs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// On the client's processor: no other has to be woken.
    Beside,
    /// On all others: like any server whose client is busy with something else.
    Apart,
}

/// This thread's stay on the client's processor; it may run anywhere again when this is dropped.
pub(crate) struct Stay(CpuSet);

impl Stay {
    pub(crate) fn as_client() -> anyhow::Result<Self> {
        let all = allowed()?;
        keep_to(&client(&all)?)?;
        Ok(Self(all))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Err(error) = keep_to(&self.0) {
            anstream::eprintln!("{error:#}");
        }
    }
}

/// Keeps this thread, and what it starts from now on, to `place`.
pub(crate) fn keep_to_place(place: Place) -> anyhow::Result<()> {
    let all = allowed()?;
    let client = client(&all)?;
    let mut others = all;
    let is_alone = all.count() == 1;
    (0..CpuSet::MAX_CPU).filter(|number| client.is_set(*number)).for_each(|number| others.unset(number));
    keep_to(if place == Place::Beside || is_alone { &client } else { &others })
}

fn allowed() -> anyhow::Result<CpuSet> {
    sched_getaffinity(None).context("learn which processors may be used")
}

/// The first of them.
fn client(all: &CpuSet) -> anyhow::Result<CpuSet> {
    let mut client = CpuSet::new();
    if let Some(first) = (0..CpuSet::MAX_CPU).find(|number| all.is_set(*number)) {
        client.set(first);
    }
    ensure!(client.count() == 1, "no processor may be used");
    Ok(client)
}

fn keep_to(processors: &CpuSet) -> anyhow::Result<()> {
    sched_setaffinity(None, processors).context("keep to some processors")
}
