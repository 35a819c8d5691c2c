//! The memory of a captured process: everything of the fresh program goes but the pages of the kernel, which move to where they
//! were; then files are mapped again, and pages are read from the image.

use crate::error::Failure;
use crate::snapshot::description::{Area, Description, Identity};
use crate::snapshot::maps::{Mapping, PAGE, Run};
use crate::snapshot::restore::Room;
use crate::snapshot::tracee::{Answers, Script, Tracee, flag};

/// Where the guest has the image, and which descriptor it gets next.
const IMAGE: u64 = 0;
const NEXT: u64 = 3;
/// The most parts of memory that one call reads into, and the most bytes.
const PARTS: usize = 1024;
const BYTES: u64 = 1 << 30;
/// The size of the C structure `stat`, and where it has inode, size and time of change on both machines.
const STATUS_SIZE: usize = 144;
const WRITE: u64 = 2;
/// `MADV_POPULATE_WRITE`.
const POPULATE: u64 = 23;
/// Fewer pages than this are copied where they might be shared: each mapping costs the kernel memory too.
const LEAST_SHARED: u64 = 8;
/// With more parts than this to share, all are copied: the kernel bounds the number of mappings.
const MOST_SHARED: usize = 4096;

/// Gives the process its memory.
pub(super) fn restore(
    tracee: &mut Tracee,
    fresh: &[Mapping],
    room: &Room,
    description: &Description,
) -> Result<(), Failure> {
    move_out(tracee, fresh, room, description)?;
    let pages = Pages::sort(description);
    let mut script = tracee.script();
    let opened = map_files(&mut script, description, &pages);
    let anonymous = description.areas.iter().filter(|area| area.file.is_none());
    anonymous.for_each(|area| map_anonymous(&mut script, area));
    pages.map_shared(&mut script);
    if populates(tracee) {
        pages.populate(&mut script);
    }
    let reads = pages.read(&mut script);
    finish_areas(&mut script, description, &pages);
    let answers = tracee.perform(tracee.process, &script)?;
    check(tracee, &answers, &opened, &reads)
}

/// Whether the kernel makes pages ahead of their use (Linux 5.14): then it does so at once, and not in a fault for each.
fn populates(tracee: &Tracee) -> bool {
    tracee.call(tracee.process, libc::SYS_madvise, tracee.stage_page(POPULATE)).is_ok()
}

/// Pages of the image, and where in it they are.
#[derive(Clone, Copy)]
struct Piece {
    run: Run,
    offset: u64,
    protection: u64,
}

impl Piece {
    fn length(&self) -> u64 {
        self.run.pages * PAGE
    }
}

/// How each page gets from the image into the process.
///
/// Pages of the heap and of mapped files are mapped from the image, so that all processes of a snapshot share those that they only
/// read. Those of other memory are copied: a program may have it grow by `mremap`, or have it emptied by `madvise`,
/// after which it has to be zero, and what is mapped from a file behaves otherwise then. Neither is done to the heap by a
/// C library that relies on zeros, nor by anybody to a mapped file.
struct Pages {
    shared: Vec<Piece>,
    copied: Vec<Piece>,
}

impl Pages {
    fn sort(description: &Description) -> Self {
        let [.., heap_start, heap_end, _, _, _, _, _] = description.layout.numbers;
        let mut pages = Self { shared: Vec::new(), copied: Vec::new() };
        let mut offset = 0;
        for run in &description.runs {
            let behind = description.areas.partition_point(|area| area.start <= run.address);
            let area = behind.checked_sub(1).and_then(|place| description.areas.get(place));
            let is_heap = heap_start <= run.address && run.address < heap_end;
            let may_share = is_heap || area.is_some_and(|area| area.file.is_some());
            let piece = Piece { run: *run, offset, protection: area.map_or(0, |area| area.protection) };
            if may_share && run.pages >= LEAST_SHARED {
                pages.shared.push(piece);
            } else {
                pages.copied.push(piece);
            }
            offset += piece.length();
        }
        if pages.shared.len() > MOST_SHARED {
            pages.copied.append(&mut pages.shared);
            pages.copied.sort_unstable_by_key(|piece| piece.run.address);
        }
        pages
    }

