//! Tags of functions, event source mappings, code signing configurations and capacity providers.

use std::collections::BTreeMap;

use firelet_api::model;
use firelet_store::Version;
use firelet_store::capacity_provider::CapacityProviderEditor;
use firelet_store::code_signing::CodeSigningEntry;
use firelet_store::function::Entry;
use firelet_store::mapping::Editor;
use firelet_types::{CapacityProviderName, CodeSigningConfigId, MappingId, Scope, limits};

use crate::capacity_provider;
use crate::code_signing;
use crate::control::Control;
use crate::error::{Error, InvalidParameter, NotFound};
use crate::mapping;
use crate::name::{Target, resolve};

/// What can have tags.
enum Taggable {
    Function(Target),
    Mapping { scope: Scope, id: MappingId },
    CodeSigningConfig { scope: Scope, id: CodeSigningConfigId },
    CapacityProvider { scope: Scope, name: CapacityProviderName },
}

impl Control {
    /// The tags of a resource.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListTags.html>.
    ///
    /// # Errors
    /// When there is no such resource, or the ARN is that of a version or an alias.
    pub async fn list_tags(
        &self,
        scope: &Scope,
        request: model::ListTagsRequest,
    ) -> Result<model::ListTagsResponse, Error> {
        let tags = match taggable(scope, &request.resource)? {
            Taggable::Function(target) => {
                let tags = self.store.functions().tags(scope, &target.function()?)?;
                tags.ok_or_else(|| target.not_found())?
            }
            Taggable::Mapping { scope, id } => {
                self.store.mappings().tags(&scope, id)?.ok_or_else(|| no_mapping(&request.resource))?
            }
            Taggable::CodeSigningConfig { scope, .. } => {
                self.find_code_signing_config(&scope, &request.resource)?.definition.tags
            }
            Taggable::CapacityProvider { scope, .. } => {
                self.find_capacity_provider(&scope, &request.resource)?.definition.tags
            }
        };
        Ok(model::ListTagsResponse { tags: Some(tags) })
    }

    /// Adds tags to a resource; the same key again replaces the value.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html>.
    ///
    /// # Errors
    /// When there is no such resource, or it would have too many tags.
    pub async fn tag_resource(&self, scope: &Scope, request: model::TagResourceRequest) -> Result<(), Error> {
        let target = taggable(scope, &request.resource)?;
        if request.tags.is_empty() {
            return Err(InvalidParameter::NoTags.into());
        }
        self.change_tags(target, request.resource, move |tags| tags.extend(request.tags)).await
    }

    /// Removes tags from a resource; keys that it does not have are passed over.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UntagResource.html>.
    ///
    /// # Errors
    /// When there is no such resource.
    pub async fn untag_resource(
        &self,
        scope: &Scope,
        request: model::UntagResourceRequest,
    ) -> Result<(), Error> {
        let target = taggable(scope, &request.resource)?;
        let keys = request.tag_keys;
        self.change_tags(target, request.resource, move |tags| tags.retain(|key, _| !keys.contains(key)))
            .await
    }

    async fn change_tags(
        &self,
        target: Taggable,
        resource: String,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> Result<(), Error> {
        match target {
            Taggable::Function(target) => self.change_function_tags(target, change).await,
            Taggable::Mapping { scope, id } => {
                let decide = move |editor: &mut Editor<'_>| {
                    if editor.get(id)?.is_none() {
                        return Err(no_mapping(&resource));
                    }
                    let mut tags = editor.tags(id)?;
                    change(&mut tags);
                    check(&tags)?;
                    Ok(editor.set_tags(id, &tags)?)
                };
                self.store.mappings().update(&scope, decide).await
            }
            Taggable::CodeSigningConfig { scope, id } => {
                let decide = move |entry: &mut CodeSigningEntry<'_>| {
                    let mut config = entry.config()?.ok_or_else(|| code_signing::not_found(&resource))?;
                    change(&mut config.definition.tags);
                    check(&config.definition.tags)?;
                    Ok(entry.put(config.last_modified, &config.definition)?)
                };
                self.store.code_signing_configs().update(&scope, &id, decide).await
            }
            Taggable::CapacityProvider { scope, name } => {
                self.change_capacity_provider_tags(scope, name, change).await
            }
        }
    }

    async fn change_capacity_provider_tags(
        &self,
        scope: Scope,
        name: CapacityProviderName,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> Result<(), Error> {
        let within = scope.clone();
        let decide = move |editor: &mut CapacityProviderEditor<'_>| {
            let found = editor.get(&name)?;
            let mut provider = found.ok_or_else(|| capacity_provider::not_found(&within, &name))?;
            change(&mut provider.definition.tags);
            check(&provider.definition.tags)?;
            Ok(editor.put(&provider)?)
        };
        self.store.capacity_providers().update(&scope, decide).await
    }

    async fn change_function_tags(
        &self,
        target: Target,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> Result<(), Error> {
        let name = target.function()?;
        let scope = target.scope.clone();
        let revision = self.new_revision();
        let decide = move |entry: &mut Entry<'_>| {
            let mut record = entry.version(Version::Latest)?.ok_or_else(|| target.not_found())?;
            let mut tags = entry.tags()?;
            change(&mut tags);
            check(&tags)?;
            entry.set_tags(&tags)?;
            record.revision = revision;
            Ok(entry.put(&record)?)
        };
        self.store.functions().update(&scope, &name, decide).await
    }
}

/// Refuses more tags than a resource may have.
pub(crate) fn check(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    if tags.len() > limits::TAGS_PER_RESOURCE {
        return Err(InvalidParameter::TagCount.into());
    }
    Ok(())
}

/// The resource that an ARN names; nothing else that can have tags exists yet.
fn taggable(scope: &Scope, resource: &str) -> Result<Taggable, Error> {
    match resource.split(':').nth(5) {
        Some(mapping::RESOURCE) => match mapping::id_of_arn(scope, resource) {
            Some(id) => Ok(Taggable::Mapping { scope: scope.clone(), id }),
            None => Err(no_mapping(resource)),
        },
        Some("code-signing-config") => {
            let id = code_signing::parse_arn(scope, resource)?;
            Ok(Taggable::CodeSigningConfig { scope: scope.clone(), id })
        }
        Some(capacity_provider::RESOURCE) => {
            let name = capacity_provider::name(scope, resource)?;
            Ok(Taggable::CapacityProvider { scope: scope.clone(), name })
        }
        Some("network-connector") => Err(Error::Unsupported { feature: "network connectors" }),
        _ => function(scope, resource).map(Taggable::Function),
    }
}

fn no_mapping(arn: &str) -> Error {
    NotFound::EventSourceMapping { arn: arn.to_owned() }.into()
}

fn function(scope: &Scope, resource: &str) -> Result<Target, Error> {
    let target = resolve(scope, resource, None)?;
    match target.qualifier {
        None => Ok(target),
        Some(_) => Err(InvalidParameter::TagsOnQualified.into()),
    }
}
