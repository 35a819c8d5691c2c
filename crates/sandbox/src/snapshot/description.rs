//! What there is to know of a captured process besides the content of its pages, in bytes and back.
//!
//! A hostile process has shaped it: whatever is read here has bounds, and what it asks for is done by a guest with a guest's
//! rights.

use crate::protocol::{Reader, Writer};
use crate::snapshot::maps::{PAGE, Run};

/// The most bytes that a description may have.
pub(crate) const DESCRIPTION_LIMIT: u64 = 32 << 20;
/// Signals of the kernel, numbered from 1.
pub(super) const SIGNALS: usize = 64;
/// `ITIMER_REAL`, `ITIMER_VIRTUAL`, `ITIMER_PROF`.
pub(super) const INTERVAL_TIMERS: usize = 3;

/// A captured process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    /// The path of its program, as the sandbox has it.
    pub(super) program: Vec<u8>,
    pub(super) layout: Layout,
    /// What the kernel maps for every process, by name.
    pub(super) special: Vec<(String, u64, u64)>,
    pub(super) files: Vec<MappedFile>,
    pub(super) areas: Vec<Area>,
    /// The pages that are in the image, in its order.
    pub(super) runs: Vec<Run>,
    pub(super) process: ProcessState,
    pub(super) entries: Vec<Entry>,
    pub(super) descriptors: Vec<Descriptor>,
    /// The main one first, the others in the order of their numbers.
    pub(super) threads: Vec<ThreadState>,
}

/// The kernel's notes on where things are: what `PR_SET_MM_MAP` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Code, data, heap (start, and end), stack, arguments, environment.
    pub(super) numbers: [u64; 11],
    pub(super) auxiliary: Vec<u8>,
}

/// A file that is mapped, and what tells whether it is still the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub(super) path: Vec<u8>,
    pub(super) identity: Identity,
}

/// What tells a file, and a state of it, from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) seconds: u64,
    pub(super) nanoseconds: u64,
}

/// A part of its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) protection: u64,
    /// `MAP_SHARED`, `MAP_GROWSDOWN`, `MAP_NORESERVE`.
    pub(super) flags: u64,
    /// The file by its place in the list, and where in it; none is anonymous memory.
    pub(super) file: Option<(u32, u64)>,
    /// `MADV_DONTFORK` or what else stays with memory; 0 is nothing.
    pub(super) advice: u64,
}

/// What all threads share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessState {
    pub(super) directory: Vec<u8>,
    pub(super) mask: u64,
    /// Handler, flags, restorer and mask of each signal.
    pub(super) actions: Vec<[u64; 4]>,
    /// Interval and rest, in seconds and microseconds.
    pub(super) timers: Vec<[u64; 4]>,
    /// What it has told `membarrier`.
    pub(super) barriers: u64,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ThreadState {
    pub(super) number: u64,
    pub(super) name: Vec<u8>,
    pub(super) registers: Vec<u8>,
    pub(super) others: Vec<(u32, Vec<u8>)>,
    pub(super) signal_mask: u64,
    /// Where the kernel writes that it has ended.
    pub(super) clear_address: u64,
    /// Robust locks: address and length.
    pub(super) robust_list: (u64, u64),
    /// Restartable sequences: address, size and signature.
    pub(super) sequences: (u64, u64, u64),
    /// The stack of handlers: address, flags, size.
    pub(super) alternate_stack: [u64; 3],
}

