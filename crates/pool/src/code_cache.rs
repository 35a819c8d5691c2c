//! Unpacked code on local disk: each package once, shared read-only by every environment that runs it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use firelet_store::Store;
use firelet_store::archive::{self, ArchiveError, Limits};
use firelet_types::CodeSha256;
use parking_lot::Mutex;

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
        if directory.is_dir() {
            return Ok(directory);
        }
        let lock = Arc::clone(self.packages.lock().entry(*sha256).or_default());
        let _guard = lock.lock().await;
        if !directory.is_dir() {
            self.unpack(*sha256, directory.clone()).await?;
        }
        self.packages.lock().remove(sha256);
        Ok(directory)
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

    /// Removes what an interrupted unpacking left, and packages that the store no longer has. Only before the first
    /// environment is made: a running one may still use what is removed.
    pub async fn sweep(&self) {
        let (root, store) = (self.root.clone(), Arc::clone(&self.store));
        let work = move || {
            if !root.exists() {
                return Ok(());
            }
            archive::sweep(&root)?;
            for entry in std::fs::read_dir(&root)? {
                let entry = entry?;
                let digest = entry.file_name().to_str().and_then(CodeSha256::from_hex);
                let is_stored = digest
                    .and_then(|digest| store.blobs().local_path(&digest))
                    .is_some_and(|path| path.exists());
                if !is_stored {
                    std::fs::remove_dir_all(entry.path())?;
                }
            }
            Ok::<(), io::Error>(())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
            tracing::warn!(%error, "cannot tidy the folder of unpacked code");
        }
    }
}

#[cfg(test)]
mod tests;
