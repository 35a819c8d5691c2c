//! All that a caller configures about a function, as it is stored: a JSON column.
//!
//! Fields added later carry a default, so that rows written before them can be read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use firelet_types::{CapacityProviderArn, CodeSha256, ImageUri, LayerVersionArn};
use serde::{Deserialize, Serialize};

/// The configuration of one version of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The runtime identifier, such as `python3.11`; functions from images have none.
    pub runtime: Option<String>,
    /// The entry point that the runtime calls; functions from images have none.
    pub handler: Option<String>,
    /// The ARN of the execution role.
    pub role: String,
    /// The caller's words about the function.
    pub description: String,
    /// Memory, in MB.
    pub memory_megabytes: u32,
    /// How long one invocation may take.
    #[serde(rename = "timeout_seconds", with = "seconds")]
    pub timeout: Duration,
    /// The size of `/tmp`, in MB.
    pub ephemeral_storage_megabytes: u32,
    /// Environment variables: none means never set, which reads back differently from an empty map.
    pub environment: Option<Environment>,
    /// The instruction set.
    pub architecture: Architecture,
    /// The form in which the code comes.
    pub package_type: PackageType,
    /// The code itself, by digest.
    pub code: Code,
    /// Where logs go and what is in them.
    pub logging: Logging,
    /// Whether traces are sampled by the function itself.
    pub tracing: Tracing,
    /// Layer versions, in the order in which they are laid over one another.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// The network of the function; stays, with empty lists, after the function has left its network.
    #[serde(default)]
    pub network: Option<Network>,
    /// The ARN of the queue or topic that gets events which failed for good.
    #[serde(default)]
    pub dead_letter_target: Option<String>,
    /// The ARN of the key that encrypts the environment variables.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// The ARN of the key that encrypts the deployment package.
    #[serde(default)]
    pub package_kms_key: Option<String>,
    /// Whether a snapshot is made of each published version.
    #[serde(default)]
    pub snap_start: SnapStart,
    /// Who shares the environments of the function.
    #[serde(default)]
    pub tenancy: Tenancy,
    /// How its executions are made durable, if they are.
    #[serde(default)]
    pub durability: Option<Durability>,
    /// The image, for functions from container images.
    #[serde(default)]
    pub image: Option<ImageUri>,
    /// What the function overrides of its image.
    #[serde(default)]
    pub image_overrides: ImageOverrides,
    /// The object that the caller keeps the code in, if the function is to refer to it instead of a copy.
    #[serde(default)]
    pub code_object: Option<CodeObject>,
    /// File systems that the function is to find mounted.
    #[serde(default)]
    pub file_systems: Vec<FileSystem>,
    /// The runtime of the account that serves the function, for functions of the runtime `custom`.
    #[serde(default)]
    pub custom_runtime: Option<CustomRuntime>,
    /// Memory of the accelerator that the function is to have, in GB.
    #[serde(default)]
    pub accelerator_gigabytes: Option<u32>,
    /// What the function runs on, if it is one of Lambda Managed Instances.
    #[serde(default)]
    pub capacity: Option<Capacity>,
}

/// Environment variables. Their values are secrets: they appear in no debug output.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// The instruction set that a function is built for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    X86_64,
    /// 64-bit ARM.
    Arm64,
}

/// The form in which a function's code comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageType {
    /// A zip archive.
    Zip,
    /// A container image.
    Image,
}

/// A deployment package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The digest of the zip, under which the blob is found.
    pub sha256: CodeSha256,
    /// The size of the zip.
    pub size_bytes: u64,
    /// The size of all its files, unpacked; zero for what was stored before this was counted.
    #[serde(default)]
    pub unzipped_bytes: u64,
}

/// A layer version that a function uses, with all that running it takes: the layer itself may be deleted meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The ARN by which the caller named it.
    pub arn: LayerVersionArn,
    /// Its content.
    pub code: Code,
}

/// Where a function's logs go and what is in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The form of the log lines.
    pub format: LogFormat,
    /// The log group, if it is not the one named after the function.
    pub group: Option<String>,
}

