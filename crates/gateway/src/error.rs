//! From the errors of the crates below to the errors of the API: the one place that knows both.
//!
//! What is not the caller's fault is logged here with its causes, and the caller gets no part of them.

use firelet_api::model::ThrottleReason;
use firelet_api::{ApiError, ErrorKind};
use firelet_auth::Error as AuthError;
use firelet_control::{
    CapacityProviderError, CodeSigningError, ConcurrencyError, Error as ControlError, FunctionUrlError,
    LayerError, MappingError, NotFound, PolicyError, ProvisionedConcurrencyError,
};
use firelet_invoke::{CodeError, Error as InvokeError, LeaseError, ScalingLimit};

/// Seconds after which a throttled caller may try again.
const RETRY_AFTER: u32 = 1;

pub(crate) fn from_auth(error: &AuthError) -> ApiError {
    let kind = match error {
        AuthError::Incomplete(_) => ErrorKind::IncompleteSignatureException,
        AuthError::Mismatch => ErrorKind::InvalidSignatureException,
    };
    ApiError::new(kind, error.to_string())
}

pub(crate) fn from_control(error: &ControlError) -> ApiError {
    let kind = match error {
        ControlError::InvalidParameter(_)
        | ControlError::Configuration(_)
        | ControlError::RuntimeManagement(_) => ErrorKind::InvalidParameterValueException,
        ControlError::LatestWithWeights => {
            let kind = ErrorKind::InvalidParameterValueException;
            return ApiError::new(kind, error.to_string()).without_type();
        }
        ControlError::Validation { .. } => ErrorKind::ValidationException,
        // Recorded without `Type`.
        ControlError::NotFound(NotFound::CodeSigningConfig { .. }) => {
            return ApiError::new(ErrorKind::ResourceNotFoundException, error.to_string()).without_type();
        }
        ControlError::NotFound(_) => ErrorKind::ResourceNotFoundException,
        ControlError::Conflict(_) => ErrorKind::ResourceConflictException,
        ControlError::OtherAccount | ControlError::CodeLink(_) => ErrorKind::AccessDeniedException,
        ControlError::RevisionMismatch | ControlError::PolicyRevisionMismatch => {
            ErrorKind::PreconditionFailedException
        }
        ControlError::Policy(error) => from_policy(error),
        ControlError::ZippedSize { .. } => ErrorKind::RequestEntityTooLargeException,
        ControlError::FunctionCount { .. } => ErrorKind::ServiceQuotaExceededException,
        ControlError::CodeStorageExceeded => ErrorKind::CodeStorageExceededException,
        ControlError::CodeSigning(CodeSigningError::ConfigMissing { .. }) => {
            ErrorKind::CodeSigningConfigNotFoundException
        }
        ControlError::CodeSigning(CodeSigningError::Untrusted { .. }) => {
            ErrorKind::CodeVerificationFailedException
        }
        ControlError::CodeSigning(CodeSigningError::Image) => ErrorKind::InvalidParameterValueException,
        ControlError::CodeSigning(CodeSigningError::InUse { .. }) => ErrorKind::ResourceConflictException,
        ControlError::Unsupported { .. } => ErrorKind::NotImplemented,
        // Recorded without `Type`.
        ControlError::Concurrency(ConcurrencyError::UnreservedMinimum { .. })
        | ControlError::ProvisionedConcurrency(
            ProvisionedConcurrencyError::AboveAccount { .. }
            | ProvisionedConcurrencyError::UnreservedMinimum { .. },
        ) => {
            return ApiError::new(ErrorKind::InvalidParameterValueException, error.to_string())
                .without_type();
        }
        ControlError::FunctionUrl(error) => function_url_kind(error),
        ControlError::Concurrency(ConcurrencyError::BelowProvisioned { .. }) => {
            ErrorKind::InvalidParameterValueException
        }
        ControlError::ProvisionedConcurrency(error) => of_provisioned_concurrency(error),
        ControlError::Layer(error) => layer_kind(error),
        ControlError::Mapping(error) => of_mapping(error),
        ControlError::CapacityProvider(error) => of_capacity_provider(error),
        ControlError::Store(source) => {
            log("the control plane", source);
            ErrorKind::ServiceException
        }
    };
    match error.message() {
        Some(message) => ApiError::new(kind, message),
        None => ApiError::without_message(kind),
    }
}

fn from_policy(error: &PolicyError) -> ErrorKind {
    match error {
        PolicyError::Latest
        | PolicyError::Principal
        | PolicyError::UrlAuthTypeAction
        | PolicyError::Grammar(_) => ErrorKind::InvalidParameterValueException,
        PolicyError::StatementExists { .. } => ErrorKind::ResourceConflictException,
        PolicyError::Length(_) => ErrorKind::PolicyLengthExceededException,
        PolicyError::Corrupt(_) => {
            log("the control plane", error);
            ErrorKind::ServiceException
        }
    }
}

