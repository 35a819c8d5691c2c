//! The descriptors of a process: what each is, and what waits in those that have two ends inside.
//!
//! Nobody else holds an end any more that matters, and the process ends: so what waits is simply read, and who is connected
//! with whom is simply tried.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

use crate::error::{At, Step};
use crate::snapshot::Trouble;
use crate::snapshot::capture::image::Image;
use crate::snapshot::capture::{Subject, link, memory, read};
use crate::snapshot::description::{Content, Descriptor, Kind};
use crate::snapshot::trace;

/// The highest number: those above are needed while descriptors are made again, and no sandbox has more than 1,024.
const HIGHEST: u64 = 1000;
/// The most bytes that may wait in a pipe or socket: what fits into one that nobody has made larger.
const WAITING_LIMIT: usize = 64 * 1024;
/// How many connections may wait at a listener that comes back: the kernel does not tell how many might, but all allow this.
const BACKLOG: u64 = 128;
/// Devices that every sandbox has.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// `O_ACCMODE`, `O_RDONLY`.
const ACCESS: u64 = 3;
const READ_ONLY: u64 = 0;
/// What a timer is set to that is due already.
const AT_ONCE: u64 = 1;

/// Captures all descriptors, in the order of their numbers.
pub(super) fn capture(subject: &Subject, image: &mut Image) -> Result<Vec<Descriptor>, Trouble> {
    let mut numbers = numbers(subject.process)?;
    numbers.sort_unstable();
    let mut collection = Collection {
        subject,
        image,
        root: memory::root(subject.process)?,
        known: Vec::new(),
        sockets: Vec::new(),
    };
    for number in numbers {
        collection.add(number)?;
    }
    collection.connect()?;
    collection.check_polls()?;
    Ok(collection.known.into_iter().map(|(_, descriptor)| descriptor).collect())
}

fn numbers(process: i32) -> Result<Vec<u64>, Trouble> {
    let path = format!("/proc/{process}/fd");
    let entries = fs::read_dir(&path).at(Step::Capture, &path)?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

struct Collection<'a> {
    subject: &'a Subject,
    image: &'a mut Image,
    root: OwnedFd,
    /// With what `/proc` calls them.
    known: Vec<(String, Descriptor)>,
    /// Unix sockets that are connected: place, and the socket.
    sockets: Vec<(usize, OwnedFd)>,
}

/// What `fdinfo` tells of a descriptor.
struct Facts {
    text: String,
    flags: u64,
    offset: u64,
}

impl Facts {
    fn read(process: i32, number: u64) -> Result<Self, Trouble> {
        let text = read(process, &format!("fdinfo/{number}"))?;
        let flags = value(&text, "flags").and_then(|flags| u64::from_str_radix(flags, 8).ok());
        let offset = value(&text, "pos").and_then(|offset| offset.parse().ok());
        let unknown = || Trouble::unsupported("the kernel does not tell of its descriptors");
        if value(&text, "lock").is_some() {
            return Err(Trouble::unsupported(format!("a lock that descriptor {number} holds")));
        }
        Ok(Self { flags: flags.ok_or_else(unknown)?, offset: offset.unwrap_or(0), text })
    }

    fn number(&self, name: &str, radix: u32) -> Option<u64> {
        u64::from_str_radix(value(&self.text, name)?, radix).ok()
    }
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

impl Collection<'_> {
    fn add(&mut self, number: u64) -> Result<(), Trouble> {
        if number > HIGHEST {
            return Err(Trouble::unsupported(format!("descriptor {number}, above {HIGHEST}")));
        }
        let target = link(self.subject.process, &format!("fd/{number}"))?;
        let name = String::from_utf8_lossy(&target).into_owned();
        let facts = Facts::read(self.subject.process, number)?;
        let kind = match self.same(&name, number) {
            Some(same) => Kind::Same(same),
            None => self.kind(number, &name, target, &facts)?,
        };
        self.known.push((name, Descriptor { number, flags: facts.flags, kind }));
        Ok(())
    }

    /// The descriptor that is the same open file.
    fn same(&self, name: &str, number: u64) -> Option<u64> {
        let of = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let same = self.known.iter().find(|(known, descriptor)| {
            let is_first = !matches!(descriptor.kind, Kind::Same(_));
            is_first
                && known == name
                && trace::is_same_file(self.subject.process, of(descriptor.number), of(number))
        });
        same.map(|(_, descriptor)| descriptor.number)
    }

