//! Which rule answers which operation of the control plane.

use bytes::Bytes;
use firelet_api::{ApiError, DecodeRequest, EncodeResponse, EncodedResponse, Operation, Request, Routed};
use firelet_control::{Control, Error};
use firelet_types::{RequestId, Scope};
use http::HeaderMap;

use crate::error::from_control;

/// Bytes of a body that takes milliseconds to decode.
const LARGE_BODY: usize = 1 << 20;

/// One request to the API, read but not decoded.
pub(crate) struct Call<'a> {
    pub(crate) request_id: RequestId,
    pub(crate) scope: &'a Scope,
    pub(crate) routed: &'a Routed,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
    /// The address by which the client reached this server.
    pub(crate) base_url: String,
}

impl Call<'_> {
    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            labels: &self.routed.labels,
            query: &self.routed.query,
            headers: self.headers,
            body: self.body.clone(),
        }
    }

    /// Decodes the request; a large one away from the thread that serves others.
    fn decode<I: DecodeRequest>(&self) -> Result<I, ApiError> {
        let request = self.request();
        if self.body.len() > LARGE_BODY {
            return Ok(tokio::task::block_in_place(|| I::decode(&request))?);
        }
        Ok(I::decode(&request)?)
    }

    fn answer<O: EncodeResponse>(&self, output: Result<O, Error>) -> Result<EncodedResponse, ApiError> {
        Ok(output.map_err(|error| from_control(&error))?.encode(self.routed.operation))
    }

    /// An output that may not be there.
    fn answer_any<O: EncodeResponse>(
        &self,
        output: Result<Option<O>, Error>,
    ) -> Result<EncodedResponse, ApiError> {
        let operation = self.routed.operation;
        let output = output.map_err(|error| from_control(&error))?;
        Ok(output
            .map_or_else(|| EncodedResponse::without_members(operation), |output| output.encode(operation)))
    }

    fn done(&self, output: Result<(), Error>) -> Result<EncodedResponse, ApiError> {
        output.map_err(|error| from_control(&error))?;
        Ok(EncodedResponse::empty(self.routed.operation))
    }
}

