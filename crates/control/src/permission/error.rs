//! Every refusal that is about permissions, with the text that the caller reads.

use crate::policy::PolicyLength;
use crate::policy::grammar::GrammarError;

/// Why a policy cannot be what the caller wants.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// `InvalidParameterValueException`.
    #[error("We currently do not support adding policies for $LATEST.")]
    Latest,
    /// `InvalidParameterValueException`.
    #[error("The provided principal was invalid. Please check the principal and try again.")]
    Principal,
    /// `InvalidParameterValueException`, as in <https://github.com/RJPearson94/terraform-aws-open-next/issues/73>.
    #[error("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")]
    UrlAuthTypeAction,
    /// `InvalidParameterValueException`.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// `ResourceConflictException`.
    #[error(
        "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the existing \
         statement."
    )]
    StatementExists {
        /// The id.
        id: String,
    },
    /// `PolicyLengthExceededException`.
    #[error(transparent)]
    Length(#[from] PolicyLength),
    /// `ServiceException`: a stored policy cannot be read.
    #[error("An error occurred and the request cannot be processed.")]
    Corrupt(#[source] serde_json::Error),
}
