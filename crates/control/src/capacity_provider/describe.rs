//! Capacity providers as callers read them.

use firelet_api::model;
use firelet_store::capacity_provider::definition::{
    Instances, Logging, PropagatedTags, Propagation, Scaling, ScalingMode, Target,
};
use firelet_store::capacity_provider::{CapacityProvider, CapacityProviderState};

use crate::describe::architecture;

pub(super) fn describe(provider: &CapacityProvider) -> model::CapacityProvider {
    let definition = &provider.definition;
    model::CapacityProvider {
        capacity_provider_arn: provider.arn().to_string(),
        state: match provider.state {
            CapacityProviderState::Pending => model::CapacityProviderState::Pending,
            CapacityProviderState::Active => model::CapacityProviderState::Active,
            CapacityProviderState::Deleting => model::CapacityProviderState::Deleting,
        },
        vpc_config: model::CapacityProviderVpcConfig {
            subnet_ids: definition.subnets.clone(),
            security_group_ids: definition.security_groups.clone(),
        },
        permissions_config: model::CapacityProviderPermissionsConfig {
            capacity_provider_operator_role_arn: definition.operator_role.clone(),
        },
        instance_requirements: definition.instances.as_ref().map(instances),
        capacity_provider_scaling_config: Some(scaling(&definition.scaling)),
        kms_key_arn: definition.kms_key.clone(),
        last_modified: Some(provider.last_modified.last_modified()),
        propagate_tags: definition.propagated_tags.as_ref().map(propagated_tags),
        telemetry_config: definition.logging.as_ref().map(telemetry),
    }
}

fn instances(instances: &Instances) -> model::InstanceRequirements {
    model::InstanceRequirements {
        architectures: instances.architecture.map(|of_instances| vec![architecture(of_instances)]),
        allowed_instance_types: instances.allowed_types.clone(),
        excluded_instance_types: instances.excluded_types.clone(),
    }
}

fn scaling(scaling: &Scaling) -> model::CapacityProviderScalingConfig {
    let (mode, targets) = match &scaling.mode {
        ScalingMode::Auto => (model::CapacityProviderScalingMode::Auto, None),
        ScalingMode::Manual(targets) => (model::CapacityProviderScalingMode::Manual, Some(targets)),
    };
    model::CapacityProviderScalingConfig {
        max_v_cpu_count: scaling.maximum_cpus,
        scaling_mode: Some(mode),
        scaling_policies: targets.map(|targets| targets.iter().filter_map(policy).collect()),
    }
}

/// The target in the words of the API; none if a later firelet stored a measure that this one does not know.
fn policy(target: &Target) -> Option<model::TargetTrackingScalingPolicy> {
    Some(model::TargetTrackingScalingPolicy {
        predefined_metric_type: target.metric.parse().ok()?,
        target_value: target.value,
    })
}

fn propagated_tags(tags: &PropagatedTags) -> model::PropagateTags {
    model::PropagateTags {
        mode: tags.mode.map(|mode| match mode {
            Propagation::None => model::PropagateTagsMode::None,
            Propagation::Explicit => model::PropagateTagsMode::Explicit,
        }),
        explicit_tags: tags.tags.clone(),
    }
}

fn telemetry(logging: &Logging) -> model::CapacityProviderTelemetryConfig {
    model::CapacityProviderTelemetryConfig {
        logging_config: Some(model::CapacityProviderLoggingConfig {
            system_log_level: logging.level.as_deref().and_then(|level| level.parse().ok()),
            log_group: logging.group.clone(),
        }),
    }
}
