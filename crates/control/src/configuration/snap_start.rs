//! Of which functions snapshots can be made.

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::{PackageType, SnapStart, Tenancy};

use crate::runtime;

use super::error::ConfigurationError;
use super::{DEFAULT_EPHEMERAL_STORAGE_MEGABYTES, file_system};

pub(super) const fn merge(change: Option<&model::SnapStart>, before: SnapStart) -> SnapStart {
    match change {
        Some(model::SnapStart { apply_on: Some(model::SnapStartApplyOn::PublishedVersions) }) => {
            SnapStart::PublishedVersions
        }
        Some(model::SnapStart { apply_on: Some(model::SnapStartApplyOn::None) }) => SnapStart::None,
        _ => before,
    }
}

/// Refuses snapshots of a function that none can be made of.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html#snapstart-supported>. Texts are recorded for runtimes
/// and images; those for the other settings follow them.
pub(super) fn check(definition: &Definition) -> Result<(), ConfigurationError> {
    if definition.snap_start == SnapStart::None {
        return Ok(());
    }
    match obstacle(definition) {
        Some(what) => Err(ConfigurationError::SnapStart { what: what.to_owned() }),
        None => Ok(()),
    }
}

fn obstacle(definition: &Definition) -> Option<&str> {
    if definition.package_type == PackageType::Image {
        return Some("ContainerImage");
    }
    if let Some(runtime) = definition.runtime.as_deref().filter(|runtime| !runtime::has_snap_start(runtime)) {
        return Some(runtime);
    }
    if definition.file_systems.iter().any(file_system::is_efs) {
        return Some("EFS");
    }
    if definition.ephemeral_storage_megabytes > DEFAULT_EPHEMERAL_STORAGE_MEGABYTES {
        return Some("EphemeralStorage larger than 512 MB");
    }
    (definition.tenancy == Tenancy::PerTenant).then_some("TenancyConfig")
}