/// The form of the log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines as the function writes them; there is nothing to filter by.
    Text,
    /// One JSON object a line, filtered by level.
    Json {
        /// The least level of the function's own lines: `INFO`.
        application_level: String,
        /// The least level of the lines about the function: `INFO`.
        system_level: String,
    },
}

/// Whether traces are sampled by the function itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracing {
    /// The caller decides.
    #[default]
    PassThrough,
    /// The function samples.
    Active,
}

/// The subnets and security groups of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Ids of subnets.
    pub subnets: Vec<String>,
    /// Ids of security groups.
    pub security_groups: Vec<String>,
    /// Whether IPv6 leaves through dual-stack subnets.
    pub ipv6_allowed: bool,
}

/// Whether a snapshot is made of each published version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapStart {
    /// No snapshots.
    #[default]
    None,
    /// One of each version, when it is published.
    PublishedVersions,
}

/// What a function overrides of its container image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOverrides {
    /// The program, in place of the image's.
    pub entry_point: Option<Vec<String>>,
    /// The program's arguments, in place of the image's.
    pub command: Option<Vec<String>>,
    /// Where the program starts, in place of where the image says.
    pub working_directory: Option<String>,
}

/// An object of S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeObject {
    /// The bucket.
    pub bucket: String,
    /// The key in the bucket.
    pub key: String,
    /// The version of the object, if the caller named one.
    pub version: Option<String>,
}

/// A file system and its place in a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// The ARN of its access point.
    pub arn: String,
    /// Where it is mounted.
    pub mount_path: String,
    /// Whether files are read past the file system; none if the caller did not say.
    pub direct_read: Option<DirectRead>,
}

/// Whether files of a bucket are read from the bucket itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectRead {
    /// They are.
    Enabled,
    /// They are not.
    Disabled,
    /// Whichever is better.
    Auto,
}

/// A runtime that belongs to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRuntime {
    /// The ARN of the runtime.
    pub arn: String,
    /// The alias that leads to a version of it.
    pub alias: String,
}

/// Who shares the environments of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tenancy {
    /// All that invoke it.
    #[default]
    Shared,
    /// Only those who invoke it for the same tenant.
    PerTenant,
}

/// How the executions of a durable function are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durability {
    /// How long one execution may take, with all that it waits for.
    #[serde(rename = "execution_timeout_seconds", with = "seconds")]
    pub execution_timeout: Duration,
    /// Days that the history of an execution stays after its end.
    pub retention_days: u32,
    /// The ARN of the key that encrypts what executions store.
    pub kms_key: Option<String>,
}

/// What a function of Lambda Managed Instances runs on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// The ARN of the capacity provider.
    pub provider: CapacityProviderArn,
    /// Executions at one time in one environment; none means the default of the runtime.
    pub concurrency: Option<i32>,
    /// Memory that goes with one virtual CPU, in GiB; none means the default.
    pub gibibytes_per_cpu: Option<f64>,
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the first release.
    const FIRST: &str = r#"{
        "runtime": "python3.11", "handler": "app.handler", "role": "arn:aws:iam::000000000000:role/r", "description": "",
        "memory_megabytes": 128, "timeout_seconds": 3, "ephemeral_storage_megabytes": 512, "environment": null,
        "architecture": "x86_64", "package_type": "zip",
        "code": { "sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "size_bytes": 7 },
        "logging": { "format": "text", "group": null }, "tracing": "pass_through"
    }"#;

    #[test]
    fn what_was_stored_before_a_field_was_there_is_read_without_it() {
        let read: Definition = serde_json::from_str(FIRST).unwrap();
        assert_eq!((read.tenancy, read.snap_start), (Tenancy::Shared, SnapStart::None));
        assert_eq!((read.durability.is_none(), read.image.is_none()), (true, true));
        assert_eq!(read.image_overrides, ImageOverrides::default());
        assert!(read.layers.is_empty() && read.file_systems.is_empty());
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Definition>(&written).unwrap(), read);
    }
}
