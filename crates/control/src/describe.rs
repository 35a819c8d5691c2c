//! From a stored record to the `FunctionConfiguration` of the API.

use std::time::Duration;

use firelet_api::model;
use firelet_store::definition::{
    Architecture, CodeObject, DirectRead, Durability, FileSystem, ImageOverrides, Layer, LogFormat, Logging,
    Network, PackageType, SnapStart, Tenancy, Tracing,
};
use firelet_store::{Definition, FunctionVersion, LastUpdate, State, Version};
use firelet_types::{FunctionArn, Qualifier};

use crate::configuration::capacity;

/// How much of a function an operation shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Everything.
    Full,
    /// What lists show: no states and no runtime version.
    Listed,
}

/// Describes a version; `qualifier` is what the ARN ends with, which depends on how the caller asked.
pub(crate) fn describe(
    record: &FunctionVersion,
    qualifier: Option<Qualifier>,
    detail: Detail,
) -> model::FunctionConfiguration {
    let arn = FunctionArn { scope: record.scope.clone(), name: record.name.clone(), qualifier };
    let configuration = model::FunctionConfiguration {
        function_name: Some(record.name.to_string()),
        function_arn: Some(arn.to_string()),
        last_modified: Some(record.last_modified.last_modified()),
        version: Some(record.version.to_string()),
        revision_id: Some(record.revision.to_string()),
        ..definition(record)
    };
    match detail {
        Detail::Listed => configuration,
        Detail::Full => with_status(configuration, record),
    }
}

fn definition(record: &FunctionVersion) -> model::FunctionConfiguration {
    let definition = &record.definition;
    model::FunctionConfiguration {
        runtime: definition.runtime.as_deref().and_then(|runtime| runtime.parse().ok()),
        role: Some(definition.role.clone()),
        handler: definition.handler.clone(),
        code_size: Some(i64::try_from(definition.code.size_bytes).unwrap_or(i64::MAX)),
        description: Some(definition.description.clone()),
        timeout: Some(seconds(definition.timeout)),
        memory_size: Some(integer(definition.memory_megabytes)),
        code_sha256: Some(code_sha256(definition)),
        vpc_config: definition.network.as_ref().map(network),
        dead_letter_config: definition
            .dead_letter_target
            .clone()
            .map(|target| model::DeadLetterConfig { target_arn: Some(target) }),
        environment: environment(definition),
        kms_key_arn: definition.kms_key.clone(),
        tracing_config: Some(model::TracingConfigResponse { mode: Some(tracing(definition.tracing)) }),
        layers: layers(&definition.layers),
        package_type: Some(match definition.package_type {
            PackageType::Zip => model::PackageType::Zip,
            PackageType::Image => model::PackageType::Image,
        }),
        architectures: Some(vec![architecture(definition.architecture)]),
        ephemeral_storage: Some(model::EphemeralStorage {
            size: integer(definition.ephemeral_storage_megabytes),
        }),
        snap_start: definition.capacity.is_none().then(|| snap_start(record)),
        capacity_provider_config: capacity::describe(definition),
        logging_config: Some(logging(&definition.logging, record.name.as_str())),
        tenancy_config: tenancy(definition.tenancy),
        image_config_response: definition.image.as_ref().map(|_| image(&definition.image_overrides)),
        file_system_configs: file_systems(&definition.file_systems),
        runtime_config: definition.custom_runtime.as_ref().map(|runtime| model::FunctionRuntimeConfig {
            runtime_arn: runtime.arn.clone(),
            runtime_alias: runtime.alias.clone(),
        }),
        accelerator_config: definition
            .accelerator_gigabytes
            .map(|gigabytes| model::AcceleratorConfig { accelerator_memory_size: integer(gigabytes) }),
        durable_config: definition.durability.as_ref().map(durability),
        ..model::FunctionConfiguration::default()
    }
}

fn with_status(
    configuration: model::FunctionConfiguration,
    record: &FunctionVersion,
) -> model::FunctionConfiguration {
    let state_reason = match &record.state {
        State::Pending(reason) | State::Inactive(reason) | State::Failed(reason) => Some(reason),
        State::Active | State::ActiveNonInvocable | State::Deactivating | State::Deactivated => None,
    };
    let (update, update_reason) = match &record.last_update {
        None => (None, None),
        Some(LastUpdate::Successful) => (Some(model::LastUpdateStatus::Successful), None),
        Some(LastUpdate::InProgress(reason)) => (Some(model::LastUpdateStatus::InProgress), Some(reason)),
        Some(LastUpdate::Failed(reason)) => (Some(model::LastUpdateStatus::Failed), Some(reason)),
    };
    let own = record.definition.custom_runtime.is_none();
    let runtime = record.definition.runtime.as_deref().filter(|_| own);
    model::FunctionConfiguration {
        state: Some(state(&record.state)),
        state_reason: state_reason.map(|reason| reason.text.clone()),
        state_reason_code: state_reason.and_then(|reason| reason.code.parse().ok()),
        last_update_status: update,
        last_update_status_reason: update_reason.map(|reason| reason.text.clone()),
        last_update_status_reason_code: update_reason.and_then(|reason| reason.code.parse().ok()),
        runtime_version_config: runtime.map(|runtime| model::RuntimeVersionConfig {
            runtime_version_arn: Some(firelet_types::runtime_version_arn(&record.scope.region, runtime)),
            error: None,
        }),
        ..configuration
    }
}

