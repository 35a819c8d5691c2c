//! What may wake the helper: the descriptors that it waits for, and whose they are.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

use crate::error::{At, Failure, Step};

/// Between what the server waits for and what a burst of launches may take.
const EVENTS_AT_A_TIME: usize = 64;

/// What woke the helper. Numbers name sandboxes and, second, guests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Control,
    /// The first process has ended, and with it the sandbox.
    First(u64),
    /// The first process has something to say.
    Duty(u64),
    /// A guest's program runs, or a step before it failed.
    Execution(u64, u64),
    /// A program that was started ahead says that it is ready.
    Orders(u64),
    /// A zygote is ready, or has ended.
    Zygote(u64),
    /// A zygote has forked a guest.
    Forked(u64),
    /// A process was captured or restored, or was not.
    Tracer(u64),
    /// The server wants something of a sandbox, or is done with it.
    Channel(u64),
}

/// A descriptor's number among those that are waited for.
pub(super) type Token = u64;

/// All that may wake the helper.
pub(super) struct Sources {
    epoll: OwnedFd,
    known: HashMap<Token, Source>,
    latest: Token,
}

impl Sources {
    /// None yet.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, known: HashMap::new(), latest: 0 })
    }

    /// Wakes the helper whenever `descriptor` can be read, until it is closed everywhere.
    pub(super) fn watch(&mut self, descriptor: impl AsFd, source: Source) -> Result<(), Failure> {
        self.latest += 1;
        let token = epoll::EventData::new_u64(self.latest);
        epoll::add(&self.epoll, descriptor, token, epoll::EventFlags::IN).at(Step::Watch, "")?;
        self.known.insert(self.latest, source);
        Ok(())
    }

    /// No longer wakes the helper for a descriptor that stays open.
    pub(super) fn leave(&self, descriptor: impl AsFd) {
        // One that is not watched is as it shall be.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits until one is there, or as long as is given; gives none after that, or when a signal came.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Vec<Token> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut events = Vec::with_capacity(EVENTS_AT_A_TIME);
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref());
        events.iter().map(|event| event.data.u64()).collect()
    }

    /// What woke the helper; none where it was forgotten after it had.
    pub(super) fn get(&self, token: Token) -> Option<Source> {
        self.known.get(&token).copied()
    }

    /// Forgets whose a descriptor is, which is about to be closed.
    pub(super) fn forget(&mut self, source: Source) {
        self.known.retain(|_, known| *known != source);
    }

    /// Forgets one by its token.
    pub(super) fn remove(&mut self, token: Token) {
        self.known.remove(&token);
    }

    /// Forgets all that comes from the processes of a sandbox; not its channel, which the server holds.
    pub(super) fn forget_processes(&mut self, sandbox: u64) {
        self.known.retain(|_, source| match source {
            Source::First(of)
            | Source::Duty(of)
            | Source::Execution(of, _)
            | Source::Orders(of)
            | Source::Tracer(of)
            | Source::Forked(of) => *of != sandbox,
            Source::Control | Source::Zygote(_) | Source::Channel(_) => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_wakes_by_its_name_until_it_is_forgotten() {
        let mut sources = Sources::new().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (other, _kept) = rustix::pipe::pipe().unwrap();
        sources.watch(&read, Source::Execution(1, 2)).unwrap();
        sources.watch(&other, Source::Channel(1)).unwrap();
        assert!(sources.wait(Some(Duration::ZERO)).is_empty());
        rustix::io::write(&write, b"x").unwrap();
        let woken = |sources: &Sources| -> Vec<_> {
            sources.wait(None).into_iter().map(|token| sources.get(token)).collect()
        };
        assert!(woken(&sources) == [Some(Source::Execution(1, 2))]);
        sources.forget_processes(2);
        assert!(woken(&sources) == [Some(Source::Execution(1, 2))], "it is of another sandbox");
        sources.forget_processes(1);
        assert!(woken(&sources) == [None]);
        sources.leave(&read);
        assert!(sources.wait(Some(Duration::ZERO)).is_empty());
    }
}