/// An open descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) number: u64,
    /// As `F_GETFL` tells them, and `O_CLOEXEC`.
    pub(super) flags: u64,
    pub(super) kind: Kind,
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The same open file as an earlier descriptor.
    Same(u64),
    /// What the sandbox's output goes to.
    Output,
    /// A file, directory or device, and where in it.
    File { path: Vec<u8>, offset: u64, identity: Option<Identity> },
    /// An end of a pipe; both of the same number are one pipe.
    Pipe { pipe: u64, is_reader: bool, content: Content },
    /// A connection that is at its end.
    Ended,
    /// One of two sockets that are connected with each other; both of the same number are a pair.
    Pair { pair: u64, socket_type: u64, content: Content },
    /// A socket that listens on the loopback, or is bound or not: family, type, address, how many may wait or none; and whether it
    /// leaves the older version of the Internet to others.
    Socket { family: u64, socket_type: u64, address: Vec<u8>, backlog: Option<u64>, is_only_ipv6: bool },
    /// `eventfd`: count, and whether it is a semaphore.
    Event { count: u64, is_semaphore: bool },
    /// `timerfd`: clock, flags, and interval and rest in seconds and nanoseconds.
    Timer { clock: u64, flags: u64, times: [u64; 4] },
    /// `epoll`: descriptor, events and data of each registration.
    Poll { registrations: Vec<[u64; 3]> },
    /// `signalfd` with this mask.
    Signals { mask: u64 },
}

/// What waits to be read: where in the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A file or directory of `/tmp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) mode: u64,
    /// Last access and change, in seconds and nanoseconds.
    pub(super) times: [u64; 4],
    pub(super) kind: EntryKind,
}

/// What an [`Entry`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Directory,
    Link {
        target: Vec<u8>,
    },
    /// A named pipe.
    Pipe,
    /// Its size, and what of it is in the image: where in the file, and where in the image.
    File {
        size: u64,
        parts: Vec<(u64, Content)>,
    },
}

impl Description {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&self.program).numbers(&self.layout.numbers).bytes(&self.layout.auxiliary);
        writer.list(&self.special, |writer, (name, start, end)| {
            writer.text(name).number(*start).number(*end);
        });
        writer.list(&self.files, |writer, file| {
            encode_identity(writer.bytes(&file.path), &file.identity);
        });
        writer.list(&self.areas, encode_area);
        writer.list(&self.runs, |writer, run| {
            writer.number(run.address).number(run.pages);
        });
        let process = &self.process;
        writer.bytes(&process.directory).number(process.mask).number(process.barriers);
        writer.list(&process.actions, |writer, action| {
            writer.numbers(action);
        });
        writer.list(&process.timers, |writer, timer| {
            writer.numbers(timer);
        });
        writer.list(&self.entries, encode_entry);
        writer.list(&self.descriptors, |writer, descriptor| {
            writer.number(descriptor.number).number(descriptor.flags);
            encode_kind(writer, &descriptor.kind);
        });
        writer.list(&self.threads, encode_thread);
        writer.finish()
    }

    /// `None` where these are not the bytes of a description, or it contradicts itself.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let reader = &mut Reader::new(bytes);
        let description = Self {
            program: reader.bytes()?.to_vec(),
            layout: Layout { numbers: reader.numbers()?, auxiliary: reader.bytes()?.to_vec() },
            special: reader.list(|reader| Some((reader.text()?, reader.number()?, reader.number()?)))?,
            files: reader.list(|reader| {
                Some(MappedFile { path: reader.bytes()?.to_vec(), identity: decode_identity(reader)? })
            })?,
            areas: reader.list(decode_area)?,
            runs: reader.list(|reader| Some(Run { address: reader.number()?, pages: reader.number()? }))?,
            process: ProcessState {
                directory: reader.bytes()?.to_vec(),
                mask: reader.number()?,
                barriers: reader.number()?,
                actions: reader.list(Reader::numbers)?,
                timers: reader.list(Reader::numbers)?,
            },
            entries: reader.list(decode_entry)?,
            descriptors: reader.list(|reader| {
                let (number, flags) = (reader.number()?, reader.number()?);
                Some(Descriptor { number, flags, kind: decode_kind(reader)? })
            })?,
            threads: reader.list(decode_thread)?,
        };
        description.is_sound().then_some(description)
    }

    fn is_sound(&self) -> bool {
        let is_range = |start: u64, end: u64| start < end && (start | end).is_multiple_of(PAGE);
        let files = self.files.len() as u64;
        !self.threads.is_empty()
            && self.process.actions.len() <= SIGNALS
            && self.process.timers.len() <= INTERVAL_TIMERS
            && self.special.iter().all(|(_, start, end)| is_range(*start, *end))
            && self.areas.iter().all(|area| {
                let is_known = area.file.is_none_or(|(file, _)| u64::from(file) < files);
                is_range(area.start, area.end) && is_known
            })
            && self.runs.iter().all(|run| {
                let end = run.pages.checked_mul(PAGE).and_then(|length| run.address.checked_add(length));
                end.is_some_and(|end| is_range(run.address, end))
            })
    }
}

