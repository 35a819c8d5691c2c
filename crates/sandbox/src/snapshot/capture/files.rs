//! The files of `/tmp`.

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
/// How deep directories may be in one another.
const DEPTH: usize = 64;
/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// Captures what is in `/tmp`, directories before what is in them.
pub(super) fn capture(process: i32, image: &mut Image) -> Result<Vec<Entry>, Trouble> {
    let root = memory::root(process)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let tmp = memory::open_in(&root, b"/tmp", flags).at(Step::Capture, "/tmp")?;
    let mut entries = Vec::new();
    walk(&tmp, b"/tmp", 0, image, &mut entries)?;
    Ok(entries)
}

fn walk(
    directory: &OwnedFd,
    path: &[u8],
    depth: usize,
    image: &mut Image,
    entries: &mut Vec<Entry>,
) -> Result<(), Trouble> {
    if depth > DEPTH {
        return Err(Trouble::unsupported("directories of /tmp that are too deep"));
    }
    let list = Dir::read_from(directory).at(Step::Capture, "/tmp")?;
    for found in list {
        let found = found.at(Step::Capture, "/tmp")?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entries.len() >= LIMIT {
            return Err(Trouble::unsupported(format!("more than {LIMIT} files in /tmp")));
        }
        let path = [path, b"/", name.to_bytes()].concat();
        let status =
            rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).at(Step::Capture, "/tmp")?;
        let kind = match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile => file(&open(directory, name, OFlags::empty())?, &status, image)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new()).at(Step::Capture, "/tmp")?;
                EntryKind::Link { target: target.into_bytes() }
            }
            FileType::Fifo => EntryKind::Pipe,
            _ => {
                let name = String::from_utf8_lossy(&path).into_owned();
                return Err(Trouble::unsupported(format!("the socket {name}")));
            }
        };
        let is_directory = kind == EntryKind::Directory;
        entries.push(Entry {
            path: path.clone(),
            mode: u64::from(status.st_mode & 0o7777),
            times: times(&status),
            kind,
        });
        if is_directory {
            walk(&open(directory, name, OFlags::DIRECTORY)?, &path, depth + 1, image, entries)?;
        }
    }
    Ok(())
}

fn open(directory: impl AsFd, name: &std::ffi::CStr, flags: OFlags) -> Result<OwnedFd, Failure> {
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

/// A file's size, and those of its parts that are not holes.
fn file(file: &OwnedFd, status: &Stat, image: &mut Image) -> Result<EntryKind, Trouble> {
    let size = u64::try_from(status.st_size).unwrap_or(0);
    let mut parts = Vec::new();
    let mut place = 0;
    while place < size {
        let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(place)) else { break };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        parts.push((start, copy(file, start, end, image)?));
        place = end.max(start + 1);
    }
    Ok(EntryKind::File { size, parts })
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
