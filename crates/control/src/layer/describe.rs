//! From a stored layer version to the shapes of the API.

use firelet_api::model;
use firelet_store::definition::Architecture;
use firelet_store::layer::{LayerDefinition, LayerVersion};
use firelet_types::VersionNumber;

use crate::describe::object;

use super::compatibility;

/// A layer version with its content, which `location` links to.
pub(super) fn whole(version: &LayerVersion, location: String) -> model::GetLayerVersionResponse {
    let definition = &version.definition;
    model::GetLayerVersionResponse {
        content: Some(model::LayerVersionContentOutput {
            location: Some(location),
            code_sha256: Some(definition.code.sha256.to_string()),
            code_size: Some(i64::try_from(definition.code.size_bytes).unwrap_or(i64::MAX)),
            resolved_s3_object: definition.code_object.as_ref().map(object),
            ..model::LayerVersionContentOutput::default()
        }),
        layer_arn: Some(version.arn.layer.to_string()),
        layer_version_arn: Some(version.arn.to_string()),
        description: Some(definition.description.clone()),
        created_date: Some(version.created.last_modified()),
        version: Some(number(version.arn.number)),
        compatible_architectures: architectures(definition.architectures.as_deref()),
        compatible_runtimes: runtimes(definition),
        license_info: definition.license.clone(),
    }
}

/// The same as the answer to a publication.
pub(super) fn published(version: &LayerVersion, location: String) -> model::PublishLayerVersionResponse {
    let whole = whole(version, location);
    model::PublishLayerVersionResponse {
        content: whole.content,
        layer_arn: whole.layer_arn,
        layer_version_arn: whole.layer_version_arn,
        description: whole.description,
        created_date: whole.created_date,
        version: whole.version,
        compatible_architectures: whole.compatible_architectures,
        compatible_runtimes: whole.compatible_runtimes,
        license_info: whole.license_info,
    }
}

/// A layer version as lists show it.
pub(super) fn item(version: &LayerVersion) -> model::LayerVersionsListItem {
    let definition = &version.definition;
    model::LayerVersionsListItem {
        layer_version_arn: Some(version.arn.to_string()),
        version: Some(number(version.arn.number)),
        description: Some(definition.description.clone()),
        created_date: Some(version.created.last_modified()),
        compatible_architectures: architectures(definition.architectures.as_deref()),
        compatible_runtimes: runtimes(definition),
        license_info: definition.license.clone(),
    }
}

fn number(number: VersionNumber) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn architectures(architectures: Option<&[Architecture]>) -> Option<Vec<model::Architecture>> {
    Some(architectures?.iter().copied().map(compatibility::shown).collect())
}

fn runtimes(definition: &LayerDefinition) -> Option<Vec<model::Runtime>> {
    Some(definition.runtimes.as_ref()?.iter().filter_map(|runtime| runtime.parse().ok()).collect())
}