    fn kind(&mut self, number: u64, name: &str, target: Vec<u8>, facts: &Facts) -> Result<Kind, Trouble> {
        if name.starts_with('/') {
            return self.file(name, target, facts);
        }
        if let Some(inode) = inode_of(name, "pipe:[") {
            return self.pipe(number, inode, facts);
        }
        if name.starts_with("socket:[") {
            return self.socket(number);
        }
        of_kernel(name, facts)
            .unwrap_or_else(|| Err(Trouble::unsupported(format!("descriptor {number}, which is {name}"))))
    }

    fn file(&self, name: &str, path: Vec<u8>, facts: &Facts) -> Result<Kind, Trouble> {
        if DEVICES.contains(&name) {
            return Ok(Kind::File { path, offset: 0, identity: None });
        }
        if name.ends_with(" (deleted)") || name.starts_with("/memfd:") {
            return Err(Trouble::unsupported(format!("the open file {name}")));
        }
        if name.starts_with("/proc/") {
            return Ok(Kind::File { path, offset: facts.offset, identity: None });
        }
        let file = memory::open_in(&self.root, &path, rustix::fs::OFlags::PATH);
        let status = file.and_then(|file| Ok(rustix::fs::fstat(file)?)).at(Step::Capture, name)?;
        let is_directory = rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir();
        let identity = memory::identity(&self.root, &path);
        if !is_directory && identity.is_none() {
            return Err(Trouble::unsupported(format!(
                "the open file {name}, which is neither plain nor a directory"
            )));
        }
        // Files of `/tmp` are made again and so are others; directories change by what is in them.
        let identity = identity.filter(|_| !name.starts_with("/tmp/"));
        Ok(Kind::File { path, offset: facts.offset, identity })
    }

    fn pipe(&mut self, number: u64, inode: u64, facts: &Facts) -> Result<Kind, Trouble> {
        let is_reader = facts.flags & ACCESS == READ_ONLY;
        if inode == self.subject.output && !is_reader {
            return Ok(Kind::Output);
        }
        let is_read_already = self.known.iter().any(|(_, descriptor)| match descriptor.kind {
            Kind::Pipe { pipe, is_reader, .. } => pipe == inode && is_reader,
            _ => false,
        });
        let content = if is_reader && !is_read_already {
            let pipe = self.descriptor(number)?;
            let waiting = rustix::io::ioctl_fionread(&pipe).at(Step::Capture, "pipe")?;
            let mut bytes = vec![0; bounded(waiting)?];
            let mut read = 0;
            while read < bytes.len() {
                let count = rustix::io::read(&pipe, &mut bytes[read..]).at(Step::Capture, "pipe")?;
                if count == 0 {
                    break;
                }
                read += count;
            }
            self.image.add(&bytes)?
        } else {
            Content::default()
        };
        Ok(Kind::Pipe { pipe: inode, is_reader, content })
    }

    fn descriptor(&self, number: u64) -> Result<OwnedFd, Trouble> {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        Ok(trace::descriptor_of(&self.subject.pidfd, number).at(Step::Capture, "descriptor")?)
    }

    fn socket(&mut self, number: u64) -> Result<Kind, Trouble> {
        let socket = self.descriptor(number)?;
        let family = rustix::net::sockopt::socket_domain(&socket).at(Step::Capture, "socket")?;
        let socket_type = rustix::net::sockopt::socket_type(&socket).at(Step::Capture, "socket")?;
        let is_internet = family == AddressFamily::INET || family == AddressFamily::INET6;
        let is_listening = rustix::net::sockopt::socket_acceptconn(&socket).unwrap_or(false);
        if is_internet && socket_type == SocketType::STREAM {
            return internet_stream(&socket, family, is_listening);
        }
        if family == AddressFamily::UNIX && !is_listening {
            return self.unix(socket, socket_type);
        }
        Err(Trouble::unsupported(format!(
            "descriptor {number}, a socket of family {} and type {}",
            family.as_raw(),
            socket_type.as_raw()
        )))
    }

    fn unix(&mut self, socket: OwnedFd, socket_type: SocketType) -> Result<Kind, Trouble> {
        // A family and nothing more.
        let is_unnamed = rustix::net::getsockname(&socket).is_ok_and(|address| {
            usize::try_from(address.addr_len()).is_ok_and(|length| length <= size_of::<u16>())
        });
        if !is_unnamed {
            return Err(Trouble::unsupported("a Unix socket with a name"));
        }
        if rustix::net::getpeername(&socket).is_err() {
            return Ok(Kind::Socket {
                family: u64::from(AddressFamily::UNIX.as_raw()),
                socket_type: u64::from(socket_type.as_raw()),
                address: Vec::new(),
                backlog: None,
                is_only_ipv6: false,
            });
        }
        let waiting = drain(&socket)?;
        if !waiting.is_empty() && socket_type != SocketType::STREAM {
            return Err(Trouble::unsupported("packets that wait in a Unix socket"));
        }
        let content = self.image.add(&waiting)?;
        self.sockets.push((self.known.len(), socket));
        // By its own number until the other one is found.
        Ok(Kind::Pair { pair: u64::MAX, socket_type: u64::from(socket_type.as_raw()), content })
    }

