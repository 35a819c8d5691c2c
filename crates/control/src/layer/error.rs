//! Every refusal that is about layers, with the text that the caller reads.

use crate::policy::PolicyLength;

/// What is wrong with a request about layers, or with the layers of a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// `InvalidParameterValueException`: versions count from 1.
    #[error("Layer Version Cannot be less than 1")]
    VersionNumber,
    /// `ResourceNotFoundException`: no such layer, or no such version of it.
    #[error("The resource you requested does not exist.")]
    Missing,
    /// `ResourceNotFoundException`: no such version to have a policy.
    #[error("Layer version {arn} does not exist.")]
    VersionMissing {
        /// The ARN that was looked for.
        arn: String,
    },
    /// `ResourceNotFoundException`: the version has no policy.
    #[error("No policy is associated with the given resource.")]
    NoPolicy,
    /// `ResourceNotFoundException`: the policy has no such statement.
    #[error("Statement {id} is not found in resource policy.")]
    StatementMissing {
        /// The id that was looked for.
        id: String,
    },
    /// `ResourceConflictException`: the policy has such a statement.
    #[error(
        "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the existing \
         statement."
    )]
    StatementExists {
        /// The id.
        id: String,
    },
    /// `PreconditionFailedException`: the policy has changed.
    #[error(
        "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the \
         latest Revision Id"
    )]
    PolicyRevision,
    /// `PolicyLengthExceededException`: the policy would be too long.
    #[error(transparent)]
    PolicyLength(#[from] PolicyLength),
    /// `AccessDeniedException`: the layer belongs to another account, which does not allow this.
    #[error(
        "User: {caller} is not authorized to perform: lambda:{action} on resource: {resource} because no \
         resource-based policy allows the lambda:{action} action"
    )]
    Denied {
        /// Who asked.
        caller: String,
        /// The operation that would have to be allowed.
        action: &'static str,
        /// The ARN of the layer or of its version.
        resource: String,
    },
    /// `InvalidParameterValueException`: a function has each layer once.
    #[error(
        "Two different versions of the same layer are not allowed to be referenced in the same function. {first} and \
         {second} are versions of the same layer."
    )]
    SameLayer {
        /// The ARN that stands first.
        first: String,
        /// The ARN that stands after it.
        second: String,
    },
    /// `InvalidParameterValueException`: a function and its layers are too large together.
    #[error(
        "Function code combined with layers exceeds the maximum allowed size of {limit} bytes. The actual size is \
         {actual} bytes."
    )]
    CombinedSize {
        /// Bytes that they may have.
        limit: u64,
        /// Bytes that they have.
        actual: u64,
    },
}
