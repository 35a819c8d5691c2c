//! What a caller configures about a function, judged: the defaults of a new one and the changes of an update.

use std::time::Duration;

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::{
    Architecture, Code, LogFormat, Logging, Network, PackageType, SnapStart, Tracing,
};
use firelet_types::{CodeSha256, Scope};

use crate::environment;
use crate::error::{Error, InvalidParameter};
use crate::layer::attach;
use crate::quota::Quotas;
use crate::runtime;

const DEFAULT_MEMORY_MEGABYTES: u32 = 128;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_EPHEMERAL_STORAGE_MEGABYTES: u32 = 512;
const DEFAULT_LOG_LEVEL: &str = "INFO";
/// Stands for the code of a new function until its package is stored.
const NO_CODE: Code = Code { sha256: CodeSha256::from_bytes([0; 32]), size_bytes: 0, unzipped_bytes: 0 };

/// What CreateFunction and UpdateFunctionConfiguration have in common. A member that is none changes nothing.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) runtime: Option<model::Runtime>,
    pub(crate) handler: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) timeout: Option<i32>,
    pub(crate) memory_size: Option<i32>,
    pub(crate) ephemeral_storage: Option<model::EphemeralStorage>,
    pub(crate) environment: Option<model::Environment>,
    pub(crate) vpc: Option<model::VpcConfig>,
    pub(crate) dead_letter: Option<model::DeadLetterConfig>,
    pub(crate) kms_key: Option<String>,
    pub(crate) tracing: Option<model::TracingConfig>,
    pub(crate) layers: Option<Vec<String>>,
    pub(crate) snap_start: Option<model::SnapStart>,
    pub(crate) logging: Option<model::LoggingConfig>,
}

impl Changes {
    /// What a request to create a function configures.
    pub(crate) fn of_creation(request: &model::CreateFunctionRequest) -> Result<Self, Error> {
        refuse("functions from container images", request.package_type == Some(model::PackageType::Image))?;
        refuse("functions from container images", request.code.image_uri.is_some())?;
        refuse("functions from container images", request.image_config.is_some())?;
        refuse("$LATEST.PUBLISHED", request.publish_to.is_some())?;
        refuse("file systems", has_items(request.file_system_configs.as_deref()))?;
        refuse("tenant isolation", request.tenancy_config.is_some())?;
        refuse("capacity providers", request.capacity_provider_config.is_some())?;
        refuse("durable functions", request.durable_config.is_some())?;
        refuse("customer-managed runtimes", request.runtime_config.is_some())?;
        refuse("accelerators", request.accelerator_config.is_some())?;
        Ok(Self {
            runtime: request.runtime.clone(),
            handler: request.handler.clone(),
            role: Some(request.role.clone()),
            description: request.description.clone(),
            timeout: request.timeout,
            memory_size: request.memory_size,
            ephemeral_storage: request.ephemeral_storage.clone(),
            environment: request.environment.clone(),
            vpc: request.vpc_config.clone(),
            dead_letter: request.dead_letter_config.clone(),
            kms_key: request.kms_key_arn.clone(),
            tracing: request.tracing_config.clone(),
            layers: request.layers.clone(),
            snap_start: request.snap_start.clone(),
            logging: request.logging_config.clone(),
        })
    }

    /// What a request to update a function configures.
    pub(crate) fn of_update(request: model::UpdateFunctionConfigurationRequest) -> Result<Self, Error> {
        refuse("functions from container images", request.image_config.is_some())?;
        refuse("file systems", has_items(request.file_system_configs.as_deref()))?;
        refuse("capacity providers", request.capacity_provider_config.is_some())?;
        refuse("durable functions", request.durable_config.is_some())?;
        refuse("customer-managed runtimes", request.runtime_config.is_some())?;
        refuse("accelerators", request.accelerator_config.is_some())?;
        Ok(Self {
            runtime: request.runtime,
            handler: request.handler,
            role: request.role,
            description: request.description,
            timeout: request.timeout,
            memory_size: request.memory_size,
            ephemeral_storage: request.ephemeral_storage,
            environment: request.environment,
            vpc: request.vpc_config,
            dead_letter: request.dead_letter_config,
            kms_key: request.kms_key_arn,
            tracing: request.tracing_config,
            layers: request.layers,
            snap_start: request.snap_start,
            logging: request.logging_config,
        })
    }

