//! PublishLayerVersion.

use firelet_api::model;
use firelet_store::layer::{LayerDefinition, LayerEntry, LayerVersion};
use firelet_types::Scope;

use crate::code_link;
use crate::control::Control;
use crate::error::Error;
use crate::package::Source;

use super::{compatibility, describe, own_layer};

impl Control {
    /// Publishes a zip as the next version of a layer; its link is below `base_url`.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html>.
    ///
    /// # Errors
    /// What is wrong with the request or the zip, or that the layer is another account's.
    pub async fn publish_layer_version(
        &self,
        scope: &Scope,
        request: model::PublishLayerVersionRequest,
        base_url: &str,
    ) -> Result<model::PublishLayerVersionResponse, Error> {
        let layer = own_layer(scope, &request.layer_name, "PublishLayerVersion")?;
        let runtimes = request.compatible_runtimes;
        let architectures = request.compatible_architectures;
        let source = Source::of_layer(request.content)?;
        let code_object = source.referred();
        let package = self.take_package(source).await?;
        let definition = LayerDefinition {
            description: request.description.unwrap_or_default(),
            license: request.license_info,
            runtimes: runtimes
                .map(|runtimes| runtimes.iter().map(|runtime| runtime.as_str().to_owned()).collect()),
            architectures: architectures
                .map(|architectures| architectures.into_iter().map(compatibility::stored).collect()),
            code: package.code,
            code_object,
        };
        let (now, code_storage_bytes) = (self.clock.now(), self.quotas.code_storage_bytes);
        let decide = move |entry: &mut LayerEntry<'_>| -> Result<LayerVersion, Error> {
            let published = entry.publish(definition, now)?;
            if entry.usage()?.code_bytes > code_storage_bytes {
                return Err(Error::CodeStorageExceeded);
            }
            Ok(published)
        };
        let published = self.store.layers().update(&layer, decide).await?;
        drop(package);
        let link = code_link::make(&self.sealer, base_url, &published.definition.code.sha256, now);
        Ok(describe::published(&published, link))
    }
}
