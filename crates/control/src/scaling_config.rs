//! The scaling of versions on capacity providers: how many execution environments they are to have.
//!
//! firelet makes environments when they are wanted and gives up idle ones, whatever the bounds say; only bounds of zero
//! mean something here: the version is not invocable. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html>.

use firelet_api::model;
use firelet_store::function::{Entry, Scaling};
use firelet_store::{FunctionVersion, State, Version};
use firelet_types::{FunctionArn, Qualifier, Scope};

use crate::capacity_provider::CapacityProviderError;
use crate::control::Control;
use crate::describe;
use crate::error::Error;
use crate::function::creating;
use crate::name::{Target, resolve};

/// Environments that Lambda starts of a version, if the caller does not say.
const DEFAULT_MINIMUM: i32 = 3;

impl Control {
    /// Sets the bounds of the number of environments of a published version; without any, the default holds again.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionScalingConfig.html>.
    ///
    /// # Errors
    /// When there is no such version, it is on no capacity provider, or the bounds exclude each other.
    pub async fn put_function_scaling_config(
        &self,
        scope: &Scope,
        request: model::PutFunctionScalingConfigRequest,
    ) -> Result<model::PutFunctionScalingConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, Some(&request.qualifier))?;
        let name = target.function()?;
        let scaling = request.function_scaling_config.as_ref().and_then(scaling);
        if scaling.is_some_and(|Scaling { minimum, maximum }| maximum.is_some() && minimum > maximum) {
            return Err(CapacityProviderError::ScalingBounds.into());
        }
        let revision = self.new_revision();
        let decide = move |entry: &mut Entry<'_>| -> Result<State, Error> {
            let before = find(&target, |version| Ok(entry.version(version)?))?;
            entry.set_scaling(before.version, scaling)?;
            let state = scaled(before.state.clone(), scaling);
            if state != before.state {
                entry.put(&FunctionVersion { state: state.clone(), revision, ..before })?;
            }
            Ok(state)
        };
        let state = self.store.functions().update(scope, &name, decide).await?;
        Ok(model::PutFunctionScalingConfigResponse { function_state: Some(describe::state(&state)) })
    }

    /// The bounds of the number of environments of a published version: those that were asked for, and those that hold.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionScalingConfig.html>.
    ///
    /// # Errors
    /// When there is no such version, or it is on no capacity provider.
    pub async fn get_function_scaling_config(
        &self,
        scope: &Scope,
        request: model::GetFunctionScalingConfigRequest,
    ) -> Result<model::GetFunctionScalingConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, Some(&request.qualifier))?;
        let name = target.function()?;
        let functions = self.store.functions();
        let found = find(&target, |version| {
            Ok(functions.get(scope, &name, version)?.map(|version| version.as_ref().clone()))
        })?;
        let requested = functions.scaling(scope, &name, found.version)?;
        let applied = requested.unwrap_or(Scaling { minimum: Some(DEFAULT_MINIMUM), maximum: None });
        let arn = FunctionArn { scope: scope.clone(), name, qualifier: Some(found.version.into()) };
        Ok(model::GetFunctionScalingConfigResponse {
            function_arn: Some(arn.to_string()),
            applied_function_scaling_config: Some(shown(applied)),
            requested_function_scaling_config: requested.map(shown),
        })
    }
}

/// The version that a target means, which must be published and on a capacity provider.
fn find(
    target: &Target,
    read: impl FnOnce(Version) -> Result<Option<FunctionVersion>, Error>,
) -> Result<FunctionVersion, Error> {
    let version = match target.qualifier {
        Some(Qualifier::LatestPublished) => Version::LatestPublished,
        Some(Qualifier::Version(number)) => Version::Published(number),
        None | Some(Qualifier::Latest | Qualifier::Name(_)) => return Err(target.not_found()),
    };
    let found = read(version)?.ok_or_else(|| target.not_found())?;
    match found.definition.capacity {
        Some(_) => Ok(found),
        None => Err(CapacityProviderError::DefaultFunctionScaling.into()),
    }
}

/// The bounds of a request; none if it names neither.
fn scaling(config: &model::FunctionScalingConfig) -> Option<Scaling> {
    let (minimum, maximum) = (config.min_execution_environments, config.max_execution_environments);
    (minimum.is_some() || maximum.is_some()).then_some(Scaling { minimum, maximum })
}

/// The state that follows new bounds: none at all takes a version out of service, any other bring it back.
fn scaled(before: State, scaling: Option<Scaling>) -> State {
    let is_off = scaling.is_some_and(|scaling| scaling.maximum == Some(0));
    match before {
        State::Deactivating | State::Deactivated if !is_off => State::Pending(creating()),
        State::Deactivated => State::Deactivated,
        _ if is_off => State::Deactivating,
        before => before,
    }
}

const fn shown(scaling: Scaling) -> model::FunctionScalingConfig {
    model::FunctionScalingConfig {
        min_execution_environments: scaling.minimum,
        max_execution_environments: scaling.maximum,
    }
}
