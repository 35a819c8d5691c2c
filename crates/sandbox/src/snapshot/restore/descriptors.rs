//! The descriptors of a captured process.
//!
//! The kernel gives the lowest free number, so that each number is known before the call; the answers prove it.

use std::collections::BTreeSet;

use crate::error::Failure;
use crate::snapshot::description::{Content, Description, Descriptor, Identity, Kind};
use crate::snapshot::restore::memory::{check_number, identity, status_place};
use crate::snapshot::tracee::{Script, Tracee, flag};

/// What a guest starts with: the image, and its output.
const IMAGE: u64 = 0;
const OUTPUT: u64 = 1;
const STARTING: [u64; 3] = [0, 1, 2];
const CLOSE_ON_EXECUTE: u64 = libc::O_CLOEXEC as u64;
/// Of the flags of an open file, those that `open` takes and that make nothing.
const OF_OPEN: i32 = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_DIRECTORY
    | libc::O_PATH
    | libc::O_NOATIME
    | libc::O_SYNC
    | libc::O_DSYNC
    | libc::O_NOFOLLOW;
/// Of those, what `fcntl` sets.
const OF_STATUS: i32 = libc::O_APPEND | libc::O_NONBLOCK;
/// Descriptors that a call makes at most: with all below taken, they come right behind the highest number.
const MADE_AT_ONCE: u64 = 2;
/// How far the places for what is being made are behind those.
const IMAGE_ASIDE: u64 = 0;
const OUTPUT_ASIDE: u64 = 1;
const FIRST_ASIDE: u64 = 2;
const SECOND_ASIDE: u64 = 3;

/// Makes all descriptors again; the guest's own go.
pub(super) fn restore(tracee: &Tracee, description: &Description) -> Result<(), Failure> {
    let highest = description.descriptors.iter().map(|descriptor| descriptor.number).max().unwrap_or(0);
    let mut table = Table {
        script: tracee.script(),
        open: BTreeSet::from(STARTING),
        aside: highest.saturating_add(MADE_AT_ONCE + 1).max(STARTING.len() as u64),
        expected: Vec::new(),
        files: Vec::new(),
    };
    table.duplicate(IMAGE, table.aside + IMAGE_ASIDE, CLOSE_ON_EXECUTE);
    table.duplicate(OUTPUT, table.aside + OUTPUT_ASIDE, CLOSE_ON_EXECUTE);
    STARTING.into_iter().for_each(|number| table.close(number));
    for descriptor in &description.descriptors {
        if !table.open.contains(&descriptor.number) {
            table.make(descriptor, &description.descriptors);
        }
    }
    for aside in [IMAGE_ASIDE, OUTPUT_ASIDE] {
        table.close(table.aside + aside);
    }
    for descriptor in &description.descriptors {
        table.register(descriptor);
    }
    let directory = table.script.text(&description.process.directory);
    table.script.call(libc::SYS_chdir, [directory]);
    let answers = tracee.perform(tracee.process, &table.script)?;
    table.expected.iter().try_for_each(|(call, number)| check_number(tracee, &answers, *call, *number))?;
    let is_same = table.files.iter().all(|(status, expected)| identity(&answers, *status) == *expected);
    if is_same { Ok(()) } else { Err(tracee.failure(libc::ESTALE, "an open file has changed")) }
}

struct Table {
    script: Script,
    open: BTreeSet<u64>,
    /// Above every number that is wanted, or that a call may answer.
    aside: u64,
    /// Which call has to answer which number.
    expected: Vec<(usize, u64)>,
    /// Where the status of a file is, and what it has to be.
    files: Vec<(u64, Identity)>,
}

impl Table {
    /// The number that the next descriptor gets.
    fn take(&mut self) -> u64 {
        let number = (0..).find(|number| !self.open.contains(number)).unwrap_or(0);
        self.open.insert(number);
        number
    }

    fn close(&mut self, number: u64) {
        self.script.call(libc::SYS_close, [number]);
        self.open.remove(&number);
    }

    fn duplicate(&mut self, from: u64, to: u64, flags: u64) {
        self.script.call(libc::SYS_dup3, [from, to, flags & CLOSE_ON_EXECUTE]);
        self.open.insert(to);
    }

