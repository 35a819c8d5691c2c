//! Deployment packages: checked as a whole, and unpacked without being led astray.
//!
//! An archive comes from someone who may be hostile. Nothing is written before every entry was judged; nothing is
//! ever written through a link; no number in the archive is believed before the bytes were counted. A package
//! that [`check`] accepts is one that [`unpack`] can unpack.

mod merge;
mod path;
mod plan;
mod survey;
#[cfg(test)]
mod tests;
mod tree;

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use firelet_types::CodeSha256;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zip::ZipArchive;
use zip::result::ZipError;

use plan::{Node, Plan};

/// The start of the names of folders that an unpacking has not finished.
const UNFINISHED: &str = ".unpacking-";
/// Bytes that are inflated at a time.
const PIECE: usize = 64 * 1024;
/// Bytes of the target of a symbolic link.
const LINK_BYTES: u64 = 1_024;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders and links together, with the folders that only appear in the paths of others.
    pub entries: usize,
    /// Bytes of all files together, once unpacked.
    pub unzipped_bytes: u64,
    /// Folders inside folders.
    pub depth: usize,
}

impl Default for Limits {
    /// What a deployment package of Lambda may hold, and room for any real one in the limits that Lambda has not.
    fn default() -> Self {
        Self { entries: 100_000, unzipped_bytes: firelet_types::limits::UNZIPPED_CODE_BYTES, depth: 100 }
    }
}

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Files, folders and links together.
    pub entries: usize,
    /// Bytes of all files together, once unpacked.
    pub unzipped_bytes: u64,
}

