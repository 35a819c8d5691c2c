//! The helper process: one thread that makes sandboxes for the server and cleans up after them.
//!
//! It answers the control socket and the channel of each sandbox, watches processes, and makes sandboxes ahead while
//! nobody wants one. It waits for no guest: a launch is answered when the guest's program runs, and meanwhile the next
//! one is taken.

mod ground;
mod home;
mod member;
mod parts;
mod prepared;
mod sources;
mod tracer;
mod zygote;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;

use crate::cgroup::Group;
use crate::error::{At, Failure, Step};
use crate::guest;
use crate::helper::ground::Ground;
use crate::helper::home::Home;
use crate::helper::member::Member;
use crate::helper::parts::Parts;
use crate::helper::prepared::Templates;
use crate::helper::sources::{Source, Sources, Token};
use crate::helper::tracer::{Given, Purpose};
use crate::helper::zygote::{Wanted, Zygote};
use crate::protocol::{self, ChannelRequest, Duty, Launch, MESSAGE_LIMIT, Program, Request};
use crate::spec::{Network, Stock};
use crate::sys;

/// Sandboxes kept ready for any program, so that a burst of this many launches waits for none to be made.
const SPARES: usize = 4;
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

    /// Sandboxes are made ahead only while no launch is on its way: making them takes the same kernel locks.
    fn lacks_sandboxes(&self) -> bool {
        let is_possible = self.pending == 0 && !self.spares_fail && self.ground.slots.is_free();
        is_possible && (self.spares.len() < SPARES || self.lacking_template().is_some())
    }

    /// The template that lacks a program that waits; none while it lacks its zygote, which is on its way.
    fn lacking_template(&self) -> Option<String> {
        self.templates.lacking().filter(|name| self.zygote_of(name).is_none_or(|zygote| zygote.is_ready))
    }

    fn zygote_of(&self, template: &str) -> Option<&Zygote> {
        self.zygotes.values().find(|(name, _)| name == template).map(|(_, zygote)| zygote)
    }

    fn use_idle_time(&mut self) {
        self.clean_up();
        if !self.lacks_sandboxes() {
            return;
        }
        let made = match self.lacking_template() {
            // One at a time, for it is an interpreter that starts.
            Some(name) => self.prepare(&name),
            None => self.boot().map(|number| self.spares.push_back(number)),
        };
        // Tried again, and reported, by the next launch.
        self.spares_fail = made.is_err();
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

    /// Makes a sandbox whose guest waits.
    fn boot(&mut self) -> Result<u64, Failure> {
        let parts = Parts::make(&mut self.ground)?;
        let (number, guest) = (self.number(), self.number());
        match Member::boot(&self.ground, parts, self.network, guest) {
            Ok(member) => {
                self.members.insert(number, member);
                self.watch_processes(number, guest).inspect_err(|_| self.kill(number))?;
                Ok(number)
            }
            Err(failed) => {
                let (parts, failure) = *failed;
                self.ended.push((parts.slot, parts.group));
                Err(failure)
            }
        }
    }

    /// Starts the program of a template in a sandbox of its own, or has its zygote fork it there.
    fn prepare(&mut self, name: &str) -> Result<(), Failure> {
        if self.templates.wants_zygote(name) && self.zygote_of(name).is_none() {
            return self.start_zygote(name);
        }
        let number = self.spares.pop_front().map_or_else(|| self.boot(), Ok)?;
        self.templates.starts(name, number);
        self.start_program(name, number).inspect_err(|_| self.kill(number))
    }

    fn start_program(&mut self, name: &str, number: u64) -> Result<(), Failure> {
        let Some(template) = self.templates.get(name) else { return Ok(()) };
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        member.attach(&self.ground, &template.mounts, false, false)?;
        if self.zygotes.values().any(|(of, _)| of == name) {
            return self.fork_from_zygote(name, number, false);
        }
        member.main().map_or(Ok(()), |guest| guest.become_program(&template.program))?;
        self.watch_orders(number)
    }

    fn start_zygote(&mut self, name: &str) -> Result<(), Failure> {
        let Some(template) = self.templates.get(name) else { return Ok(()) };
        let Some(program) = &template.zygote else { return Ok(()) };
        let trees = self.ground.root.trees(&template.mounts, false)?;
        let zygote = Zygote::start(&self.ground, program, &trees)?;
        let number = self.number();
        self.sources.watch(zygote.orders(), Source::Zygote(number))?;
        self.zygotes.insert(number, (name.to_owned(), zygote));
        Ok(())
    }

    /// A zygote is ready, or has ended; then its template's programs are started one by one.
    fn on_zygote(&mut self, token: Token, number: u64) {
        let Some((name, zygote)) = self.zygotes.get_mut(&number) else { return };
        if zygote.hear() {
            return;
        }
        zygote.end();
        let has_more = self.templates.loses_zygote(name);
        if !has_more {
            eprintln!(
                "firelet-sandbox-helper: interpreters of {name} cannot be forked and are started instead"
            );
        }
        self.sources.remove(token);
        self.zygotes.remove(&number);
    }

    fn fork_from_zygote(&mut self, name: &str, number: u64, is_awaited: bool) -> Result<(), Failure> {
        let Some((_, zygote)) = self.zygotes.values().find(|(of, _)| of == name) else { return Ok(()) };
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        let processes = self.templates.get(name).map_or(0, |template| template.program.processes);
        let reply = member.expect(&self.ground, zygote, Wanted { processes, is_awaited })?;
        self.sources.watch(reply, Source::Forked(number))?;
        Ok(())
    }

    fn on_forked(&mut self, token: Token, number: u64) {
        self.sources.remove(token);
        let guest = self.number();
        let adopted = self.members.get_mut(&number).map(|member| member.adopt(guest));
        let watched = match adopted {
            Some(Ok(())) => self.watch_orders(number),
            Some(Err(failure)) => Err(failure),
            None => return,
        };
        if watched.is_err() {
            self.kill(number);
        }
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

    /// Takes one message; false when the server is gone.
    fn on_control(&mut self) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let received = protocol::receive(&self.control, &mut buffer, RecvFlags::DONTWAIT);
        let open = match received {
            Ok(Some((length, descriptors))) => {
                self.on_request(&mut buffer[..length], descriptors);
                true
            }
            Ok(None) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.buffer = buffer;
        open
    }

    fn on_request(&mut self, message: &mut [u8], descriptors: Vec<OwnedFd>) {
        let request = protocol::decode_request(message);
        sys::wipe(message);
        match (request, <[OwnedFd; 1]>::try_from(descriptors)) {
            (Some(Request::Launch(launch)), Ok([channel])) => self.launch(launch, channel),
            (Some(Request::Launch(launch)), Err(descriptors)) => {
                if let Ok([channel, image, description]) = <[OwnedFd; 3]>::try_from(descriptors) {
                    self.launch(Launch { snapshot: Some([image, description]), ..launch }, channel);
                }
            }
            (Some(Request::Prepare(templates)), _) => {
                for number in self.templates.replace(templates) {
                    self.kill(number);
                }
                self.end_zygotes();
            }
            (Some(Request::Stock), Ok([channel])) => {
                // Somebody who asked and did not stay misses nothing.
                let _ = protocol::send(&channel, &protocol::encode_stock(&self.stock()), &[]);
            }
            (_, Ok([channel])) => refuse(&channel, &unreadable()),
            (_, Err(_)) => {}
        }
    }

    fn stock(&self) -> Vec<Stock> {
        let stock = self.templates.waiting().map(|(template, sandboxes)| Stock {
            name: template.name.clone(),
            wanted: template.count,
            waiting: sandboxes.len(),
            memory_bytes: sandboxes
                .iter()
                .filter_map(|number| self.members.get(number))
                .map(Member::memory)
                .sum(),
        });
        stock.collect()
    }

    /// Zygotes of templates that are no more, or are others now, go.
    fn end_zygotes(&mut self) {
        let templates = &self.templates;
        let (kept, gone): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.zygotes)
            .into_iter()
            .partition(|(_, (name, _))| templates.is_known(name));
        self.zygotes = kept;
        for (number, (_, zygote)) in &gone {
            self.sources.forget(Source::Zygote(*number));
            zygote.end();
        }
    }

    fn launch(&mut self, launch: Launch, channel: OwnedFd) {
        self.spares_fail = false;
        self.quiet_since = Instant::now();
        self.follow_network(launch.network);
        match self.find(launch, &channel) {
            Ok(number) => self.give_channel(number, channel),
            Err(failure) => refuse(&channel, &failure),
        }
    }

    fn give_channel(&mut self, number: u64, channel: OwnedFd) {
        if let Some(member) = self.members.get_mut(&number) {
            member.channel = Some(channel);
        }
        if let Err(failure) = self.watch_channel(number) {
            self.refuse_and_kill(number, &failure);
        }
    }

    /// Sandboxes made ahead are of one network, which hardly ever changes.
    fn follow_network(&mut self, network: Network) {
        if network != self.network {
            self.network = network;
            let unfit: Vec<u64> = self.spares.drain(..).chain(self.templates.drop_all()).collect();
            for number in unfit {
                self.kill(number);
            }
        }
    }

    /// A sandbox that is that of the launch now. A program that was started ahead may have ended just now; then a zygote
    /// forks one, or it is started.
    fn find(&mut self, launch: Launch, channel: &OwnedFd) -> Result<u64, Failure> {
        if launch.network == Network::Nat && self.ground.outlets.nat.is_none() {
            return Err(Failure {
                step: Step::FilterOutside,
                errno: libc::EOPNOTSUPP,
                detail: String::new(),
            });
        }
        if launch.snapshot.is_some() {
            let number = self.spares.pop_front().map_or_else(|| self.boot(), Ok)?;
            self.restore(number, &launch).inspect_err(|_| self.kill(number))?;
            return Ok(number);
        }
        let template = launch.template.clone();
        if let Some(number) = template.as_deref().and_then(|name| self.templates.take(name)) {
            match self.fit(number, &launch, true, channel) {
                Ok(()) => return Ok(number),
                Err(_) => self.kill(number),
            }
        }
        let number = self.spares.pop_front().map_or_else(|| self.boot(), Ok)?;
        let forking = template.filter(|name| self.zygote_of(name).is_some_and(|zygote| zygote.is_ready));
        let result = match forking {
            Some(name) => self.fork_for(number, launch, &name),
            None => self.fit(number, &launch, false, channel),
        };
        result.inspect_err(|_| self.kill(number))?;
        Ok(number)
    }

    /// Has a zygote fork the program of a launch; while it does, the sandbox is made that of the launch.
    fn fork_for(&mut self, number: u64, launch: Launch, name: &str) -> Result<(), Failure> {
        self.fork_from_zygote(name, number, true)?;
        let Some(member) = self.members.get_mut(&number) else { return Err(unreadable()) };
        member.limit(&self.ground, &launch)?;
        member.attach(&self.ground, &launch.mounts, launch.network == Network::Host, true)?;
        self.forking.insert(number, launch);
        self.pending += 1;
        Ok(())
    }

    /// Makes a sandbox that of a launch, and has its program start.
    fn fit(
        &mut self,
        number: u64,
        launch: &Launch,
        is_prepared: bool,
        channel: &OwnedFd,
    ) -> Result<(), Failure> {
        let Some(member) = self.members.get_mut(&number) else { return Err(unreadable()) };
        member.limit(&self.ground, launch)?;
        let mut mounts = launch.mounts.clone();
        if is_prepared {
            let template = launch.template.as_deref().and_then(|name| self.templates.get(name));
            mounts.retain(|mount| template.is_none_or(|template| !template.mounts.contains(mount)));
        }
        member.attach(&self.ground, &mounts, launch.network == Network::Host, true)?;
        let Some(main) = member.main() else { return Err(unreadable()) };
        if is_prepared {
            main.assign(&launch.program)?;
            member.channel = Some(channel.try_clone().at(Step::ReadRequest, "channel")?);
            return member.send_launched().at(Step::Tell, "server");
        }
        main.become_program(&launch.program)?;
        main.is_owed = true;
        self.pending += 1;
        Ok(())
    }

    /// Makes a sandbox that of a launch, and has its guest become a captured process.
    fn restore(&mut self, number: u64, launch: &Launch) -> Result<(), Failure> {
        let (Some(member), Some([image, description])) = (self.members.get_mut(&number), &launch.snapshot)
        else {
            return Err(unreadable());
        };
        member.limit(&self.ground, launch)?;
        member.attach(&self.ground, &launch.mounts, launch.network == Network::Host, true)?;
        let given = Given { image, description, processes: launch.program.processes };
        let word = member.restore(&self.ground, &given)?;
        self.sources.watch(word, Source::Tracer(number))?;
        if let Some(main) = member.main() {
            main.is_owed = true;
            self.pending += 1;
        }
        Ok(())
    }

    fn capture(&mut self, number: u64) -> Result<(), Failure> {
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        let word = member.capture(&self.ground)?;
        self.sources.watch(word, Source::Tracer(number))?;
        Ok(())
    }

    /// A process was captured, and its sandbox ends; or a captured one goes on, or neither.
    fn on_tracer(&mut self, number: u64) {
        self.sources.forget(Source::Tracer(number));
        let Some(member) = self.members.get_mut(&number) else { return };
        let Some(word) = member.hear_tracer() else { return };
        if word.purpose == Purpose::Capture {
            if let Some(channel) = &member.channel {
                let descriptors: Vec<_> = word.descriptors.iter().map(AsFd::as_fd).collect();
                let _ = protocol::send(channel, &word.answer, &descriptors);
            }
            return self.kill(number);
        }
        let Some(main) = member.main() else { return };
        self.pending -= usize::from(std::mem::take(&mut main.is_owed));
        // A program that could not be executed has said why itself.
        let said = main.execution.take().and_then(|execution| guest::read_failure(&execution).ok().flatten());
        match word.failure.map(|failure| said.unwrap_or(failure)) {
            Some(failure) => {
                self.refuse_on_channel(number, &failure);
                self.kill(number);
            }
            None if member.send_launched().is_err() => self.kill(number),
            None => {}
        }
    }

    fn watch_channel(&mut self, number: u64) -> Result<(), Failure> {
        let Some(channel) = self.members.get(&number).and_then(|member| member.channel.as_ref()) else {
            return Ok(());
        };
        self.sources.watch(channel, Source::Channel(number))?;
        Ok(())
    }

    fn on_channel(&mut self, token: Token, number: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let channel = self.members.get(&number).and_then(|member| member.channel.as_ref());
        let received = channel.map(|channel| protocol::receive(channel, &mut buffer, RecvFlags::DONTWAIT));
        match received {
            Some(Ok(Some((length, _)))) => {
                let request = protocol::decode_channel_request(&buffer[..length]);
                sys::wipe(&mut buffer[..length]);
                if let Err(failure) = self.on_channel_request(number, request) {
                    self.refuse_on_channel(number, &failure);
                }
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => {
                self.sources.remove(token);
                self.release(number);
            }
        }
        self.buffer = buffer;
    }

    fn on_channel_request(&mut self, number: u64, request: Option<ChannelRequest>) -> Result<(), Failure> {
        self.quiet_since = Instant::now();
        match request.ok_or_else(unreadable)? {
            ChannelRequest::Start(program) => self.start(number, &program),
            ChannelRequest::Socket => {
                let Some(member) = self.members.get(&number) else { return Ok(()) };
                let socket = match member.network {
                    Network::Host => home::socket_here()?,
                    Network::Isolated | Network::Nat => {
                        Home::socket_in(self.ground.proof, &member.parts.network.namespace)?
                    }
                };
                let Some(channel) = &member.channel else { return Ok(()) };
                protocol::send(channel, &protocol::encode_done(), &[socket.as_fd()]).at(Step::Tell, "server")
            }
            ChannelRequest::Reset(launch) => self.reset(number, &launch),
            ChannelRequest::Snapshot => self.capture(number),
        }
    }

    fn start(&mut self, number: u64, program: &Program) -> Result<(), Failure> {
        let guest = self.number();
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        let added = member.add_guest(&self.ground, guest)?;
        added.is_owed = true;
        added.become_program(program)?;
        self.pending += 1;
        self.watch_execution(number, guest)
    }

    fn reset(&mut self, number: u64, launch: &Launch) -> Result<(), Failure> {
        let guest = self.number();
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        let owed = member.guests.iter().filter(|(_, guest)| guest.is_owed).count();
        self.pending -= owed;
        self.sources.forget_processes(number);
        member.reset(&self.ground, launch.network, guest)?;
        member.limit(&self.ground, launch)?;
        member.attach(&self.ground, &launch.mounts, launch.network == Network::Host, true)?;
        self.watch_processes(number, guest)?;
        if let Some(main) = self.members.get_mut(&number).and_then(Member::main) {
            main.become_program(&launch.program)?;
            main.is_owed = true;
            self.pending += 1;
        }
        Ok(())
    }

    /// A program that was started ahead is ready for a launch.
    fn on_ready(&mut self, token: Token, number: u64) {
        self.sources.remove(token);
        let Some(guest) = self.members.get_mut(&number).and_then(Member::main) else { return };
        self.sources.leave(guest.orders());
        if rustix::io::read(guest.orders(), &mut [0; 1]) != Ok(1) {
            return self.kill(number);
        }
        let Some(launch) = self.forking.get(&number) else { return self.templates.is_ready(number) };
        let assigned = guest.assign(&launch.program);
        let Some(member) = self.members.get_mut(&number) else { return };
        if assigned.is_ok() && member.send_launched().is_ok() {
            self.forking.remove(&number);
            self.pending -= 1;
        } else {
            self.kill(number);
        }
    }

    /// A guest's program runs, or a step before it failed.
    fn on_execution(&mut self, number: u64, guest: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        // Whoever traces it says how it went.
        if member.tracer.is_some() {
            let execution = member.guest(guest).and_then(|process| process.execution.as_ref());
            if let Some(execution) = execution {
                self.sources.leave(execution);
            }
            return;
        }
        let is_main = member.guests.first().is_some_and(|(main, _)| *main == guest);
        let Some(process) = member.guest(guest) else { return };
        let Some(execution) = process.execution.take() else { return };
        let failure = match guest::read_failure(&execution) {
            Ok(failure) => failure,
            // Nothing has been decided yet.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                process.execution = Some(execution);
                return;
            }
            Err(_) => None,
        };
        let is_owed = std::mem::take(&mut process.is_owed);
        if is_owed {
            self.pending -= 1;
        }
        if let Some(failure) = failure {
            if is_owed {
                self.refuse_on_channel(number, &failure);
            }
            if is_main {
                self.kill(number);
            }
            return;
        }
        if !is_owed {
            return;
        }
        let answered = match is_main {
            true => member.send_launched(),
            false => {
                let channel = member.channel.take();
                let sent = match (&channel, member.guest(guest)) {
                    (Some(channel), Some(process)) => process.send_started(channel),
                    _ => Ok(()),
                };
                member.channel = channel;
                sent
            }
        };
        // The server may be gone, or may have given up waiting; then the end of the channel follows.
        if answered.is_err() && is_main {
            self.kill(number);
        }
    }

    /// The first process tells of ends. With the main program everything ends, unless there are others: then the server says
    /// when.
    fn on_duty(&mut self, number: u64) {
        while let Some(word) = self.members.get(&number).and_then(Member::hear) {
            // A program that has ended ran before, which the server is to hear first.
            let Some(member) = self.members.get(&number) else { return };
            let guests: Vec<u64> = member.guests.iter().map(|(guest, _)| *guest).collect();
            for guest in guests {
                self.on_execution(number, guest);
            }
            let Some(member) = self.members.get_mut(&number) else { return };
            match word {
                Duty::Ended { process, end } => {
                    let ended = member.report_end(process, end);
                    if ended.is_some() && ended == member.guests.first().map(|(main, _)| *main) {
                        if member.guests.len() == 1 {
                            member.kill();
                        }
                    } else {
                        member.guests.retain(|(guest, _)| Some(*guest) != ended);
                    }
                }
                Duty::OutOfMemory => member.report_out_of_memory(),
                Duty::Ready | Duty::Failed(_) => {}
            }
        }
    }

    /// The first process is gone, and with it every other of the sandbox.
    fn on_end(&mut self, number: u64) {
        if self.members.get(&number).is_some_and(|member| member.tracer.is_some()) {
            self.on_tracer(number);
        }
        self.on_duty(number);
        if let Some(member) = self.members.get_mut(&number)
            && member.kills_by_kernel()
        {
            member.report_out_of_memory();
        }
        let is_kept = self.members.get_mut(&number).is_some_and(|member| {
            member.end();
            member.channel.is_some()
        });
        self.sources.forget_processes(number);
        self.spares.retain(|spare| *spare != number);
        if let Some(name) = self.templates.ended(number) {
            // Nothing else tells why starts of this template take longer than they could.
            eprintln!(
                "firelet-sandbox-helper: {name} ends before it is ready, and is not started ahead any more"
            );
        }
        // A guest that a zygote could not bring into its sandbox: the launch gets another sandbox.
        if let Some(launch) = self.forking.remove(&number) {
            self.pending -= 1;
            let channel = self.members.get_mut(&number).and_then(|member| member.channel.take());
            self.sources.forget(Source::Channel(number));
            self.dispose(number);
            if let Some(channel) = channel {
                self.launch(Launch { template: None, ..launch }, channel);
            }
        } else if !is_kept {
            self.dispose(number);
        }
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
