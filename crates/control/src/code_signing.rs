//! Code signing configurations, and the functions that are under them.
//!
//! firelet has no part of AWS Signer: it verifies no signature, and takes all code as unsigned. Under the policy
//! `Warn` such code is taken, as on AWS; under `Enforce` it is refused, so that no unsigned code ever runs where only
//! signed code may. See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html>.

mod error;
mod function;
mod list;

use firelet_api::model;
use firelet_store::code_signing::{
    CodeSigningConfig, CodeSigningDefinition, CodeSigningEntry, UntrustedArtifact,
};
use firelet_types::{CodeSigningConfigId, Scope};

use crate::control::Control;
use crate::error::{Error, NotFound};
use crate::tag;

pub use error::CodeSigningError;
pub(crate) use function::{attachable, check_kind, verify};

/// Functions that the refusal to delete a configuration names.
const NAMED_FUNCTIONS: usize = 10;

impl Control {
    /// Creates a code signing configuration.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When it would have too many tags.
    pub async fn create_code_signing_config(
        &self,
        scope: &Scope,
        request: model::CreateCodeSigningConfigRequest,
    ) -> Result<model::CreateCodeSigningConfigResponse, Error> {
        let tags = request.tags.unwrap_or_default();
        tag::check(&tags)?;
        let definition = CodeSigningDefinition {
            description: request.description,
            publishers: request.allowed_publishers.signing_profile_version_arns,
            untrusted_artifact: policy(request.code_signing_policies.as_ref()).unwrap_or_default(),
            tags,
        };
        let (id, last_modified) = (CodeSigningConfigId::new(&self.ids), self.clock.now());
        let config = CodeSigningConfig { id: id.clone(), last_modified, definition };
        let created = describe(scope, &config);
        let decide = move |entry: &mut CodeSigningEntry<'_>| -> Result<(), Error> {
            Ok(entry.put(config.last_modified, &config.definition)?)
        };
        self.store.code_signing_configs().update(scope, &id, decide).await?;
        Ok(model::CreateCodeSigningConfigResponse { code_signing_config: created })
    }

    /// A code signing configuration.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When there is no such configuration.
    pub async fn get_code_signing_config(
        &self,
        scope: &Scope,
        request: model::GetCodeSigningConfigRequest,
    ) -> Result<model::GetCodeSigningConfigResponse, Error> {
        let config = self.find_code_signing_config(scope, &request.code_signing_config_arn)?;
        Ok(model::GetCodeSigningConfigResponse { code_signing_config: describe(scope, &config) })
    }

    /// Changes a code signing configuration; code that is already deployed stays.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When there is no such configuration.
    pub async fn update_code_signing_config(
        &self,
        scope: &Scope,
        request: model::UpdateCodeSigningConfigRequest,
    ) -> Result<model::UpdateCodeSigningConfigResponse, Error> {
        let arn = request.code_signing_config_arn;
        let publishers = request.allowed_publishers.map(|allowed| allowed.signing_profile_version_arns);
        let description = request.description;
        let policy = policy(request.code_signing_policies.as_ref());
        let change = move |before: CodeSigningDefinition| CodeSigningDefinition {
            description: description.or(before.description),
            publishers: publishers.unwrap_or(before.publishers),
            untrusted_artifact: policy.unwrap_or(before.untrusted_artifact),
            tags: before.tags,
        };
        let (id, now) = (parse_arn(scope, &arn)?, self.clock.now());
        let decide = move |entry: &mut CodeSigningEntry<'_>| -> Result<_, Error> {
            let before = entry.config()?.ok_or_else(|| not_found(&arn))?;
            let after =
                CodeSigningConfig { definition: change(before.definition), last_modified: now, ..before };
            entry.put(after.last_modified, &after.definition)?;
            Ok(after)
        };
        let updated = self.store.code_signing_configs().update(scope, &id, decide).await?;
        Ok(model::UpdateCodeSigningConfigResponse { code_signing_config: describe(scope, &updated) })
    }

    /// Deletes a code signing configuration that no function is under.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteCodeSigningConfig.html>.
    ///
    /// # Errors
    /// When there is no such configuration, or a function is under it.
    pub async fn delete_code_signing_config(
        &self,
        scope: &Scope,
        request: model::DeleteCodeSigningConfigRequest,
    ) -> Result<model::DeleteCodeSigningConfigResponse, Error> {
        let arn = request.code_signing_config_arn;
        let id = parse_arn(scope, &arn)?;
        let decide = move |entry: &mut CodeSigningEntry<'_>| -> Result<(), Error> {
            if entry.config()?.is_none() {
                return Err(not_found(&arn));
            }
            let functions = entry.functions(NAMED_FUNCTIONS)?;
            if !functions.is_empty() {
                return Err(CodeSigningError::in_use(&functions).into());
            }
            Ok(entry.delete()?)
        };
        self.store.code_signing_configs().update(scope, &id, decide).await?;
        Ok(model::DeleteCodeSigningConfigResponse {})
    }

    /// The configuration of this ARN.
    pub(crate) fn find_code_signing_config(
        &self,
        scope: &Scope,
        arn: &str,
    ) -> Result<CodeSigningConfig, Error> {
        let id = parse_arn(scope, arn)?;
        self.store.code_signing_configs().get(scope, &id)?.ok_or_else(|| not_found(arn))
    }
}

/// The id that an ARN of this account and Region holds. There is no configuration of another ARN.
pub(crate) fn parse_arn(scope: &Scope, arn: &str) -> Result<CodeSigningConfigId, Error> {
    let id = arn.strip_prefix(&arn_prefix(scope)).and_then(|id| id.parse().ok());
    id.ok_or_else(|| not_found(arn))
}

/// The error that there is no configuration of this ARN.
pub(crate) fn not_found(arn: &str) -> Error {
    NotFound::CodeSigningConfig { arn: arn.to_owned() }.into()
}

fn arn_of(scope: &Scope, id: &CodeSigningConfigId) -> String {
    format!("{}{id}", arn_prefix(scope))
}

fn arn_prefix(Scope { account, region }: &Scope) -> String {
    format!("arn:{}:lambda:{region}:{account}:code-signing-config:", region.partition())
}

fn policy(policies: Option<&model::CodeSigningPolicies>) -> Option<UntrustedArtifact> {
    policies?.untrusted_artifact_on_deployment.as_ref().map(|policy| match policy {
        model::CodeSigningPolicy::Warn => UntrustedArtifact::Warn,
        model::CodeSigningPolicy::Enforce => UntrustedArtifact::Enforce,
    })
}

fn describe(scope: &Scope, config: &CodeSigningConfig) -> model::CodeSigningConfig {
    let definition = &config.definition;
    model::CodeSigningConfig {
        code_signing_config_id: config.id.to_string(),
        code_signing_config_arn: arn_of(scope, &config.id),
        description: definition.description.clone(),
        allowed_publishers: model::AllowedPublishers {
            signing_profile_version_arns: definition.publishers.clone(),
        },
        code_signing_policies: model::CodeSigningPolicies {
            untrusted_artifact_on_deployment: Some(match definition.untrusted_artifact {
                UntrustedArtifact::Warn => model::CodeSigningPolicy::Warn,
                UntrustedArtifact::Enforce => model::CodeSigningPolicy::Enforce,
            }),
        },
        last_modified: config.last_modified.last_modified(),
    }
}