    fn map_shared(&self, script: &mut Script) {
        for piece in &self.shared {
            let flags = flag(libc::MAP_PRIVATE | libc::MAP_FIXED);
            let arguments = [piece.run.address, piece.length(), piece.protection, flags, IMAGE, piece.offset];
            script.call(libc::SYS_mmap, arguments);
        }
    }

    fn populate(&self, script: &mut Script) {
        for piece in self.copied.iter().filter(|piece| piece.run.pages > 1) {
            script.call(libc::SYS_madvise, [piece.run.address, piece.length(), POPULATE]);
        }
    }

    /// Reads the pages that are copied; answers which calls have to answer how many bytes.
    fn read(&self, script: &mut Script) -> Vec<(usize, u64)> {
        let mut reads = Vec::new();
        let mut next = Read::default();
        for piece in &self.copied {
            let mut done = 0;
            while done < piece.length() {
                if next.is_full() || next.end() != piece.offset + done {
                    reads.extend(next.finish(script));
                    next = Read { offset: piece.offset + done, ..Read::default() };
                }
                let length = (piece.length() - done).min(BYTES - next.length);
                next.parts.push((piece.run.address + done, length));
                next.length += length;
                done += length;
            }
        }
        reads.extend(next.finish(script));
        reads
    }

    /// `PROT_WRITE` where pages are copied to, whether the process may write there or not.
    fn lent(&self, area: &Area) -> u64 {
        let place = self.copied.partition_point(|piece| piece.run.address < area.start);
        if self.copied.get(place).is_some_and(|piece| piece.run.address < area.end) { WRITE } else { 0 }
    }
}

/// One call that reads a part of the image into many places.
#[derive(Default)]
struct Read {
    offset: u64,
    length: u64,
    parts: Vec<(u64, u64)>,
}

impl Read {
    fn end(&self) -> u64 {
        self.offset + self.length
    }

    fn is_full(&self) -> bool {
        self.length == BYTES || self.parts.len() == PARTS
    }

    fn finish(self, script: &mut Script) -> Option<(usize, u64)> {
        if self.parts.is_empty() {
            return None;
        }
        let words = self.parts.iter().flat_map(|(address, length)| [*address, *length]);
        let vector: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let place = script.bytes(&vector);
        let arguments = [IMAGE, place, self.parts.len() as u64, self.offset, 0];
        Some((script.call(libc::SYS_preadv, arguments), self.length))
    }
}

/// Unmaps the fresh program, moves the pages of the kernel, and tells the kernel where everything will be.
fn move_out(
    tracee: &mut Tracee,
    fresh: &[Mapping],
    room: &Room,
    description: &Description,
) -> Result<(), Failure> {
    let mut script = tracee.script();
    let mut places = Vec::new();
    let mut aside = room.aside;
    for (name, start, end) in &description.special {
        let now =
            fresh.iter().find(|mapping| mapping.name == *name && mapping.end - mapping.start == end - start);
        let now = now.ok_or_else(|| tracee.failure(libc::ENOENT, name.clone()))?;
        script.call(libc::SYS_mremap, relocation(now.start, end - start, aside));
        places.push((aside, end - start, *start));
        if name == "[vdso]" {
            tracee.call_place = tracee.call_place - now.start + start;
        }
        aside += end - start;
    }
    let special = |mapping: &&Mapping| description.special.iter().any(|(name, ..)| *name == mapping.name);
    for mapping in fresh.iter().filter(|mapping| !special(mapping)) {
        script.call(libc::SYS_munmap, [mapping.start, mapping.end - mapping.start]);
    }
    for (place, length, target) in places {
        script.call(libc::SYS_mremap, relocation(place, length, target));
    }
    script.set_layout(&description.layout);
    tracee.perform(tracee.process, &script).map(drop)
}

