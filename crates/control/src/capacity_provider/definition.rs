//! What a caller configures about a capacity provider, judged: a new one, and the changes of an update.

use firelet_api::model;
use firelet_store::capacity_provider::Definition;
use firelet_store::capacity_provider::definition::{
    Instances, Logging, PropagatedTags, Propagation, Scaling, ScalingMode, Target,
};
use firelet_store::definition::Architecture;

use super::CapacityProviderError;

/// What a request to create a provider configures.
pub(super) fn of_creation(
    request: model::CreateCapacityProviderRequest,
) -> Result<Definition, CapacityProviderError> {
    let scaling = request.capacity_provider_scaling_config.unwrap_or_default();
    Ok(Definition {
        subnets: request.vpc_config.subnet_ids,
        security_groups: request.vpc_config.security_group_ids,
        operator_role: request.permissions_config.capacity_provider_operator_role_arn,
        instances: request.instance_requirements.map(instances),
        scaling: scaled(Scaling::default(), scaling)?,
        kms_key: request.kms_key_arn.filter(|key| !key.is_empty()),
        propagated_tags: request.propagate_tags.map(propagated_tags),
        logging: request.telemetry_config.and_then(logging),
        tags: request.tags.unwrap_or_default(),
    })
}

/// What `before` is after an update. A member that the request does not have stays.
pub(super) fn updated(
    before: Definition,
    request: model::UpdateCapacityProviderRequest,
) -> Result<Definition, CapacityProviderError> {
    let scaling = match request.capacity_provider_scaling_config {
        Some(change) => scaled(before.scaling, change)?,
        None => before.scaling,
    };
    Ok(Definition {
        scaling,
        propagated_tags: request.propagate_tags.map(propagated_tags).or(before.propagated_tags),
        logging: request.telemetry_config.map_or(before.logging, logging),
        ..before
    })
}

fn scaled(
    before: Scaling,
    change: model::CapacityProviderScalingConfig,
) -> Result<Scaling, CapacityProviderError> {
    let targets = change.scaling_policies.map(|policies| policies.iter().map(target).collect());
    let mode = match (change.scaling_mode, before.mode, targets) {
        (Some(model::CapacityProviderScalingMode::Auto), _, Some(_)) | (None, ScalingMode::Auto, Some(_)) => {
            return Err(CapacityProviderError::PolicyOfAuto);
        }
        (Some(model::CapacityProviderScalingMode::Manual), ScalingMode::Auto, None) => {
            return Err(CapacityProviderError::PolicyMissing);
        }
        (Some(model::CapacityProviderScalingMode::Auto), _, None) => ScalingMode::Auto,
        (_, _, Some(targets)) => ScalingMode::Manual(targets),
        (_, before, None) => before,
    };
    Ok(Scaling { maximum_cpus: change.max_v_cpu_count.or(before.maximum_cpus), mode })
}

fn target(policy: &model::TargetTrackingScalingPolicy) -> Target {
    Target { metric: policy.predefined_metric_type.to_string(), value: policy.target_value }
}

fn instances(requirements: model::InstanceRequirements) -> Instances {
    let architecture = requirements.architectures.and_then(|architectures| architectures.into_iter().next());
    Instances {
        architecture: architecture.map(|architecture| match architecture {
            model::Architecture::X86_64 => Architecture::X86_64,
            model::Architecture::Arm64 => Architecture::Arm64,
        }),
        allowed_types: requirements.allowed_instance_types,
        excluded_types: requirements.excluded_instance_types,
    }
}

fn propagated_tags(tags: model::PropagateTags) -> PropagatedTags {
    PropagatedTags {
        mode: tags.mode.map(|mode| match mode {
            model::PropagateTagsMode::None => Propagation::None,
            model::PropagateTagsMode::Explicit => Propagation::Explicit,
        }),
        tags: tags.explicit_tags,
    }
}

fn logging(telemetry: model::CapacityProviderTelemetryConfig) -> Option<Logging> {
    let logging = telemetry.logging_config?;
    Some(Logging { level: logging.system_log_level.map(|level| level.to_string()), group: logging.log_group })
}
