//! The runtime management configuration of versions: when a version gets another version of its runtime.
//!
//! A runtime has one version here, the one that `RuntimeVersionConfig` of a function shows. So `Auto` and
//! `FunctionUpdate` come to the same, and `Manual` takes that version and no other. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html>.

mod error;

use firelet_api::model;
use firelet_store::Version;
use firelet_store::function::{Entry, RuntimeUpdate};
use firelet_types::{FunctionArn, FunctionName, Qualifier, Scope, runtime_version_arn};

use crate::control::Control;
use crate::error::Error;
use crate::name::{Target, resolve};

pub use error::RuntimeManagementError;

impl Control {
    /// Sets when a version of a function gets another version of its runtime.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutRuntimeManagementConfig.html>.
    ///
    /// # Errors
    /// When there is no such version of the function, or of its runtime.
    pub async fn put_runtime_management_config(
        &self,
        scope: &Scope,
        request: model::PutRuntimeManagementConfigRequest,
    ) -> Result<model::PutRuntimeManagementConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let (name, version) = version(&target)?;
        let update = wanted(request.update_runtime_on, request.runtime_version_arn)?;
        let answer = model::PutRuntimeManagementConfigResponse {
            update_runtime_on: request.update_runtime_on,
            function_arn: arn(&target, &name),
            runtime_version_arn: pinned(&update),
        };
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            let record = entry.version(version)?.ok_or_else(|| target.not_found())?;
            check_version(&target.scope, record.definition.runtime.as_deref(), &update)?;
            Ok(entry.set_runtime_update(version, &update)?)
        };
        self.store.functions().update(scope, &name, decide).await?;
        Ok(answer)
    }

    /// When a version of a function gets another version of its runtime: `Auto` unless it was set.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetRuntimeManagementConfig.html>.
    ///
    /// # Errors
    /// When there is no such version of the function.
    pub async fn get_runtime_management_config(
        &self,
        scope: &Scope,
        request: model::GetRuntimeManagementConfigRequest,
    ) -> Result<model::GetRuntimeManagementConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let (name, version) = version(&target)?;
        let found = self.store.functions().runtime_update(scope, &name, version)?;
        let update = found.ok_or_else(|| target.not_found())?;
        Ok(model::GetRuntimeManagementConfigResponse {
            update_runtime_on: Some(match &update {
                RuntimeUpdate::Auto => model::UpdateRuntimeOn::Auto,
                RuntimeUpdate::FunctionUpdate => model::UpdateRuntimeOn::FunctionUpdate,
                RuntimeUpdate::Manual { .. } => model::UpdateRuntimeOn::Manual,
            }),
            function_arn: Some(arn(&target, &name)),
            runtime_version_arn: pinned(&update),
        })
    }
}

/// The version that a target means. An alias has no runtime of its own, so a name means none.
fn version(target: &Target) -> Result<(FunctionName, Version), Error> {
    let version = match &target.qualifier {
        None | Some(Qualifier::Latest) => Version::Latest,
        Some(Qualifier::LatestPublished) => Version::LatestPublished,
        Some(Qualifier::Version(number)) => Version::Published(*number),
        Some(Qualifier::Name(_)) => return Err(target.not_found()),
    };
    Ok((target.function()?, version))
}

fn wanted(mode: model::UpdateRuntimeOn, version_arn: Option<String>) -> Result<RuntimeUpdate, Error> {
    match (mode, version_arn) {
        (model::UpdateRuntimeOn::Auto, _) => Ok(RuntimeUpdate::Auto),
        (model::UpdateRuntimeOn::FunctionUpdate, _) => Ok(RuntimeUpdate::FunctionUpdate),
        (model::UpdateRuntimeOn::Manual, Some(version_arn)) => Ok(RuntimeUpdate::Manual { version_arn }),
        (model::UpdateRuntimeOn::Manual, None) => Err(RuntimeManagementError::VersionRequired.into()),
    }
}

/// Refuses to stay at what is not there.
fn check_version(scope: &Scope, runtime: Option<&str>, update: &RuntimeUpdate) -> Result<(), Error> {
    let Some(asked) = pinned(update) else { return Ok(()) };
    match runtime.map(|runtime| runtime_version_arn(&scope.region, runtime)) {
        Some(version) if version == asked => Ok(()),
        _ => Err(RuntimeManagementError::VersionMissing { arn: asked }.into()),
    }
}

/// The version of the runtime, which only `Manual` shows.
fn pinned(update: &RuntimeUpdate) -> Option<String> {
    match update {
        RuntimeUpdate::Auto | RuntimeUpdate::FunctionUpdate => None,
        RuntimeUpdate::Manual { version_arn } => Some(version_arn.clone()),
    }
}

fn arn(target: &Target, name: &FunctionName) -> String {
    let (scope, qualifier) = (target.scope.clone(), target.qualifier.clone());
    FunctionArn { scope, name: name.clone(), qualifier }.to_string()
}
