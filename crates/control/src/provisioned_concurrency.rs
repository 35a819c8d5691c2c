//! Provisioned concurrency: executions that are kept initialised for a version, by its number or by an alias.
//!
//! Only stored here; `pool` makes their environments and says how far it is, and `invoke` holds invocations to them. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html>.

mod error;

use firelet_api::model;
use firelet_store::definition::{SnapStart, Tenancy};
use firelet_store::function::{Allocation, AllocationStatus, Entry, ProvisionedConcurrency};
use firelet_store::{Alias, Version};
use firelet_types::{FunctionArn, FunctionName, Qualifier, Scope, VersionNumber, limits};

use crate::control::Control;
use crate::error::{Error, NotFound};
use crate::marker::{Markers, cut, page_size};
use crate::name::{Target, resolve};
use crate::quota::Quotas;

pub use error::ProvisionedConcurrencyError;

impl Control {
    /// Has executions of a version or alias kept initialised, in place of how many were before.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutProvisionedConcurrencyConfig.html>.
    ///
    /// # Errors
    /// When there is no such version or alias, it has some under another name, or the function or the account has not
    /// enough.
    pub async fn put_provisioned_concurrency_config(
        &self,
        scope: &Scope,
        request: model::PutProvisionedConcurrencyConfigRequest,
    ) -> Result<model::PutProvisionedConcurrencyConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, Some(&request.qualifier))?;
        let (function, qualifier) = provisionable(&target, ProvisionedConcurrencyError::Unpublished)?;
        let requested = u32::try_from(request.provisioned_concurrent_executions).unwrap_or_default();
        let quotas = self.quotas.clone();
        let last_modified = self.clock.now();
        let decide = move |entry: &mut Entry<'_>| -> Result<ProvisionedConcurrency, Error> {
            let Version::Published(version) = find(entry, &target, &qualifier)? else {
                return Err(ProvisionedConcurrencyError::Unpublished.into());
            };
            check_unweighted(entry, &qualifier)?;
            check_supported(entry, version)?;
            let before = entry.provisioned_concurrency(&qualifier)?;
            check_room(entry, before.as_ref().map_or(0, |before| before.requested), requested, &quotas)?;
            check_alone(&entry.provisioned_concurrencies()?, &qualifier, version)?;
            let allocation = before.map(|before| before.allocation).unwrap_or_default();
            let allocation = Allocation {
                allocated: allocation.allocated.min(requested),
                status: AllocationStatus::InProgress,
                ..allocation
            };
            let record = ProvisionedConcurrency { qualifier, version, requested, last_modified, allocation };
            entry.put_provisioned_concurrency(&record)?;
            Ok(record)
        };
        let Described { status, status_reason, requested, available, allocated, last_modified } =
            describe(self.store.functions().update(scope, &function, decide).await?);
        Ok(model::PutProvisionedConcurrencyConfigResponse {
            requested_provisioned_concurrent_executions: Some(requested),
            available_provisioned_concurrent_executions: Some(available),
            allocated_provisioned_concurrent_executions: Some(allocated),
            status: Some(status),
            status_reason,
            last_modified: Some(last_modified),
        })
    }

    /// The executions of a version or alias that are kept initialised.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetProvisionedConcurrencyConfig.html>.
    ///
    /// # Errors
    /// When there is no such version or alias, or none are.
    pub async fn get_provisioned_concurrency_config(
        &self,
        scope: &Scope,
        request: model::GetProvisionedConcurrencyConfigRequest,
    ) -> Result<model::GetProvisionedConcurrencyConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, Some(&request.qualifier))?;
        let (function, qualifier) = provisionable(&target, ProvisionedConcurrencyError::OfUnpublished)?;
        let functions = self.store.functions();
        let Some(record) = functions.provisioned_concurrency(scope, &function, &qualifier)? else {
            let exists = match &qualifier {
                Qualifier::Name(alias) => functions.alias(scope, &function, alias)?.is_some(),
                Qualifier::Version(number) => {
                    functions.get(scope, &function, Version::Published(*number))?.is_some()
                }
                Qualifier::Latest | Qualifier::LatestPublished => false,
            };
            let missing = || ProvisionedConcurrencyError::Missing.into();
            return Err(if exists { missing() } else { not_found(&target, &function, &qualifier) });
        };
        let Described { status, status_reason, requested, available, allocated, last_modified } =
            describe(record);
        Ok(model::GetProvisionedConcurrencyConfigResponse {
            requested_provisioned_concurrent_executions: Some(requested),
            available_provisioned_concurrent_executions: Some(available),
            allocated_provisioned_concurrent_executions: Some(allocated),
            status: Some(status),
            status_reason,
            last_modified: Some(last_modified),
        })
    }

    /// Lets the executions of a version or alias go that are kept initialised; without effect if none are.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteProvisionedConcurrencyConfig.html>.
    ///
    /// # Errors
    /// When there is no such version or alias, or the alias leads to two versions.
    pub async fn delete_provisioned_concurrency_config(
        &self,
        scope: &Scope,
        request: model::DeleteProvisionedConcurrencyConfigRequest,
    ) -> Result<(), Error> {
        let target = resolve(scope, &request.function_name, Some(&request.qualifier))?;
        let (function, qualifier) = provisionable(&target, ProvisionedConcurrencyError::OfUnpublished)?;
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            find(entry, &target, &qualifier)?;
            if entry.provisioned_concurrency(&qualifier)?.is_some() {
                check_unweighted(entry, &qualifier)?;
            }
            Ok(entry.delete_provisioned_concurrency(&qualifier)?)
        };
        self.store.functions().update(scope, &function, decide).await
    }

    /// One page of what is kept initialised for the versions and aliases of a function.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListProvisionedConcurrencyConfigs.html>.
    ///
    /// # Errors
    /// When there is no such function, or the marker is not one of this list.
    pub async fn list_provisioned_concurrency_configs(
        &self,
        scope: &Scope,
        request: model::ListProvisionedConcurrencyConfigsRequest,
    ) -> Result<model::ListProvisionedConcurrencyConfigsResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.function()?;
        let markers = Markers::new(&self.sealer, scope, format!("provisioned-concurrency/{function}"));
        let after = request.marker.map(|marker| markers.read(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::FUNCTIONS_PER_PAGE);
        let functions = self.store.functions();
        let listed = functions.provisioned_concurrencies(scope, &function, after.as_deref(), limit + 1)?;
        let mut records = listed.ok_or_else(|| target.function_not_found())?;
        let next_marker = cut(&mut records, limit).map(|record| markers.write(&record.qualifier.to_string()));
        let item = |record: ProvisionedConcurrency| {
            let arn = arn(scope, &function, &record.qualifier);
            let Described { status, status_reason, requested, available, allocated, last_modified } =
                describe(record);
            model::ProvisionedConcurrencyConfigListItem {
                function_arn: Some(arn.to_string()),
                requested_provisioned_concurrent_executions: Some(requested),
                available_provisioned_concurrent_executions: Some(available),
                allocated_provisioned_concurrent_executions: Some(allocated),
                status: Some(status),
                status_reason,
                last_modified: Some(last_modified),
            }
        };
        Ok(model::ListProvisionedConcurrencyConfigsResponse {
            provisioned_concurrency_configs: Some(records.into_iter().map(item).collect()),
            next_marker,
        })
    }
}

