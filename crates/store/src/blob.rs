//! Deployment packages, named by the SHA-256 of their bytes.
//!
//! A package is on disk before [`Blobs::put`] answers. It stays while a record names it or a [`Blob`] of it is
//! held; what neither holds is garbage, which [`Blobs::collect_garbage`] removes.

mod arrivals;
mod pins;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use firelet_types::CodeSha256;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};

use crate::database::Database;
use crate::error::Error;

use arrivals::Arrivals;
use pins::{Pin, Pins};

/// The store of deployment packages.
#[derive(Debug)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    folder: PathBuf,
    database: Arc<Database>,
    pins: Arc<Pins>,
    arrivals: Arc<Arrivals>,
}

/// A stored package that cannot be collected while this value lives.
///
/// Whoever stores a package holds this until the record that names it is stored.
#[derive(Debug)]
pub struct Blob {
    /// The digest of the package.
    pub sha256: CodeSha256,
    /// The size of the package.
    pub size_bytes: u64,
    _pin: Pin,
    arrivals: Arc<Arrivals>,
}

impl Drop for Blob {
    fn drop(&mut self) {
        self.arrivals.note(self.sha256);
    }
}

impl Blobs {
    pub(crate) fn local(folder: &Path, database: Arc<Database>) -> Result<Self, Error> {
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| Error::BlobStore { action: "open", source })?
            .with_fsync(true);
        Ok(Self {
            objects: Arc::new(objects),
            folder: folder.to_owned(),
            database,
            pins: Arc::new(Pins::default()),
            arrivals: Arc::new(Arrivals::default()),
        })
    }

    /// Stores `bytes`; storing the same bytes again changes nothing.
    ///
    /// # Errors
    /// When the object store does not take them.
    pub async fn put(&self, bytes: Bytes) -> Result<Blob, Error> {
        let sha256 = digest(bytes.clone()).await?;
        let size_bytes = bytes.len() as u64;
        let pin = self.pins.pin(sha256).await;
        if !self.is_referenced(&sha256)? {
            let result = self.objects.put(&location(&sha256), PutPayload::from_bytes(bytes)).await;
            result.map_err(blob_error("write", &sha256))?;
        }
        Ok(Blob { sha256, size_bytes, _pin: pin, arrivals: Arc::clone(&self.arrivals) })
    }

    /// Waits for a package that was stored, for the first time or again, and that a record names by now. One of many is told,
    /// to one who asks. May be broken off.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn arrival(&self) -> Result<CodeSha256, Error> {
        loop {
            let sha256 = self.arrivals.next().await;
            if self.is_referenced(&sha256)? {
                return Ok(sha256);
            }
        }
    }

    /// The bytes of a package, or none if it is not stored.
    ///
    /// # Errors
    /// When the object store cannot be read.
    pub async fn get(&self, sha256: &CodeSha256) -> Result<Option<Bytes>, Error> {
        let result = match self.objects.get(&location(sha256)).await {
            Ok(object) => object.bytes().await,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        result.map(Some).map_err(blob_error("read", sha256))
    }

    /// The size of a package and its bytes piece by piece, or none if it is not stored.
    ///
    /// # Errors
    /// When the object store cannot be read.
    pub async fn stream(
        &self,
        sha256: &CodeSha256,
    ) -> Result<Option<(u64, BoxStream<'static, Result<Bytes, Error>>)>, Error> {
        let digest = *sha256;
        match self.objects.get(&location(sha256)).await {
            Ok(object) => {
                let size = object.meta.size;
                let pieces = object.into_stream().map_err(move |source| blob_error("read", &digest)(source));
                Ok(Some((size, Box::pin(pieces))))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(blob_error("read", sha256)(error)),
        }
    }

    /// The file of a package, where packages are local files. The file may be absent.
    #[must_use]
    pub fn local_path(&self, sha256: &CodeSha256) -> Option<PathBuf> {
        Some(self.folder.join(location(sha256).as_ref()))
    }

    /// Removes the packages that nothing names and nobody holds, if they were already garbage in the round before.
    ///
    /// A package that just lost its last record may still be read by an invocation or a download that began
    /// before; it is given until the next round. Answers how many packages were removed.
    ///
    /// # Errors
    /// When the object store or the database cannot be read.
    pub async fn collect_garbage(&self, garbage: &mut Garbage) -> Result<usize, Error> {
        let list_error = |source| Error::BlobStore { action: "list", source };
        let mut objects = self.objects.list(None);
        let mut found = HashSet::new();
        let mut removed = 0;
        while let Some(object) = objects.try_next().await.map_err(list_error)? {
            let Some(sha256) = digest_of(&object.location) else { continue };
            if self.pins.is_pinned(&sha256) || self.is_referenced(&sha256)? {
                continue;
            }
            if garbage.0.contains(&sha256) {
                removed += usize::from(self.remove(&sha256).await?);
            } else {
                found.insert(sha256);
            }
        }
        garbage.0 = found;
        Ok(removed)
    }

    /// Removes one package, unless somebody holds it or a record names it by now.
    async fn remove(&self, sha256: &CodeSha256) -> Result<bool, Error> {
        let Some(_removal) = self.pins.begin_removal(*sha256) else { return Ok(false) };
        if self.is_referenced(sha256)? {
            return Ok(false);
        }
        match self.objects.delete(&location(sha256)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(blob_error("remove", sha256)(error)),
        }
    }

    fn is_referenced(&self, sha256: &CodeSha256) -> Result<bool, Error> {
        let step = "look for the users of a package";
        self.database.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM version WHERE code_sha256 = ?1)
                         OR EXISTS (SELECT 1 FROM layer_version WHERE code_sha256 = ?1)
                         OR EXISTS (SELECT 1 FROM version_layer WHERE code_sha256 = ?1)",
                )
                .and_then(|mut statement| statement.query_row([sha256.hex()], |row| row.get(0)))
                .map_err(Error::database(step))
        })
    }
}

/// The packages that the round before found without a user.
#[derive(Debug, Default)]
pub struct Garbage(HashSet<CodeSha256>);

/// The SHA-256 of a package, computed off the threads that serve requests.
async fn digest(bytes: Bytes) -> Result<CodeSha256, Error> {
    let hash = move || CodeSha256::from_bytes(Sha256::digest(&bytes).into());
    tokio::task::spawn_blocking(hash).await.map_err(|_| Error::Closed)
}

/// `ab/abcdef...`: a level of folders keeps each of them small.
fn location(sha256: &CodeSha256) -> object_store::path::Path {
    let hex = sha256.hex();
    object_store::path::Path::from_iter([&hex[..2], &hex])
}

fn digest_of(location: &object_store::path::Path) -> Option<CodeSha256> {
    let hex = location.filename()?;
    if hex.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(CodeSha256::from_bytes(bytes))
}

fn blob_error(
    action: &'static str,
    sha256: &CodeSha256,
) -> impl FnOnce(object_store::Error) -> Error + use<> {
    let digest = sha256.hex();
    move |source| {
        if is_disk_full(&source) { Error::DiskFull } else { Error::Blob { action, digest, source } }
    }
}

fn is_disk_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(source) = current.downcast_ref::<std::io::Error>() {
            return matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            );
        }
        cause = current.source();
    }
    false
}
