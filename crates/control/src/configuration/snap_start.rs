//! Of which functions snapshots can be made.

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::SnapStart;

use crate::error::InvalidParameter;
use crate::runtime;

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
pub(super) fn check(definition: &Definition, runtime: &str) -> Result<(), InvalidParameter> {
    if definition.snap_start != SnapStart::None && !runtime::has_snap_start(runtime) {
        return Err(InvalidParameter::SnapStartRuntime { runtime: runtime.to_owned() });
    }
    Ok(())
}
