//! A launch finds its sandbox: one made ahead, one that a zygote forks into, or a new one. Nothing here waits until the
//! program runs; that it does is heard in `progress.rs`.

use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::error::{At, Failure, Step};
use crate::helper::sources::Source;
use crate::helper::tracer::Given;
use crate::helper::{Helper, refuse, unreadable};
use crate::protocol::Launch;
use crate::spec::Network;

impl Helper {
    pub(super) fn launch(&mut self, launch: Launch, channel: OwnedFd) {
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
}
