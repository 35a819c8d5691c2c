//! What requests configure, member by member.

use firelet_api::model;

use super::Changes;

impl Changes {
    /// What a request to create a function configures.
    pub(crate) fn of_creation(request: &model::CreateFunctionRequest) -> Self {
        Self {
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
            image: request.image_config.clone(),
            file_systems: request.file_system_configs.clone(),
            custom_runtime: request.runtime_config.clone(),
            accelerator: request.accelerator_config.clone(),
            durable: None,
            capacity: request.capacity_provider_config.clone(),
        }
    }

    /// What a request to update a function configures.
    pub(crate) fn of_update(request: model::UpdateFunctionConfigurationRequest) -> Self {
        Self {
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
            image: request.image_config,
            file_systems: request.file_system_configs,
            custom_runtime: request.runtime_config,
            accelerator: request.accelerator_config,
            durable: request.durable_config,
            capacity: request.capacity_provider_config,
        }
    }
}