fn encode_identity(writer: &mut Writer, identity: &Identity) {
    writer.numbers(&[identity.inode, identity.size, identity.seconds, identity.nanoseconds]);
}

fn decode_identity(reader: &mut Reader<'_>) -> Option<Identity> {
    let [inode, size, seconds, nanoseconds] = reader.numbers()?;
    Some(Identity { inode, size, seconds, nanoseconds })
}

fn encode_area(writer: &mut Writer, area: &Area) {
    writer.numbers(&[area.start, area.end, area.protection, area.flags, area.advice]);
    writer.option(area.file.as_ref(), |writer, (file, offset)| {
        writer.number(u64::from(*file)).number(*offset);
    });
}

fn decode_area(reader: &mut Reader<'_>) -> Option<Area> {
    let [start, end, protection, flags, advice] = reader.numbers()?;
    let file = reader.option(|reader| Some((reader.number_u32()?, reader.number()?)))?;
    Some(Area { start, end, protection, flags, file, advice })
}

fn encode_thread(writer: &mut Writer, thread: &ThreadState) {
    writer.number(thread.number).bytes(&thread.name).bytes(&thread.registers);
    writer.list(&thread.others, |writer, (set, bytes)| {
        writer.number(u64::from(*set)).bytes(bytes);
    });
    let (list, length) = thread.robust_list;
    let (sequences, size, signature) = thread.sequences;
    writer
        .numbers(&[thread.signal_mask, thread.clear_address, list, length, sequences, size, signature])
        .numbers(&thread.alternate_stack);
}

fn decode_thread(reader: &mut Reader<'_>) -> Option<ThreadState> {
    let (number, name) = (reader.number()?, reader.bytes()?.to_vec());
    let registers = reader.bytes()?.to_vec();
    let others = reader.list(|reader| Some((reader.number_u32()?, reader.bytes()?.to_vec())))?;
    let [signal_mask, clear_address, list, length, sequences, size, signature] = reader.numbers()?;
    Some(ThreadState {
        number,
        name,
        registers,
        others,
        signal_mask,
        clear_address,
        robust_list: (list, length),
        sequences: (sequences, size, signature),
        alternate_stack: reader.numbers()?,
    })
}

const SAME: u8 = 0;
const OUTPUT: u8 = 1;
const FILE: u8 = 2;
const PIPE: u8 = 3;
const ENDED: u8 = 4;
const PAIR: u8 = 5;
const SOCKET: u8 = 6;
const EVENT: u8 = 7;
const TIMER: u8 = 8;
const POLL: u8 = 9;
const SIGNAL: u8 = 10;

fn encode_kind(writer: &mut Writer, kind: &Kind) {
    match kind {
        Kind::Same(number) => writer.byte(SAME).number(*number),
        Kind::Output => writer.byte(OUTPUT),
        Kind::File { path, offset, identity } => {
            writer.byte(FILE).bytes(path).number(*offset);
            writer.option(identity.as_ref(), encode_identity)
        }
        Kind::Pipe { pipe, is_reader, content } => {
            writer.byte(PIPE).number(*pipe).byte(u8::from(*is_reader)).content(*content)
        }
        Kind::Ended => writer.byte(ENDED),
        Kind::Pair { pair, socket_type, content } => {
            writer.byte(PAIR).number(*pair).number(*socket_type).content(*content)
        }
        Kind::Socket { family, socket_type, address, backlog, is_only_ipv6 } => {
            writer.byte(SOCKET).number(*family).number(*socket_type).bytes(address);
            writer.byte(u8::from(*is_only_ipv6));
            writer.option(backlog.as_ref(), |writer, backlog| {
                writer.number(*backlog);
            })
        }
        Kind::Event { count, is_semaphore } => {
            writer.byte(EVENT).number(*count).byte(u8::from(*is_semaphore))
        }
        Kind::Timer { clock, flags, times } => {
            writer.byte(TIMER).number(*clock).number(*flags).numbers(times)
        }
        Kind::Poll { registrations } => writer.byte(POLL).list(registrations, |writer, registration| {
            writer.numbers(registration);
        }),
        Kind::Signals { mask } => writer.byte(SIGNAL).number(*mask),
    };
}

