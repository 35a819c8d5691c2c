//! What a function overrides of its container image. The image itself is code, and comes with the code.

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::{ImageOverrides, PackageType};

use super::error::ConfigurationError;

/// The whole of what is overridden, in place of what was before; nothing given is nothing overridden.
pub(super) fn parse(config: model::ImageConfig) -> ImageOverrides {
    ImageOverrides {
        entry_point: config.entry_point.filter(|words| !words.is_empty()),
        command: config.command.filter(|words| !words.is_empty()),
        working_directory: config.working_directory.filter(|folder| !folder.is_empty()),
    }
}

/// Refuses settings that belong to functions of the other kind. The text for images as recorded in
/// <https://github.com/pulumi/pulumi-aws/issues/5439> and, for updates, <https://github.com/aws/aws-cdk/issues/13037>;
/// the one for zips follows it.
pub(super) fn check(definition: &Definition, has_layers: bool) -> Result<(), ConfigurationError> {
    let Definition { runtime, handler, image_overrides, .. } = definition;
    match definition.package_type {
        PackageType::Image if runtime.is_some() || handler.is_some() || has_layers => {
            Err(ConfigurationError::ZipSettingsForImage)
        }
        PackageType::Zip if *image_overrides != ImageOverrides::default() => {
            Err(ConfigurationError::ImageSettingsForZip)
        }
        PackageType::Image | PackageType::Zip => Ok(()),
    }
}