    /// Applies the changes to `definition`, or finds what is wrong with them. The layers stay as they are: whoever
    /// stores the definition attaches them in the same step.
    pub(crate) fn apply(self, definition: Definition, context: &Context<'_>) -> Result<Definition, Error> {
        let Self { runtime, handler, role, description, .. } = self;
        attach::check_names(self.layers.as_deref().unwrap_or_default(), &context.scope.region)?;
        let runtime = runtime.as_ref().map(runtime::parse).transpose()?.or(definition.runtime);
        let environment = match self.environment {
            Some(environment) => Some(environment::parse(environment.variables.unwrap_or_default())?),
            None => definition.environment,
        };
        let changed = Definition {
            runtime,
            handler: handler.or(definition.handler),
            role: role.unwrap_or(definition.role),
            description: description.unwrap_or(definition.description),
            memory_megabytes: memory(self.memory_size, definition.memory_megabytes, context.quotas)?,
            timeout: timeout(self.timeout, definition.timeout, context.quotas)?,
            ephemeral_storage_megabytes: ephemeral_storage(
                self.ephemeral_storage.as_ref(),
                definition.ephemeral_storage_megabytes,
                context.quotas,
            )?,
            environment,
            logging: logging(self.logging, definition.logging),
            tracing: tracing(self.tracing.as_ref(), definition.tracing),
            network: self.vpc.map(network).or(definition.network),
            dead_letter_target: clearable(
                self.dead_letter.map(|config| config.target_arn.unwrap_or_default()),
                definition.dead_letter_target,
            ),
            kms_key: clearable(self.kms_key, definition.kms_key),
            snap_start: snap_start(self.snap_start.as_ref(), definition.snap_start),
            ..definition
        };
        check(&changed)?;
        Ok(changed)
    }
}

/// What bounds a configuration from outside.
pub(crate) struct Context<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) quotas: &'a Quotas,
}

/// A function of a zip, before the caller's configuration is applied and its package is stored.
pub(crate) fn blank(architectures: Option<&[model::Architecture]>) -> Definition {
    Definition {
        runtime: None,
        handler: None,
        role: String::new(),
        description: String::new(),
        memory_megabytes: DEFAULT_MEMORY_MEGABYTES,
        timeout: DEFAULT_TIMEOUT,
        ephemeral_storage_megabytes: DEFAULT_EPHEMERAL_STORAGE_MEGABYTES,
        environment: None,
        architecture: architecture(architectures).unwrap_or_default(),
        package_type: PackageType::Zip,
        code: NO_CODE,
        logging: Logging { format: LogFormat::Text, group: None },
        tracing: Tracing::PassThrough,
        layers: Vec::new(),
        network: None,
        dead_letter_target: None,
        kms_key: None,
        package_kms_key: None,
        snap_start: SnapStart::None,
    }
}

/// The one architecture of a request, if it names one.
pub(crate) fn architecture(architectures: Option<&[model::Architecture]>) -> Option<Architecture> {
    architectures?.first().map(|architecture| match architecture {
        model::Architecture::X86_64 => Architecture::X86_64,
        model::Architecture::Arm64 => Architecture::Arm64,
    })
}

/// A text that an empty one clears.
pub(crate) fn clearable(change: Option<String>, before: Option<String>) -> Option<String> {
    match change {
        Some(text) if text.is_empty() => None,
        Some(text) => Some(text),
        None => before,
    }
}

