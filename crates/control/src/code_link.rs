//! Links to a function's code that anybody who has one may use, for ten minutes.
//!
//! A link carries the digest of the code, the end of its life, and a seal over both that only this server can make.

use bytes::Bytes;
use firelet_store::Store;
use firelet_types::limits::CODE_LINK_LIFETIME;
use firelet_types::{CodeSha256, Timestamp};
use futures_util::stream::BoxStream;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{CodeLinkError, Error};

/// What the path of every link starts with; the digest follows.
pub const PATH: &str = "/_firelet/code/";

/// The code behind a link.
pub struct CodeDownload {
    /// The size of the package.
    pub size_bytes: u64,
    /// The package, piece by piece.
    pub pieces: BoxStream<'static, Result<Bytes, firelet_store::Error>>,
}

/// Makes and checks seals.
pub(crate) struct Sealer {
    key: [u8; 32],
}

impl Sealer {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A seal of `text` for one purpose; a seal for another purpose is another seal.
    pub(crate) fn seal(&self, purpose: &str, text: &str) -> String {
        hex::encode(self.mac(purpose, text).finalize().into_bytes())
    }

    /// Whether `seal` is that of `text`, found out in constant time.
    pub(crate) fn is_sealed(&self, purpose: &str, text: &str, seal: &str) -> bool {
        hex::decode(seal).is_ok_and(|seal| self.mac(purpose, text).verify_slice(&seal).is_ok())
    }

    fn mac(&self, purpose: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        mac.update(text.as_bytes());
        mac
    }
}

const PURPOSE: &str = "code";

/// A link to a package, good for ten minutes from `now`.
pub(crate) fn make(sealer: &Sealer, base_url: &str, sha256: &CodeSha256, now: Timestamp) -> String {
    let expires = now.plus(CODE_LINK_LIFETIME).as_millis();
    let digest = sha256.hex();
    let seal = sealer.seal(PURPOSE, &format!("{digest}\n{expires}"));
    format!("{}{PATH}{digest}?expires={expires}&signature={seal}", base_url.trim_end_matches('/'))
}

/// The digest that a link stands for, if the link is good.
pub(crate) fn check(
    sealer: &Sealer,
    path: &str,
    query: &str,
    now: Timestamp,
) -> Result<CodeSha256, CodeLinkError> {
    let digest = path.strip_prefix(PATH).ok_or(CodeLinkError::Forged)?;
    let expires = parameter(query, "expires").ok_or(CodeLinkError::Forged)?;
    let seal = parameter(query, "signature").ok_or(CodeLinkError::Forged)?;
    if !sealer.is_sealed(PURPOSE, &format!("{digest}\n{expires}"), seal) {
        return Err(CodeLinkError::Forged);
    }
    let expires: i64 = expires.parse().map_err(|_| CodeLinkError::Forged)?;
    if now.as_millis() >= expires {
        return Err(CodeLinkError::Expired);
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(digest, &mut bytes).map_err(|_| CodeLinkError::Forged)?;
    Ok(CodeSha256::from_bytes(bytes))
}

/// Opens the package that a good link stands for.
pub(crate) async fn open(store: &Store, sha256: &CodeSha256) -> Result<CodeDownload, Error> {
    match store.blobs().stream(sha256).await? {
        Some((size_bytes, pieces)) => Ok(CodeDownload { size_bytes, pieces }),
        None => Err(CodeLinkError::Gone.into()),
    }
}

fn parameter<'query>(query: &'query str, name: &str) -> Option<&'query str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