/// Refuses to have an alias that has provisioned concurrency lead where it cannot have any: to `$LATEST`, to a version
/// that has some under another name or can have none, or to another version while it leads to two.
pub(crate) fn check_alias(entry: &Entry<'_>, before: &Alias, after: &Alias) -> Result<(), Error> {
    let qualifier = Qualifier::Name(after.name.clone());
    if before.version == after.version || entry.provisioned_concurrency(&qualifier)?.is_none() {
        return Ok(());
    }
    let Version::Published(number) = after.version else {
        return Err(ProvisionedConcurrencyError::Unpublished.into());
    };
    if !after.weights.is_empty() {
        return Err(ProvisionedConcurrencyError::AliasMovesWithWeights.into());
    }
    check_supported(entry, number)?;
    Ok(check_alone(&entry.provisioned_concurrencies()?, &qualifier, number)?)
}

/// The function and the version or alias that a request is about; `latest` is the refusal if that is `$LATEST`.
fn provisionable(
    target: &Target,
    latest: ProvisionedConcurrencyError,
) -> Result<(FunctionName, Qualifier), Error> {
    match &target.qualifier {
        None | Some(Qualifier::Latest | Qualifier::LatestPublished) => Err(latest.into()),
        Some(qualifier) => Ok((target.function()?, qualifier.clone())),
    }
}

/// The version that a request is about, by its number or by an alias.
fn find(entry: &Entry<'_>, target: &Target, qualifier: &Qualifier) -> Result<Version, Error> {
    let missing = || not_found(target, entry.name(), qualifier);
    let version = match qualifier {
        Qualifier::Latest => Version::Latest,
        Qualifier::LatestPublished => Version::LatestPublished,
        Qualifier::Version(number) => Version::Published(*number),
        Qualifier::Name(name) => return Ok(entry.alias(name)?.ok_or_else(missing)?.version),
    };
    if entry.version(version)?.is_none() {
        return Err(missing());
    }
    Ok(version)
}

