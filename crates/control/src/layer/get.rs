//! GetLayerVersion and GetLayerVersionByArn.

use firelet_api::model;
use firelet_types::{LayerArn, LayerVersionArn, Scope};

use crate::code_link;
use crate::control::Control;
use crate::error::Error;

use super::{LayerError, access, describe, version_number};

impl Control {
    /// A version of a layer, and a link to its content below `base_url`.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html>.
    ///
    /// # Errors
    /// When there is no such version, or it is one of another account that does not share it.
    pub async fn get_layer_version(
        &self,
        scope: &Scope,
        request: model::GetLayerVersionRequest,
        base_url: &str,
    ) -> Result<model::GetLayerVersionResponse, Error> {
        let number = version_number(request.version_number)?;
        let layer = LayerArn::resolve(scope, &request.layer_name).map_err(|_| LayerError::Missing)?;
        self.find_layer_version(scope, &layer.version(number), base_url)
    }

    /// The same by the ARN of the version.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html>.
    ///
    /// # Errors
    /// When there is no such version, or it is one of another account that does not share it.
    pub async fn get_layer_version_by_arn(
        &self,
        scope: &Scope,
        request: model::GetLayerVersionByArnRequest,
        base_url: &str,
    ) -> Result<model::GetLayerVersionResponse, Error> {
        let arn: LayerVersionArn = request.arn.parse().map_err(|_| LayerError::Missing)?;
        if arn.number == 0 {
            return Err(LayerError::VersionNumber.into());
        }
        self.find_layer_version(scope, &arn, base_url)
    }

    fn find_layer_version(
        &self,
        scope: &Scope,
        arn: &LayerVersionArn,
        base_url: &str,
    ) -> Result<model::GetLayerVersionResponse, Error> {
        let found = access::usable(scope, arn, self.store.layers().get(arn)?)?;
        let version = found.ok_or(LayerError::Missing)?;
        let digest = &version.definition.code.sha256;
        let link = code_link::make(&self.sealer, base_url, digest, self.clock.now());
        Ok(describe::whole(&version, link))
    }
}
