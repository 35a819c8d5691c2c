//! DeleteFunction.

use firelet_api::model;
use firelet_store::Version;
use firelet_store::function::Entry;
use firelet_types::{Qualifier, Scope};

use crate::control::Control;
use crate::error::{Conflict, Error, InvalidParameter};
use crate::name::{Target, resolve};

/// The status of an answer without a body.
const NO_CONTENT: i32 = 204;

impl Control {
    /// Deletes a function with all its versions, or one version of it.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html>.
    ///
    /// # Errors
    /// When there is no such function, the qualifier is none of a published version, or an alias names the version.
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
                Some(version) => {
                    check_unused(entry, version)?;
                    entry.delete_version(version)?;
                }
                None => entry.delete()?,
            }
            Ok(())
        };
        self.store.functions().update(scope, &name, decide).await?;
        Ok(model::DeleteFunctionResponse { status_code: Some(NO_CONTENT) })
    }
}

/// Refuses to delete a version that an alias names, in words that AWS's clients report:
/// <https://github.com/zappa/Zappa/issues/960>.
fn check_unused(entry: &Entry<'_>, version: Version) -> Result<(), Error> {
    let aliases = entry.aliases()?;
    let names: Vec<&str> =
        aliases.iter().filter(|alias| alias.references(version)).map(|alias| alias.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Conflict::VersionInUse { aliases: names.join(", ") }.into())
}

/// The one version to delete; none means the whole function.
fn version_to_delete(target: &Target) -> Result<Option<Version>, Error> {
    match &target.qualifier {
        None => Ok(None),
        Some(Qualifier::LatestPublished) => Ok(Some(Version::LatestPublished)),
        Some(Qualifier::Version(number)) => Ok(Some(Version::Published(*number))),
        Some(Qualifier::Latest) => Err(InvalidParameter::DeleteLatest.into()),
        Some(Qualifier::Name(name)) if name.starts_with('$') => Err(target.function_not_found()),
        Some(Qualifier::Name(_)) => Err(InvalidParameter::DeleteAlias.into()),
    }
}
