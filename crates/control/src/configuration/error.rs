//! Refusals of settings that do not go together, in AWS's words where they are known.

/// `InvalidParameterValueException`: what about a configuration stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// Subnets without security groups, or the other way round.
    #[error("SubnetIds and SecurityIds must coexist or be both empty list.")]
    HalfNetwork,
    /// No snapshots are made of such functions.
    #[error("{what} is not supported for SnapStart enabled functions.")]
    SnapStart {
        /// What stands against it: the runtime, or another setting.
        what: String,
    },
    /// A durable function whose executions have no end.
    #[error("You cannot create a function with a durable configuration without an executionTimeout")]
    DurableWithoutTimeout,
    /// A function that was not durable from the start.
    #[error(
        "You cannot add a durable configuration to a function that was originally created with no durable configuration"
    )]
    DurableTooLate,
    /// A durable function whose logs are text.
    #[error("You cannot use plain text logs with a durable function. Only JSON format logs are supported")]
    DurableTextLogs,
    /// A level for lines that have none.
    #[error(
        "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change the \
         LogFormat to \"Json\" and try again."
    )]
    LogLevelOfText,
    /// What only functions of zips have.
    #[error(
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
    )]
    ZipSettingsForImage,
    /// What only functions of images have.
    #[error("Please don't provide ImageConfig when the intended function PackageType is Zip.")]
    ImageSettingsForZip,
    /// A file system that no network leads to.
    #[error("Function must be configured to execute in a VPC to reference access point {arn}.")]
    FileSystemWithoutNetwork {
        /// The access point.
        arn: String,
    },
    /// A network that leads to a file system.
    #[error("Function VPC configuration cannot be removed with access point {arn} referenced.")]
    NetworkOfFileSystem {
        /// The access point.
        arn: String,
    },
    /// A function of the runtime `custom` that does not say which that is.
    #[error("RuntimeConfig is a mandatory parameter for functions with the custom runtime.")]
    RuntimeConfigRequired,
    /// A runtime of an account for a function of another runtime.
    #[error("Please don't provide RuntimeConfig when the function runtime is not custom.")]
    RuntimeConfigUnexpected,
}
