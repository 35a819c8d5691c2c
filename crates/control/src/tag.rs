//! Tags of functions.

use std::collections::BTreeMap;

use firelet_api::model;
use firelet_store::Version;
use firelet_store::function::Entry;
use firelet_types::{Qualifier, Scope, limits};

use crate::control::Control;
use crate::error::{Error, InvalidParameter, NotFound};
use crate::name::{Target, resolve};

impl Control {
    /// The tags of a function.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListTags.html>.
    ///
    /// # Errors
    /// When there is no such function, or the ARN is that of a version or an alias.
    pub async fn list_tags(
        &self,
        scope: &Scope,
        request: model::ListTagsRequest,
    ) -> Result<model::ListTagsResponse, Error> {
        let target = taggable(scope, &request.resource)?;
        let tags = self.store.functions().tags(scope, &target.function()?)?;
        let tags = tags.ok_or_else(|| target.not_found())?;
        Ok(model::ListTagsResponse { tags: Some(tags) })
    }

    /// Adds tags to a function; the same key again replaces the value.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html>.
    ///
    /// # Errors
    /// When there is no such function, or it would have too many tags.
    pub async fn tag_resource(&self, scope: &Scope, request: model::TagResourceRequest) -> Result<(), Error> {
        let target = taggable(scope, &request.resource)?;
        if request.tags.is_empty() {
            return Err(InvalidParameter::NoTags.into());
        }
        self.change_tags(target, move |tags| tags.extend(request.tags)).await
    }

    /// Removes tags from a function; keys that it does not have are passed over.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UntagResource.html>.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn untag_resource(
        &self,
        scope: &Scope,
        request: model::UntagResourceRequest,
    ) -> Result<(), Error> {
        let target = taggable(scope, &request.resource)?;
        self.change_tags(target, move |tags| tags.retain(|key, _| !request.tag_keys.contains(key))).await
    }

    async fn change_tags(
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

/// The function that an ARN names; nothing else that can have tags exists yet.
fn taggable(scope: &Scope, resource: &str) -> Result<Target, Error> {
    let arn = resource.to_owned();
    match resource.split(':').nth(5) {
        Some("event-source-mapping") => Err(NotFound::EventSourceMapping { arn }.into()),
        Some("code-signing-config") => Err(NotFound::CodeSigningConfig { arn }.into()),
        Some("capacity-provider") => Err(NotFound::CapacityProvider { arn }.into()),
        Some("network-connector") => Err(Error::Unsupported { feature: "network connectors" }),
        _ => function(scope, resource),
    }
}

fn function(scope: &Scope, resource: &str) -> Result<Target, Error> {
    let target = resolve(scope, resource, None)?;
    match target.qualifier {
        None => Ok(target),
        Some(Qualifier::Latest | Qualifier::Version(_) | Qualifier::Name(_)) => {
            Err(InvalidParameter::TagsOnQualified.into())
        }
    }
}
