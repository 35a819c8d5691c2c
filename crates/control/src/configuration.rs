//! What a caller configures about a function, judged: the defaults of a new one and the changes of an update.
//!
//! What depends on nothing but itself is judged here, the rest when the function is stored. Nobody outside is asked.

mod bound;
pub(crate) mod capacity;
mod custom_runtime;
mod durability;
mod error;
mod file_system;
mod image;
mod logging;
mod network;
mod request;
mod snap_start;

use std::time::Duration;

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::{
    Architecture, Code, ImageOverrides, LogFormat, Logging, PackageType, SnapStart, Tenancy, Tracing,
};
use firelet_types::limits::MANAGED_MEMORY_MINIMUM_MEGABYTES;
use firelet_types::{CodeSha256, Scope};

use crate::environment;
use crate::error::{Error, InvalidParameter};
use crate::layer::attach;
use crate::quota::Quotas;
use crate::runtime;

pub use error::ConfigurationError;

const DEFAULT_MEMORY_MEGABYTES: u32 = 128;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_EPHEMERAL_STORAGE_MEGABYTES: u32 = 512;
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
    pub(crate) image: Option<model::ImageConfig>,
    pub(crate) file_systems: Option<Vec<model::FileSystemConfig>>,
    pub(crate) custom_runtime: Option<model::FunctionRuntimeConfig>,
    pub(crate) accelerator: Option<model::AcceleratorConfig>,
    /// Of an update: a new function is durable from the start.
    pub(crate) durable: Option<model::DurableConfig>,
    pub(crate) capacity: Option<model::CapacityProviderConfig>,
}

impl Changes {
    /// Applies the changes to `definition`, or finds what is wrong with them. The layers stay as they are: whoever
    /// stores the definition attaches them in the same step.
    pub(crate) fn apply(self, definition: Definition, context: &Context<'_>) -> Result<Definition, Error> {
        let Self { runtime, handler, role, description, .. } = self;
        let layers = self.layers.unwrap_or_default();
        attach::check_names(&layers, &context.scope.region)?;
        let runtime = runtime.as_ref().map(runtime::parse).transpose()?.or(definition.runtime);
        let environment = match self.environment {
            Some(environment) => Some(environment::parse(environment.variables.unwrap_or_default())?),
            None => definition.environment,
        };
        let was_in_network = network::is_joined(definition.network.as_ref());
        let accelerator = bound::accelerator(self.accelerator.as_ref(), definition.accelerator_gigabytes)?;
        let capacity = capacity::merge(self.capacity, definition.capacity, context.scope)?;
        let is_managed = capacity.is_some();
        let changed = Definition {
            custom_runtime: custom_runtime::merge(
                self.custom_runtime,
                definition.custom_runtime,
                runtime.as_deref(),
            )?,
            runtime,
            handler: handler.or(definition.handler),
            role: role.unwrap_or(definition.role),
            description: description.unwrap_or(definition.description),
            memory_megabytes: bound::memory(
                self.memory_size,
                definition.memory_megabytes,
                context.quotas,
                is_managed,
            )?,
            timeout: bound::timeout(self.timeout, definition.timeout, context.quotas, is_managed)?,
            ephemeral_storage_megabytes: bound::ephemeral_storage(
                self.ephemeral_storage.as_ref(),
                definition.ephemeral_storage_megabytes,
                accelerator.is_some(),
                context.quotas,
            )?,
            accelerator_gigabytes: accelerator,
            environment,
            logging: logging::merge(self.logging, definition.logging)?,
            tracing: tracing(self.tracing.as_ref(), definition.tracing),
            network: self.vpc.map(network::parse).transpose()?.or(definition.network),
            dead_letter_target: clearable(
                self.dead_letter.map(|config| config.target_arn.unwrap_or_default()),
                definition.dead_letter_target,
            ),
            kms_key: clearable(self.kms_key, definition.kms_key),
            snap_start: snap_start::merge(self.snap_start.as_ref(), definition.snap_start),
            durability: durability::update(self.durable, definition.durability)?,
            image_overrides: self.image.map_or(definition.image_overrides, image::parse),
            file_systems: match self.file_systems {
                Some(configs) => configs.into_iter().map(file_system::parse).collect(),
                None => definition.file_systems,
            },
            capacity,
            ..definition
        };
        image::check(&changed, !layers.is_empty())?;
        file_system::check(&changed, was_in_network)?;
        check(&changed)?;
        Ok(changed)
    }
}

/// What bounds a configuration from outside.
pub(crate) struct Context<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) quotas: &'a Quotas,
}

/// A function before the caller's configuration is applied and its package is stored. Holds what no update
/// of the configuration changes.
pub(crate) fn blank(request: &model::CreateFunctionRequest) -> Result<Definition, Error> {
    let is_managed = request.capacity_provider_config.is_some();
    let blank = Definition {
        runtime: None,
        handler: None,
        role: String::new(),
        description: String::new(),
        memory_megabytes: if is_managed {
            MANAGED_MEMORY_MINIMUM_MEGABYTES
        } else {
            DEFAULT_MEMORY_MEGABYTES
        },
        timeout: DEFAULT_TIMEOUT,
        ephemeral_storage_megabytes: DEFAULT_EPHEMERAL_STORAGE_MEGABYTES,
        environment: None,
        architecture: architecture(request.architectures.as_deref()).unwrap_or_default(),
        package_type: match request.package_type {
            None | Some(model::PackageType::Zip) => PackageType::Zip,
            Some(model::PackageType::Image) => PackageType::Image,
        },
        code: NO_CODE,
        logging: if is_managed { logging::json() } else { Logging { format: LogFormat::Text, group: None } },
        tracing: Tracing::PassThrough,
        layers: Vec::new(),
        network: None,
        dead_letter_target: None,
        kms_key: None,
        package_kms_key: None,
        snap_start: SnapStart::None,
        tenancy: match request.tenancy_config {
            None => Tenancy::Shared,
            Some(model::TenancyConfig { tenant_isolation_mode: model::TenantIsolationMode::PerTenant }) => {
                Tenancy::PerTenant
            }
        },
        durability: None,
        image: None,
        image_overrides: ImageOverrides::default(),
        code_object: None,
        file_systems: Vec::new(),
        custom_runtime: None,
        accelerator_gigabytes: None,
        capacity: None,
    };
    Ok(durability::begin(request.durable_config.as_ref(), blank)?)
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
    let is_whole = definition.runtime.is_some() && definition.handler.is_some();
    if definition.package_type == PackageType::Zip && !is_whole {
        return Err(InvalidParameter::RuntimeAndHandlerRequired.into());
    }
    capacity::check(definition)?;
    snap_start::check(definition)?;
    Ok(durability::check(definition)?)
}

const fn tracing(change: Option<&model::TracingConfig>, before: Tracing) -> Tracing {
    match change {
        Some(model::TracingConfig { mode: Some(model::TracingMode::Active) }) => Tracing::Active,
        Some(model::TracingConfig { mode: Some(model::TracingMode::PassThrough) }) => Tracing::PassThrough,
        _ => before,
    }
}