    /// Finds out which sockets are connected with each other: what is sent through one arrives at the other. One that has no
    /// other is at its end.
    fn connect(&mut self) -> Result<(), Trouble> {
        let mut pairs: BTreeMap<usize, Option<u64>> = BTreeMap::new();
        for (place, socket) in &self.sockets {
            if pairs.contains_key(place) {
                continue;
            }
            let sent = rustix::net::send(socket, b"?", SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            let other = self.sockets.iter().find(|(other, socket)| {
                other != place
                    && rustix::net::recv(socket, &mut [0; 1][..], RecvFlags::DONTWAIT)
                        .is_ok_and(|(count, _)| count == 1)
            });
            match (sent, other) {
                (Ok(_), Some((other, _))) => {
                    let pair = Some(*place as u64);
                    pairs.extend([(*place, pair), (*other, pair)]);
                }
                (
                    Err(
                        rustix::io::Errno::PIPE
                        | rustix::io::Errno::CONNREFUSED
                        | rustix::io::Errno::CONNRESET,
                    ),
                    None,
                ) => {
                    pairs.insert(*place, None);
                }
                _ => return Err(Trouble::unsupported("a Unix socket that is connected to elsewhere")),
            }
        }
        for (place, found) in pairs {
            let Some((_, descriptor)) = self.known.get_mut(place) else { continue };
            match (&mut descriptor.kind, found) {
                (Kind::Pair { pair, .. }, Some(found)) => *pair = found,
                // What waits in it is still there to be read, of which an end keeps nothing.
                (Kind::Pair { content, .. }, None) if content.length > 0 => {
                    return Err(Trouble::unsupported("bytes that wait in a Unix socket without another end"));
                }
                (kind, _) => *kind = Kind::Ended,
            }
        }
        Ok(())
    }

    /// What an `epoll` watches has to be there under its number.
    fn check_polls(&self) -> Result<(), Trouble> {
        let is_open = |number: u64| self.known.iter().any(|(_, descriptor)| descriptor.number == number);
        let is_whole = self.known.iter().all(|(_, descriptor)| match &descriptor.kind {
            Kind::Poll { registrations } => registrations.iter().all(|[number, ..]| is_open(*number)),
            _ => true,
        });
        if is_whole { Ok(()) } else { Err(Trouble::unsupported("an epoll that watches a closed descriptor")) }
    }
}

fn bounded(waiting: u64) -> Result<usize, Trouble> {
    let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
    if waiting > WAITING_LIMIT {
        return Err(Trouble::unsupported(format!("{waiting} bytes that wait in a pipe or socket")));
    }
    Ok(waiting)
}

/// Reads all that waits.
fn drain(socket: &OwnedFd) -> Result<Vec<u8>, Trouble> {
    let mut waiting = Vec::new();
    let mut piece = vec![0; WAITING_LIMIT];
    loop {
        match rustix::net::recv(socket, &mut piece[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(_) => return Ok(waiting),
            Ok((count, _)) => waiting.extend_from_slice(&piece[..count]),
        }
        bounded(waiting.len() as u64)?;
    }
}

fn inode_of(name: &str, kind: &str) -> Option<u64> {
    name.strip_prefix(kind)?.strip_suffix(']')?.parse().ok()
}

/// A connection comes back at its end; a listener on the loopback, or on all addresses of a sandbox, listens again.
fn internet_stream(socket: &OwnedFd, family: AddressFamily, is_listening: bool) -> Result<Kind, Trouble> {
    let local = address_of(socket).unwrap_or_default();
    // The port stands behind the family.
    let has_port = local.get(2..4).is_some_and(|port| port != [0, 0]);
    if !is_listening && (has_port || rustix::net::getpeername(socket).is_ok()) {
        return Ok(Kind::Ended);
    }
    let backlog = if is_listening { Some(BACKLOG) } else { None };
    Ok(Kind::Socket {
        family: u64::from(family.as_raw()),
        socket_type: u64::from(SocketType::STREAM.as_raw()),
        address: if is_listening { local } else { Vec::new() },
        backlog,
        is_only_ipv6: rustix::net::sockopt::ipv6_v6only(socket).unwrap_or(false),
    })
}

/// The own address of a socket of the Internet, as `bind` takes it.
fn address_of(socket: &OwnedFd) -> Option<Vec<u8>> {
    let address = rustix::net::getsockname(socket).ok()?;
    std::net::SocketAddr::try_from(address).ok().map(encode_address)
}

/// The C structures `sockaddr_in` and `sockaddr_in6`.
fn encode_address(address: std::net::SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address {
        std::net::SocketAddr::V4(address) => {
            [&AddressFamily::INET.as_raw().to_ne_bytes()[..], &port, &address.ip().octets(), &[0; 8]].concat()
        }
        std::net::SocketAddr::V6(address) => [
            &AddressFamily::INET6.as_raw().to_ne_bytes()[..],
            &port,
            &address.flowinfo().to_be_bytes(),
            &address.ip().octets(),
            &address.scope_id().to_ne_bytes(),
        ]
        .concat(),
    }
}

/// Descriptors that are nothing but the kernel's; `None` for others.
fn of_kernel(name: &str, facts: &Facts) -> Option<Result<Kind, Trouble>> {
    let kind = match name {
        "anon_inode:[eventfd]" => event(facts),
        "anon_inode:[eventpoll]" => poll(facts),
        "anon_inode:[timerfd]" => timer(facts),
        "anon_inode:[signalfd]" => facts.number("sigmask", 16).map(|mask| Kind::Signals { mask }),
        _ => return None,
    };
    Some(
        kind.ok_or_else(|| Trouble::unsupported(format!("{name}, of which the kernel does not tell enough"))),
    )
}

fn event(facts: &Facts) -> Option<Kind> {
    let count = facts.number("eventfd-count", 16)?;
    Some(Kind::Event { count, is_semaphore: facts.number("eventfd-semaphore", 10) == Some(1) })
}

fn poll(facts: &Facts) -> Option<Kind> {
    let lines = facts.text.lines().filter_map(|line| line.strip_prefix("tfd:"));
    let registrations = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |name: &str| words.iter().skip_while(|word| **word != name).nth(1).copied();
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
        Some([words.first()?.parse().ok()?, hexadecimal(after("events:")?)?, hexadecimal(after("data:")?)?])
    });
    Some(Kind::Poll { registrations: registrations.collect::<Option<_>>()? })
}