/// Refuses to provision concurrency for a version whose environments cannot be made ahead.
fn check_supported(entry: &Entry<'_>, version: VersionNumber) -> Result<(), Error> {
    let Some(function) = entry.version(Version::Published(version))? else { return Ok(()) };
    if function.definition.snap_start != SnapStart::None {
        return Err(ProvisionedConcurrencyError::SnapStart.into());
    }
    if function.definition.tenancy != Tenancy::Shared {
        return Err(ProvisionedConcurrencyError::Tenancy.into());
    }
    Ok(())
}

/// Refuses to change what is provisioned for an alias while it leads to two versions.
fn check_unweighted(entry: &Entry<'_>, qualifier: &Qualifier) -> Result<(), Error> {
    let Qualifier::Name(name) = qualifier else { return Ok(()) };
    match entry.alias(name)? {
        Some(alias) if !alias.weights.is_empty() => Err(ProvisionedConcurrencyError::AliasWithWeights.into()),
        _ => Ok(()),
    }
}

/// The error that there is no such version or alias; recorded for missing functions as well.
fn not_found(target: &Target, function: &FunctionName, qualifier: &Qualifier) -> Error {
    match qualifier {
        Qualifier::Name(_) => NotFound::Alias { arn: arn(&target.scope, function, qualifier) }.into(),
        Qualifier::Latest | Qualifier::LatestPublished | Qualifier::Version(_) => target.not_found(),
    }
}

/// Refuses to provision more than the function reserves or, where it reserves nothing, than the account can spare.
/// `before` is what the version or alias has had.
fn check_room(entry: &Entry<'_>, before: u32, requested: u32, quotas: &Quotas) -> Result<(), Error> {
    let reservations = entry.reservations()?;
    let others = reservations.provisioned.saturating_sub(before);
    if let Some(reserved) = reservations.of_function {
        let fits = others.checked_add(requested).is_some_and(|total| total <= reserved);
        return if fits { Ok(()) } else { Err(ProvisionedConcurrencyError::AboveReservation.into()) };
    }
    let limit = quotas.concurrent_executions;
    let set_aside = reservations.in_account.saturating_sub(u64::from(before));
    let unreserved = u64::from(limit).saturating_sub(set_aside);
    // An account whose limit is lower than the usual minimum keeps all of it.
    let minimum = quotas.unreserved_concurrency_minimum.min(limit);
    if requested <= before {
        Ok(())
    } else if u64::from(requested) > unreserved {
        Err(ProvisionedConcurrencyError::AboveAccount { unreserved }.into())
    } else if u64::from(requested) + u64::from(minimum) > unreserved {
        Err(ProvisionedConcurrencyError::UnreservedMinimum { minimum }.into())
    } else {
        Ok(())
    }
}

/// Refuses to provision concurrency for a version that has some under another name.
fn check_alone(
    records: &[ProvisionedConcurrency],
    qualifier: &Qualifier,
    version: VersionNumber,
) -> Result<(), ProvisionedConcurrencyError> {
    let other = records.iter().any(|record| record.version == version && record.qualifier != *qualifier);
    match qualifier {
        _ if !other => Ok(()),
        Qualifier::Name(_) => Err(ProvisionedConcurrencyError::VersionProvisioned),
        Qualifier::Latest | Qualifier::LatestPublished | Qualifier::Version(_) => {
            Err(ProvisionedConcurrencyError::AliasProvisioned)
        }
    }
}

fn arn(scope: &Scope, function: &FunctionName, qualifier: &Qualifier) -> FunctionArn {
    FunctionArn { scope: scope.clone(), name: function.clone(), qualifier: Some(qualifier.clone()) }
}

/// What three shapes of the API have in common.
struct Described {
    status: model::ProvisionedConcurrencyStatusEnum,
    status_reason: Option<String>,
    requested: i32,
    available: i32,
    allocated: i32,
    last_modified: String,
}

fn describe(record: ProvisionedConcurrency) -> Described {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let (status, status_reason) = match record.allocation.status {
        AllocationStatus::InProgress => (model::ProvisionedConcurrencyStatusEnum::InProgress, None),
        AllocationStatus::Ready => (model::ProvisionedConcurrencyStatusEnum::Ready, None),
        AllocationStatus::Failed { reason } => {
            (model::ProvisionedConcurrencyStatusEnum::Failed, Some(reason))
        }
    };
    Described {
        status,
        status_reason,
        requested: number(record.requested),
        available: number(record.allocation.available),
        allocated: number(record.allocation.allocated),
        last_modified: record.last_modified.last_modified_second(),
    }
}
