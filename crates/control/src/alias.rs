//! Aliases: names for versions, with shares of the invocations for a second one.
//!
//! Which of the versions an invocation gets is not decided here.

use std::collections::BTreeMap;

use firelet_api::model;
use firelet_store::function::Entry;
use firelet_store::{Alias, Version};
use firelet_types::{FunctionArn, FunctionName, Qualifier, Scope, VersionNumber, limits};

use crate::control::Control;
use crate::error::{Conflict, Error, InvalidParameter, NotFound};
use crate::function::check_revision;
use crate::marker::{Markers, cut, page_size};
use crate::name::{Target, resolve};
use crate::provisioned_concurrency::check_alias;

impl Control {
    /// Gives a version of a function another name.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html>.
    ///
    /// # Errors
    /// When there is no such function or version, there is an alias of this name, or the weights are wrong.
    pub async fn create_alias(
        &self,
        scope: &Scope,
        request: model::CreateAliasRequest,
    ) -> Result<model::AliasConfiguration, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.unqualified_function()?;
        let revision = self.new_revision();
        let arn = arn(scope, &function, &request.name);
        let decide = move |entry: &mut Entry<'_>| -> Result<Alias, Error> {
            if !entry.exists() {
                return Err(target.function_not_found());
            }
            if entry.alias(&request.name)?.is_some() {
                return Err(Conflict::AliasExists { arn }.into());
            }
            let alias = Alias {
                name: request.name,
                version: version(&request.function_version, &target)?,
                revision,
                description: request.description.unwrap_or_default(),
                weights: BTreeMap::new(),
            };
            let alias = with_weights(alias, request.routing_config.as_ref())?;
            check(entry, &alias, &target)?;
            entry.put_alias(&alias)?;
            Ok(alias)
        };
        let created = self.store.functions().update(scope, &function, decide).await?;
        Ok(describe(scope, &function, created))
    }

    /// Changes what an alias names; what the request leaves out stays.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>.
    ///
    /// # Errors
    /// When there is no such function, version or alias, the alias is of another revision than the caller saw, the
    /// weights are wrong, or its provisioned concurrency cannot go with it.
    pub async fn update_alias(
        &self,
        scope: &Scope,
        request: model::UpdateAliasRequest,
    ) -> Result<model::AliasConfiguration, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.unqualified_function()?;
        let revision = self.new_revision();
        let arn = arn(scope, &function, &request.name);
        let decide = move |entry: &mut Entry<'_>| -> Result<Alias, Error> {
            if !entry.exists() {
                return Err(target.function_not_found());
            }
            let before = entry.alias(&request.name)?.ok_or(NotFound::ChangedAlias { arn })?;
            let seen = before.clone();
            check_revision(before.revision, request.revision_id.as_deref())?;
            let named = request.function_version.map(|text| version(&text, &target)).transpose()?;
            let alias = Alias {
                version: named.unwrap_or(before.version),
                revision,
                description: request.description.unwrap_or(before.description),
                name: before.name,
                weights: before.weights,
            };
            let alias = with_weights(alias, request.routing_config.as_ref())?;
            check(entry, &alias, &target)?;
            check_alias(entry, &seen, &alias)?;
            entry.put_alias(&alias)?;
            Ok(alias)
        };
        let updated = self.store.functions().update(scope, &function, decide).await?;
        Ok(describe(scope, &function, updated))
    }

    /// An alias of a function.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html>.
    ///
    /// # Errors
    /// When there is no such function or alias.
    pub async fn get_alias(
        &self,
        scope: &Scope,
        request: model::GetAliasRequest,
    ) -> Result<model::AliasConfiguration, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.unqualified_function()?;
        if let Some(alias) = self.store.functions().alias(scope, &function, &request.name)? {
            return Ok(describe(scope, &function, alias));
        }
        if self.store.functions().get(scope, &function, Version::Latest)?.is_none() {
            return Err(target.function_not_found());
        }
        Err(NotFound::Alias { arn: arn(scope, &function, &request.name) }.into())
    }

    /// One page of the aliases of a function, by name.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListAliases.html>.
    ///
    /// # Errors
    /// When there is no such function, or the marker is not one of this list.
    pub async fn list_aliases(
        &self,
        scope: &Scope,
        request: model::ListAliasesRequest,
    ) -> Result<model::ListAliasesResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.unqualified_function()?;
        let of = request.function_version.as_deref().map(|text| version(text, &target)).transpose()?;
        let markers = Markers::new(&self.sealer, scope, format!("aliases/{function}/{of:?}"));
        let after = request.marker.map(|marker| markers.read(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::FUNCTIONS_PER_PAGE);
        let listed = self.store.functions().aliases(scope, &function, of, after.as_deref(), limit + 1)?;
        let mut aliases = listed.ok_or_else(|| target.function_not_found())?;
        let next_marker = cut(&mut aliases, limit).map(|alias| markers.write(&alias.name));
        let describe = |alias| describe(scope, &function, alias);
        Ok(model::ListAliasesResponse {
            next_marker,
            aliases: Some(aliases.into_iter().map(describe).collect()),
        })
    }

    /// Deletes an alias; without effect if there is none of that name.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteAlias.html>.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn delete_alias(&self, scope: &Scope, request: model::DeleteAliasRequest) -> Result<(), Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.unqualified_function()?;
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            if !entry.exists() {
                return Err(target.function_not_found());
            }
            Ok(entry.delete_alias(&request.name)?)
        };
        self.store.functions().update(scope, &function, decide).await
    }
}

