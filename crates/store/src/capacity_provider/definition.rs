//! All that a caller configures about a capacity provider, as it is stored: a JSON column.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::definition::Architecture;

/// The configuration of a capacity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Ids of the subnets that its instances are in.
    pub subnets: Vec<String>,
    /// Ids of the security groups of its instances.
    pub security_groups: Vec<String>,
    /// The ARN of the role by which its instances are managed.
    pub operator_role: String,
    /// Which instances it takes; none means any.
    pub instances: Option<Instances>,
    /// How its instances grow in number.
    pub scaling: Scaling,
    /// The ARN of the key that encrypts its data.
    pub kms_key: Option<String>,
    /// Which tags its instances get.
    pub propagated_tags: Option<PropagatedTags>,
    /// What is logged about it.
    pub logging: Option<Logging>,
    /// Tags of the provider.
    pub tags: BTreeMap<String, String>,
}

/// Which instances a capacity provider takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instances {
    /// Their instruction set.
    pub architecture: Option<Architecture>,
    /// The types among which they are; none means all.
    pub allowed_types: Option<Vec<String>>,
    /// The types that they are not of.
    pub excluded_types: Option<Vec<String>>,
}

/// How the instances of a capacity provider grow in number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The most virtual CPUs of all instances together.
    pub maximum_cpus: Option<i32>,
    /// Who decides.
    pub mode: ScalingMode,
}

/// Who decides how many instances there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalingMode {
    /// Lambda.
    #[default]
    Auto,
    /// The caller, by targets.
    Manual(Vec<Target>),
}

/// A measure that is to be kept at a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The name of the measure, in the words of the API.
    pub metric: String,
    /// The value, in percent.
    pub value: f64,
}

/// Which tags the instances of a capacity provider get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropagatedTags {
    /// Whether they get any; none means that the caller did not say.
    pub mode: Option<Propagation>,
    /// The tags that they get.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Whether the instances of a capacity provider get tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// None.
    None,
    /// Those that the caller lists.
    Explicit,
}

/// What is logged about a capacity provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The least level of the lines: `INFO`.
    pub level: Option<String>,
    /// The log group.
    pub group: Option<String>,
}
