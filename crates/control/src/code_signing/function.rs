//! Functions under code signing configurations, and what that means for their code.

use firelet_api::model;
use firelet_store::code_signing::{CodeSigningConfig, UntrustedArtifact};
use firelet_store::definition::PackageType;
use firelet_store::function::Entry;
use firelet_store::{Definition, Version};
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;
use crate::name::resolve;

use super::{CodeSigningError, arn_of, parse_arn};

impl Control {
    /// Puts a function under a code signing configuration, which holds for code that comes from now on.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When there is no such configuration or no such function.
    pub async fn put_function_code_signing_config(
        &self,
        scope: &Scope,
        request: model::PutFunctionCodeSigningConfigRequest,
    ) -> Result<model::PutFunctionCodeSigningConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.unqualified_function()?;
        let arn = request.code_signing_config_arn;
        let attached = model::PutFunctionCodeSigningConfigResponse {
            code_signing_config_arn: arn.clone(),
            function_name: name.to_string(),
        };
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            let config = attachable(entry, &arn)?;
            let function = entry.version(Version::Latest)?.ok_or_else(|| target.function_not_found())?;
            check_kind(&function.definition)?;
            Ok(entry.set_code_signing(Some(&config.id))?)
        };
        self.store.functions().update(scope, &name, decide).await?;
        Ok(attached)
    }

    /// The code signing configuration that a function is under, if it is under any.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn get_function_code_signing_config(
        &self,
        scope: &Scope,
        request: model::GetFunctionCodeSigningConfigRequest,
    ) -> Result<Option<model::GetFunctionCodeSigningConfigResponse>, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.unqualified_function()?;
        let function = self.store.functions().get(scope, &name, Version::Latest)?;
        check_kind(&function.ok_or_else(|| target.function_not_found())?.definition)?;
        let found = self.store.functions().code_signing(scope, &name)?;
        let id = found.ok_or_else(|| target.function_not_found())?;
        Ok(id.map(|id| model::GetFunctionCodeSigningConfigResponse {
            code_signing_config_arn: arn_of(scope, &id),
            function_name: name.to_string(),
        }))
    }

    /// Removes a function from the code signing configuration that it is under; without effect if it is under none.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn delete_function_code_signing_config(
        &self,
        scope: &Scope,
        request: model::DeleteFunctionCodeSigningConfigRequest,
    ) -> Result<(), Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.unqualified_function()?;
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            let function = entry.version(Version::Latest)?.ok_or_else(|| target.function_not_found())?;
            check_kind(&function.definition)?;
            Ok(entry.set_code_signing(None)?)
        };
        self.store.functions().update(scope, &name, decide).await
    }
}

/// The configuration that a function is to be put under.
pub(crate) fn attachable(entry: &Entry<'_>, arn: &str) -> Result<CodeSigningConfig, Error> {
    let found = parse_arn(entry.scope(), arn).ok().map(|id| entry.code_signing_config(&id)).transpose()?;
    found.flatten().ok_or_else(|| CodeSigningError::ConfigMissing { arn: arn.to_owned() }.into())
}

/// Refuses to have to do with functions of images: what signs them is not what signs zips.
pub(crate) const fn check_kind(definition: &Definition) -> Result<(), CodeSigningError> {
    match definition.package_type {
        PackageType::Zip => Ok(()),
        PackageType::Image => Err(CodeSigningError::Image),
    }
}

/// Judges code or a layer, named `subject`, that is to be deployed to a function under `config`. No signature can be
/// verified here, so none is trusted.
pub(crate) fn verify(config: Option<&CodeSigningConfig>, subject: &str) -> Result<(), CodeSigningError> {
    match config.map(|config| config.definition.untrusted_artifact) {
        None | Some(UntrustedArtifact::Warn) => Ok(()),
        Some(UntrustedArtifact::Enforce) => Err(CodeSigningError::Untrusted { subject: subject.to_owned() }),
    }
}