fn decode_kind(reader: &mut Reader<'_>) -> Option<Kind> {
    Some(match reader.byte()? {
        SAME => Kind::Same(reader.number()?),
        OUTPUT => Kind::Output,
        FILE => Kind::File {
            path: reader.bytes()?.to_vec(),
            offset: reader.number()?,
            identity: reader.option(decode_identity)?,
        },
        PIPE => {
            Kind::Pipe { pipe: reader.number()?, is_reader: reader.byte()? == 1, content: reader.content()? }
        }
        ENDED => Kind::Ended,
        PAIR => {
            Kind::Pair { pair: reader.number()?, socket_type: reader.number()?, content: reader.content()? }
        }
        SOCKET => Kind::Socket {
            family: reader.number()?,
            socket_type: reader.number()?,
            address: reader.bytes()?.to_vec(),
            is_only_ipv6: reader.byte()? == 1,
            backlog: reader.option(Reader::number)?,
        },
        EVENT => Kind::Event { count: reader.number()?, is_semaphore: reader.byte()? == 1 },
        TIMER => Kind::Timer { clock: reader.number()?, flags: reader.number()?, times: reader.numbers()? },
        POLL => Kind::Poll { registrations: reader.list(Reader::numbers)? },
        SIGNAL => Kind::Signals { mask: reader.number()? },
        _ => return None,
    })
}

const DIRECTORY: u8 = 0;
const LINK: u8 = 1;
const NAMED_PIPE: u8 = 2;
const PLAIN_FILE: u8 = 3;

fn encode_entry(writer: &mut Writer, entry: &Entry) {
    writer.bytes(&entry.path).number(entry.mode).numbers(&entry.times);
    match &entry.kind {
        EntryKind::Directory => writer.byte(DIRECTORY),
        EntryKind::Link { target } => writer.byte(LINK).bytes(target),
        EntryKind::Pipe => writer.byte(NAMED_PIPE),
        EntryKind::File { size, parts } => {
            writer.byte(PLAIN_FILE).number(*size).list(parts, |writer, (offset, content)| {
                writer.number(*offset).content(*content);
            })
        }
    };
}

fn decode_entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let (path, mode, times) = (reader.bytes()?.to_vec(), reader.number()?, reader.numbers()?);
    let kind = match reader.byte()? {
        DIRECTORY => EntryKind::Directory,
        LINK => EntryKind::Link { target: reader.bytes()?.to_vec() },
        NAMED_PIPE => EntryKind::Pipe,
        PLAIN_FILE => EntryKind::File {
            size: reader.number()?,
            parts: reader.list(|reader| Some((reader.number()?, reader.content()?)))?,
        },
        _ => return None,
    };
    Some(Entry { path, mode, times, kind })
}

impl Writer {
    fn numbers(&mut self, values: &[u64]) -> &mut Self {
        for value in values {
            self.number(*value);
        }
        self
    }

    fn content(&mut self, content: Content) -> &mut Self {
        self.number(content.offset).number(content.length)
    }

    fn list<T>(&mut self, items: &[T], mut encode: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.count(items.len());
        for item in items {
            encode(self, item);
        }
        self
    }

    fn option<T>(&mut self, item: Option<&T>, encode: impl FnOnce(&mut Self, &T)) -> &mut Self {
        self.byte(u8::from(item.is_some()));
        if let Some(item) = item {
            encode(self, item);
        }
        self
    }
}

