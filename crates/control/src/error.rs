//! Every refusal of the control plane, with the text that the caller reads.
//!
//! A variant is one kind of error of the API; which status and shape it has on the wire is not decided here.

use firelet_store::archive::ArchiveError;
use firelet_types::{FunctionArn, FunctionName, Region};

use crate::permission::PolicyError;

use crate::capacity_provider::CapacityProviderError;
use crate::code_signing::CodeSigningError;
use crate::concurrency::ConcurrencyError;
use crate::configuration::ConfigurationError;
use crate::provisioned_concurrency::ProvisionedConcurrencyError;
use crate::runtime_management::RuntimeManagementError;

use crate::function_url_config::FunctionUrlError;
use crate::layer::LayerError;

use crate::mapping::error::{DuplicateMapping, MappingError, MappingParameter};

/// The text for failures that are not the caller's, and for which AWS has no other words.
const INTERNAL: &str = "An error occurred and the request cannot be processed.";

/// Why the control plane refused a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `InvalidParameterValueException`.
    #[error(transparent)]
    InvalidParameter(#[from] InvalidParameter),
    /// `ValidationException`: a bound of the model that depends on the kind of function.
    #[error(
        "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
    )]
    Validation {
        /// The value as text.
        value: String,
        /// The path to the member, in lower camel case.
        path: &'static str,
        /// The constraint in the words of the model.
        constraint: String,
    },
    /// `ResourceNotFoundException`.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// `ResourceConflictException`.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// `AccessDeniedException`, with a null for its message: the function belongs to another account.
    #[error("the function belongs to another account")]
    OtherAccount,
    /// `PreconditionFailedException`.
    #[error(
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
         retrieve the latest Revision Id"
    )]
    RevisionMismatch,
    /// `PreconditionFailedException`, where there is a policy already.
    #[error(
        "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest \
         Revision Id"
    )]
    PolicyRevisionMismatch,
    /// A policy that cannot be what the caller wants.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// `RequestEntityTooLargeException`.
    #[error("Zipped size must be smaller than {limit} bytes")]
    ZippedSize {
        /// The limit.
        limit: u64,
    },
    /// `ServiceQuotaExceededException`: more functions than the operator allows. AWS has no such quota, hence the words
    /// are firelet's.
    #[error("Function count limit exceeded. The quota of functions in this account and Region is {limit}.")]
    FunctionCount {
        /// The limit.
        limit: u64,
    },
    /// `CodeStorageExceededException`.
    #[error("Code storage limit exceeded.")]
    CodeStorageExceeded,
    /// `InvalidParameterValueException` without a `Type`: a late check.
    #[error("$LATEST is not supported for an alias pointing to more than 1 version")]
    LatestWithWeights,
    /// A code signing configuration that stands against it.
    #[error(transparent)]
    CodeSigning(#[from] CodeSigningError),
    /// Settings of a function that do not go together.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A reservation of concurrency that is not possible.
    #[error(transparent)]
    Concurrency(#[from] ConcurrencyError),
    /// Provisioned concurrency that is not possible, or is not there; each variant names its kind.
    #[error(transparent)]
    ProvisionedConcurrency(#[from] ProvisionedConcurrencyError),
    /// A runtime management configuration that is not possible.
    #[error(transparent)]
    RuntimeManagement(#[from] RuntimeManagementError),
    /// Part of the API that firelet does not have yet.
    #[error("firelet does not support {feature} yet.")]
    Unsupported {
        /// What the caller asked for.
        feature: &'static str,
    },
    /// About a function URL.
    #[error(transparent)]
    FunctionUrl(#[from] FunctionUrlError),
    /// What is wrong about layers; each variant names its kind.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A link to a function's code that is not good.
    #[error(transparent)]
    CodeLink(#[from] CodeLinkError),
    /// About an event source mapping.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// About a capacity provider.
    #[error(transparent)]
    CapacityProvider(#[from] CapacityProviderError),
    /// `ServiceException`: the store failed.
    #[error("{INTERNAL}")]
    Store(#[from] firelet_store::Error),
}

impl From<MappingParameter> for Error {
    fn from(error: MappingParameter) -> Self {
        Self::Mapping(error.into())
    }
}

impl From<DuplicateMapping> for Error {
    fn from(error: DuplicateMapping) -> Self {
        Self::Mapping(error.into())
    }
}

impl Error {
    /// The text for the caller; none is a null on the wire.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match self {
            Self::OtherAccount => None,
            _ => Some(self.to_string()),
        }
    }
}

/// `InvalidParameterValueException`: what was wrong.
#[derive(Debug, thiserror::Error)]
pub enum InvalidParameter {
    /// The bare name of a new function is too long.
    #[error(
        "1 validation error detected: Value '{value}' at 'functionName' failed to satisfy constraint: Member must \
         have length less than or equal to 64"
    )]
    NameLength {
        /// The name.
        value: String,
    },
    /// The name carries one qualifier, the query another.
    #[error("The derived qualifier from the function name does not match the specified qualifier.")]
    QualifierMismatch,
    /// A change of what only a whole function has, by a qualified name.
    #[error(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. \
         Please specify either a function name or an unqualified function ARN."
    )]
    QualifierNotPermitted,
    /// Deletion of `$LATEST` alone.
    #[error("$LATEST version cannot be deleted without deleting the function.")]
    DeleteLatest,
    /// Deletion of a function by its alias.
    #[error("Deletion of aliases is not currently supported.")]
    DeleteAlias,
    /// A zip needs both.
    #[error("Runtime and Handler are mandatory parameters for functions created with deployment packages.")]
    RuntimeAndHandlerRequired,
    /// The runtime never existed.
    #[error(
        "Value {value} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: {known} or be \
         a valid ARN"
    )]
    UnknownRuntime {
        /// The runtime that the caller gave.
        value: String,
        /// The runtimes that there are.
        known: String,
    },
    /// The runtime is no longer taken.
    #[error(
        "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. We \
         recommend you use a supported runtime while creating or updating functions."
    )]
    DeprecatedRuntime {
        /// The runtime that the caller gave.
        runtime: String,
    },
    /// More memory than the account allows.
    #[error(
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to {limit}"
    )]
    MemorySize {
        /// The limit.
        limit: u32,
    },
    /// Too large an environment.
    #[error(
        "Lambda was unable to configure your environment variables because the environment variables you have \
         provided exceeded the 4KB limit. String measured: {measured}"
    )]
    EnvironmentSize {
        /// The variables as compact JSON.
        measured: String,
    },
    /// Variables that Lambda sets.
    #[error(
        "Lambda was unable to configure your environment variables because the environment variables you have \
         provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
         this request: {keys}"
    )]
    ReservedVariables {
        /// The keys, joined by commas.
        keys: String,
    },
    /// No code at all.
    #[error("Please provide a source for function code.")]
    NoCode,
    /// Code from two places.
    #[error("Please do not provide other FunctionCode parameters when providing a ZipFile.")]
    TwoCodes,
    /// An image for a function of a zip.
    #[error("Please don't provide ImageUri when updating a function with packageType Zip.")]
    ImageForZip,
    /// A zip, or nothing, for a function of an image.
    #[error("Please provide ImageUri when updating a function with packageType Image.")]
    ZipForImage,
    /// No container image has such a name.
    #[error("Source image {uri} is not valid. Provide a valid source image.")]
    SourceImage {
        /// What the caller gave.
        uri: String,
    },
    /// The package holds nothing.
    #[error("Uploaded file must be a non-empty zip")]
    EmptyZip,
    /// The package is too large once unpacked.
    #[error("Unzipped size must be smaller than {limit} bytes")]
    UnzippedSize {
        /// The limit.
        limit: u64,
    },
    /// The package is broken or breaks a rule.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again.")]
    Unzip(#[source] ArchiveError),
    /// S3 did not give the package.
    #[error("Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}")]
    GetObject {
        /// The code of S3: `NoSuchKey`.
        code: String,
        /// The message of S3.
        message: String,
    },
    /// Too many layers.
    #[error("Cannot reference more than 5 layers.")]
    LayerCount,
    /// A layer of another Region.
    #[error(
        "Layers are not in the same region as the function. Layers are expected to be in region {region}."
    )]
    LayerRegion {
        /// The Region of the function.
        region: Region,
    },
    /// No such layer.
    #[error("Layer version {arn} does not exist.")]
    LayerMissing {
        /// The ARN that the caller gave.
        arn: String,
    },
    /// More than 50 tags.
    #[error("Number of tags exceeds resource tag limit.")]
    TagCount,
    /// No tags to add.
    #[error("{INTERNAL}")]
    NoTags,
    /// Tags of a version or an alias.
    #[error("Tags on function aliases and versions are not supported. Please specify a function ARN.")]
    TagsOnQualified,
    /// The code is not the one that the caller wants to publish.
    #[error(
        "CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with \
         the CodeSHA256 in $LATEST."
    )]
    CodeMismatch {
        /// The digest that the caller gave.
        expected: String,
        /// The digest of `$LATEST`.
        current: String,
    },
    /// More than one further version of an alias.
    #[error("Number of items in AdditionalVersionWeights cannot be greater than 1")]
    WeightCount,
    /// The further version is the main one.
    #[error(
        "Invalid function version {version}. Function version {version} is already included in routing configuration."
    )]
    WeightOfMainVersion {
        /// The version.
        version: String,
    },
    /// A configuration of nothing.
    #[error("You must specify at least one of error handling or destination setting.")]
    NothingConfigured,
    /// Results of a function that go to the function.
    #[error("You can't specify the function as a destination for itself.")]
    DestinationOfItself,
    /// A function to tell of results that is not there.
    #[error("The destination ARN {arn} is invalid.")]
    DestinationArn {
        /// The ARN that the caller gave.
        arn: String,
    },
    /// A service that cannot be told of results.
    #[error(
        "The provided destination config DestinationConfig(onSuccess={on_success}, onFailure={on_failure}) is invalid."
    )]
    DestinationConfig {
        /// Whom to tell of success, as AWS prints it.
        on_success: String,
        /// Whom to tell of failure, as AWS prints it.
        on_failure: String,
    },
    /// A marker that no list gave out.
    #[error("Invalid Marker")]
    Marker,
    /// The Region of masters without the versions they are about.
    #[error("FunctionVersion must be set to ALL when MasterRegion is specified.")]
    MasterRegion,
}

