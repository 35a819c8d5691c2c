//! Where a container image is found: `registry/path:tag@sha256:digest`, of which only the path must be there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest::CodeSha256;

/// Characters before tag and digest.
const REPOSITORY_CHARACTERS: usize = 255;
const TAG_CHARACTERS: usize = 128;
const DIGEST_PREFIX: &str = "sha256:";

/// The URI of a container image, as the caller wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageUri {
    text: String,
    /// Characters of `text` before tag and digest.
    repository: usize,
    digest: Option<CodeSha256>,
}

/// A text that names no container image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the URI of a container image")]
pub struct ImageUriError(String);

impl ImageUri {
    /// The digest that tells images apart: that of the image where the URI carries it, else that of the URI. Which
    /// image a tag stands for is not known here.
    #[must_use]
    pub fn digest(&self) -> CodeSha256 {
        self.digest.unwrap_or_else(|| CodeSha256::from_bytes(Sha256::digest(&self.text).into()))
    }

    /// The URI by which the image is always the same, if that is known.
    #[must_use]
    pub fn resolved(&self) -> Option<String> {
        let digest = self.digest?.hex();
        Some(format!("{}@{DIGEST_PREFIX}{digest}", &self.text[..self.repository]))
    }
}

impl FromStr for ImageUri {
    type Err = ImageUriError;

    fn from_str(text: &str) -> Result<Self, ImageUriError> {
        parse(text).ok_or_else(|| ImageUriError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<ImageUri> {
    let (tagged, digest) = match text.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(CodeSha256::from_hex(digest.strip_prefix(DIGEST_PREFIX)?)?)),
        None => (text, None),
    };
    let last = tagged.rfind('/').map_or(0, |slash| slash + 1);
    let repository = match tagged[last..].find(':') {
        Some(colon) if is_tag(&tagged[last + colon + 1..]) => last + colon,
        Some(_) => return None,
        None => tagged.len(),
    };
    (repository <= REPOSITORY_CHARACTERS && is_repository(&tagged[..repository])).then(|| ImageUri {
        text: text.to_owned(),
        repository,
        digest,
    })
}

fn is_tag(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.len() <= TAG_CHARACTERS
        && text.bytes().all(is_allowed)
        && text.bytes().next().is_some_and(|first| first != b'.' && first != b'-')
}

fn is_repository(text: &str) -> bool {
    match text.split_once('/') {
        Some((registry, path)) if registry.contains(['.', ':']) || registry == "localhost" => {
            is_registry(registry) && path.split('/').all(is_component)
        }
        _ => text.split('/').all(is_component),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    !host.is_empty() && host.bytes().all(is_allowed) && port.parse::<u16>().is_ok()
}

fn is_component(text: &str) -> bool {
    let is_end =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    is_end(text.bytes().next()) && is_end(text.bytes().last()) && text.bytes().all(is_allowed)
}

impl TryFrom<String> for ImageUri {
    type Error = ImageUriError;

    fn try_from(text: String) -> Result<Self, ImageUriError> {
        text.parse()
    }
}

impl From<ImageUri> for String {
    fn from(uri: ImageUri) -> String {
        uri.text
    }
}

impl fmt::Display for ImageUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "d0ec757342ba64f8f80c524431989d778c45289bfe312a58fe2dfbc0fa604c4e";

    #[test]
    fn images_are_found_by_path_tag_and_digest() {
        let in_registry = "000000000000.dkr.ecr.us-east-1.amazonaws.com/a/b";
        let (longest, too_long) = ("a".repeat(255), "a".repeat(256));
        for (text, repository) in [
            (&*longest, Some(&*longest)),
            (&too_long, None),
            ("image", Some("image")),
            ("image:latest", Some("image")),
            ("localhost:5000/a/b-c.d:v1.0_x", Some("localhost:5000/a/b-c.d")),
            (in_registry, Some(in_registry)),
            (&format!("{in_registry}:tag@sha256:{DIGEST}"), Some(in_registry)),
            (&format!("{in_registry}@sha256:{DIGEST}"), Some(in_registry)),
            ("", None),
            ("a b", None),
            ("Image", None),
            ("a//b", None),
            ("/a", None),
            ("a/", None),
            ("a:", None),
            ("a:-x", None),
            ("host:port/a", None),
            ("a@sha256:00", None),
            ("a@md5:00", None),
            ("https://example.com/a", None),
        ] {
            let parsed = text.parse::<ImageUri>();
            let found = parsed.as_ref().ok().map(|uri| &uri.text[..uri.repository]);
            assert_eq!(found, repository, "{text}");
        }
    }

    #[test]
    fn a_digest_is_the_images_or_else_the_uris() {
        let uri = |text: &str| text.parse::<ImageUri>().unwrap();
        let exact = uri(&format!("localhost/a:tag@sha256:{DIGEST}"));
        assert_eq!(exact.digest().hex(), DIGEST);
        assert_eq!(exact.resolved(), Some(format!("localhost/a@sha256:{DIGEST}")));
        assert_eq!(uri("a:1").resolved(), None);
        assert_eq!(uri("a:1").digest(), uri("a:1").digest());
        assert_ne!(uri("a:1").digest(), uri("a:2").digest());
    }

    proptest! {
        #[test]
        fn any_text_is_judged_and_kept(text in "[a-z0-9.:/@A-Z _-]{0,40}") {
            if let Ok(uri) = text.parse::<ImageUri>() {
                prop_assert_eq!(uri.to_string(), text);
            }
        }
    }
}
