//! The folders of a data directory and the lock that keeps a second server out.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Bytes of a lock file that are looked at; a process id is far shorter.
const LOCK_FILE_BYTES: u64 = 32;

/// A data directory that this process, and no other, may change.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    root: PathBuf,
    /// Holds the lock for as long as it is open.
    _lock: File,
}

impl DataDirectory {
    /// Makes what is missing, takes the lock and removes what an interrupted run left half written.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        create_directory(root)?;
        // Sandboxes mount what is in here, and know no working directory.
        let root = root.canonicalize().map_err(Error::file("resolve", root))?;
        let lock = lock(&root)?;
        let directory = Self { root, _lock: lock };
        let temporary = directory.temporary();
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(Error::file("empty", &temporary))?;
        }
        create_directory(&temporary)?;
        create_directory(&directory.blobs())?;
        sweep_staged_uploads(&directory.blobs())?;
        Ok(directory)
    }

    /// The absolute path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("firelet.db")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

fn create_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::CreateDirectory { path: path.to_owned(), source })
}

fn lock(root: &Path) -> Result<File, Error> {
    let path = root.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(Error::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::InUse { path: root.to_owned(), process: read_process(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(Error::file("lock", &path)(source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(Error::file("write", &path))?;
    Ok(file)
}

fn read_process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(LOCK_FILE_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The local object store writes `NAME#N` and renames it; a name with `#` is an upload that never ended.
fn sweep_staged_uploads(blobs: &Path) -> Result<(), Error> {
    let mut folders = vec![blobs.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
            let entry = entry.map_err(Error::file("list", &folder))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::file("look at", &path))?;
            if kind.is_dir() {
                folders.push(path);
            } else if entry.file_name().to_string_lossy().contains('#') {
                fs::remove_file(&path).map_err(Error::file("remove", &path))?;
            }
        }
    }
    Ok(())
}