/// The state in the words of the API.
pub(crate) const fn state(state: &State) -> model::State {
    match state {
        State::Pending(_) => model::State::Pending,
        State::Active => model::State::Active,
        State::Inactive(_) => model::State::Inactive,
        State::Failed(_) => model::State::Failed,
        State::ActiveNonInvocable => model::State::ActiveNonInvocable,
        State::Deactivating => model::State::Deactivating,
        State::Deactivated => model::State::Deactivated,
    }
}

/// The instruction set in the words of the API.
pub(crate) const fn architecture(architecture: Architecture) -> model::Architecture {
    match architecture {
        Architecture::X86_64 => model::Architecture::X86_64,
        Architecture::Arm64 => model::Architecture::Arm64,
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn network(network: &Network) -> model::VpcConfigResponse {
    model::VpcConfigResponse {
        subnet_ids: Some(network.subnets.clone()),
        security_group_ids: Some(network.security_groups.clone()),
        vpc_id: Some(String::new()),
        ipv6_allowed_for_dual_stack: Some(network.ipv6_allowed),
    }
}

fn environment(definition: &Definition) -> Option<model::EnvironmentResponse> {
    let variables = definition.environment.as_ref()?.0.clone();
    Some(model::EnvironmentResponse { variables: Some(variables), error: None })
}

const fn tracing(tracing: Tracing) -> model::TracingMode {
    match tracing {
        Tracing::PassThrough => model::TracingMode::PassThrough,
        Tracing::Active => model::TracingMode::Active,
    }
}

fn layers(layers: &[Layer]) -> Option<Vec<model::Layer>> {
    let shown = layers.iter().map(|layer| model::Layer {
        arn: Some(layer.arn.to_string()),
        code_size: Some(i64::try_from(layer.code.size_bytes).unwrap_or(i64::MAX)),
        ..model::Layer::default()
    });
    (!layers.is_empty()).then(|| shown.collect())
}

/// On for versions that can be invoked, whose snapshot there is then, or is made again when it is needed. Versions of
/// runtimes that this host does not run have none and are shown like others, so that deployments go on.
fn snap_start(record: &FunctionVersion) -> model::SnapStartResponse {
    let is_published = record.version != Version::Latest && record.state == State::Active;
    let (apply_on, status) = match record.definition.snap_start {
        SnapStart::None => (model::SnapStartApplyOn::None, model::SnapStartOptimizationStatus::Off),
        SnapStart::PublishedVersions if is_published => {
            (model::SnapStartApplyOn::PublishedVersions, model::SnapStartOptimizationStatus::On)
        }
        SnapStart::PublishedVersions => {
            (model::SnapStartApplyOn::PublishedVersions, model::SnapStartOptimizationStatus::Off)
        }
    };
    model::SnapStartResponse { apply_on: Some(apply_on), optimization_status: Some(status) }
}

/// The digest of the code in the form that its kind has: of an image hexadecimal, of a zip base64.
pub(crate) fn code_sha256(definition: &Definition) -> String {
    let digest = definition.code.sha256;
    if definition.image.is_some() { digest.hex() } else { digest.to_string() }
}

/// Without a member when nothing is overridden, as recorded.
fn image(overrides: &ImageOverrides) -> model::ImageConfigResponse {
    let config = model::ImageConfig {
        entry_point: overrides.entry_point.clone(),
        command: overrides.command.clone(),
        working_directory: overrides.working_directory.clone(),
    };
    let is_any = *overrides != ImageOverrides::default();
    model::ImageConfigResponse { image_config: is_any.then_some(config), error: None }
}

/// Where code is that stays in S3.
pub(crate) fn object(object: &CodeObject) -> model::ResolvedS3Object {
    model::ResolvedS3Object {
        s3_bucket: Some(object.bucket.clone()),
        s3_key: Some(object.key.clone()),
        s3_object_version: object.version.clone(),
    }
}

fn file_systems(file_systems: &[FileSystem]) -> Option<Vec<model::FileSystemConfig>> {
    let shown = file_systems.iter().map(|file_system| model::FileSystemConfig {
        arn: file_system.arn.clone(),
        local_mount_path: file_system.mount_path.clone(),
        s3_files_config: file_system.direct_read.map(|direct| model::S3FilesConfig {
            direct_s3_read: Some(match direct {
                DirectRead::Enabled => model::DirectS3Read::Enabled,
                DirectRead::Disabled => model::DirectS3Read::Disabled,
                DirectRead::Auto => model::DirectS3Read::Auto,
            }),
        }),
    });
    (!file_systems.is_empty()).then(|| shown.collect())
}

fn tenancy(tenancy: Tenancy) -> Option<model::TenancyConfig> {
    let mode = model::TenantIsolationMode::PerTenant;
    (tenancy == Tenancy::PerTenant).then_some(model::TenancyConfig { tenant_isolation_mode: mode })
}

fn durability(durability: &Durability) -> model::DurableConfig {
    model::DurableConfig {
        kms_key_arn: durability.kms_key.clone(),
        retention_period_in_days: Some(integer(durability.retention_days)),
        execution_timeout: Some(seconds(durability.execution_timeout)),
    }
}

fn logging(logging: &Logging, function: &str) -> model::LoggingConfig {
    let group = logging.group.clone().unwrap_or_else(|| format!("/aws/lambda/{function}"));
    match &logging.format {
        LogFormat::Text => model::LoggingConfig {
            log_format: Some(model::LogFormat::Text),
            log_group: Some(group),
            ..model::LoggingConfig::default()
        },
        LogFormat::Json { application_level, system_level } => model::LoggingConfig {
            log_format: Some(model::LogFormat::Json),
            application_log_level: application_level.parse().ok(),
            system_log_level: system_level.parse().ok(),
            log_group: Some(group),
        },
    }
}
