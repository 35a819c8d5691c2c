//! CreateFunction.

use std::collections::BTreeMap;

use firelet_api::model;
use firelet_store::function::Entry;
use firelet_store::{Definition, FunctionVersion, State, Version};
use firelet_types::limits::FUNCTION_NAME_CHARACTERS;
use firelet_types::{CodeSigningConfigId, FunctionName, RevisionId, Scope, Timestamp};

use crate::code_signing;
use crate::configuration::{self, Changes, capacity, clearable};
use crate::control::Control;
use crate::deployment::Deployment;
use crate::describe::{Detail, describe};
use crate::error::{Conflict, Error, InvalidParameter};
use crate::layer::attach;
use crate::name::resolve;
use crate::quota::Quotas;
use crate::tag;

use super::creating;
use super::publish::publish;

/// A function that is about to be stored.
struct Creation {
    scope: Scope,
    name: FunctionName,
    definition: Definition,
    layers: Vec<String>,
    tags: BTreeMap<String, String>,
    code_signing: Option<CodeSigning>,
    publish: bool,
    publish_to: Option<model::FunctionVersionLatestPublished>,
    revisions: [RevisionId; 2],
    now: Timestamp,
    quotas: Quotas,
}

/// What is said about code signing in the request.
struct CodeSigning {
    config_arn: String,
    /// The function as the caller named it.
    subject: String,
}

impl Control {
    /// Creates a function from a zip or a container image.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>.
    ///
    /// # Errors
    /// What is wrong with the request, or that there is a function of this name.
    pub async fn create_function(
        &self,
        scope: &Scope,
        request: model::CreateFunctionRequest,
    ) -> Result<model::FunctionConfiguration, Error> {
        let name = new_name(scope, &request.function_name)?;
        let changes = Changes::of_creation(&request);
        let blank = configuration::blank(&request)?;
        let tags = request.tags.unwrap_or_default();
        tag::check(&tags)?;
        let layers = changes.layers.clone().unwrap_or_default();
        let package_type = blank.package_type;
        let definition = changes.apply(blank, &self.context(scope))?;
        let subject = request.function_name;
        let code_signing =
            request.code_signing_config_arn.map(|config_arn| CodeSigning { config_arn, subject });
        if code_signing.is_some() {
            code_signing::check_kind(&definition)?;
        }
        let package_kms_key = clearable(request.code.source_kms_key_arn.clone(), None);
        if self.store.functions().get(scope, &name, Version::Latest)?.is_some() {
            return Err(Conflict::FunctionExists { name }.into());
        }
        let deployed = self.deploy(Deployment::of_creation(package_type, request.code)?).await?;
        let definition = deployed.settle().replace(definition)?;
        let creation = Creation {
            scope: scope.clone(),
            name: name.clone(),
            definition: Definition { package_kms_key, ..definition },
            layers,
            tags,
            code_signing,
            publish: request.publish.unwrap_or_default(),
            publish_to: request.publish_to,
            revisions: [self.new_revision(), self.new_revision()],
            now: self.clock.now(),
            quotas: self.quotas.clone(),
        };
        let created =
            self.store.functions().update(scope, &name, move |entry| create(entry, creation)).await?;
        drop(deployed);
        Ok(describe(&created, None, Detail::Full))
    }
}

impl CodeSigning {
    /// The configuration that the function will be under, which takes its code.
    fn judge(self, entry: &Entry<'_>) -> Result<CodeSigningConfigId, Error> {
        let config = code_signing::attachable(entry, &self.config_arn)?;
        code_signing::verify(Some(&config), &self.subject)?;
        Ok(config.id)
    }
}

fn new_name(scope: &Scope, text: &str) -> Result<FunctionName, Error> {
    let target = resolve(scope, text, None)?;
    if target.name.chars().count() > FUNCTION_NAME_CHARACTERS {
        return Err(InvalidParameter::NameLength { value: target.name }.into());
    }
    target.unqualified_function()
}

fn create(entry: &mut Entry<'_>, creation: Creation) -> Result<FunctionVersion, Error> {
    if entry.exists() {
        return Err(Conflict::FunctionExists { name: creation.name }.into());
    }
    let code_signing = creation.code_signing.map(|code_signing| code_signing.judge(entry)).transpose()?;
    let [revision, published_revision] = creation.revisions;
    let layers = attach::attach(entry, &creation.scope, creation.layers)?;
    let definition = Definition { layers, ..creation.definition };
    attach::check_size(&definition, &creation.quotas)?;
    capacity::attach(entry, &definition)?;
    let latest = FunctionVersion {
        scope: creation.scope,
        name: creation.name,
        version: Version::Latest,
        revision,
        definition,
        state: State::Pending(creating()),
        last_update: None,
        last_modified: creation.now,
    };
    entry.put(&latest)?;
    entry.set_tags(&creation.tags)?;
    entry.set_code_signing(code_signing.as_ref())?;
    let created = if creation.publish {
        publish(entry, &latest, creation.publish_to, published_revision)?
    } else {
        latest
    };
    let usage = entry.usage()?;
    if usage.functions > creation.quotas.functions {
        return Err(Error::FunctionCount { limit: creation.quotas.functions });
    }
    if usage.code_bytes > creation.quotas.code_storage_bytes {
        return Err(Error::CodeStorageExceeded);
    }
    Ok(created)
}