fn check(definition: &Definition) -> Result<(), Error> {
    let (Some(runtime), Some(_)) = (&definition.runtime, &definition.handler) else {
        return Err(InvalidParameter::RuntimeAndHandlerRequired.into());
    };
    if definition.snap_start != SnapStart::None && !runtime::has_snap_start(runtime) {
        return Err(InvalidParameter::SnapStartRuntime { runtime: runtime.clone() }.into());
    }
    Ok(())
}

fn refuse(feature: &'static str, asked: bool) -> Result<(), Error> {
    if asked { Err(Error::Unsupported { feature }) } else { Ok(()) }
}

fn has_items<T>(items: Option<&[T]>) -> bool {
    items.is_some_and(|items| !items.is_empty())
}

fn memory(change: Option<i32>, before: u32, quotas: &Quotas) -> Result<u32, Error> {
    let limit = quotas.memory_megabytes;
    match change.map(|change| u32::try_from(change).unwrap_or(0)) {
        None => Ok(before),
        Some(memory) if memory > limit => Err(InvalidParameter::MemorySize { limit }.into()),
        Some(memory) => Ok(memory),
    }
}

fn timeout(change: Option<i32>, before: Duration, quotas: &Quotas) -> Result<Duration, Error> {
    let Some(change) = change else { return Ok(before) };
    let seconds = at_most(change, quotas.timeout_seconds, "timeout")?;
    Ok(Duration::from_secs(seconds.into()))
}

fn ephemeral_storage(
    change: Option<&model::EphemeralStorage>,
    before: u32,
    quotas: &Quotas,
) -> Result<u32, Error> {
    let Some(change) = change else { return Ok(before) };
    at_most(change.size, quotas.ephemeral_storage_megabytes, "ephemeralStorage.size")
}

fn at_most(value: i32, limit: u32, path: &'static str) -> Result<u32, Error> {
    let number = u32::try_from(value).unwrap_or(0);
    if number > limit {
        let constraint = format!("Member must have value less than or equal to {limit}");
        return Err(Error::Validation { value: value.to_string(), path, constraint });
    }
    Ok(number)
}

fn logging(change: Option<model::LoggingConfig>, before: Logging) -> Logging {
    let Some(change) = change else { return before };
    let (application, system) = match before.format.clone() {
        LogFormat::Json { application_level, system_level } => (application_level, system_level),
        LogFormat::Text => (DEFAULT_LOG_LEVEL.to_owned(), DEFAULT_LOG_LEVEL.to_owned()),
    };
    let is_json = match change.log_format {
        Some(format) => format == model::LogFormat::Json,
        None => before.format != LogFormat::Text,
    };
    let format = if is_json {
        LogFormat::Json {
            application_level: change.application_log_level.map_or(application, |level| level.to_string()),
            system_level: change.system_log_level.map_or(system, |level| level.to_string()),
        }
    } else {
        LogFormat::Text
    };
    Logging { format, group: change.log_group.or(before.group) }
}

const fn tracing(change: Option<&model::TracingConfig>, before: Tracing) -> Tracing {
    match change {
        Some(model::TracingConfig { mode: Some(model::TracingMode::Active) }) => Tracing::Active,
        Some(model::TracingConfig { mode: Some(model::TracingMode::PassThrough) }) => Tracing::PassThrough,
        _ => before,
    }
}

fn network(change: model::VpcConfig) -> Network {
    Network {
        subnets: change.subnet_ids.unwrap_or_default(),
        security_groups: change.security_group_ids.unwrap_or_default(),
        ipv6_allowed: change.ipv6_allowed_for_dual_stack.unwrap_or_default(),
    }
}

const fn snap_start(change: Option<&model::SnapStart>, before: SnapStart) -> SnapStart {
    match change {
        Some(model::SnapStart { apply_on: Some(model::SnapStartApplyOn::PublishedVersions) }) => {
            SnapStart::PublishedVersions
        }
        Some(model::SnapStart { apply_on: Some(model::SnapStartApplyOn::None) }) => SnapStart::None,
        _ => before,
    }
}
