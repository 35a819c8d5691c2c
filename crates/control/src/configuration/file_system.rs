//! The file systems that a function is to find mounted. They are kept, and nobody is asked about them.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html>.

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::{DirectRead, FileSystem};

use super::error::ConfigurationError;
use super::network;

/// What the ARN of an access point of EFS holds.
const EFS: &str = ":elasticfilesystem:";

pub(super) fn parse(config: model::FileSystemConfig) -> FileSystem {
    let direct_read = config.s3_files_config.and_then(|config| config.direct_s3_read);
    FileSystem {
        arn: config.arn,
        mount_path: config.local_mount_path,
        direct_read: direct_read.map(|direct| match direct {
            model::DirectS3Read::Enabled => DirectRead::Enabled,
            model::DirectS3Read::Disabled => DirectRead::Disabled,
            model::DirectS3Read::Auto => DirectRead::Auto,
        }),
    }
}

/// Whether it is one that is reached by a network.
pub(super) fn is_efs(file_system: &FileSystem) -> bool {
    file_system.arn.contains(EFS)
}

/// Refuses a file system that the function cannot reach, be it that the function has just left its network. Texts as recorded in
/// <https://github.com/aws-cloudformation/cfn-lint/pull/4408> and, where the function leaves its network,
/// <https://github.com/aws/chalice/issues/1453>.
pub(super) fn check(definition: &Definition, was_in_network: bool) -> Result<(), ConfigurationError> {
    let file_system = definition.file_systems.iter().find(|file_system| is_efs(file_system));
    let Some(file_system) = file_system.filter(|_| !network::is_joined(definition.network.as_ref())) else {
        return Ok(());
    };
    let arn = file_system.arn.clone();
    Err(if was_in_network {
        ConfigurationError::NetworkOfFileSystem { arn }
    } else {
        ConfigurationError::FileSystemWithoutNetwork { arn }
    })
}