pub(crate) async fn call(control: &Control, call: Call<'_>) -> Result<EncodedResponse, ApiError> {
    let scope = call.scope;
    match call.routed.operation {
        Operation::AddLayerVersionPermission => {
            call.answer(control.add_layer_version_permission(scope, call.decode()?).await)
        }
        Operation::AddPermission => call.answer(control.add_permission(scope, call.decode()?).await),
        Operation::CreateAlias => call.answer(control.create_alias(scope, call.decode()?).await),
        Operation::CreateCapacityProvider => {
            call.answer(control.create_capacity_provider(scope, call.decode()?).await)
        }
        Operation::CreateCodeSigningConfig => {
            call.answer(control.create_code_signing_config(scope, call.decode()?).await)
        }
        Operation::CreateEventSourceMapping => {
            call.answer(control.create_event_source_mapping(scope, call.decode()?).await)
        }
        Operation::CreateFunction => call.answer(control.create_function(scope, call.decode()?).await),
        Operation::CreateFunctionUrlConfig => {
            call.answer(control.create_function_url_config(scope, call.decode()?).await)
        }
        Operation::DeleteAlias => call.done(control.delete_alias(scope, call.decode()?).await),
        Operation::DeleteCapacityProvider => {
            call.answer(control.delete_capacity_provider(scope, call.decode()?).await)
        }
        Operation::DeleteCodeSigningConfig => {
            call.answer(control.delete_code_signing_config(scope, call.decode()?).await)
        }
        Operation::DeleteEventSourceMapping => {
            call.answer(control.delete_event_source_mapping(scope, call.decode()?).await)
        }
        Operation::DeleteFunction => call.answer(control.delete_function(scope, call.decode()?).await),
        Operation::DeleteFunctionCodeSigningConfig => {
            call.done(control.delete_function_code_signing_config(scope, call.decode()?).await)
        }
        Operation::DeleteFunctionConcurrency => {
            call.done(control.delete_function_concurrency(scope, call.decode()?).await)
        }
        Operation::DeleteFunctionEventInvokeConfig => {
            call.done(control.delete_function_event_invoke_config(scope, call.decode()?).await)
        }
        Operation::DeleteFunctionUrlConfig => {
            call.done(control.delete_function_url_config(scope, call.decode()?).await)
        }
        Operation::DeleteLayerVersion => call.done(control.delete_layer_version(scope, call.decode()?).await),
        Operation::DeleteProvisionedConcurrencyConfig => {
            call.done(control.delete_provisioned_concurrency_config(scope, call.decode()?).await)
        }
        Operation::DeleteResourcePolicy => {
            call.done(control.delete_resource_policy(scope, call.decode()?).await)
        }
        Operation::GetAccountSettings => {
            call.answer(control.get_account_settings(scope, call.decode()?).await)
        }
        Operation::GetAlias => call.answer(control.get_alias(scope, call.decode()?).await),
        Operation::GetCapacityProvider => {
            call.answer(control.get_capacity_provider(scope, call.decode()?).await)
        }
        Operation::GetCodeSigningConfig => {
            call.answer(control.get_code_signing_config(scope, call.decode()?).await)
        }
        Operation::GetEventSourceMapping => {
            call.answer(control.get_event_source_mapping(scope, call.decode()?).await)
        }
        Operation::GetFunction => {
            call.answer(control.get_function(scope, call.decode()?, &call.base_url).await)
        }
        Operation::GetFunctionCodeSigningConfig => {
            call.answer_any(control.get_function_code_signing_config(scope, call.decode()?).await)
        }
        Operation::GetFunctionConcurrency => {
            call.answer(control.get_function_concurrency(scope, call.decode()?).await)
        }
        Operation::GetFunctionConfiguration => {
            call.answer(control.get_function_configuration(scope, call.decode()?).await)
        }
        Operation::GetFunctionEventInvokeConfig => {
            call.answer(control.get_function_event_invoke_config(scope, call.decode()?).await)
        }
        Operation::GetFunctionRecursionConfig => {
            call.answer(control.get_function_recursion_config(scope, call.decode()?).await)
        }
        Operation::GetFunctionScalingConfig => {
            call.answer(control.get_function_scaling_config(scope, call.decode()?).await)
        }
        Operation::GetFunctionUrlConfig => {
            call.answer(control.get_function_url_config(scope, call.decode()?).await)
        }
        Operation::GetLayerVersion => {
            call.answer(control.get_layer_version(scope, call.decode()?, &call.base_url).await)
        }
        Operation::GetLayerVersionByArn => {
            call.answer(control.get_layer_version_by_arn(scope, call.decode()?, &call.base_url).await)
        }
        Operation::GetLayerVersionPolicy => {
            call.answer(control.get_layer_version_policy(scope, call.decode()?).await)
        }
        Operation::GetPolicy => call.answer(control.get_policy(scope, call.decode()?).await),
        Operation::GetProvisionedConcurrencyConfig => {
            call.answer(control.get_provisioned_concurrency_config(scope, call.decode()?).await)
        }
        Operation::GetResourcePolicy => call.answer(control.get_resource_policy(scope, call.decode()?).await),
        Operation::GetRuntimeManagementConfig => {
            call.answer(control.get_runtime_management_config(scope, call.decode()?).await)
        }
        Operation::ListAliases => call.answer(control.list_aliases(scope, call.decode()?).await),
        Operation::ListCapacityProviders => {
            call.answer(control.list_capacity_providers(scope, call.decode()?).await)
        }
        Operation::ListCodeSigningConfigs => {
            call.answer(control.list_code_signing_configs(scope, call.decode()?).await)
        }
        Operation::ListEventSourceMappings => {
            call.answer(control.list_event_source_mappings(scope, call.decode()?).await)
        }
        Operation::ListFunctionEventInvokeConfigs => {
            call.answer(control.list_function_event_invoke_configs(scope, call.decode()?).await)
        }
        Operation::ListFunctionUrlConfigs => {
            call.answer(control.list_function_url_configs(scope, call.decode()?).await)
        }
        Operation::ListFunctionVersionsByCapacityProvider => {
            call.answer(control.list_function_versions_by_capacity_provider(scope, call.decode()?).await)
        }
        Operation::ListFunctions => call.answer(control.list_functions(scope, call.decode()?).await),
        Operation::ListFunctionsByCodeSigningConfig => {
            call.answer(control.list_functions_by_code_signing_config(scope, call.decode()?).await)
        }
        Operation::ListLayerVersions => call.answer(control.list_layer_versions(scope, call.decode()?).await),
        Operation::ListLayers => call.answer(control.list_layers(scope, call.decode()?).await),
        Operation::ListProvisionedConcurrencyConfigs => {
            call.answer(control.list_provisioned_concurrency_configs(scope, call.decode()?).await)
        }
        Operation::ListTags => call.answer(control.list_tags(scope, call.decode()?).await),
        Operation::ListVersionsByFunction => {
            call.answer(control.list_versions_by_function(scope, call.decode()?).await)
        }
        Operation::PublishLayerVersion => {
            call.answer(control.publish_layer_version(scope, call.decode()?, &call.base_url).await)
        }
        Operation::PublishVersion => call.answer(control.publish_version(scope, call.decode()?).await),
        Operation::PutFunctionCodeSigningConfig => {
            call.answer(control.put_function_code_signing_config(scope, call.decode()?).await)
        }
        Operation::PutFunctionConcurrency => {
            call.answer(control.put_function_concurrency(scope, call.decode()?).await)
        }
        Operation::PutFunctionEventInvokeConfig => {
            call.answer(control.put_function_event_invoke_config(scope, call.decode()?).await)
        }
        Operation::PutFunctionRecursionConfig => {
            call.answer(control.put_function_recursion_config(scope, call.decode()?).await)
        }
        Operation::PutFunctionScalingConfig => {
            call.answer(control.put_function_scaling_config(scope, call.decode()?).await)
        }
        Operation::PutProvisionedConcurrencyConfig => {
            call.answer(control.put_provisioned_concurrency_config(scope, call.decode()?).await)
        }
        Operation::PutResourcePolicy => call.answer(control.put_resource_policy(scope, call.decode()?).await),
        Operation::PutRuntimeManagementConfig => {
            call.answer(control.put_runtime_management_config(scope, call.decode()?).await)
        }
        Operation::RemoveLayerVersionPermission => {
            call.done(control.remove_layer_version_permission(scope, call.decode()?).await)
        }
        Operation::RemovePermission => call.done(control.remove_permission(scope, call.decode()?).await),
        Operation::TagResource => call.done(control.tag_resource(scope, call.decode()?).await),
        Operation::UntagResource => call.done(control.untag_resource(scope, call.decode()?).await),
        Operation::UpdateAlias => call.answer(control.update_alias(scope, call.decode()?).await),
        Operation::UpdateCapacityProvider => {
            call.answer(control.update_capacity_provider(scope, call.decode()?).await)
        }
        Operation::UpdateCodeSigningConfig => {
            call.answer(control.update_code_signing_config(scope, call.decode()?).await)
        }
        Operation::UpdateEventSourceMapping => {
            call.answer(control.update_event_source_mapping(scope, call.decode()?).await)
        }
        Operation::UpdateFunctionCode => {
            call.answer(control.update_function_code(scope, call.decode()?).await)
        }
        Operation::UpdateFunctionConfiguration => {
            call.answer(control.update_function_configuration(scope, call.decode()?).await)
        }
        Operation::UpdateFunctionEventInvokeConfig => {
            call.answer(control.update_function_event_invoke_config(scope, call.decode()?).await)
        }
        Operation::UpdateFunctionUrlConfig => {
            call.answer(control.update_function_url_config(scope, call.decode()?).await)
        }
        operation => Err(ApiError::not_implemented(operation)),
    }
}
