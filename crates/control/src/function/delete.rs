//! DeleteFunction.

use firelet_api::model;
use firelet_store::function::Entry;
use firelet_types::{Qualifier, Scope};

use crate::control::Control;
use crate::error::{Error, InvalidParameter};
use crate::name::{Target, resolve};

/// The status of an answer without a body.
const NO_CONTENT: i32 = 204;

impl Control {
    /// Deletes a function with all its versions, or one version of it.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html>.
    ///
    /// # Errors
    /// When there is no such function, or the qualifier is none of a published version.
    pub async fn delete_function(
        &self,
        scope: &Scope,
        request: model::DeleteFunctionRequest,
    ) -> Result<model::DeleteFunctionResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let version = version_to_delete(&target)?;
        let name = target.function()?;
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            if !entry.exists() {
                return Err(target.not_found());
            }
            match version {
                Some(version) => entry.delete_version(version)?,
                None => entry.delete()?,
            }
            Ok(())
        };
        self.store.functions().update(scope, &name, decide).await?;
        Ok(model::DeleteFunctionResponse { status_code: Some(NO_CONTENT) })
    }
}

/// The one version to delete; none means the whole function.
fn version_to_delete(target: &Target) -> Result<Option<u64>, Error> {
    match &target.qualifier {
        None => Ok(None),
        Some(Qualifier::Version(version)) => Ok(Some(*version)),
        Some(Qualifier::Latest) => Err(InvalidParameter::DeleteLatest.into()),
        Some(Qualifier::Name(name)) if name.starts_with('$') => Err(target.function_not_found()),
        Some(Qualifier::Name(_)) => Err(InvalidParameter::DeleteAlias.into()),
    }
}
