//! How logs lie on disk: `ACCOUNT/REGION/GROUP.log`, a line each, its time first. A line that begins with a space names the
//! stream of those that follow. All streams of a group share its file: as many as write at once, nothing is opened or
//! deleted for one more.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use firelet_types::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{Error, LogGroup, LogLine};

/// What a group's or stream's name may not bring into a file name. A leading dot is encoded as well, so that no
/// name is `.` or `..`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'[').remove(b']').remove(b'$');
/// Bytes read from the end of each file when the last lines are asked for.
const HISTORY_BYTES: u64 = 8 << 20;
/// Bytes of a file's name, leaving room for its suffix within the 255 of common file systems.
const NAME_BYTES: usize = 240;
const SUFFIX: &str = "log";
const SUFFIX_ASIDE: &str = "old";

/// The file of a group.
pub(super) fn group_file(root: &Path, group: &LogGroup) -> PathBuf {
    let directory = root.join(group.scope.account.as_str()).join(group.scope.region.as_str());
    directory.join(format!("{}.{SUFFIX}", encode(&group.name)))
}

/// Where the full file of a group goes; the one that was there before is replaced.
pub(super) fn set_aside(file: &Path) -> PathBuf {
    file.with_extension(SUFFIX_ASIDE)
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

/// Says whose the lines are that follow.
pub(super) fn append_stream(buffer: &mut Vec<u8>, stream: &str) {
    buffer.push(b' ');
    buffer.extend(utf8_percent_encode(stream, ENCODED).flat_map(str::bytes));
    buffer.push(b'\n');
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

/// The last `count` lines of a group, by time.
pub(super) fn last_lines(root: &Path, group: &LogGroup, count: usize) -> Result<Vec<LogLine>, Error> {
    let file = group_file(root, group);
    let mut lines = Vec::new();
    for path in [set_aside(&file), file] {
        let text = match end_of(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::Read { path, source }),
        };
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
