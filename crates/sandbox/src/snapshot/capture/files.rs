//! The files of `/tmp`.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat};

use crate::error::{At, Failure, Step};
use crate::snapshot::Trouble;
use crate::snapshot::capture::image::Image;
use crate::snapshot::capture::memory;
use crate::snapshot::description::{Content, Entry, EntryKind};

/// The most files, directories and links.
const LIMIT: usize = 10_000;
/// The most bytes of all paths and of targets of links, and the most parts of files that have holes.
const PATHS_LIMIT: usize = 8 << 20;
const PARTS_LIMIT: usize = 100_000;
/// How deep directories may be in one another.
const DEPTH: usize = 64;
/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// Captures what is in `/tmp`, directories before what is in them.
pub(super) fn capture(process: i32, image: &mut Image) -> Result<Vec<Entry>, Trouble> {
    let root = memory::root(process)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let tmp = memory::open_in(&root, b"/tmp", flags).at(Step::Capture, "/tmp")?;
    let mut walk = Walk { image, entries: Vec::new(), paths: 0, parts: 0 };
    walk.enter(&tmp, b"/tmp", 0)?;
    Ok(walk.entries)
}

struct Walk<'a> {
    image: &'a mut Image,
    entries: Vec<Entry>,
    /// Bytes and parts so far, against the limits.
    paths: usize,
    parts: usize,
}

impl Walk<'_> {
    fn enter(&mut self, directory: &OwnedFd, path: &[u8], depth: usize) -> Result<(), Trouble> {
        if depth > DEPTH {
            return Err(Trouble::unsupported("directories of /tmp that are too deep"));
        }
        for found in Dir::read_from(directory).at(Step::Capture, "/tmp")? {
            let found = found.at(Step::Capture, "/tmp")?;
            let name = found.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                self.add(directory, name, &[path, b"/", name.to_bytes()].concat(), depth)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, directory: &OwnedFd, name: &CStr, path: &[u8], depth: usize) -> Result<(), Trouble> {
        let status =
            rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).at(Step::Capture, "/tmp")?;
        let file_type = FileType::from_raw_mode(status.st_mode);
        let kind = match file_type {
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile if status.st_nlink > 1 => {
                let name = String::from_utf8_lossy(path).into_owned();
                return Err(Trouble::unsupported(format!("the file {name}, which has other names too")));
            }
            FileType::RegularFile => self.file(&open(directory, name, OFlags::empty())?, &status)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new()).at(Step::Capture, "/tmp")?;
                self.paths += target.as_bytes().len();
                EntryKind::Link { target: target.into_bytes() }
            }
            FileType::Fifo => EntryKind::Pipe,
            _ => {
                let name = String::from_utf8_lossy(path).into_owned();
                return Err(Trouble::unsupported(format!("the socket {name}")));
            }
        };
        self.paths += path.len();
        if self.entries.len() >= LIMIT || self.paths > PATHS_LIMIT || self.parts > PARTS_LIMIT {
            return Err(Trouble::unsupported("too many files in /tmp"));
        }
        let mode = u64::from(status.st_mode & 0o7777);
        self.entries.push(Entry { path: path.to_vec(), mode, times: times(&status), kind });
        if file_type.is_dir() {
            self.enter(&open(directory, name, OFlags::DIRECTORY)?, path, depth + 1)?;
        }
        Ok(())
    }

    /// A file's size, and those of its parts that are not holes.
    fn file(&mut self, file: &OwnedFd, status: &Stat) -> Result<EntryKind, Trouble> {
        let size = u64::try_from(status.st_size).unwrap_or(0);
        let mut parts = Vec::new();
        let mut place = 0;
        while place < size && self.parts <= PARTS_LIMIT {
            let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(place)) else { break };
            let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(size).min(size);
            parts.push((start, copy(file, start, end, self.image)?));
            self.parts += 1;
            place = end.max(start + 1);
        }
        Ok(EntryKind::File { size, parts })
    }
}

fn open(directory: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Failure> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve)
        .at(Step::Capture, &format!("/tmp: {}", name.to_string_lossy()))
}

fn times(status: &Stat) -> [u64; 4] {
    [
        status.st_atime.cast_unsigned(),
        status.st_atime_nsec,
        status.st_mtime.cast_unsigned(),
        status.st_mtime_nsec,
    ]
}

fn copy(file: &OwnedFd, start: u64, end: u64, image: &mut Image) -> Result<Content, Trouble> {
    let file = File::from(file.try_clone().at(Step::Capture, "/tmp")?);
    let mut content = image.add(&[])?;
    let mut buffer = vec![0; PIECE];
    while content.length < end - start {
        let rest = usize::try_from(end - start - content.length).unwrap_or(PIECE).min(PIECE);
        let piece = &mut buffer[..rest];
        file.read_exact_at(piece, start + content.length).at(Step::Capture, "/tmp")?;
        content.length += image.add(piece)?.length;
    }
    Ok(content)
}
