//! What becomes of the processes of sandboxes, as they or the kernel tell it: a program runs, could not be started, was
//! captured, or has ended. Nothing here makes a sandbox; a launch that lost its own goes back to `launch.rs`.

use std::io;
use std::os::fd::AsFd;

use crate::guest;
use crate::helper::Helper;
use crate::helper::member::Member;
use crate::helper::sources::{Source, Token};
use crate::helper::tracer::Purpose;
use crate::protocol::{self, Duty, Launch};

impl Helper {
    pub(super) fn on_forked(&mut self, token: Token, number: u64) {
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

    /// A process was captured, and its sandbox ends; or a captured one goes on, or neither.
    pub(super) fn on_tracer(&mut self, number: u64) {
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

    /// A program that was started ahead is ready for a launch.
    pub(super) fn on_ready(&mut self, token: Token, number: u64) {
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
    pub(super) fn on_execution(&mut self, number: u64, guest: u64) {
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
    pub(super) fn on_duty(&mut self, number: u64) {
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
    pub(super) fn on_end(&mut self, number: u64) {
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
}
