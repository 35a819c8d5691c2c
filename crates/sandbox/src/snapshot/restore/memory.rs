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
/// `PR_SET_MM` with `PR_SET_MM_MAP`.
const SET_LAYOUT: [u64; 2] = [35, 14];
/// The C structure `prctl_mm_map` says of a program file: none.
const NO_FILE: u64 = 0xffff_ffff_0000_0000;
/// The most parts of memory that one call reads into, and the most bytes.
const PARTS: usize = 1024;
const BYTES: u64 = 1 << 30;
/// The size of the C structure `stat`, and where it has inode, size and time of change on both machines.
const STATUS_SIZE: usize = 144;
const WRITE: u64 = 2;

/// Gives the process its memory.
pub(super) fn restore(
    tracee: &mut Tracee,
    fresh: &[Mapping],
    room: &Room,
    description: &Description,
) -> Result<(), Failure> {
    move_out(tracee, fresh, room, description)?;
    let mut script = tracee.script();
    let opened = map_files(&mut script, description);
    let anonymous = description.areas.iter().filter(|area| area.file.is_none());
    anonymous.for_each(|area| map_anonymous(&mut script, area));
    let reads = read_pages(&mut script, &description.runs);
    finish_areas(&mut script, description);
    let answers = tracee.perform(tracee.process, &script)?;
    check(tracee, &answers, &opened, &reads)
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
    let auxiliary = script.bytes(&description.layout.auxiliary);
    let mut layout: Vec<u8> =
        description.layout.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    layout.extend(auxiliary.to_le_bytes());
    layout.extend((description.layout.auxiliary.len() as u64 | NO_FILE).to_le_bytes());
    let place = script.bytes(&layout);
    script.call(libc::SYS_prctl, [SET_LAYOUT[0], SET_LAYOUT[1], place, layout.len() as u64, 0]);
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

fn map_files(script: &mut Script, description: &Description) -> Vec<Opened> {
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
            let protection =
                area.protection | if is_shared(area) { 0 } else { written(area, &description.runs) };
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

/// `PROT_WRITE` where pages of the image go, whether the process may write there or not.
fn written(area: &Area, runs: &[Run]) -> u64 {
    let place = runs.partition_point(|run| run.address < area.start);
    if runs.get(place).is_some_and(|run| run.address < area.end) { WRITE } else { 0 }
}

/// Reads the pages of the image; answers which calls have to answer how many bytes.
fn read_pages(script: &mut Script, runs: &[Run]) -> Vec<(usize, u64)> {
    let mut reads = Vec::new();
    let mut offset = 0;
    let mut parts: Vec<(u64, u64)> = Vec::new();
    let mut length = 0;
    for run in runs {
        let mut address = run.address;
        let end = run.address + run.pages * PAGE;
        while address < end {
            let piece = (end - address).min(BYTES - length);
            parts.push((address, piece));
            length += piece;
            address += piece;
            if length == BYTES || parts.len() == PARTS {
                reads.push(read(script, &parts, offset, length));
                offset += length;
                (parts, length) = (Vec::new(), 0);
            }
        }
    }
    if !parts.is_empty() {
        reads.push(read(script, &parts, offset, length));
    }
    reads
}

fn read(script: &mut Script, parts: &[(u64, u64)], offset: u64, length: u64) -> (usize, u64) {
    let vector: Vec<u8> = parts
        .iter()
        .flat_map(|(address, length)| [address.to_le_bytes(), length.to_le_bytes()].concat())
        .collect();
    let place = script.bytes(&vector);
    (script.call(libc::SYS_preadv, [IMAGE, place, parts.len() as u64, offset, 0]), length)
}

/// Takes away the right to write where it was only lent, and gives back advice.
fn finish_areas(script: &mut Script, description: &Description) {
    for area in &description.areas {
        let length = area.end - area.start;
        let lent = if area.file.is_none() { WRITE } else { written(area, &description.runs) };
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
