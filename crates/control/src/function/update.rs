//! UpdateFunctionCode and UpdateFunctionConfiguration.

use firelet_api::model;
use firelet_store::definition::Layer;
use firelet_store::function::Entry;
use firelet_store::{Definition, FunctionVersion, LastUpdate, Version};
use firelet_types::{Qualifier, RevisionId, Scope, Timestamp};

use crate::code_signing;
use crate::configuration::{Changes, Context, architecture, capacity, clearable};
use crate::control::Control;
use crate::deployment::{Deployment, Settled};
use crate::describe::{Detail, describe};
use crate::error::Error;
use crate::layer::attach;
use crate::name::{Target, resolve};
use crate::package::{self, Package, Source};
use crate::quota::Quotas;

use super::publish::publish;
use super::{creating, updatable};

impl Control {
    /// Changes what a caller configures about a function.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html>.
    ///
    /// # Errors
    /// What is wrong with the request, or that the function is not there or cannot be changed now.
    pub async fn update_function_configuration(
        &self,
        scope: &Scope,
        request: model::UpdateFunctionConfigurationRequest,
    ) -> Result<model::FunctionConfiguration, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.unqualified_function()?;
        let seen = request.revision_id.clone();
        let changes = Changes::of_update(request);
        let new_layers = changes.layers.clone();
        let (revision, now) = (self.new_revision(), self.clock.now());
        let (bounds, quotas) = (scope.clone(), self.quotas.clone());
        let decide = move |entry: &mut Entry<'_>| -> Result<FunctionVersion, Error> {
            let before = updatable(entry, &target, seen.as_deref())?;
            let context = Context { scope: &bounds, quotas: &quotas };
            let layers = before.definition.layers.clone();
            let mut definition = changes.apply(before.definition.clone(), &context)?;
            capacity::check_kept(&before.definition, &definition)?;
            capacity::attach(entry, &definition)?;
            if let Some(arns) = new_layers {
                definition.layers = attach::attach(entry, &bounds, arns)?;
            }
            verify_layers(entry, &layers, &definition.layers)?;
            attach::check_size(&definition, &quotas)?;
            let last_update = Some(LastUpdate::InProgress(creating()));
            let after = FunctionVersion { definition, revision, last_modified: now, last_update, ..before };
            entry.put(&after)?;
            Ok(after)
        };
        let updated = self.store.functions().update(scope, &name, decide).await?;
        Ok(describe(&updated, None, Detail::Full))
    }

    /// Replaces the code of a function, and publishes it if asked to.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html>.
    ///
    /// # Errors
    /// What is wrong with the request or the code, or that the function is not there or cannot be changed now.
    pub async fn update_function_code(
        &self,
        scope: &Scope,
        request: model::UpdateFunctionCodeRequest,
    ) -> Result<model::FunctionConfiguration, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.unqualified_function()?;
        let current = self.store.functions().get(scope, &name, Version::Latest)?;
        let current = current.ok_or_else(|| target.function_not_found())?;
        let deployment = Deployment::of_update(current.definition.package_type, &request)?;
        let deployed = self.deploy(deployment).await?;
        let replacement = Replacement {
            settled: deployed.settle(),
            target,
            request,
            revisions: [self.new_revision(), self.new_revision()],
            now: self.clock.now(),
            quotas: self.quotas.clone(),
        };
        let updated =
            self.store.functions().update(scope, &name, move |entry| replacement.apply(entry)).await?;
        drop(deployed);
        Ok(describe(&updated, published_qualifier(&updated), Detail::Full))
    }

    /// Takes the code of a request: reads it, checks it, stores it.
    pub(crate) async fn take_package(&self, source: Source) -> Result<Package, Error> {
        let zip = match source {
            Source::Zip(zip) => {
                package::check_zipped_size(&zip, &self.quotas)?;
                zip
            }
            Source::Object { bucket, key, version, mode: _ } => {
                let source = self.code_source.as_ref();
                let source =
                    source.ok_or(Error::Unsupported { feature: "code from S3 without an S3 endpoint" })?;
                source.get(&bucket, &key, version, self.quotas.unzipped_bytes).await?
            }
        };
        let unzipped_bytes = package::check(zip.clone(), &self.quotas).await?;
        package::keep(&self.store, zip, unzipped_bytes).await
    }
}

/// What the ARN of the answer ends with: a version that is published with its code is shown by its own ARN, unlike one
/// that CreateFunction publishes.
fn published_qualifier(updated: &FunctionVersion) -> Option<Qualifier> {
    (updated.version != Version::Latest).then(|| updated.version.into())
}

/// Judges layers that a function did not have before, as its code would be.
fn verify_layers(entry: &Entry<'_>, before: &[Layer], after: &[Layer]) -> Result<(), Error> {
    let config = entry.code_signing()?;
    let mut added = after.iter().filter(|layer| !before.contains(layer));
    added.try_for_each(|layer| Ok(code_signing::verify(config.as_ref(), &layer.arn.to_string())?))
}

/// New code for a function.
struct Replacement {
    target: Target,
    settled: Settled,
    request: model::UpdateFunctionCodeRequest,
    revisions: [RevisionId; 2],
    now: Timestamp,
    quotas: Quotas,
}

impl Replacement {
    fn apply(self, entry: &mut Entry<'_>) -> Result<FunctionVersion, Error> {
        let before = updatable(entry, &self.target, self.request.revision_id.as_deref())?;
        code_signing::verify(entry.code_signing()?.as_ref(), &self.request.function_name)?;
        let architectures = self.request.architectures.as_deref();
        let key = self.request.source_kms_key_arn.clone();
        let definition = self.settled.replace(before.definition.clone())?;
        let definition = Definition {
            architecture: architecture(architectures).unwrap_or(definition.architecture),
            package_kms_key: clearable(key, definition.package_kms_key),
            ..definition
        };
        attach::check_size(&definition, &self.quotas)?;
        if self.request.dry_run == Some(true) {
            return Ok(FunctionVersion { definition, ..before });
        }
        let [revision, published_revision] = self.revisions;
        let last_update = Some(LastUpdate::InProgress(creating()));
        let after = FunctionVersion { definition, revision, last_modified: self.now, last_update, ..before };
        entry.put(&after)?;
        let publishes = self.request.publish == Some(true);
        let answer = if publishes {
            publish(entry, &after, self.request.publish_to, published_revision)?
        } else {
            after
        };
        if entry.usage()?.code_bytes > self.quotas.code_storage_bytes {
            return Err(Error::CodeStorageExceeded);
        }
        Ok(answer)
    }
}