    /// A call that answers a descriptor, which then is aside.
    fn create<const COUNT: usize>(&mut self, number: libc::c_long, arguments: [u64; COUNT]) {
        let call = self.script.call(number, arguments);
        let descriptor = self.take();
        self.expected.push((call, descriptor));
        self.put_aside(descriptor, FIRST_ASIDE);
    }

    /// A call that writes two descriptors, which then are aside.
    fn create_two(&mut self, number: libc::c_long, arguments: &[u64]) {
        let place = self.script.bytes(&[0; 8]);
        match arguments {
            [family, socket_type] => self.script.call(number, [*family, *socket_type, 0, place]),
            _ => self.script.call(number, [place, 0]),
        };
        let both = [self.take(), self.take()];
        self.put_aside(both[0], FIRST_ASIDE);
        self.put_aside(both[1], SECOND_ASIDE);
    }

    fn put_aside(&mut self, descriptor: u64, aside: u64) {
        self.duplicate(descriptor, self.aside + aside, CLOSE_ON_EXECUTE);
        self.close(descriptor);
    }

    /// Gives what is aside its number.
    fn place(&mut self, aside: u64, descriptor: &Descriptor) {
        let from = self.aside + aside;
        self.duplicate(from, descriptor.number, descriptor.flags);
        let flags = descriptor.flags & flag(OF_STATUS);
        self.script.call(libc::SYS_fcntl, [descriptor.number, flag(libc::F_SETFL), flags]);
    }

    fn make(&mut self, descriptor: &Descriptor, all: &[Descriptor]) {
        match &descriptor.kind {
            // The earlier one is there.
            Kind::Same(number) => return self.duplicate(*number, descriptor.number, descriptor.flags),
            Kind::Output => {
                return self.duplicate(self.aside + OUTPUT_ASIDE, descriptor.number, descriptor.flags);
            }
            Kind::File { path, offset, identity } => self.open_file(descriptor, path, *offset, *identity),
            Kind::Pipe { pipe, .. } => self.make_pipe(*pipe, all),
            Kind::Pair { pair, socket_type, .. } => self.make_pair(*pair, *socket_type, all),
            Kind::Ended => {
                self.create_two(libc::SYS_socketpair, &[flag(libc::AF_UNIX), flag(libc::SOCK_STREAM)]);
                self.place(FIRST_ASIDE, descriptor);
                self.close(self.aside + SECOND_ASIDE);
            }
            Kind::Socket { family, socket_type, address, backlog, is_only_ipv6 } => {
                self.create(libc::SYS_socket, [*family, *socket_type, 0]);
                if *is_only_ipv6 {
                    self.leave_ipv4();
                }
                self.listen(address, *backlog);
                self.place(FIRST_ASIDE, descriptor);
            }
            Kind::Event { count, is_semaphore } => {
                let flags = if *is_semaphore { flag(libc::EFD_SEMAPHORE) } else { 0 };
                self.create(libc::SYS_eventfd2, [0, flags]);
                self.count(*count);
                self.place(FIRST_ASIDE, descriptor);
            }
            Kind::Timer { clock, flags, times } => {
                self.create(libc::SYS_timerfd_create, [*clock, 0]);
                let times: Vec<u8> = times.iter().flat_map(|number| number.to_le_bytes()).collect();
                let place = self.script.bytes(&times);
                let timer = self.aside + FIRST_ASIDE;
                self.script.call(libc::SYS_timerfd_settime, [timer, *flags, place, 0]);
                self.place(FIRST_ASIDE, descriptor);
            }
            Kind::Poll { .. } => {
                self.create(libc::SYS_epoll_create1, [0]);
                self.place(FIRST_ASIDE, descriptor);
            }
            Kind::Signals { mask } => {
                let place = self.script.bytes(&mask.to_le_bytes());
                self.create(libc::SYS_signalfd4, [u64::MAX, place, 8, 0]);
                self.place(FIRST_ASIDE, descriptor);
            }
        }
        for aside in [FIRST_ASIDE, SECOND_ASIDE] {
            if self.open.contains(&(self.aside + aside)) {
                self.close(self.aside + aside);
            }
        }
    }

