//! Everything that outlives the process, under one data directory: metadata in SQLite, code in an object store.
//!
//! What a method here has answered is on disk. The crate is the only one that knows SQL, and it knows no rule of
//! the Lambda API: it keeps records, serialises changes to them, and unpacks archives without being led astray.

pub mod archive;
pub mod blob;
pub mod capacity_provider;
pub mod changes;
pub mod code_signing;
pub mod definition;
pub mod event;
pub mod function;
pub mod layer;
pub mod mapping;

#[cfg(test)]
mod crash;
mod data_directory;
mod database;
mod error;
mod open;
#[cfg(test)]
mod plans;

pub use blob::{Blob, Blobs};
pub use capacity_provider::CapacityProviders;
pub use changes::Changes;
pub use code_signing::CodeSigningConfigs;
pub use definition::Definition;
pub use error::Error;
pub use event::Events;
pub use function::{Alias, FunctionVersion, Functions, LastUpdate, State, Usage, Version};
pub use layer::{LayerVersion, Layers};
pub use mapping::{Mapping, MappingState, Mappings};
pub use open::{Options, Store};