/// Why an archive is refused, or could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes are no zip archive, or a broken one.
    #[error("the package is not a readable zip archive")]
    NotAnArchive(#[source] ZipError),
    /// The archive holds nothing.
    #[error("the package is an empty zip archive")]
    Empty,
    /// The archive holds more entries than allowed.
    #[error("the package holds more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// The archive holds more bytes than allowed.
    #[error("the package unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// One entry breaks a rule.
    #[error("the package's entry {name:?} {rule}")]
    Refused {
        /// The name of the entry.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// One entry cannot be inflated.
    #[error("the package's entry {name:?} cannot be read")]
    Unreadable {
        /// The name of the entry.
        name: String,
        /// What the decoder said.
        source: io::Error,
    },
    /// The data of two entries share bytes, as in a bomb.
    #[error("entries of the package overlap")]
    Overlap,
    /// The disk did not take the unpacked tree.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl ArchiveError {
    /// Whether the archive is at fault, and not the disk that it was unpacked to.
    #[must_use]
    pub const fn is_in_archive(&self) -> bool {
        !matches!(self, Self::Write { .. })
    }
}

/// Judges every entry and inflates every byte, keeping none.
///
/// # Errors
/// What is wrong with the archive.
pub fn check(zip: &[u8], limits: &Limits) -> Result<Summary, ArchiveError> {
    let (mut archive, plan) = read(zip, limits)?;
    let mut counted = 0;
    for (path, node) in &plan.nodes {
        if let Node::File { index, .. } = node {
            let size = inflate(&mut archive, path, *index, |_| Ok(()))?;
            counted = count(counted, size, limits)?;
        }
    }
    plan::read_links(&mut archive, &plan)?;
    Ok(Summary { entries: plan.nodes.len(), unzipped_bytes: counted })
}

/// Unpacks an archive into `directory`, which appears only when it is complete.
///
/// Files can be read by everybody and written by nobody, and keep whether they can be executed. If `directory` is
/// there already it stays as it is: whoever names folders by digest finds the same in it.
///
/// # Errors
/// What is wrong with the archive, or why the disk did not take it; `directory` is then not there.
pub fn unpack(zip: &[u8], directory: &Path, limits: &Limits) -> Result<Summary, ArchiveError> {
    let (mut archive, plan) = read(zip, limits)?;
    publish(directory, |unfinished| tree::write(&mut archive, &plan, unfinished, limits))
}

/// Lays unpacked trees over one another, the later over the earlier, into `directory`, which appears only when it is
/// complete. Files are shared with the trees that they come from.
///
/// # Errors
/// When the disk did not take it, or a tree cannot be read; `directory` is then not there.
pub fn merge(trees: &[PathBuf], directory: &Path) -> Result<(), ArchiveError> {
    publish(directory, |unfinished| merge::write(trees, unfinished))
}

/// Has `write` make a tree under a name of its own, and gives it that of `directory` when it is complete.
fn publish<T>(
    directory: &Path,
    write: impl FnOnce(&Path) -> Result<T, ArchiveError>,
) -> Result<T, ArchiveError> {
    let unfinished = unfinished_beside(directory);
    let result =
        write(&unfinished).and_then(|written| tree::publish(&unfinished, directory).map(|()| written));
    if result.is_err() {
        // The first error is the one to report; what cannot be removed now is swept at the next start.
        let _ = fs::remove_dir_all(&unfinished);
    }
    result
}

fn unfinished_beside(directory: &Path) -> PathBuf {
    let parent = directory.parent().unwrap_or_else(|| Path::new("."));
    parent.join(format!("{UNFINISHED}{}", Uuid::new_v4().simple()))
}

/// Takes a whole tree away from its name at once. Answers where it is until somebody removes it.
///
/// # Errors
/// When it is not there, or the disk did not take the change.
pub fn take_away(directory: &Path) -> io::Result<PathBuf> {
    let away = unfinished_beside(directory);
    fs::rename(directory, &away)?;
    Ok(away)
}

/// A digest of the list of packages, to name what is merged from them.
#[must_use]
pub fn list_digest(packages: &[CodeSha256]) -> CodeSha256 {
    let mut hash = Sha256::new();
    for package in packages {
        hash.update(package.hex());
    }
    CodeSha256::from_bytes(hash.finalize().into())
}

/// Removes what unpackings that were interrupted left in `parent`.
///
/// # Errors
/// When the folder cannot be read or a left-over cannot be removed.
pub fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// An archive whose bytes are in memory.
type Archive<'zip> = ZipArchive<Cursor<&'zip [u8]>>;

fn read<'zip>(zip: &'zip [u8], limits: &Limits) -> Result<(Archive<'zip>, Plan), ArchiveError> {
    survey::survey(zip, limits)?;
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(ArchiveError::NotAnArchive)?;
    if archive.is_empty() {
        return Err(ArchiveError::Empty);
    }
    let plan = plan::plan(&archive, limits)?;
    if archive.has_overlapping_entries().map_err(ArchiveError::NotAnArchive)? {
        return Err(ArchiveError::Overlap);
    }
    Ok((archive, plan))
}

/// Adds the size of one more file to those before.
fn count(counted: u64, size: u64, limits: &Limits) -> Result<u64, ArchiveError> {
    match counted.checked_add(size) {
        Some(sum) if sum <= limits.unzipped_bytes => Ok(sum),
        _ => Err(ArchiveError::TooLarge { limit: limits.unzipped_bytes }),
    }
}

/// Hands an entry's bytes to `take`, piece by piece; answers how many they are, which is what the archive declared.
fn inflate(
    archive: &mut Archive<'_>,
    path: &str,
    index: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
) -> Result<u64, ArchiveError> {
    let refused = |rule| ArchiveError::Refused { name: path.to_owned(), rule };
    let unreadable = |source| ArchiveError::Unreadable { name: path.to_owned(), source };
    let entry = archive.by_index(index).map_err(|error| unreadable(error.into()))?;
    let declared = entry.size();
    let mut bytes = entry.take(declared.saturating_add(1));
    let mut piece = vec![0; PIECE];
    let mut counted = 0;
    loop {
        let length = match bytes.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        counted += length as u64;
        if counted > declared {
            return Err(refused("is larger than it declares"));
        }
        take(&piece[..length])?;
    }
    if counted < declared {
        return Err(refused("is smaller than it declares"));
    }
    Ok(counted)
}
