//! How logs lie on disk: `ACCOUNT/REGION/GROUP/STREAM.log`, a line each, its time first.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use firelet_types::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{Error, LogGroup, LogLine};

/// What a group's or stream's name may not bring into a file name. A leading dot is encoded as well, so that no
/// name is `.` or `..`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'[').remove(b']').remove(b'$');
/// Bytes read from the end of each file when the last lines are asked for.
const HISTORY_BYTES: u64 = 1 << 20;
/// Bytes of a file's name, leaving room for its suffix within the 255 of common file systems.
const NAME_BYTES: usize = 240;
const SUFFIX: &str = "log";
const SUFFIX_ASIDE: &str = "old";

pub(super) fn group_directory(root: &Path, group: &LogGroup) -> PathBuf {
    root.join(group.scope.account.as_str()).join(group.scope.region.as_str()).join(encode(&group.name))
}

pub(super) fn stream_file(stream: &str) -> String {
    format!("{}.{SUFFIX}", encode(stream))
}

/// Where the full file of a stream goes; the one that was there before is replaced.
pub(super) fn set_aside(stream: &Path) -> PathBuf {
    stream.with_extension(SUFFIX_ASIDE)
}

/// A name that a file can have; a longer one keeps its start and gets a digest.
fn encode(name: &str) -> String {
    let encoded = utf8_percent_encode(name, ENCODED).to_string();
    if encoded.len() <= NAME_BYTES {
        return encoded;
    }
    let digest: String = Sha256::digest(name).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}+{digest}", &encoded[..NAME_BYTES - 33])
}

pub(super) fn append_line(buffer: &mut Vec<u8>, time: Timestamp, text: &[u8]) {
    buffer.extend_from_slice(time.as_millis().to_string().as_bytes());
    buffer.push(b' ');
    buffer.extend_from_slice(text);
    buffer.push(b'\n');
}

fn read_line(line: &[u8]) -> Option<LogLine> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (millis, text) = line.split_at(space);
    let millis = std::str::from_utf8(millis).ok()?.parse().ok()?;
    Some(LogLine { time: Timestamp::from_millis(millis), text: Bytes::copy_from_slice(text.get(1..)?) })
}

/// Deletes all but the `count` streams of a group that were written to last.
pub(super) fn keep_newest(group: &Path, count: usize) -> io::Result<()> {
    let mut streams = files_of(group)?;
    streams.retain(|(_, path)| path.extension().is_some_and(|extension| extension == SUFFIX));
    streams.sort_by(|left, right| right.cmp(left));
    for (_, path) in streams.iter().skip(count) {
        fs::remove_file(path)?;
        match fs::remove_file(set_aside(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn files_of(group: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    fs::read_dir(group)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.metadata()?.modified()?, entry.path()))
        })
        .collect()
}

/// The last `count` lines of a group, merged over its streams by time.
pub(super) fn last_lines(root: &Path, group: &LogGroup, count: usize) -> Result<Vec<LogLine>, Error> {
    let directory = group_directory(root, group);
    let files = match files_of(&directory) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::Read { path: directory, source }),
    };
    let mut lines = Vec::new();
    for (_, path) in files {
        let text = end_of(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        lines.extend(text.split(|byte| *byte == b'\n').filter_map(read_line));
    }
    lines.sort_by_key(|line| line.time);
    Ok(lines.split_off(lines.len().saturating_sub(count)))
}

/// The end of a file, from the start of a line.
fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(HISTORY_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut text = Vec::new();
    file.take(HISTORY_BYTES).read_to_end(&mut text)?;
    if skipped > 0 {
        let start = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |position| position + 1);
        text.drain(..start);
    }
    Ok(text)
}
