//! Writes a judged plan to disk: folders and files first, links last.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::plan::{Node, Plan, read_links};
use super::{Archive, ArchiveError, Limits, Summary, count, inflate};

const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o444;

/// Writes the tree to `root`, which must not be there yet.
pub(super) fn write(
    archive: &mut Archive<'_>,
    plan: &Plan,
    root: &Path,
    limits: &Limits,
) -> Result<Summary, ArchiveError> {
    let links = read_links(archive, plan)?;
    create_directory(root)?;
    let mut counted = 0;
    for (path, node) in &plan.nodes {
        match node {
            Node::Directory => create_directory(&root.join(path))?,
            Node::File { index, execute } => {
                let size = write_file(archive, path, *index, &root.join(path), FILE_MODE | execute)?;
                counted = count(counted, size, limits)?;
            }
            Node::Link { .. } => {}
        }
    }
    for (path, target) in links {
        let path = root.join(path);
        symlink(target, &path).map_err(write_error(&path))?;
    }
    Ok(Summary { entries: plan.nodes.len(), unzipped_bytes: counted })
}

/// Gives the finished tree its name, unless another unpacking of the same was faster.
pub(super) fn publish(unfinished: &Path, directory: &Path) -> Result<(), ArchiveError> {
    match fs::rename(unfinished, directory) {
        Err(error) if is_taken(&error) => fs::remove_dir_all(unfinished).map_err(write_error(unfinished)),
        result => result.map_err(write_error(directory)),
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

/// Permissions are set on what was made, so that the process's umask has no say.
pub(super) fn create_directory(path: &Path) -> Result<(), ArchiveError> {
    let create = || {
        fs::create_dir(path)?;
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
    };
    create().map_err(write_error(path))
}

fn write_file(
    archive: &mut Archive<'_>,
    name: &str,
    index: usize,
    path: &Path,
    mode: u32,
) -> Result<u64, ArchiveError> {
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(write_error(path))?;
    let size = inflate(archive, name, index, |piece| file.write_all(piece).map_err(write_error(path)))?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(write_error(path))?;
    Ok(size)
}

pub(super) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| ArchiveError::Write { path, source }
}
