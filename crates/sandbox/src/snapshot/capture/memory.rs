//! The memory of a process: which parts there are, what they come from, and which pages are its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use crate::error::{At, Failure, Step};
use crate::snapshot::Trouble;
use crate::snapshot::capture::image::Image;
use crate::snapshot::description::{Area, Description, Identity, MappedFile};
use crate::snapshot::maps::{self, Mapping, PAGE, Run};
use crate::snapshot::tracee::{Tracee, flag};

/// Of what kind memory may not be, by its flags in `smaps`: locked, a shadow stack, watched by userfaultfd, tagged, of a
/// device.
const REFUSED: [(&str, &str); 7] = [
    ("lo", "memory locked by mlock"),
    ("ss", "a shadow stack"),
    ("um", "memory watched by userfaultfd"),
    ("uw", "memory watched by userfaultfd"),
    ("mt", "memory with tags"),
    ("pf", "memory of a device"),
    ("io", "memory of a device"),
];
/// What stays with memory: `MADV_DONTFORK`, `MADV_WIPEONFORK`.
const ADVICE: [(&str, i32); 2] = [("dc", libc::MADV_DONTFORK), ("wf", libc::MADV_WIPEONFORK)];
/// What the kernel calls anonymous memory that is shared.
const SHARED_ANONYMOUS: &str = "/dev/zero (deleted)";

/// Writes all memory into the image, but for what the sandbox's files have.
pub(super) fn capture(
    tracee: &Tracee,
    mappings: &[Mapping],
    image: &mut Image,
    description: &mut Description,
) -> Result<(), Trouble> {
    let root = root(tracee.process)?;
    let path = format!("/proc/{}/pagemap", tracee.process);
    let pagemap = File::open(&path).at(Step::Capture, &path)?;
    let mut files = Files { root: &root, known: BTreeMap::new() };
    for mapping in mappings.iter().filter(|mapping| !mapping.is_special()) {
        let (area, pages) = files.describe(mapping, &pagemap)?;
        description.areas.push(area);
        for run in pages {
            description.runs.extend(image.add_pages(tracee.memory(), run)?);
        }
    }
    description.files = files.list();
    Ok(())
}

/// The root that the process sees.
pub(super) fn root(process: i32) -> Result<OwnedFd, Failure> {
    let path = format!("/proc/{process}/root");
    rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at(Step::Capture, &path)
}

