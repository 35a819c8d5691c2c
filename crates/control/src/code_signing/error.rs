//! Refusals about code signing, in AWS's words.

use firelet_types::FunctionName;

/// Why a code signing configuration stands against a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeSigningError {
    /// `CodeSigningConfigNotFoundException`: a function cannot be put under what is not there.
    #[error(
        "The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    )]
    ConfigMissing {
        /// The ARN that the caller gave.
        arn: String,
    },
    /// `InvalidParameterValueException`: a function of an image is under none. Recorded for reading in
    /// <https://github.com/aws-controllers-k8s/community/issues/1117>, for creating in
    /// <https://github.com/aws/aws-sam-cli/issues/2786>.
    #[error("Code signing is not supported for functions created with container images.")]
    Image,
    /// `CodeVerificationFailedException`: no allowed publisher signed the code.
    #[error(
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client \
         is not configured to accept. Check the provided signature for {subject}."
    )]
    Untrusted {
        /// The function as the caller named it, or the ARN of a layer.
        subject: String,
    },
    /// `ResourceConflictException`: functions are under it.
    #[error(
        "Unable to delete code signing configuration because the following functions reference it: [{functions}]"
    )]
    InUse {
        /// The first of them, joined by commas.
        functions: String,
    },
}

impl CodeSigningError {
    pub(super) fn in_use(functions: &[FunctionName]) -> Self {
        let names: Vec<&str> = functions.iter().map(FunctionName::as_str).collect();
        Self::InUse { functions: names.join(", ") }
    }
}
