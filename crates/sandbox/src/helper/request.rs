//! What the server asks, over the control socket and over the channel of each sandbox. How a launch
//! finds its sandbox is in `launch.rs`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::net::RecvFlags;

use crate::error::{At, Failure, Step};
use crate::helper::home::{self, Home};
use crate::helper::member::Member;
use crate::helper::sources::{Source, Token};
use crate::helper::{Helper, refuse, unreadable};
use crate::protocol::{self, ChannelRequest, Launch, Program, Request};
use crate::spec::{Network, Stock};
use crate::sys;

impl Helper {
    /// Takes one message; false when the server is gone.
    pub(super) fn on_control(&mut self) -> bool {
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

    pub(super) fn on_channel(&mut self, token: Token, number: u64) {
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

    fn capture(&mut self, number: u64) -> Result<(), Failure> {
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        let word = member.capture(&self.ground)?;
        self.sources.watch(word, Source::Tracer(number))?;
        Ok(())
    }
}