const fn function_url_kind(error: &FunctionUrlError) -> ErrorKind {
    match error {
        FunctionUrlError::FunctionMissing => ErrorKind::ResourceNotFoundException,
        FunctionUrlError::Exists { .. } => ErrorKind::ResourceConflictException,
        FunctionUrlError::NoOrigins => ErrorKind::InvalidParameterValueException,
    }
}

const fn layer_kind(error: &LayerError) -> ErrorKind {
    match error {
        LayerError::VersionNumber | LayerError::SameLayer { .. } | LayerError::CombinedSize { .. } => {
            ErrorKind::InvalidParameterValueException
        }
        LayerError::Missing
        | LayerError::VersionMissing { .. }
        | LayerError::NoPolicy
        | LayerError::StatementMissing { .. } => ErrorKind::ResourceNotFoundException,
        LayerError::StatementExists { .. } => ErrorKind::ResourceConflictException,
        LayerError::PolicyRevision => ErrorKind::PreconditionFailedException,
        LayerError::PolicyLength(_) => ErrorKind::PolicyLengthExceededException,
        LayerError::Denied { .. } => ErrorKind::AccessDeniedException,
    }
}

const fn of_provisioned_concurrency(error: &ProvisionedConcurrencyError) -> ErrorKind {
    match error {
        ProvisionedConcurrencyError::Unpublished
        | ProvisionedConcurrencyError::OfUnpublished
        | ProvisionedConcurrencyError::AliasWithWeights
        | ProvisionedConcurrencyError::AliasMovesWithWeights
        | ProvisionedConcurrencyError::SnapStart
        | ProvisionedConcurrencyError::Tenancy
        | ProvisionedConcurrencyError::AboveReservation
        | ProvisionedConcurrencyError::AboveAccount { .. }
        | ProvisionedConcurrencyError::UnreservedMinimum { .. } => ErrorKind::InvalidParameterValueException,
        ProvisionedConcurrencyError::Missing => ErrorKind::ProvisionedConcurrencyConfigNotFoundException,
        ProvisionedConcurrencyError::VersionProvisioned | ProvisionedConcurrencyError::AliasProvisioned => {
            ErrorKind::ResourceConflictException
        }
    }
}

const fn of_mapping(error: &MappingError) -> ErrorKind {
    match error {
        MappingError::InvalidParameter(_) => ErrorKind::InvalidParameterValueException,
        MappingError::NotFound => ErrorKind::ResourceNotFoundException,
        MappingError::Duplicate(_) => ErrorKind::ResourceConflictException,
        MappingError::InUse { .. } => ErrorKind::ResourceInUseException,
    }
}

const fn of_capacity_provider(error: &CapacityProviderError) -> ErrorKind {
    match error {
        CapacityProviderError::PolicyOfAuto
        | CapacityProviderError::PolicyMissing
        | CapacityProviderError::DefaultFunction
        | CapacityProviderError::DefaultFunctionScaling
        | CapacityProviderError::PublishTo
        | CapacityProviderError::Network
        | CapacityProviderError::LogText
        | CapacityProviderError::Runtime { .. }
        | CapacityProviderError::SnapStart
        | CapacityProviderError::ScalingBounds => ErrorKind::InvalidParameterValueException,
        CapacityProviderError::MemoryMinimum => ErrorKind::ValidationException,
        CapacityProviderError::VersionLimit => {
            ErrorKind::FunctionVersionsPerCapacityProviderLimitExceededException
        }
        CapacityProviderError::Exists { .. }
        | CapacityProviderError::InUse { .. }
        | CapacityProviderError::Deleting => ErrorKind::ResourceConflictException,
        CapacityProviderError::Limit => ErrorKind::CapacityProviderLimitExceededException,
    }
}

