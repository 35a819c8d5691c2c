//! Names, ids, ARNs, qualifiers, limits and the clock: values that cannot be wrong.
//!
//! Text is parsed here once, at the edge; the rest of firelet passes these types around. The crate does no
//! input or output but [`clock::SystemClock`] reading the time, and [`id::Ids`] and
//! [`chance::Chance`] drawing random bits.

pub mod arn;
pub mod capacity_provider;
pub mod chance;
pub mod clock;
pub mod digest;
pub mod function_url;
pub mod gathered;
pub mod id;
pub mod image;
pub mod layer;
pub mod limits;
pub mod name;
pub mod scope;

pub use arn::{FunctionArn, FunctionIdentifier, IdentifierError, runtime_version_arn};
pub use capacity_provider::{CapacityProviderArn, CapacityProviderError, CapacityProviderName};
pub use chance::Chance;
pub use clock::{Clock, SystemClock, Timestamp};
pub use digest::CodeSha256;
pub use function_url::{FunctionUrlId, FunctionUrlIdError};
pub use gathered::{Gathered, TooLarge};
pub use id::{
    CodeSigningConfigId, CodeSigningConfigIdError, CredentialsToken, EnvironmentId, ExtensionEventId,
    ExtensionId, Ids, MappingId, RequestId, RevisionId,
};
pub use image::{ImageUri, ImageUriError};
pub use layer::{LayerArn, LayerError, LayerName, LayerVersionArn};
pub use name::{FunctionName, NameError, Qualifier, TenantId, VersionNumber};
pub use scope::{AccountId, Region, Scope, ScopeError};