/// `ResourceNotFoundException`: what is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No such function, or no such version or alias of it.
    #[error("Function not found: {arn}")]
    Function {
        /// The ARN that was looked for, qualified if the caller named a version or alias.
        arn: String,
    },
    /// No such alias, as it is told to those who look for it.
    #[error("Cannot find alias arn: {arn}")]
    Alias {
        /// The ARN that was looked for.
        arn: FunctionArn,
    },
    /// No such alias, as it is told to those who change it.
    #[error("Alias not found: {arn}")]
    ChangedAlias {
        /// The ARN that was looked for.
        arn: FunctionArn,
    },
    /// No policy to remove a statement from, since there is no such function.
    #[error("No policy found for: {arn}")]
    Policy {
        /// The function.
        arn: FunctionArn,
    },
    /// No policy to remove a statement from.
    #[error("No policy is associated with the given resource.")]
    NoPolicy,
    /// No such statement in the policy.
    #[error("Statement {id} is not found in resource policy.")]
    Statement {
        /// The id of the statement.
        id: String,
    },
    /// No such function, version or alias to configure.
    #[error("The function doesn't exist.")]
    ConfiguredFunction,
    /// No configuration of asynchronous invocations.
    #[error("The function {arn} doesn't have an EventInvokeConfig")]
    EventInvokeConfig {
        /// The function, version or alias.
        arn: FunctionArn,
    },
    /// Something that hangs on a function, or the function itself.
    #[error("The resource you requested does not exist.")]
    Resource,
    /// The ARN names another Region.
    #[error("Functions from '{theirs}' are not reachable in this region ('{ours}')")]
    OtherRegion {
        /// The Region of the ARN.
        theirs: Region,
        /// The Region of the request.
        ours: Region,
    },
    /// No such event source mapping.
    #[error("Event source mapping not found: {arn}")]
    EventSourceMapping {
        /// The ARN that was looked for.
        arn: String,
    },
    /// No such code signing configuration.
    #[error("The Lambda code signing configuration {arn} can not be found.")]
    CodeSigningConfig {
        /// The ARN that was looked for.
        arn: String,
    },
    /// No such capacity provider.
    #[error("Capacity provider not found: {arn}")]
    CapacityProvider {
        /// The ARN that was looked for.
        arn: String,
    },
}

