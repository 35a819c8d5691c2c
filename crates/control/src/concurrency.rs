//! Reserved concurrency: executions of the account that are kept for one function, which may use no others.
//!
//! Only stored here; `invoke` holds functions to it. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>.

mod error;

use firelet_api::model;
use firelet_store::function::Entry;
use firelet_types::{FunctionName, Scope};

use crate::control::Control;
use crate::error::{Error, InvalidParameter};
use crate::name::{Target, resolve};
use crate::quota::Quotas;

pub use error::ConcurrencyError;

impl Control {
    /// Reserves concurrency for a function; 0 throttles each of its invocations.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html>.
    ///
    /// # Errors
    /// When there is no such function, a version or alias is named, more is provisioned for its versions, or too little
    /// would be left for other functions.
    pub async fn put_function_concurrency(
        &self,
        scope: &Scope,
        request: model::PutFunctionConcurrencyRequest,
    ) -> Result<model::Concurrency, Error> {
        let reserved = u32::try_from(request.reserved_concurrent_executions).unwrap_or_default();
        let quotas = self.quotas.clone();
        let decide = move |entry: &mut Entry<'_>| {
            check_reservation(entry, &quotas, reserved)?;
            Ok(entry.set_reservation(Some(reserved))?)
        };
        self.change_reservation(scope, &request.function_name, decide).await?;
        Ok(describe(Some(reserved)))
    }

    /// The concurrency that is reserved for a function, if any is.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html>.
    ///
    /// # Errors
    /// When there is no such function, or a version or alias is named.
    pub async fn get_function_concurrency(
        &self,
        scope: &Scope,
        request: model::GetFunctionConcurrencyRequest,
    ) -> Result<model::GetFunctionConcurrencyResponse, Error> {
        let (target, name) = whole_function(scope, &request.function_name)?;
        let found = self.store.functions().reservations(scope, &name)?;
        let reserved = found.ok_or_else(|| target.latest_not_found())?.of_function;
        let reserved_concurrent_executions = describe(reserved).reserved_concurrent_executions;
        Ok(model::GetFunctionConcurrencyResponse { reserved_concurrent_executions })
    }

    /// Removes the reservation of a function, which then shares the rest of the account; without effect if it has
    /// none.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionConcurrency.html>.
    ///
    /// # Errors
    /// When there is no such function, or a version or alias is named.
    pub async fn delete_function_concurrency(
        &self,
        scope: &Scope,
        request: model::DeleteFunctionConcurrencyRequest,
    ) -> Result<(), Error> {
        let decide = |entry: &mut Entry<'_>| Ok(entry.set_reservation(None)?);
        self.change_reservation(scope, &request.function_name, decide).await
    }

    async fn change_reservation(
        &self,
        scope: &Scope,
        function: &str,
        change: impl FnOnce(&mut Entry<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (target, name) = whole_function(scope, function)?;
        let decide = move |entry: &mut Entry<'_>| {
            if !entry.exists() {
                return Err(target.latest_not_found());
            }
            change(entry)
        };
        self.store.functions().update(scope, &name, decide).await
    }
}

/// The function that is named as a whole: not even `$LATEST` may qualify it.
fn whole_function(scope: &Scope, function: &str) -> Result<(Target, FunctionName), Error> {
    let target = resolve(scope, function, None)?;
    if target.qualifier.is_some() {
        return Err(InvalidParameter::QualifierNotPermitted.into());
    }
    let name = target.name.parse().map_err(|_| target.latest_not_found())?;
    Ok((target, name))
}

/// Refuses to reserve less than is provisioned, or more when functions without reservation would be left with too
/// little.
fn check_reservation(entry: &Entry<'_>, quotas: &Quotas, reserved: u32) -> Result<(), Error> {
    let before = entry.reservations()?;
    if reserved < before.provisioned {
        let provisioned = before.provisioned;
        return Err(ConcurrencyError::BelowProvisioned { reserved, provisioned }.into());
    }
    let own = before.set_aside();
    let after = before.in_account - u64::from(own) + u64::from(reserved);
    // An account whose limit is lower than the usual minimum keeps all of it.
    let limit = quotas.concurrent_executions;
    let minimum = quotas.unreserved_concurrency_minimum.min(limit);
    if reserved > own && after + u64::from(minimum) > u64::from(limit) {
        return Err(ConcurrencyError::UnreservedMinimum { minimum }.into());
    }
    Ok(())
}

/// A reservation as the API shows it.
pub(crate) fn describe(reserved: Option<u32>) -> model::Concurrency {
    let reserved = reserved.map(|reserved| i32::try_from(reserved).unwrap_or(i32::MAX));
    model::Concurrency { reserved_concurrent_executions: reserved }
}
