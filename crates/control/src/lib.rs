//! The rules for functions and what hangs on them, for layers, code, event source mappings and capacity providers: what Lambda takes, what it
//! refuses and in which words.
//!
//! A request comes in decoded and checked against the model, and leaves as the answer of the model or as an
//! [`Error`]. The crate knows no HTTP and no SQL, and never calls what runs functions: it stores the wanted state,
//! and the others follow it.

pub mod code_link;
pub mod code_source;
pub mod name;
pub mod quota;

mod account;
mod alias;
mod capacity_provider;
mod code_signing;
mod concurrency;
mod configuration;
mod control;
mod deployment;
mod describe;
mod environment;
mod error;
mod event_invoke_config;
mod function;
mod function_url_config;
mod layer;
mod list;
mod mapping;
mod marker;
mod package;
mod permission;
mod policy;
mod provisioned_concurrency;
mod reconcile;
mod recursion;
mod resource_policy;
mod runtime;
mod runtime_management;
mod scaling_config;
mod tag;
#[cfg(test)]
mod tests;

pub use capacity_provider::CapacityProviderError;
pub use code_link::CodeDownload;
pub use code_signing::CodeSigningError;
pub use code_source::{CodeSource, CodeSourceError, CodeSourceOptions, Credentials};
pub use concurrency::ConcurrencyError;
pub use configuration::ConfigurationError;
pub use control::{Control, Options};
pub use error::{CodeLinkError, Conflict, Error, InvalidParameter, NotFound};
pub use function_url_config::FunctionUrlError;
pub use layer::LayerError;
pub use mapping::error::{DuplicateMapping, MappingError, MappingParameter};
pub use name::Target;
pub use permission::PolicyError;
pub use policy::PolicyLength;
pub use policy::grammar::GrammarError;
pub use provisioned_concurrency::ProvisionedConcurrencyError;
pub use quota::{Quota, QuotaError, Quotas};
pub use runtime_management::RuntimeManagementError;
