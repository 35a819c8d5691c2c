//! The recursion configuration of functions: whether invocations that a function causes of itself are stopped.
//!
//! The setting is kept and shown here; who invokes functions looks for loops. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>.

use firelet_api::model;
use firelet_store::function::Entry;
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;
use crate::name::resolve;

impl Control {
    /// Sets the recursion configuration of a function.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionRecursionConfig.html>.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn put_function_recursion_config(
        &self,
        scope: &Scope,
        request: model::PutFunctionRecursionConfigRequest,
    ) -> Result<model::PutFunctionRecursionConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.function()?;
        let allows = match request.recursive_loop {
            model::RecursiveLoop::Allow => true,
            model::RecursiveLoop::Terminate => false,
        };
        let decide = move |entry: &mut Entry<'_>| {
            if !entry.exists() {
                return Err(target.not_found());
            }
            Ok(entry.set_allows_recursion(allows)?)
        };
        self.store.functions().update(scope, &name, decide).await?;
        Ok(model::PutFunctionRecursionConfigResponse { recursive_loop: Some(request.recursive_loop) })
    }

    /// The recursion configuration of a function: `Terminate` unless it was set.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionRecursionConfig.html>.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn get_function_recursion_config(
        &self,
        scope: &Scope,
        request: model::GetFunctionRecursionConfigRequest,
    ) -> Result<model::GetFunctionRecursionConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let found = self.store.functions().allows_recursion(scope, &target.function()?)?;
        let recursive_loop = match found.ok_or_else(|| target.not_found())? {
            true => model::RecursiveLoop::Allow,
            false => model::RecursiveLoop::Terminate,
        };
        Ok(model::GetFunctionRecursionConfigResponse { recursive_loop: Some(recursive_loop) })
    }
}
