//! From a stored record to the `FunctionConfiguration` of the API.

use std::time::Duration;

use firelet_api::model;
use firelet_store::definition::{
    Architecture, Durability, Layer, LogFormat, Logging, Network, PackageType, SnapStart, Tenancy, Tracing,
};
use firelet_store::{Definition, FunctionVersion, LastUpdate, State};
use firelet_types::{FunctionArn, Qualifier};

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
        code_sha256: Some(definition.code.sha256.to_string()),
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
        snap_start: Some(snap_start(definition.snap_start)),
        logging_config: Some(logging(&definition.logging, record.name.as_str())),
        tenancy_config: tenancy(definition.tenancy),
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
        State::Active => None,
    };
    let (update, update_reason) = match &record.last_update {
        None => (None, None),
        Some(LastUpdate::Successful) => (Some(model::LastUpdateStatus::Successful), None),
        Some(LastUpdate::InProgress(reason)) => (Some(model::LastUpdateStatus::InProgress), Some(reason)),
        Some(LastUpdate::Failed(reason)) => (Some(model::LastUpdateStatus::Failed), Some(reason)),
    };
    let runtime = record.definition.runtime.as_deref();
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

/// No snapshot is made of any version, so there is nothing that could be on.
fn snap_start(snap_start: SnapStart) -> model::SnapStartResponse {
    model::SnapStartResponse {
        apply_on: Some(match snap_start {
            SnapStart::None => model::SnapStartApplyOn::None,
            SnapStart::PublishedVersions => model::SnapStartApplyOn::PublishedVersions,
        }),
        optimization_status: Some(model::SnapStartOptimizationStatus::Off),
    }
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