/// Opens what a path means to the process, without following a link: the kernel has told it as it is.
pub(super) fn open_in(root: &OwnedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = std::ffi::OsStr::from_bytes(path);
    Ok(rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// What tells a plain file from others; `None` for anything else than a plain file.
pub(super) fn identity(root: &OwnedFd, path: &[u8]) -> Option<Identity> {
    let file = open_in(root, path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
    let status = rustix::fs::fstat(file).ok()?;
    let is_plain = FileType::from_raw_mode(status.st_mode).is_file();
    is_plain.then(|| Identity {
        inode: status.st_ino,
        size: u64::try_from(status.st_size).unwrap_or(0),
        seconds: status.st_mtime.cast_unsigned(),
        nanoseconds: status.st_mtime_nsec,
    })
}

/// Files that are mapped, each once.
struct Files<'a> {
    root: &'a OwnedFd,
    /// By path: place and identity; none for a file that is not to be found again.
    known: BTreeMap<String, Option<(u32, Identity)>>,
}

impl Files<'_> {
    /// What a mapping is, and which of its pages have to be kept.
    fn describe(&mut self, mapping: &Mapping, pagemap: &File) -> Result<(Area, Vec<Run>), Trouble> {
        check(mapping)?;
        let file = if mapping.is_of_file() { self.find(mapping) } else { None };
        let is_kept_whole = mapping.is_of_file() && file.is_none();
        let pages = if is_kept_whole {
            vec![Run { address: mapping.start, pages: (mapping.end - mapping.start) / PAGE }]
        } else if file.is_some() && (mapping.is_shared || mapping.anonymous == 0) || mapping.resident == 0 {
            Vec::new()
        } else {
            own_pages(mapping, file.is_some(), pagemap)?
        };
        Ok((area(mapping, file), pages))
    }

    /// The file of a mapping, if it will be found again: it was not deleted, and its path leads to it.
    fn find(&mut self, mapping: &Mapping) -> Option<u32> {
        let count = u32::try_from(self.known.values().flatten().count()).ok()?;
        let found = self.known.entry(mapping.name.clone()).or_insert_with(|| {
            let is_lasting = !mapping.name.ends_with(" (deleted)") && !mapping.name.starts_with("/tmp/");
            let identity = identity(self.root, mapping.name.as_bytes()).filter(|_| is_lasting)?;
            Some((count, identity))
        });
        found.filter(|(_, identity)| identity.inode == mapping.inode).map(|(file, _)| file)
    }

    fn list(self) -> Vec<MappedFile> {
        let mut files: Vec<_> = self
            .known
            .into_iter()
            .filter_map(|(path, found)| {
                let (place, identity) = found?;
                Some((place, MappedFile { path: path.into_bytes(), identity }))
            })
            .collect();
        files.sort_unstable_by_key(|(place, _)| *place);
        files.into_iter().map(|(_, file)| file).collect()
    }
}

fn check(mapping: &Mapping) -> Result<(), Trouble> {
    if let Some((_, what)) = REFUSED.iter().find(|(flag, _)| mapping.has_flag(flag)) {
        return Err(Trouble::unsupported(*what));
    }
    if mapping.protection_key != 0 {
        return Err(Trouble::unsupported("memory with a protection key"));
    }
    let is_writable = mapping.protection & flag(libc::PROT_WRITE) != 0;
    if mapping.is_shared && mapping.name != SHARED_ANONYMOUS && is_writable {
        return Err(Trouble::unsupported(format!("{}, mapped to be written to", mapping.name)));
    }
    let is_foreign = ["/memfd:", "/SYSV", "anon_inode:", "[aio]", "/[aio]"];
    if mapping.is_shared && is_foreign.iter().any(|name| mapping.name.starts_with(name)) {
        return Err(Trouble::unsupported(format!("{}, which is mapped", mapping.name)));
    }
    Ok(())
}

fn area(mapping: &Mapping, file: Option<u32>) -> Area {
    let is_shared = mapping.is_shared && (file.is_some() || mapping.name == SHARED_ANONYMOUS);
    let bit = |is_set: bool, value: i32| if is_set { flag(value) } else { 0 };
    let flags = bit(is_shared, libc::MAP_SHARED)
        | bit(!is_shared, libc::MAP_PRIVATE)
        | bit(mapping.has_flag("gd"), libc::MAP_GROWSDOWN)
        | bit(mapping.has_flag("nr"), libc::MAP_NORESERVE);
    let advice = ADVICE.iter().find(|(name, _)| mapping.has_flag(name));
    Area {
        start: mapping.start,
        end: mapping.end,
        protection: mapping.protection,
        flags,
        file: file.map(|file| (file, mapping.offset)),
        advice: advice.map_or(0, |(_, advice)| flag(*advice)),
    }
}

fn own_pages(mapping: &Mapping, is_of_file: bool, pagemap: &File) -> Result<Vec<Run>, Trouble> {
    /// Entries that are read at a time.
    const PIECE: u64 = 32 * 1024;
    let mut runs = Vec::new();
    let mut address = mapping.start;
    while address < mapping.end {
        let count = ((mapping.end - address) / PAGE).min(PIECE);
        let mut bytes = vec![0; usize::try_from(count * 8).unwrap_or(0)];
        pagemap.read_exact_at(&mut bytes, address / PAGE * 8).at(Step::Capture, "pagemap")?;
        let entries: Vec<u64> = bytes.as_chunks().0.iter().copied().map(u64::from_le_bytes).collect();
        for run in maps::own_pages(address, &entries, is_of_file) {
            maps::push(&mut runs, run);
        }
        address += count * PAGE;
    }
    Ok(runs)
}