fn relocation(from: u64, length: u64, to: u64) -> [u64; 5] {
    [from, length, length, flag(libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED), to]
}

/// A file that was opened to be mapped: the place of the call, where its status is, and what it has to be.
struct Opened {
    call: usize,
    status: u64,
    expected: Identity,
}

fn map_files(script: &mut Script, description: &Description, pages: &Pages) -> Vec<Opened> {
    let mut opened = Vec::new();
    for (number, file) in (0..).zip(&description.files) {
        let path = script.text(&file.path);
        let flags = flag(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW);
        let call = script.call(libc::SYS_openat, [flag(libc::AT_FDCWD), path, flags]);
        let status = script.bytes(&[0; STATUS_SIZE]);
        script.call(libc::SYS_fstat, [NEXT, status]);
        opened.push(Opened { call, status, expected: file.identity });
        for area in &description.areas {
            let Some((_, offset)) = area.file.filter(|(file, _)| *file == number) else { continue };
            let protection = area.protection | if is_shared(area) { 0 } else { pages.lent(area) };
            map(script, area, protection, 0, NEXT, offset);
        }
        script.call(libc::SYS_close, [NEXT]);
    }
    opened
}

fn map_anonymous(script: &mut Script, area: &Area) {
    map(script, area, area.protection | WRITE, flag(libc::MAP_ANONYMOUS), u64::MAX, 0);
}

fn map(script: &mut Script, area: &Area, protection: u64, more: u64, file: u64, offset: u64) {
    let flags = area.flags | more | flag(libc::MAP_FIXED);
    script.call(libc::SYS_mmap, [area.start, area.end - area.start, protection, flags, file, offset]);
}

fn is_shared(area: &Area) -> bool {
    area.flags & flag(libc::MAP_SHARED) != 0
}

/// Takes away the right to write where it was only lent, and gives back advice.
fn finish_areas(script: &mut Script, description: &Description, pages: &Pages) {
    for area in &description.areas {
        let length = area.end - area.start;
        let lent = if area.file.is_none() { WRITE } else { pages.lent(area) };
        if area.protection | lent != area.protection && !(is_shared(area) && area.file.is_some()) {
            script.call(libc::SYS_mprotect, [area.start, length, area.protection]);
        }
        if area.advice != 0 {
            script.call(libc::SYS_madvise, [area.start, length, area.advice]);
        }
    }
}

fn check(
    tracee: &Tracee,
    answers: &Answers,
    opened: &[Opened],
    reads: &[(usize, u64)],
) -> Result<(), Failure> {
    for file in opened {
        check_number(tracee, answers, file.call, NEXT)?;
        if identity(answers, file.status) != file.expected {
            return Err(tracee.failure(libc::ESTALE, "a mapped file has changed"));
        }
    }
    reads.iter().try_for_each(|(call, length)| check_number(tracee, answers, *call, *length))
}

/// What `stat` says of a file; the structure has these at the same places on both machines.
pub(super) fn identity(answers: &Answers, status: u64) -> Identity {
    let words: [u64; STATUS_SIZE / 8] = answers.words(status);
    Identity { inode: words[1], size: words[6], seconds: words[11], nanoseconds: words[12] }
}

/// The place for a file's status.
pub(super) fn status_place(script: &mut Script) -> u64 {
    script.bytes(&[0; STATUS_SIZE])
}

/// A call has to answer this number: what comes after it relies on it.
pub(super) fn check_number(
    tracee: &Tracee,
    answers: &Answers,
    call: usize,
    expected: u64,
) -> Result<(), Failure> {
    let answer = answers.result(call);
    if answer.cast_unsigned() == expected {
        return Ok(());
    }
    Err(tracee.failure(libc::EPROTO, format!("{answer} and not {expected}")))
}