impl Reader<'_> {
    fn numbers<const COUNT: usize>(&mut self) -> Option<[u64; COUNT]> {
        let mut values = [0; COUNT];
        for value in &mut values {
            *value = self.number()?;
        }
        Some(values)
    }

    fn content(&mut self) -> Option<Content> {
        Some(Content { offset: self.number()?, length: self.number()? })
    }

    fn list<T>(&mut self, mut decode: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(decode(self)?);
        }
        Some(items)
    }

    fn option<T>(&mut self, decode: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => decode(self).map(Some),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        let content = Content { offset: 4096, length: 3 };
        let kinds = [
            Kind::Same(0),
            Kind::Output,
            Kind::File { path: b"/x".to_vec(), offset: 1, identity: Some(Identity::default()) },
            Kind::Pipe { pipe: 1, is_reader: true, content },
            Kind::Ended,
            Kind::Pair { pair: 2, socket_type: 1, content },
            Kind::Socket {
                family: 2,
                socket_type: 1,
                address: vec![2, 0],
                backlog: Some(5),
                is_only_ipv6: true,
            },
            Kind::Event { count: 3, is_semaphore: true },
            Kind::Timer { clock: 1, flags: 2, times: [1, 2, 3, 4] },
            Kind::Poll { registrations: vec![[1, 2, 3]] },
            Kind::Signals { mask: 4 },
        ];
        let entries = [
            EntryKind::Directory,
            EntryKind::Link { target: b"y".to_vec() },
            EntryKind::Pipe,
            EntryKind::File { size: 9, parts: vec![(0, content)] },
        ];
        let entry = |kind| Entry { path: b"x".to_vec(), mode: 0o644, times: [1, 2, 3, 4], kind };
        let descriptor = |(number, kind)| Descriptor { number, flags: 2, kind };
        Description {
            program: b"/usr/bin/python3".to_vec(),
            layout: Layout { numbers: [7; 11], auxiliary: vec![1, 2] },
            special: vec![("[vdso]".into(), 0x1000, 0x2000)],
            files: vec![MappedFile { path: b"/lib".to_vec(), identity: Identity::default() }],
            areas: vec![Area {
                start: 0x1000,
                end: 0x3000,
                protection: 5,
                flags: 0,
                file: Some((0, 4096)),
                advice: 0,
            }],
            runs: vec![Run { address: 0x1000, pages: 1 }],
            process: ProcessState {
                directory: b"/tmp".to_vec(),
                mask: 0o22,
                actions: vec![[1, 2, 3, 4]; SIGNALS],
                timers: vec![[0; 4]; INTERVAL_TIMERS],
                barriers: 1,
            },
            entries: entries.into_iter().map(entry).collect(),
            descriptors: (0..).zip(kinds).map(descriptor).collect(),
            threads: vec![ThreadState { number: 2, others: vec![(2, vec![9])], ..ThreadState::default() }],
        }
    }

    #[test]
    fn a_description_is_read_as_it_was_written() {
        assert_eq!(Description::decode(&description().encode()), Some(description()));
    }

    #[test]
    fn one_cut_short_or_that_contradicts_itself_is_refused() {
        let whole = description().encode();
        for length in 0..whole.len() {
            assert_eq!(Description::decode(&whole[..length]), None, "{length}");
        }
        for place in 0..whole.len() {
            let mut broken = whole.clone();
            broken[place] ^= 0xff;
            // Whatever it says now, it does not panic and takes no memory for a lie.
            let _ = Description::decode(&broken);
        }
        let refused = |change: fn(&mut Description)| {
            let mut description = description();
            change(&mut description);
            assert_eq!(Description::decode(&description.encode()), None);
        };
        refused(|description| description.threads.clear());
        refused(|description| description.runs[0].pages = u64::MAX);
        refused(|description| description.runs[0].address = 1);
        refused(|description| description.areas[0].file = Some((1, 0)));
        refused(|description| description.areas[0].end = 0x1000);
        refused(|description| description.process.actions.push([0; 4]));
    }
}
