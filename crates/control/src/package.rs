//! The code of a request: from the request itself or from S3, checked and stored.

use bytes::Bytes;
use firelet_api::model;
use firelet_store::archive::{self, ArchiveError, Limits};
use firelet_store::definition::{Code, CodeObject};
use firelet_store::{Blob, Store};

use crate::error::{Error, InvalidParameter};
use crate::quota::Quotas;

/// Where the code of a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// With the request.
    Zip(Bytes),
    /// An object of S3.
    Object { bucket: String, key: String, version: Option<String>, mode: model::S3ObjectStorageMode },
}

impl Source {
    pub(crate) fn of_creation(code: model::FunctionCode) -> Result<Self, Error> {
        parse(code.zip_file, code.s3_bucket, code.s3_key, code.s3_object_version, code.s3_object_storage_mode)
    }

    pub(crate) fn of_layer(content: model::LayerVersionContentInput) -> Result<Self, Error> {
        parse(
            content.zip_file,
            content.s3_bucket,
            content.s3_key,
            content.s3_object_version,
            content.s3_object_storage_mode,
        )
    }

    pub(crate) fn of_update(request: &model::UpdateFunctionCodeRequest) -> Result<Self, Error> {
        parse(
            request.zip_file.clone(),
            request.s3_bucket.clone(),
            request.s3_key.clone(),
            request.s3_object_version.clone(),
            request.s3_object_storage_mode,
        )
    }

    /// The object that the code is to stay in, if the caller says so.
    pub(crate) fn referred(&self) -> Option<CodeObject> {
        match self {
            Self::Object { bucket, key, version, mode: model::S3ObjectStorageMode::Reference } => {
                let (bucket, key) = (bucket.clone(), key.clone());
                Some(CodeObject { bucket, key, version: version.clone() })
            }
            Self::Zip(_) | Self::Object { .. } => None,
        }
    }
}

fn parse(
    zip: Option<Bytes>,
    bucket: Option<String>,
    key: Option<String>,
    version: Option<String>,
    mode: Option<model::S3ObjectStorageMode>,
) -> Result<Source, Error> {
    match (zip, bucket, key) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(InvalidParameter::TwoCodes.into()),
        (Some(_), None, None) if version.is_some() || mode.is_some() => {
            Err(InvalidParameter::TwoCodes.into())
        }
        (Some(zip), None, None) => Ok(Source::Zip(zip)),
        (None, Some(bucket), Some(key)) => {
            let mode = mode.unwrap_or(model::S3ObjectStorageMode::Copy);
            Ok(Source::Object { bucket, key, version, mode })
        }
        (None, ..) => Err(InvalidParameter::NoCode.into()),
    }
}

/// Refuses a package that came with the request and is too large to.
pub(crate) fn check_zipped_size(zip: &Bytes, quotas: &Quotas) -> Result<(), Error> {
    if zip.len() as u64 > quotas.zipped_bytes {
        return Err(Error::ZippedSize { limit: quotas.zipped_bytes });
    }
    Ok(())
}

/// Checks a package entry by entry, away from the threads that serve requests; answers how large it is unpacked.
pub(crate) async fn check(zip: Bytes, quotas: &Quotas) -> Result<u64, Error> {
    if zip.is_empty() {
        return Err(InvalidParameter::EmptyZip.into());
    }
    let limit = quotas.unzipped_bytes;
    let limits = Limits { unzipped_bytes: limit.saturating_sub(1), ..Limits::default() };
    let check = move || archive::check(&zip, &limits);
    match tokio::task::spawn_blocking(check).await {
        Ok(Ok(summary)) => Ok(summary.unzipped_bytes),
        Ok(Err(ArchiveError::Empty)) => Err(InvalidParameter::EmptyZip.into()),
        Ok(Err(ArchiveError::TooLarge { .. })) => Err(InvalidParameter::UnzippedSize { limit }.into()),
        Ok(Err(error)) => Err(InvalidParameter::Unzip(error).into()),
        Err(_) => Err(firelet_store::Error::Closed.into()),
    }
}

/// A package that is checked and stored.
#[derive(Debug)]
pub(crate) struct Package {
    /// What a record says of it.
    pub(crate) code: Code,
    _blob: Blob,
}

/// Stores a checked package; it stays while the answer is held or a record names it.
pub(crate) async fn keep(store: &Store, zip: Bytes, unzipped_bytes: u64) -> Result<Package, Error> {
    let blob = store.blobs().put(zip).await?;
    let code = Code { sha256: blob.sha256, size_bytes: blob.size_bytes, unzipped_bytes };
    Ok(Package { code, _blob: blob })
}
