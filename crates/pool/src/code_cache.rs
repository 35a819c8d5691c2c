//! Unpacked code on local disk: each package once, shared read-only by every environment that runs it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firelet_store::Store;
use firelet_store::archive::{self, ArchiveError, Limits};
use firelet_types::CodeSha256;
use parking_lot::Mutex;

/// The folder, below that of the packages, of packages that were laid over one another.
const MERGED: &str = "merged";

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
}

impl CodeCache {
    /// A cache below `root`, with packages from `store`.
    #[must_use]
    pub fn new(root: PathBuf, store: Arc<Store>) -> Self {
        Self { root, store, packages: Mutex::default() }
    }

    /// The folder with the unpacked package, made if this is the first time.
    ///
    /// # Errors
    ///
    /// See [`CodeError`].
    pub async fn directory(&self, sha256: &CodeSha256) -> Result<PathBuf, CodeError> {
        let directory = self.root.join(sha256.hex());
        self.once(*sha256, &directory, self.unpack(*sha256, directory.clone())).await?;
        Ok(directory)
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

    async fn unpack(&self, sha256: CodeSha256, directory: PathBuf) -> Result<(), CodeError> {
        let package =
            self.store.blobs().get(&sha256).await.map_err(|source| CodeError::Read(sha256, source))?;
        let package = package.ok_or(CodeError::Missing(sha256))?;
        let root = self.root.clone();
        let work = move || {
            std::fs::create_dir_all(&root).map_err(|source| CodeError::Directory(root, source))?;
            archive::unpack(&package, &directory, &Limits::default())
                .map_err(|source| CodeError::Unpack(sha256, source))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| CodeError::Stopped)??;
        Ok(())
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
