//! Whether a function may be invoked the way a caller does, and whether there is anything here that runs it.

use firelet_store::Definition;
use firelet_store::definition::Tenancy;
use firelet_types::{FunctionArn, TenantId};

use crate::invoker::Error;

/// Judges a call of the function that `arn` leads to, for `tenant` if the caller named one.
pub(crate) fn check(
    definition: &Definition,
    arn: &FunctionArn,
    tenant: Option<&TenantId>,
) -> Result<(), Error> {
    check_tenant(definition, tenant)?;
    if definition.durability.is_some() && arn.qualifier.is_none() {
        return Err(Error::DurableUnqualified);
    }
    missing(definition).map_or(Ok(()), |feature| Err(Error::Unsupported { feature }))
}

/// A tenant is named where a function keeps tenants apart, and nowhere else.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation-troubleshooting.html>.
const fn check_tenant(definition: &Definition, tenant: Option<&TenantId>) -> Result<(), Error> {
    match (definition.tenancy, tenant) {
        (Tenancy::Shared, None) | (Tenancy::PerTenant, Some(_)) => Ok(()),
        (Tenancy::PerTenant, None) => Err(Error::TenantMissing),
        (Tenancy::Shared, Some(_)) => Err(Error::TenantUnexpected),
    }
}

/// What it would take to run the function as its caller may expect, and is not there yet.
const fn missing(definition: &Definition) -> Option<&'static str> {
    if definition.image.is_some() {
        return Some("functions from container images");
    }
    if definition.custom_runtime.is_some() {
        return Some("functions with a runtime of the account");
    }
    if !definition.file_systems.is_empty() {
        return Some("functions with file systems");
    }
    if definition.accelerator_gigabytes.is_some() {
        return Some("functions with accelerators");
    }
    if definition.durability.is_some() {
        return Some("durable functions");
    }
    None
}
