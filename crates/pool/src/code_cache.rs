//! Unpacked code on local disk: each package once, shared read-only by every environment that runs it.
//!
//! Packages that have just come are unpacked before they are needed, one after the other, as far as there is room for such.

mod ahead;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firelet_store::Store;
use firelet_store::archive::{self, ArchiveError, Limits, Summary};
use firelet_types::CodeSha256;
use parking_lot::Mutex;

use ahead::Ahead;

/// The folder, below that of the packages, of packages that were laid over one another.
const MERGED: &str = "merged";
/// What a file or a folder takes on disk besides its bytes, about.
const ENTRY_BYTES: u64 = 4_096;

/// Why code could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The package could not be read from the store.
    #[error("cannot read the package {0}")]
    Read(CodeSha256, #[source] firelet_store::Error),
    /// The store has no such package.
    #[error("the package {0} is not in the store")]
    Missing(CodeSha256),
    /// The package could not be unpacked.
    #[error("cannot unpack the package {0}")]
    Unpack(CodeSha256, #[source] ArchiveError),
    /// Layers could not be laid over one another.
    #[error("cannot lay the layers over one another")]
    Merge(#[source] ArchiveError),
    /// The folder for unpacked code could not be made.
    #[error("cannot make the folder {}", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

/// Packages unpacked below one folder.
pub struct CodeCache {
    root: PathBuf,
    store: Arc<Store>,
    /// One lock a package, so that it is unpacked once and others wait.
    packages: Mutex<HashMap<CodeSha256, Arc<tokio::sync::Mutex<()>>>>,
    ahead: Mutex<Ahead>,
}

impl CodeCache {
    /// A cache below `root`, with packages from `store`.
    #[must_use]
    pub fn new(root: PathBuf, store: Arc<Store>) -> Self {
        Self { root, store, packages: Mutex::default(), ahead: Mutex::default() }
    }

    /// The folder with the unpacked package, made if this is the first time.
    ///
    /// # Errors
    ///
    /// See [`CodeError`].
    pub async fn directory(&self, sha256: &CodeSha256) -> Result<PathBuf, CodeError> {
        // From here on nobody takes it away.
        self.ahead.lock().claim(sha256);
        let directory = self.root.join(sha256.hex());
        let unpack = async { self.unpack(*sha256, directory.clone()).await.map(|_| ()) };
        self.once(*sha256, &directory, unpack).await?;
        Ok(directory)
    }

    /// Unpacks what comes to the store, one package after the other; to be run as a task of its own, and ends never.
    pub async fn follow(&self) {
        loop {
            let result = match self.store.blobs().arrival().await {
                Ok(sha256) => self.unpack_ahead(&sha256).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot tell which packages are new; none is unpacked ahead");
                    continue;
                }
            };
            if let Err(error) = result {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(
                    error = cause,
                    "cannot unpack a package ahead; its first invocation takes longer"
                );
            }
        }
    }

    /// Unpacks a package that nobody needs yet. Others like it that are older may have to go.
    async fn unpack_ahead(&self, sha256: &CodeSha256) -> Result<(), CodeError> {
        let directory = self.root.join(sha256.hex());
        if directory.is_dir() {
            return Ok(());
        }
        let mut unpacked = None;
        self.ahead.lock().begin(*sha256);
        let unpack = async {
            unpacked = Some(self.unpack(*sha256, directory.clone()).await?);
            Ok(())
        };
        let result = self.once(*sha256, &directory, unpack).await;
        match unpacked {
            Some(summary) => self.make_room(sha256, summary).await,
            None => self.ahead.lock().claim(sha256),
        }
        result
    }

    /// Counts what was unpacked, and takes away what has to go for it.
    async fn make_room(&self, sha256: &CodeSha256, summary: Summary) {
        let entries = u64::try_from(summary.entries).unwrap_or(u64::MAX);
        let bytes = summary.unzipped_bytes.saturating_add(entries.saturating_mul(ENTRY_BYTES));
        // Whoever claims a package finds it whole or not at all.
        let taken: Vec<PathBuf> = {
            let mut ahead = self.ahead.lock();
            let surplus = ahead.finish(sha256, bytes);
            surplus
                .iter()
                .filter_map(|surplus| archive::take_away(&self.root.join(surplus.hex())).ok())
                .collect()
        };
        let remove = move || {
            for folder in taken {
                // What cannot be removed now is swept at the next start.
                let _ = std::fs::remove_dir_all(folder);
            }
        };
        // A panic in it was reported when it happened.
        let _ = tokio::task::spawn_blocking(remove).await;
    }

    /// The folder in which the packages are laid over one another in their order, made if this is the first time; none
    /// for no packages.
    ///
    /// # Errors
    ///
    /// See [`CodeError`].
    pub async fn merged(&self, packages: &[CodeSha256]) -> Result<Option<PathBuf>, CodeError> {
        match packages {
            [] => Ok(None),
            [one] => Ok(Some(self.directory(one).await?)),
            several => {
                let list = archive::list_digest(several);
                let directory = self.root.join(MERGED).join(list.hex());
                self.once(list, &directory, self.merge(several, directory.clone())).await?;
                Ok(Some(directory))
            }
        }
    }

    /// Has `make` make the directory, unless it is there; others who ask meanwhile wait.
    async fn once(
        &self,
        key: CodeSha256,
        directory: &Path,
        make: impl Future<Output = Result<(), CodeError>>,
    ) -> Result<(), CodeError> {
        if directory.is_dir() {
            return Ok(());
        }
        let lock = Arc::clone(self.packages.lock().entry(key).or_default());
        let _guard = lock.lock().await;
        if !directory.is_dir() {
            make.await?;
        }
        self.packages.lock().remove(&key);
        Ok(())
    }

    async fn merge(&self, packages: &[CodeSha256], directory: PathBuf) -> Result<(), CodeError> {
        let mut trees = Vec::new();
        for package in packages {
            trees.push(self.directory(package).await?);
        }
        let root = self.root.join(MERGED);
        let work = move || {
            std::fs::create_dir_all(&root).map_err(|source| CodeError::Directory(root, source))?;
            archive::merge(&trees, &directory).map_err(CodeError::Merge)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| CodeError::Stopped)?
    }

    async fn unpack(&self, sha256: CodeSha256, directory: PathBuf) -> Result<Summary, CodeError> {
        let package =
            self.store.blobs().get(&sha256).await.map_err(|source| CodeError::Read(sha256, source))?;
        let package = package.ok_or(CodeError::Missing(sha256))?;
        let root = self.root.clone();
        let work = move || {
            std::fs::create_dir_all(&root).map_err(|source| CodeError::Directory(root, source))?;
            archive::unpack(&package, &directory, &Limits::default())
                .map_err(|source| CodeError::Unpack(sha256, source))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| CodeError::Stopped)?
    }

    /// Removes what an interrupted unpacking left, packages that the store no longer has, and merged ones that no
    /// function has as its layers. Only before the first environment is made: a running one may still use what is
    /// removed.
    pub async fn sweep(&self) {
        let (root, store) = (self.root.clone(), Arc::clone(&self.store));
        let work = move || {
            if let Err(error) = sweep(&root, &store) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot tidy the folder of unpacked code"
                );
            }
        };
        // A panic in it was reported when it happened.
        let _ = tokio::task::spawn_blocking(work).await;
    }
}

fn sweep(root: &Path, store: &Store) -> Result<(), SweepError> {
    let is_stored = |digest: &CodeSha256| store.blobs().local_path(digest).is_some_and(|path| path.exists());
    keep(root, |name| name == MERGED || CodeSha256::from_hex(name).is_some_and(|digest| is_stored(&digest)))?;
    let lists = store.functions().layer_lists()?;
    let used: HashSet<String> = lists.iter().map(|list| archive::list_digest(list).hex()).collect();
    keep(&root.join(MERGED), |name| used.contains(name))?;
    Ok(())
}

/// Why the folder could not be tidied.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error("cannot remove what is not used")]
    Remove(#[from] io::Error),
    #[error("cannot tell which layers are used")]
    Store(#[from] firelet_store::Error),
}

/// Removes from a folder what is unfinished, and what `is_kept` does not know by its name.
fn keep(folder: &Path, is_kept: impl Fn(&str) -> bool) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    archive::sweep(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&is_kept) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
