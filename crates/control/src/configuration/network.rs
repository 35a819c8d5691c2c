//! The network that a function is in. Subnets and security groups are kept, and nobody is asked about them.

use firelet_api::model;
use firelet_store::definition::Network;

use super::ConfigurationError;

pub(super) fn parse(change: model::VpcConfig) -> Result<Network, ConfigurationError> {
    let network = Network {
        subnets: change.subnet_ids.unwrap_or_default(),
        security_groups: change.security_group_ids.unwrap_or_default(),
        ipv6_allowed: change.ipv6_allowed_for_dual_stack.unwrap_or_default(),
    };
    if network.subnets.is_empty() != network.security_groups.is_empty() {
        return Err(ConfigurationError::HalfNetwork);
    }
    Ok(network)
}

/// Whether there is a network to be in: one that was left stays, with empty lists.
pub(super) fn is_joined(network: Option<&Network>) -> bool {
    network.is_some_and(|network| !network.subnets.is_empty())
}
