//! The files of `/tmp`, written by the guest itself.

use crate::error::Failure;
use crate::snapshot::description::{Entry, EntryKind};
use crate::snapshot::restore::memory::check_number;
use crate::snapshot::tracee::{Script, Tracee, flag};

/// Where the guest has the image, and which descriptor it gets next.
const IMAGE: u64 = 0;
const NEXT: u64 = 3;
/// The most bytes that one call copies.
const PIECE: u64 = 1 << 30;
const HERE: i32 = libc::AT_FDCWD;

/// Makes files and directories again, in the order in which they were captured.
pub(super) fn restore(tracee: &Tracee, entries: &[Entry]) -> Result<(), Failure> {
    let mut script = tracee.script();
    let mut expected = Vec::new();
    let paths: Vec<u64> = entries.iter().map(|entry| script.text(&entry.path)).collect();
    for (entry, path) in entries.iter().zip(&paths) {
        make(&mut script, entry, *path, &mut expected);
    }
    // What is in a directory changes its times, and may need rights that it does not give.
    for (entry, path) in entries.iter().zip(&paths).rev() {
        finish(&mut script, entry, *path);
    }
    let answers = tracee.perform(tracee.process, &script)?;
    expected.into_iter().try_for_each(|(call, number)| check_number(tracee, &answers, call, number))
}

fn make(script: &mut Script, entry: &Entry, path: u64, expected: &mut Vec<(usize, u64)>) {
    match &entry.kind {
        EntryKind::Directory => {
            script.call(libc::SYS_mkdirat, [flag(HERE), path, 0o700]);
        }
        EntryKind::Link { target } => {
            let target = script.text(target);
            script.call(libc::SYS_symlinkat, [target, flag(HERE), path]);
        }
        EntryKind::Pipe => {
            script.call(libc::SYS_mknodat, [flag(HERE), path, u64::from(libc::S_IFIFO) | 0o600, 0]);
        }
        EntryKind::File { size, parts } => {
            let flags = flag(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC);
            expected.push((script.call(libc::SYS_openat, [flag(HERE), path, flags, 0o600]), NEXT));
            script.call(libc::SYS_ftruncate, [NEXT, *size]);
            for (offset, content) in parts {
                script.call(libc::SYS_lseek, [NEXT, *offset, flag(libc::SEEK_SET)]);
                let mut done = 0;
                while done < content.length {
                    let piece = (content.length - done).min(PIECE);
                    let from = script.bytes(&(content.offset + done).to_le_bytes());
                    expected.push((script.call(libc::SYS_sendfile, [NEXT, IMAGE, from, piece]), piece));
                    done += piece;
                }
            }
            script.call(libc::SYS_close, [NEXT]);
        }
    }
}

fn finish(script: &mut Script, entry: &Entry, path: u64) {
    if !matches!(entry.kind, EntryKind::Link { .. }) {
        script.call(libc::SYS_fchmodat, [flag(HERE), path, entry.mode]);
    }
    let times: Vec<u8> = entry.times.iter().flat_map(|number| number.to_le_bytes()).collect();
    let times = script.bytes(&times);
    script.call(libc::SYS_utimensat, [flag(HERE), path, times, flag(libc::AT_SYMLINK_NOFOLLOW)]);
}
