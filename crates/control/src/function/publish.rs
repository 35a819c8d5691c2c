//! Publishing: `$LATEST` as it is becomes a version that stays.

use firelet_api::model;
use firelet_store::function::Entry;
use firelet_store::{Definition, FunctionVersion, LastUpdate, State, Version};
use firelet_types::limits::VERSIONS_PER_CAPACITY_PROVIDER;
use firelet_types::{Qualifier, RevisionId, Scope};

use crate::capacity_provider::CapacityProviderError;
use crate::control::Control;
use crate::describe::{self, Detail, describe};
use crate::error::{Error, InvalidParameter};
use crate::name::resolve;

use super::{creating, updatable, updating};

impl Control {
    /// Publishes `$LATEST` as it is.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>.
    ///
    /// # Errors
    /// When there is no such function, it is being changed, or it is not what the caller wants to publish.
    pub async fn publish_version(
        &self,
        scope: &Scope,
        request: model::PublishVersionRequest,
    ) -> Result<model::FunctionConfiguration, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.unqualified_function()?;
        let revisions = [self.new_revision(), self.new_revision()];
        let code_storage_bytes = self.quotas.code_storage_bytes;
        let decide = move |entry: &mut Entry<'_>| -> Result<FunctionVersion, Error> {
            let latest = updatable(entry, &target, request.revision_id.as_deref())?;
            check_code(describe::code_sha256(&latest.definition), request.code_sha256)?;
            let before = entry.last_published();
            let [revision, latest_revision] = revisions;
            let described = described(&latest, request.description);
            let published = publish(entry, &described, request.publish_to, revision)?;
            if entry.last_published() > before || published.version == Version::LatestPublished {
                entry.put(&FunctionVersion { revision: latest_revision, ..latest })?;
            }
            if entry.usage()?.code_bytes > code_storage_bytes {
                return Err(Error::CodeStorageExceeded);
            }
            Ok(published)
        };
        let published = self.store.functions().update(scope, &name, decide).await?;
        let qualifier = Some(Qualifier::from(published.version));
        Ok(describe(&published, qualifier, Detail::Full))
    }
}

fn check_code(current: String, expected: Option<String>) -> Result<(), InvalidParameter> {
    match expected {
        Some(expected) if !expected.is_empty() && expected != current => {
            Err(InvalidParameter::CodeMismatch { expected, current })
        }
        _ => Ok(()),
    }
}

/// `latest` with the description that its version shall have.
fn described(latest: &FunctionVersion, description: Option<String>) -> FunctionVersion {
    let description = description.unwrap_or_else(|| latest.definition.description.clone());
    FunctionVersion { definition: Definition { description, ..latest.definition.clone() }, ..latest.clone() }
}

/// Publishes `latest`, which the entry has already stored: with a number, or as `$LATEST.PUBLISHED`.
pub(super) fn publish(
    entry: &mut Entry<'_>,
    latest: &FunctionVersion,
    publish_to: Option<model::FunctionVersionLatestPublished>,
    revision: RevisionId,
) -> Result<FunctionVersion, Error> {
    let published = match publish_to {
        None => publish_number(entry, latest, revision)?,
        Some(model::FunctionVersionLatestPublished::LatestPublished) => {
            publish_latest(entry, latest, revision)?
        }
    };
    if let Some(capacity) = &latest.definition.capacity
        && entry.versions_on(&capacity.provider)? > VERSIONS_PER_CAPACITY_PROVIDER
    {
        return Err(CapacityProviderError::VersionLimit.into());
    }
    Ok(published)
}

/// Publishes in place of the `$LATEST.PUBLISHED` that there was, which serves until the new one is ready.
fn publish_latest(
    entry: &mut Entry<'_>,
    latest: &FunctionVersion,
    revision: RevisionId,
) -> Result<FunctionVersion, Error> {
    if latest.definition.capacity.is_none() {
        return Err(CapacityProviderError::PublishTo.into());
    }
    let state = match entry.version(Version::LatestPublished)?.map(|before| before.state) {
        Some(state @ (State::Active | State::Deactivated)) => state,
        _ => State::Pending(creating()),
    };
    let published = FunctionVersion {
        version: Version::LatestPublished,
        revision,
        state,
        last_update: Some(LastUpdate::InProgress(updating())),
        ..latest.clone()
    };
    entry.put(&published)?;
    Ok(published)
}

/// Answers the version that was published last if nothing but the description has changed since.
fn publish_number(
    entry: &mut Entry<'_>,
    latest: &FunctionVersion,
    revision: RevisionId,
) -> Result<FunctionVersion, Error> {
    let last = entry.last_published();
    if let Some(published) = entry.version(Version::Published(last))?.filter(|_| last > 0)
        && is_same(&published.definition, &latest.definition)
    {
        return Ok(published);
    }
    let published = FunctionVersion {
        version: Version::Published(last + 1),
        revision,
        state: State::Pending(creating()),
        last_update: None,
        ..latest.clone()
    };
    entry.put(&published)?;
    Ok(published)
}

fn is_same(published: &Definition, latest: &Definition) -> bool {
    let described = Definition { description: published.description.clone(), ..latest.clone() };
    *published == described
}
