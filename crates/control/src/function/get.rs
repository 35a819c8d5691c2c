//! GetFunction and GetFunctionConfiguration.

use std::sync::Arc;

use firelet_api::model;
use firelet_store::{Definition, FunctionVersion, Version};
use firelet_types::{Qualifier, Scope};

use crate::code_link;
use crate::concurrency;
use crate::control::Control;
use crate::describe::{Detail, describe, object};
use crate::error::Error;
use crate::name::{Target, resolve};

impl Control {
    /// A function or a version of it: its configuration, tags and reserved concurrency, and a link to its code below `base_url`.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>.
    ///
    /// # Errors
    /// When there is no such function or version.
    pub async fn get_function(
        &self,
        scope: &Scope,
        request: model::GetFunctionRequest,
        base_url: &str,
    ) -> Result<model::GetFunctionResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let record = self.find(&target)?;
        let tags = self.store.functions().tags(scope, &record.name)?.filter(|tags| !tags.is_empty());
        let reserved = self.store.functions().reservations(scope, &record.name)?.unwrap_or_default();
        Ok(model::GetFunctionResponse {
            configuration: Some(describe(&record, target.qualifier, Detail::Full)),
            code: Some(self.locate(&record.definition, base_url)),
            tags,
            concurrency: reserved.of_function.map(|reserved| concurrency::describe(Some(reserved))),
            ..model::GetFunctionResponse::default()
        })
    }

    /// Where the code is: an image in its registry, a zip behind a link below `base_url`.
    fn locate(&self, definition: &Definition, base_url: &str) -> model::FunctionCodeLocation {
        let blank = model::FunctionCodeLocation::default();
        if let Some(image) = &definition.image {
            return model::FunctionCodeLocation {
                repository_type: Some("ECR".to_owned()),
                image_uri: Some(image.to_string()),
                resolved_image_uri: image.resolved(),
                ..blank
            };
        }
        let link = code_link::make(&self.sealer, base_url, &definition.code.sha256, self.clock.now());
        model::FunctionCodeLocation {
            repository_type: Some("S3".to_owned()),
            location: Some(link),
            source_kms_key_arn: definition.package_kms_key.clone(),
            resolved_s3_object: definition.code_object.as_ref().map(object),
            ..blank
        }
    }

    /// The configuration of a function or of a version of it.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>.
    ///
    /// # Errors
    /// When there is no such function or version.
    pub async fn get_function_configuration(
        &self,
        scope: &Scope,
        request: model::GetFunctionConfigurationRequest,
    ) -> Result<model::FunctionConfiguration, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let record = self.find(&target)?;
        Ok(describe(&record, target.qualifier, Detail::Full))
    }

    /// The version that a target means; of an alias the one that gets what its weights leave.
    fn find(&self, target: &Target) -> Result<Arc<FunctionVersion>, Error> {
        let (scope, name) = (&target.scope, target.function()?);
        let version = match &target.qualifier {
            None | Some(Qualifier::Latest) => Version::Latest,
            Some(Qualifier::LatestPublished) => Version::LatestPublished,
            Some(Qualifier::Version(number)) => Version::Published(*number),
            Some(Qualifier::Name(alias)) => {
                let alias = self.store.functions().alias(scope, &name, alias)?;
                alias.ok_or_else(|| target.not_found())?.version
            }
        };
        self.store.functions().get(scope, &name, version)?.ok_or_else(|| target.not_found())
    }
}