fn timer(facts: &Facts) -> Option<Kind> {
    let pair = |name: &str| -> Option<[u64; 2]> {
        let (seconds, nanoseconds) =
            value(&facts.text, name)?.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some([seconds.trim().parse().ok()?, nanoseconds.trim().parse().ok()?])
    };
    let [interval_seconds, interval_nanoseconds] = pair("it_interval")?;
    let [mut seconds, mut nanoseconds] = pair("it_value")?;
    if facts.number("ticks", 10)? > 0 {
        [seconds, nanoseconds] = [0, AT_ONCE];
    }
    let times = [interval_seconds, interval_nanoseconds, seconds, nanoseconds];
    Some(Kind::Timer { clock: facts.number("clockid", 10)?, flags: 0, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Facts {
        Facts { text: text.into(), flags: 0, offset: 0 }
    }

    #[test]
    fn what_the_kernel_tells_of_its_own_descriptors_is_read() {
        let check = |name: &str, text: &str, expected: Kind| {
            let kind = of_kernel(name, &facts(text)).unwrap().unwrap();
            assert_eq!(kind, expected);
        };
        check(
            "anon_inode:[eventfd]",
            "eventfd-count:               1f\neventfd-id: 3\neventfd-semaphore: 1\n",
            Kind::Event { count: 31, is_semaphore: true },
        );
        check(
            "anon_inode:[eventpoll]",
            "pos:\t0\ntfd:        5 events:       19 data:             beef  pos:0 ino:2 sdev:d\n",
            Kind::Poll { registrations: vec![[5, 0x19, 0xbeef]] },
        );
        let timer = |ticks: u32| {
            format!("clockid: 1\nticks: {ticks}\nsettime flags: 01\nit_value: (3, 4)\nit_interval: (1, 2)\n")
        };
        check("anon_inode:[timerfd]", &timer(0), Kind::Timer { clock: 1, flags: 0, times: [1, 2, 3, 4] });
        check("anon_inode:[timerfd]", &timer(1), Kind::Timer { clock: 1, flags: 0, times: [1, 2, 0, 1] });
        check("anon_inode:[signalfd]", "sigmask:\t0000000000004002\n", Kind::Signals { mask: 0x4002 });
        assert!(of_kernel("anon_inode:[eventfd]", &facts("")).unwrap().is_err());
        assert!(of_kernel("anon_inode:inotify", &facts("")).is_none());
    }
}