    fn leave_ipv4(&mut self) {
        let (socket, place) = (self.aside + FIRST_ASIDE, self.script.bytes(&1_i32.to_ne_bytes()));
        let (level, option) = (flag(libc::IPPROTO_IPV6), flag(libc::IPV6_V6ONLY));
        self.script.call(libc::SYS_setsockopt, [socket, level, option, place, size_of::<i32>() as u64]);
    }

    fn listen(&mut self, address: &[u8], backlog: Option<u64>) {
        let Some(backlog) = backlog else { return };
        let (socket, place) = (self.aside + FIRST_ASIDE, self.script.bytes(address));
        self.script.call(libc::SYS_bind, [socket, place, address.len() as u64]);
        self.script.call(libc::SYS_listen, [socket, backlog]);
    }

    fn count(&mut self, count: u64) {
        if count > 0 {
            let place = self.script.bytes(&count.to_le_bytes());
            self.script.call(libc::SYS_write, [self.aside + FIRST_ASIDE, place, 8]);
        }
    }

    fn open_file(&mut self, descriptor: &Descriptor, path: &[u8], offset: u64, identity: Option<Identity>) {
        let place = self.script.text(path);
        let flags = descriptor.flags & flag(OF_OPEN);
        self.create(libc::SYS_openat, [flag(libc::AT_FDCWD), place, flags]);
        let aside = self.aside + FIRST_ASIDE;
        if let Some(identity) = identity {
            let status = status_place(&mut self.script);
            self.script.call(libc::SYS_fstat, [aside, status]);
            self.files.push((status, identity));
        }
        if offset > 0 {
            self.script.call(libc::SYS_lseek, [aside, offset, flag(libc::SEEK_SET)]);
        }
        self.duplicate(aside, descriptor.number, descriptor.flags);
    }

    fn make_pipe(&mut self, wanted: u64, all: &[Descriptor]) {
        self.create_two(libc::SYS_pipe2, &[]);
        for descriptor in all {
            let Kind::Pipe { pipe, is_reader, content } = &descriptor.kind else { continue };
            if *pipe == wanted {
                self.fill(SECOND_ASIDE, *content);
                self.place(if *is_reader { FIRST_ASIDE } else { SECOND_ASIDE }, descriptor);
            }
        }
    }

    /// What waits at one end is sent from the other.
    fn make_pair(&mut self, wanted: u64, socket_type: u64, all: &[Descriptor]) {
        self.create_two(libc::SYS_socketpair, &[flag(libc::AF_UNIX), socket_type]);
        let ends = [(FIRST_ASIDE, SECOND_ASIDE), (SECOND_ASIDE, FIRST_ASIDE)];
        let pairs = all.iter().filter_map(|descriptor| match &descriptor.kind {
            Kind::Pair { pair, content, .. } if *pair == wanted => Some((descriptor, *content)),
            _ => None,
        });
        for ((descriptor, content), (own, other)) in pairs.zip(ends) {
            self.fill(other, content);
            self.place(own, descriptor);
        }
    }

    fn fill(&mut self, aside: u64, content: Content) {
        if content.length > 0 {
            let from = self.script.bytes(&content.offset.to_le_bytes());
            let target = self.aside + aside;
            let image = self.aside + IMAGE_ASIDE;
            let call = self.script.call(libc::SYS_sendfile, [target, image, from, content.length]);
            self.expected.push((call, content.length));
        }
    }

    /// Tells an `epoll` what to watch, once all descriptors are there.
    fn register(&mut self, descriptor: &Descriptor) {
        let Kind::Poll { registrations } = &descriptor.kind else { return };
        for [number, events, data] in registrations {
            let events = u32::try_from(*events & u64::from(u32::MAX)).unwrap_or(0).to_le_bytes();
            // The C structure `epoll_event`, which one of the machines packs.
            let padding: &[u8] = if cfg!(target_arch = "x86_64") { &[] } else { &[0; 4] };
            let event = self.script.bytes(&[&events[..], padding, &data.to_le_bytes()].concat());
            let add = flag(libc::EPOLL_CTL_ADD);
            self.script.call(libc::SYS_epoll_ctl, [descriptor.number, add, *number, event]);
        }
    }
}
