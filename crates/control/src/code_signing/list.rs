//! Lists of code signing configurations and of the functions under one, page by page.

use firelet_api::model;
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;
use crate::marker::{Markers, cut, page_size};
use crate::name;

use super::describe;

/// Items on one page, whatever the caller asks for.
const ITEMS_PER_PAGE: usize = 50;

impl Control {
    /// One page of the code signing configurations of the account in this Region.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListCodeSigningConfigs.html>.
    ///
    /// # Errors
    /// When the marker is not one of this list, or the store cannot be read.
    pub async fn list_code_signing_configs(
        &self,
        scope: &Scope,
        request: model::ListCodeSigningConfigsRequest,
    ) -> Result<model::ListCodeSigningConfigsResponse, Error> {
        let markers = Markers::new(&self.sealer, scope, "code-signing-configs".to_owned());
        let after = request.marker.map(|marker| markers.parse(&marker)).transpose()?;
        let limit = page_size(request.max_items, ITEMS_PER_PAGE);
        let mut page = self.store.code_signing_configs().list(scope, after.as_ref(), limit + 1)?;
        let next_marker = cut(&mut page, limit).map(|last| markers.write(last.id.as_str()));
        Ok(model::ListCodeSigningConfigsResponse {
            next_marker,
            code_signing_configs: Some(page.iter().map(|config| describe(scope, config)).collect()),
        })
    }

    /// One page of the ARNs of the functions under a code signing configuration.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionsByCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When there is no such configuration, or the marker is not one of this list.
    pub async fn list_functions_by_code_signing_config(
        &self,
        scope: &Scope,
        request: model::ListFunctionsByCodeSigningConfigRequest,
    ) -> Result<model::ListFunctionsByCodeSigningConfigResponse, Error> {
        let arn = request.code_signing_config_arn;
        let config = self.find_code_signing_config(scope, &arn)?;
        let markers = Markers::new(&self.sealer, scope, format!("code-signing-functions/{arn}"));
        let after = request.marker.map(|marker| markers.parse(&marker)).transpose()?;
        let limit = page_size(request.max_items, ITEMS_PER_PAGE);
        let configs = self.store.code_signing_configs();
        let mut page = configs.functions(scope, &config.id, after.as_ref(), limit + 1)?;
        let next_marker = cut(&mut page, limit).map(|last| markers.write(last.as_str()));
        Ok(model::ListFunctionsByCodeSigningConfigResponse {
            next_marker,
            function_arns: Some(page.iter().map(|name| name::arn(scope, name).to_string()).collect()),
        })
    }
}
