//! From a request to the statement that it adds to a policy.

use firelet_api::model;
use firelet_types::{AccountId, FunctionArn, Region};
use serde_json::value::RawValue;

use crate::policy::{Principal, Statement};

use super::PolicyError;

/// The statement that a request asks for, as JSON.
pub(super) fn statement(
    request: &model::AddPermissionRequest,
    resource: &FunctionArn,
) -> Result<Box<RawValue>, PolicyError> {
    let auth_type = request.function_url_auth_type.as_ref().map(model::FunctionUrlAuthType::as_str);
    if auth_type.is_some() && request.action != "lambda:InvokeFunctionUrl" {
        return Err(PolicyError::UrlAuthTypeAction);
    }
    let principal = principal(&request.principal, &resource.scope.region)?;
    let via_url = request.invoked_via_function_url.map(|via| if via { "true" } else { "false" });
    Ok(Statement::allow(&request.statement_id, principal, &request.action, resource.to_string())
        .only_if("StringEquals", "AWS:SourceAccount", request.source_account.as_deref())
        .only_if("StringEquals", "aws:PrincipalOrgID", request.principal_org_id.as_deref())
        .only_if("StringEquals", "lambda:EventSourceToken", request.event_source_token.as_deref())
        .only_if("StringEquals", "lambda:FunctionUrlAuthType", auth_type)
        .only_if("Bool", "lambda:InvokedViaFunctionUrl", via_url)
        .only_if("ArnLike", "AWS:SourceArn", request.source_arn.as_deref())
        .json())
}

/// What the names of services end with; Alexa's is `alexa-appkit.amazon.com`.
const SERVICES: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"];

/// An account stands for its root, a service is one by its name, and a star is everybody.
fn principal<'a>(text: &'a str, region: &Region) -> Result<Principal<'a>, PolicyError> {
    if text == "*" {
        Ok(Principal::Everybody)
    } else if SERVICES.iter().any(|domain| text.ends_with(domain)) {
        Ok(Principal::Service(text))
    } else if text.parse::<AccountId>().is_ok() {
        Ok(Principal::account(region, text))
    } else if text.starts_with("arn:") {
        Ok(Principal::Arn(text.to_owned()))
    } else {
        Err(PolicyError::Principal)
    }
}