/// `ResourceConflictException`: what stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// There is a function of this name.
    #[error("Function already exist: {name}")]
    FunctionExists {
        /// The name.
        name: FunctionName,
    },
    /// There is an alias of this name.
    #[error("Alias already exists: {arn}")]
    AliasExists {
        /// The ARN of the alias.
        arn: FunctionArn,
    },
    /// Aliases still name the version.
    #[error("Unable to delete version because the following aliases reference it: [{aliases}]")]
    VersionInUse {
        /// The names of the aliases, joined by commas.
        aliases: String,
    },
    /// The update before has not ended.
    #[error("The operation cannot be performed at this time. An update is in progress for resource: {arn}")]
    UpdateInProgress {
        /// The function.
        arn: FunctionArn,
    },
    /// The function is not yet, or no longer, in a state to be changed.
    #[error(
        "The operation cannot be performed at this time. The function is currently in the following state: {state}"
    )]
    State {
        /// The state.
        state: &'static str,
    },
}

/// Why a link to a function's code gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeLinkError {
    /// No link of this server.
    #[error("The link was not made by this server.")]
    Forged,
    /// Older than ten minutes.
    #[error("Request has expired")]
    Expired,
    /// The code is no longer stored.
    #[error("The code is no longer stored.")]
    Gone,
}