pub(crate) fn from_invoke(error: &InvokeError) -> ApiError {
    let kind = match error {
        InvokeError::NotFound(_) => ErrorKind::ResourceNotFoundException,
        InvokeError::Recursive => ErrorKind::RecursiveInvocationException,
        InvokeError::InvalidPayload(_) => ErrorKind::InvalidRequestContentException,
        InvokeError::PayloadTooLarge { .. } => ErrorKind::RequestTooLargeException,
        InvokeError::NotActive(_) => ErrorKind::ResourceConflictException,
        InvokeError::SnapshotNotReady => ErrorKind::SnapStartNotReadyException,
        InvokeError::SnapshotLost => ErrorKind::SnapStartRegenerationFailureException,
        InvokeError::RestoreFailed => ErrorKind::SnapStartException,
        InvokeError::RestoreTimedOut => ErrorKind::SnapStartTimeoutException,
        InvokeError::Unsupported { .. } => ErrorKind::NotImplemented,
        InvokeError::TenantMissing
        | InvokeError::TenantUnexpected
        | InvokeError::DurableUnqualified
        | InvokeError::Unpublished => ErrorKind::InvalidParameterValueException,
        InvokeError::NoPublishedVersion => ErrorKind::NoPublishedVersionException,
        InvokeError::ConcurrencyExceeded => {
            return throttled(ThrottleReason::ConcurrentInvocationLimitExceeded, error.to_string());
        }
        InvokeError::ReservedConcurrencyExceeded => {
            let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
            return throttled(reason, error.to_string());
        }
        InvokeError::ScalingExceeded(limit) => return throttled(of_scaling(*limit), error.to_string()),
        InvokeError::Runtime(_) => {
            log("an invocation", error);
            return ApiError::new(ErrorKind::InvalidRuntimeException, error.to_string());
        }
        InvokeError::Environment { source, .. } => return from_lease(error, source),
        InvokeError::Undelivered(_) | InvokeError::Queue { .. } | InvokeError::Store { .. } => {
            log("an invocation", error);
            return internal();
        }
    };
    ApiError::new(kind, error.to_string())
}

/// By the names that AWS has: the rate of a function, with or without reserved concurrency, and the account's limit. Which it
/// gives as a function grows too fast is recorded nowhere.
const fn of_scaling(limit: ScalingLimit) -> ThrottleReason {
    match limit {
        ScalingLimit::Function => ThrottleReason::FunctionInvocationRateLimitExceeded,
        ScalingLimit::ReservedFunction => ThrottleReason::ReservedFunctionInvocationRateLimitExceeded,
        ScalingLimit::Account => ThrottleReason::ConcurrentInvocationLimitExceeded,
    }
}

/// Why no environment could be had; `error` names the function as well.
fn from_lease(error: &InvokeError, source: &LeaseError) -> ApiError {
    match source {
        LeaseError::Overloaded => {
            throttled(ThrottleReason::FunctionInvocationRateLimitExceeded, "Rate Exceeded.")
        }
        LeaseError::Code(CodeError::Unpack(..)) => {
            log("an invocation", error);
            ApiError::new(
                ErrorKind::InvalidZipFileException,
                "Lambda could not unzip the deployment package.",
            )
        }
        LeaseError::Image => ApiError::new(ErrorKind::NotImplemented, source.to_string()),
        LeaseError::Stopped => internal(),
        LeaseError::Snapshot(cause) => from_lease(error, cause),
        LeaseError::Restore(_)
        | LeaseError::Init(_)
        | LeaseError::Runtime(_)
        | LeaseError::Code(_)
        | LeaseError::Start(_) => {
            log("an invocation", error);
            internal()
        }
    }
}

fn throttled(reason: ThrottleReason, message: impl Into<String>) -> ApiError {
    ApiError { retry_after: Some(RETRY_AFTER), ..ApiError::throttled(reason, message) }
}

/// An error that is firelet's own, in AWS's words.
pub(crate) fn internal() -> ApiError {
    ApiError::new(ErrorKind::ServiceException, "An error occurred and the request cannot be processed.")
}

/// One line for the operator, with every cause.
fn log(what: &str, error: &dyn std::error::Error) {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line = format!("{line}: {source}");
        cause = source.source();
    }
    tracing::error!("{what} failed: {line}");
}

#[cfg(test)]
mod tests {
    use firelet_control::{DuplicateMapping, MappingParameter};
    use firelet_types::{Ids, MappingId};

    use super::*;

    #[test]
    fn refusals_about_mappings_have_their_statuses() {
        let id = MappingId::new(&Ids::seeded(1));
        let function = "echo".parse().unwrap();
        for (error, status, name) in [
            (MappingParameter::UnknownSource.into(), 400, "InvalidParameterValueException"),
            (MappingError::NotFound, 404, "ResourceNotFoundException"),
            (
                DuplicateMapping::Queue { arn: "arn".to_owned(), function, id }.into(),
                409,
                "ResourceConflictException",
            ),
            (MappingError::InUse { action: "update" }, 400, "ResourceInUseException"),
        ] {
            let text = error.to_string();
            let answer = from_control(&ControlError::from(error)).encode();
            assert_eq!(answer.status, status);
            assert!(
                std::str::from_utf8(&answer.body).unwrap().contains(&text.replace('"', "\\\"")),
                "{text}"
            );
            assert!(answer.headers.iter().any(|(_, value)| value == name), "{name}");
        }
    }
}