/// The version that a caller means. A number too large for any version is one that is not there.
fn version(text: &str, target: &Target) -> Result<Version, Error> {
    match Qualifier::from(text) {
        Qualifier::Latest => Ok(Version::Latest),
        Qualifier::Version(number) => Ok(Version::Published(number)),
        Qualifier::LatestPublished | Qualifier::Name(_) => Err(missing(target, text)),
    }
}

fn missing(target: &Target, version: &str) -> Error {
    Target { qualifier: Some(Qualifier::from(version)), ..target.clone() }.not_found()
}

/// `alias` with the weights of a request; without any in the request, those that it has stay.
fn with_weights(
    alias: Alias,
    routing: Option<&model::AliasRoutingConfiguration>,
) -> Result<Alias, InvalidParameter> {
    let Some(routing) = routing else { return Ok(alias) };
    let weights = routing.additional_version_weights.iter().flatten();
    let weights: BTreeMap<VersionNumber, f64> =
        weights.filter_map(|(version, weight)| Some((version.parse().ok()?, *weight))).collect();
    if weights.len() > 1 {
        return Err(InvalidParameter::WeightCount);
    }
    Ok(Alias { weights, ..alias })
}

/// Whether all that `alias` names is there and fits together.
fn check(entry: &Entry<'_>, alias: &Alias, target: &Target) -> Result<(), Error> {
    for number in alias.weights.keys() {
        if alias.version == Version::Published(*number) {
            return Err(InvalidParameter::WeightOfMainVersion { version: number.to_string() }.into());
        }
        if alias.version == Version::Latest {
            return Err(Error::LatestWithWeights);
        }
        if entry.version(Version::Published(*number))?.is_none() {
            return Err(missing(target, &number.to_string()));
        }
    }
    if entry.version(alias.version)?.is_none() {
        return Err(missing(target, &alias.version.to_string()));
    }
    Ok(())
}

fn arn(scope: &Scope, function: &FunctionName, alias: &str) -> FunctionArn {
    let qualifier = Some(Qualifier::Name(alias.to_owned()));
    FunctionArn { scope: scope.clone(), name: function.clone(), qualifier }
}

fn describe(scope: &Scope, function: &FunctionName, alias: Alias) -> model::AliasConfiguration {
    let weights = alias.weights.iter().map(|(version, weight)| (version.to_string(), *weight)).collect();
    let routing = model::AliasRoutingConfiguration { additional_version_weights: Some(weights) };
    model::AliasConfiguration {
        alias_arn: Some(arn(scope, function, &alias.name).to_string()),
        name: Some(alias.name),
        function_version: Some(alias.version.to_string()),
        description: Some(alias.description),
        routing_config: (!alias.weights.is_empty()).then_some(routing),
        revision_id: Some(alias.revision.to_string()),
    }
}
