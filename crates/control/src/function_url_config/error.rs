//! Every refusal that is about function URLs, with the text that the caller reads.

use firelet_types::FunctionArn;

/// What is wrong with a request about a function URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FunctionUrlError {
    /// `ResourceNotFoundException`: no such function or alias to have a URL.
    #[error("Function does not exist")]
    FunctionMissing,
    /// `ResourceConflictException`: the function or alias has a URL. The two blanks are AWS's.
    #[error(
        "Failed to create function url config for [functionArn = {arn}]. Error message:  FunctionUrlConfig exists for \
         this Lambda function"
    )]
    Exists {
        /// The function or alias.
        arn: FunctionArn,
    },
    /// `InvalidParameterValueException`, as in <https://github.com/anomalyco/ion/pull/229>.
    #[error("You can't leave AllowOrigins as empty when Cors is enabled.")]
    NoOrigins,
}
