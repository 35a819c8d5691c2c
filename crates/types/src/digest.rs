//! The SHA-256 of a deployment package.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// The SHA-256 of the bytes of a zip; its text form is base64, as in `CodeSha256` of the API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeSha256([u8; 32]);

/// A text that is not the base64 of 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the base64 of a SHA-256")]
pub struct DigestError(String);

impl CodeSha256 {
    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest that [`CodeSha256::hex`] writes so.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut bytes = [0; 32];
        for (position, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * position..2 * position + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The digest as 64 lower-case hexadecimal digits, safe in file names.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for CodeSha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for CodeSha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for CodeSha256 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| DigestError(text.to_owned()))?;
        bytes.try_into().map(Self).map_err(|_| DigestError(text.to_owned()))
    }
}

impl TryFrom<String> for CodeSha256 {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<CodeSha256> for String {
    fn from(digest: CodeSha256) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back() {
        let digest = CodeSha256::from_bytes([0xa5; 32]);
        assert_eq!(digest.to_string().parse::<CodeSha256>().unwrap(), digest);
        assert_eq!(digest.hex(), "a5".repeat(32));
        assert_eq!(CodeSha256::from_hex(&digest.hex()), Some(digest));
        assert_eq!(CodeSha256::from_hex("A5"), None);
        assert!("dG9vIHNob3J0".parse::<CodeSha256>().is_err());
    }
}
