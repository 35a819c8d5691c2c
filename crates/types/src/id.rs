//! Ids: each its own type, all UUIDs, drawn from a source that is an input.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// An id from `ids`.
            #[must_use]
            pub fn new(ids: &Ids) -> Self {
                Self(ids.uuid())
            }

            /// The id as 32 hexadecimal digits without dashes.
            #[must_use]
            pub fn simple(&self) -> String {
                self.0.simple().to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = uuid::Error;

            fn try_from(text: String) -> Result<Self, uuid::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id!(
    /// One request to the API; for an invocation also the id that the function sees.
    RequestId
);
id!(
    /// One revision of a function, version or alias, for optimistic concurrency.
    RevisionId
);
id!(
    /// One execution environment.
    EnvironmentId
);
id!(
    /// One extension of an execution environment.
    ExtensionId
);
id!(
    /// One event on its way to an extension.
    ExtensionEventId
);
id!(
    /// What a function shows to be given its credentials.
    CredentialsToken
);
id!(
    /// One event source mapping.
    MappingId
);

/// A text that is not the id of a code signing configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not csc- and 17 lower-case letters or digits")]
pub struct CodeSigningConfigIdError(String);

/// One code signing configuration: `csc-` and 17 lower-case letters or digits.
///
/// See <https://docs.aws.amazon.com/lambda/latest/api/API_CodeSigningConfig.html>.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeSigningConfigId(String);

impl CodeSigningConfigId {
    const PREFIX: &str = "csc-";
    const CHARACTERS: usize = 17;

    /// An id from `ids`.
    #[must_use]
    pub fn new(ids: &Ids) -> Self {
        let digits = ids.uuid().simple().to_string();
        Self(format!("{}{}", Self::PREFIX, &digits[..Self::CHARACTERS]))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CodeSigningConfigId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for CodeSigningConfigId {
    type Err = CodeSigningConfigIdError;

    fn from_str(text: &str) -> Result<Self, CodeSigningConfigIdError> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match text.strip_prefix(Self::PREFIX) {
            Some(rest) if rest.len() == Self::CHARACTERS && rest.bytes().all(is_allowed) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(CodeSigningConfigIdError(text.to_owned())),
        }
    }
}

/// Where ids come from: the operating system, or a seed that gives the same ids again.
#[derive(Debug)]
pub struct Ids(Source);

#[derive(Debug)]
enum Source {
    System,
    Seeded(Mutex<u64>),
}

impl Ids {
    /// Ids from the operating system's randomness.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The sequence of ids that belongs to `seed`.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Mutex::new(seed)))
    }

    pub(crate) fn uuid(&self) -> Uuid {
        match &self.0 {
            Source::System => Uuid::new_v4(),
            Source::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let high = u128::from(split_mix(&mut state));
                let low = u128::from(split_mix(&mut state));
                Builder::from_random_bytes((high << 64 | low).to_be_bytes()).into_uuid()
            }
        }
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back() {
        let id = RequestId::new(&Ids::system());
        assert_eq!(id.to_string().parse::<RequestId>().unwrap(), id);
    }

    #[test]
    fn ids_of_code_signing_configurations_read_back() {
        let id = CodeSigningConfigId::new(&Ids::system());
        assert_eq!(id.as_str().parse(), Ok(id));
        for wrong in ["", "csc-", "csc-0123456789abcdef", "csc-0123456789abcdefgh", "csc-0123456789abcdeF0"] {
            assert!(wrong.parse::<CodeSigningConfigId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_ids_again() {
        let draw = |seed| {
            let ids = Ids::seeded(seed);
            [RevisionId::new(&ids), RevisionId::new(&ids)]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_ne!(draw(7)[0], draw(7)[1]);
    }
}
