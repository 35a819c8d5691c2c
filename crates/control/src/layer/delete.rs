//! DeleteLayerVersion.

use firelet_api::model;
use firelet_store::layer::LayerEntry;
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;

use super::own_version;

impl Control {
    /// Deletes a version of a layer; one that is not there is as good as deleted. Functions that use it go on.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteLayerVersion.html>.
    ///
    /// # Errors
    /// When the layer is another account's, or the number is none.
    pub async fn delete_layer_version(
        &self,
        scope: &Scope,
        request: model::DeleteLayerVersionRequest,
    ) -> Result<(), Error> {
        let arn = own_version(scope, &request.layer_name, request.version_number, "DeleteLayerVersion")?;
        let number = arn.number;
        let decide =
            move |entry: &mut LayerEntry<'_>| -> Result<(), Error> { Ok(entry.delete_version(number)?) };
        self.store.layers().update(&arn.layer, decide).await
    }
}
