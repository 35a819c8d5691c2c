//! The helper process: one thread that makes sandboxes for the server and cleans up after them.
//!
//! It answers the control socket and the channel of each sandbox, watches processes, and makes sandboxes ahead while
//! nobody wants one. It waits for no guest: a launch is answered when the guest's program runs, and meanwhile the next
//! one is taken.
//!
//! Here are its state, its loop, and how a sandbox ends; what is done on each event is in the modules below.

mod ahead;
mod ground;
mod home;
mod launch;
mod member;
mod parts;
mod prepared;
mod progress;
mod request;
mod sources;
mod tracer;
mod zygote;

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cgroup::Group;
use crate::error::{At, Failure, Step};
use crate::helper::ground::Ground;
use crate::helper::member::Member;
use crate::helper::prepared::Templates;
use crate::helper::sources::{Source, Sources, Token};
use crate::helper::zygote::Zygote;
use crate::protocol::{self, Launch, MESSAGE_LIMIT};
use crate::spec::Network;

/// How often cgroups are tried again whose last process is still on its way out.
const CLEANUP_INTERVAL: Duration = Duration::from_millis(10);
/// How long no program may have been asked for before sandboxes are made ahead: who just got one shall have the processor, and an
/// interpreter that starts takes it for tens of milliseconds.
const LULL: Duration = Duration::from_millis(50);

/// Runs the helper until the server is gone. To be called first thing in `main`, when `argv[0]` is
/// [`HELPER_NAME`](crate::HELPER_NAME).
#[must_use]
pub fn run_helper() -> ExitCode {
    match ground::start() {
        Ok((control, ground)) => {
            Helper::new(control, ground).map_or(ExitCode::FAILURE, |helper| helper.run())
        }
        Err(()) => ExitCode::FAILURE,
    }
}

struct Helper {
    ground: Ground,
    control: OwnedFd,
    sources: Sources,
    members: HashMap<u64, Member>,
    /// Sandboxes whose guest waits for any program; they are of the network asked for last.
    spares: VecDeque<u64>,
    spares_fail: bool,
    templates: Templates,
    /// By number, with the template that each is of.
    zygotes: HashMap<u64, (String, Zygote)>,
    /// Launches for which a zygote forks, by sandbox.
    forking: HashMap<u64, Launch>,
    network: Network,
    /// Programs on their way that somebody waits for.
    pending: usize,
    next_number: u64,
    /// When a program was asked for last.
    quiet_since: Instant,
    ended: Vec<(u32, Group)>,
    buffer: Vec<u8>,
}

impl Helper {
    fn new(control: OwnedFd, ground: Ground) -> Result<Self, Failure> {
        let mut sources = Sources::new().at(Step::Watch, "")?;
        sources.watch(&control, Source::Control)?;
        let network = if ground.outlets.nat.is_some() { Network::Nat } else { Network::Isolated };
        Ok(Self {
            ground,
            control,
            sources,
            members: HashMap::new(),
            spares: VecDeque::new(),
            spares_fail: false,
            templates: Templates::default(),
            zygotes: HashMap::new(),
            forking: HashMap::new(),
            network,
            pending: 0,
            next_number: 0,
            quiet_since: Instant::now(),
            ended: Vec::new(),
            buffer: vec![0; MESSAGE_LIMIT],
        })
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn run(mut self) -> ExitCode {
        loop {
            let tokens = self.wait();
            for token in &tokens {
                if !self.on_event(*token) {
                    return self.close();
                }
            }
            if tokens.is_empty() || self.quiet_since.elapsed() >= LULL {
                self.use_idle_time();
            }
        }
    }

    /// False when the server is gone.
    fn on_event(&mut self, token: Token) -> bool {
        match self.sources.get(token) {
            Some(Source::Control) => return self.on_control(),
            Some(Source::First(number)) => self.on_end(number),
            Some(Source::Duty(number)) => self.on_duty(number),
            Some(Source::Execution(number, guest)) => self.on_execution(number, guest),
            Some(Source::Orders(number)) => self.on_ready(token, number),
            Some(Source::Zygote(number)) => self.on_zygote(token, number),
            Some(Source::Forked(number)) => self.on_forked(token, number),
            Some(Source::Tracer(number)) => self.on_tracer(number),
            Some(Source::Channel(number)) => self.on_channel(token, number),
            // Its descriptor was closed after it had become ready.
            None => {}
        }
        true
    }

    /// Waits only as long as there is nothing to do in idle time.
    fn wait(&self) -> Vec<Token> {
        let timeout = if self.lacks_sandboxes() {
            Some(LULL.saturating_sub(self.quiet_since.elapsed()))
        } else if self.ended.is_empty() {
            None
        } else {
            Some(CLEANUP_INTERVAL)
        };
        self.sources.wait(timeout)
    }

    fn clean_up(&mut self) {
        let slots = &mut self.ground.slots;
        self.ended.retain(|(slot, group)| {
            let removed = group.remove();
            if removed {
                slots.give_back(*slot);
            }
            !removed
        });
    }

    fn watch_processes(&mut self, number: u64, guest: u64) -> Result<(), Failure> {
        let Some(member) = self.members.get(&number) else { return Ok(()) };
        if let Some((process, socket)) = member.first_process() {
            self.sources.watch(process, Source::First(number))?;
            self.sources.watch(socket, Source::Duty(number))?;
        }
        self.watch_execution(number, guest)
    }

    fn watch_execution(&mut self, number: u64, guest: u64) -> Result<(), Failure> {
        let guest_process = self.members.get_mut(&number).and_then(|member| member.guest(guest));
        if let Some(execution) = guest_process.and_then(|guest| guest.execution.as_ref()) {
            self.sources.watch(execution, Source::Execution(number, guest))?;
        }
        Ok(())
    }

    fn watch_orders(&mut self, number: u64) -> Result<(), Failure> {
        let Some(guest) = self.members.get_mut(&number).and_then(Member::main) else { return Ok(()) };
        self.sources.watch(guest.orders(), Source::Orders(number))?;
        Ok(())
    }

    fn watch_channel(&mut self, number: u64) -> Result<(), Failure> {
        let Some(channel) = self.members.get(&number).and_then(|member| member.channel.as_ref()) else {
            return Ok(());
        };
        self.sources.watch(channel, Source::Channel(number))?;
        Ok(())
    }

    /// The server is done with a sandbox.
    fn release(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        member.channel = None;
        if member.first_process().is_some() {
            member.kill();
        } else {
            self.dispose(number);
        }
    }

    /// Has a sandbox end that nobody wants; its end comes as an event.
    fn kill(&mut self, number: u64) {
        self.spares.retain(|spare| *spare != number);
        if let Some(member) = self.members.get_mut(&number) {
            member.kill();
        }
    }

    /// Gives back what an ended sandbox stood on.
    fn dispose(&mut self, number: u64) {
        let Some(mut member) = self.members.remove(&number) else { return };
        self.pending -= member.guests.iter().filter(|(_, guest)| guest.is_owed).count();
        member.end();
        self.ended.push((member.parts.slot, member.parts.group));
        self.clean_up();
    }

    fn refuse_on_channel(&self, number: u64, failure: &Failure) {
        if let Some(channel) = self.members.get(&number).and_then(|member| member.channel.as_ref()) {
            refuse(channel, failure);
        }
    }

    fn refuse_and_kill(&mut self, number: u64, failure: &Failure) {
        self.refuse_on_channel(number, failure);
        if let Some(member) = self.members.get_mut(&number) {
            member.channel = None;
        }
        self.kill(number);
    }

    /// The server is gone: nothing may stay.
    fn close(mut self) -> ExitCode {
        for member in self.members.values() {
            member.kill();
        }
        for (_, zygote) in self.zygotes.values() {
            zygote.end();
        }
        for (_, mut member) in std::mem::take(&mut self.members) {
            member.end();
            self.ended.push((member.parts.slot, member.parts.group));
        }
        self.clean_up();
        self.ground.cgroups.close();
        ExitCode::SUCCESS
    }
}

/// The server may be gone, or may have given up waiting; then nobody is left to tell.
fn refuse(channel: &OwnedFd, failure: &Failure) {
    let _ = protocol::send(channel, &protocol::encode_failure(failure), &[]);
}

fn unreadable() -> Failure {
    Failure { step: Step::ReadRequest, errno: libc::EBADMSG, detail: String::new() }
}
