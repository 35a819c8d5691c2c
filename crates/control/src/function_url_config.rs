//! Function URLs: an address each for a function and its aliases, and who may use it from where.
//!
//! Nothing is served at these addresses here.

mod error;

use firelet_api::model;
use firelet_store::Version;
use firelet_store::function::{
    Cors, Entry, FunctionUrlConfig, FunctionUrlDefinition, InvokeMode, UrlAuthentication,
};
use firelet_types::{FunctionArn, FunctionName, FunctionUrlId, Qualifier, Scope, limits};

use crate::control::Control;
use crate::error::{Error, NotFound};
use crate::marker::{Markers, cut, page_size};
use crate::name::{Target, resolve};

pub use error::FunctionUrlError;

impl Control {
    /// Gives a function, or one of its aliases, a URL.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html>.
    ///
    /// # Errors
    /// When there is no such function or alias, it has a URL, or origins are missing.
    pub async fn create_function_url_config(
        &self,
        scope: &Scope,
        request: model::CreateFunctionUrlConfigRequest,
    ) -> Result<model::CreateFunctionUrlConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function().map_err(|_| FunctionUrlError::FunctionMissing)?;
        let definition = FunctionUrlDefinition {
            authentication: authentication(&request.auth_type),
            invoke_mode: request.invoke_mode.as_ref().map(invoke_mode).unwrap_or_default(),
            cors: request.cors.map(cors).transpose()?.flatten(),
        };
        let (id, now) = (FunctionUrlId::new(&self.ids), self.clock.now());
        let config =
            FunctionUrlConfig { alias: alias(&target), id, created: now, last_modified: now, definition };
        let arn = arn(scope, &function, config.alias.as_deref());
        let decide = move |entry: &mut Entry<'_>| -> Result<FunctionUrlConfig, Error> {
            check_exists(entry, config.alias.as_deref())?;
            if entry.function_url_config(config.alias.as_deref())?.is_some() {
                return Err(FunctionUrlError::Exists { arn }.into());
            }
            entry.put_function_url_config(&config)?;
            Ok(config)
        };
        let created = self.store.functions().update(scope, &function, decide).await?;
        let shown = describe(scope, &function, created);
        Ok(model::CreateFunctionUrlConfigResponse {
            function_url: shown.function_url,
            function_arn: shown.function_arn,
            auth_type: shown.auth_type,
            cors: shown.cors,
            creation_time: shown.creation_time,
            invoke_mode: request.invoke_mode,
        })
    }

    /// Changes the configuration of a URL; what the request leaves out stays. An empty `Cors` takes that away.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionUrlConfig.html>; what stays, and the empty
    /// `Cors`, in <https://github.com/go-to-k/cdkd/pull/1261>.
    ///
    /// # Errors
    /// When there is no such function, alias or URL, or origins are missing.
    pub async fn update_function_url_config(
        &self,
        scope: &Scope,
        request: model::UpdateFunctionUrlConfigRequest,
    ) -> Result<model::UpdateFunctionUrlConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function().map_err(|_| FunctionUrlError::FunctionMissing)?;
        let authentication = request.auth_type.as_ref().map(authentication);
        let invoke_mode = request.invoke_mode.as_ref().map(invoke_mode);
        let cors = request.cors.map(cors).transpose()?;
        let now = self.clock.now();
        let decide = move |entry: &mut Entry<'_>| -> Result<FunctionUrlConfig, Error> {
            let alias = alias(&target);
            check_exists(entry, alias.as_deref())?;
            let before = entry.function_url_config(alias.as_deref())?.ok_or(NotFound::Resource)?;
            let definition = FunctionUrlDefinition {
                authentication: authentication.unwrap_or(before.definition.authentication),
                invoke_mode: invoke_mode.unwrap_or(before.definition.invoke_mode),
                cors: cors.unwrap_or(before.definition.cors),
            };
            let config = FunctionUrlConfig { last_modified: now, definition, ..before };
            entry.put_function_url_config(&config)?;
            Ok(config)
        };
        let updated = self.store.functions().update(scope, &function, decide).await?;
        let shown = describe(scope, &function, updated);
        Ok(model::UpdateFunctionUrlConfigResponse {
            function_url: shown.function_url,
            function_arn: shown.function_arn,
            auth_type: shown.auth_type,
            cors: shown.cors,
            creation_time: shown.creation_time,
            last_modified_time: shown.last_modified_time,
            invoke_mode: shown.invoke_mode,
        })
    }

    /// The configuration of the URL of a function or of an alias, which may be gone.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionUrlConfig.html>.
    ///
    /// # Errors
    /// When there is no such function or URL.
    pub async fn get_function_url_config(
        &self,
        scope: &Scope,
        request: model::GetFunctionUrlConfigRequest,
    ) -> Result<model::GetFunctionUrlConfigResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function().map_err(|_| NotFound::Resource)?;
        let config =
            self.store.functions().function_url_config(scope, &function, alias(&target).as_deref())?;
        let shown = describe(scope, &function, config.ok_or(NotFound::Resource)?);
        Ok(model::GetFunctionUrlConfigResponse {
            function_url: shown.function_url,
            function_arn: shown.function_arn,
            auth_type: shown.auth_type,
            cors: shown.cors,
            creation_time: shown.creation_time,
            last_modified_time: shown.last_modified_time,
            invoke_mode: shown.invoke_mode,
        })
    }

    /// Takes the URL of a function or of an alias away for good: another one gets another id.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionUrlConfig.html>.
    ///
    /// # Errors
    /// When there is no such function or URL.
    pub async fn delete_function_url_config(
        &self,
        scope: &Scope,
        request: model::DeleteFunctionUrlConfigRequest,
    ) -> Result<(), Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function().map_err(|_| NotFound::Resource)?;
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            let alias = alias(&target);
            if entry.function_url_config(alias.as_deref())?.is_none() {
                return Err(NotFound::Resource.into());
            }
            Ok(entry.delete_function_url_config(alias.as_deref())?)
        };
        self.store.functions().update(scope, &function, decide).await
    }

    /// One page of the URLs of a function and its aliases: that of the function, then by alias.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionUrlConfigs.html>.
    ///
    /// # Errors
    /// When there is no such function, or the marker is not one of this list.
    pub async fn list_function_url_configs(
        &self,
        scope: &Scope,
        request: model::ListFunctionUrlConfigsRequest,
    ) -> Result<model::ListFunctionUrlConfigsResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.function().map_err(|_| FunctionUrlError::FunctionMissing)?;
        let markers = Markers::new(&self.sealer, scope, format!("function-url-configs/{function}"));
        let after = request.marker.map(|marker| markers.read(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::FUNCTION_URLS_PER_PAGE);
        let functions = self.store.functions();
        let listed = functions.function_url_configs(scope, &function, after.as_deref(), limit + 1)?;
        let mut configs = listed.ok_or(FunctionUrlError::FunctionMissing)?;
        let last = cut(&mut configs, limit);
        let next_marker = last.map(|config| markers.write(config.alias.as_deref().unwrap_or_default()));
        let describe = |config| describe(scope, &function, config);
        let function_url_configs = configs.into_iter().map(describe).collect();
        Ok(model::ListFunctionUrlConfigsResponse { function_url_configs, next_marker })
    }
}

/// The name of the alias that a request means, if it means not the function itself. Whatever else the qualifier is, no
/// alias has such a name.
fn alias(target: &Target) -> Option<String> {
    target.qualifier.as_ref().map(Qualifier::to_string)
}

fn check_exists(entry: &Entry<'_>, alias: Option<&str>) -> Result<(), Error> {
    let exists = match alias {
        None => entry.version(Version::Latest)?.is_some(),
        Some(alias) => entry.alias(alias)?.is_some(),
    };
    if exists { Ok(()) } else { Err(FunctionUrlError::FunctionMissing.into()) }
}

const fn authentication(kind: &model::FunctionUrlAuthType) -> UrlAuthentication {
    match kind {
        model::FunctionUrlAuthType::None => UrlAuthentication::None,
        model::FunctionUrlAuthType::AwsIam => UrlAuthentication::AwsIam,
    }
}

const fn invoke_mode(mode: &model::InvokeMode) -> InvokeMode {
    match mode {
        model::InvokeMode::Buffered => InvokeMode::Buffered,
        model::InvokeMode::ResponseStream => InvokeMode::ResponseStream,
    }
}

/// What a request says about other origins: nothing, if it has no member.
fn cors(cors: model::Cors) -> Result<Option<Cors>, FunctionUrlError> {
    if cors == model::Cors::default() {
        return Ok(None);
    }
    let allow_origins = cors.allow_origins.filter(|origins| !origins.is_empty());
    Ok(Some(Cors {
        allow_credentials: cors.allow_credentials,
        allow_headers: cors.allow_headers,
        allow_methods: cors.allow_methods,
        allow_origins: allow_origins.ok_or(FunctionUrlError::NoOrigins)?,
        expose_headers: cors.expose_headers,
        max_age_seconds: cors.max_age.and_then(|seconds| u32::try_from(seconds).ok()),
    }))
}

fn arn(scope: &Scope, function: &FunctionName, alias: Option<&str>) -> FunctionArn {
    let qualifier = alias.map(|alias| Qualifier::Name(alias.to_owned()));
    FunctionArn { scope: scope.clone(), name: function.clone(), qualifier }
}

fn describe(scope: &Scope, function: &FunctionName, config: FunctionUrlConfig) -> model::FunctionUrlConfig {
    let definition = config.definition;
    model::FunctionUrlConfig {
        function_url: config.id.url(&scope.region),
        function_arn: arn(scope, function, config.alias.as_deref()).to_string(),
        creation_time: config.created.iso8601(),
        last_modified_time: config.last_modified.iso8601(),
        cors: definition.cors.map(describe_cors),
        auth_type: match definition.authentication {
            UrlAuthentication::None => model::FunctionUrlAuthType::None,
            UrlAuthentication::AwsIam => model::FunctionUrlAuthType::AwsIam,
        },
        invoke_mode: Some(match definition.invoke_mode {
            InvokeMode::Buffered => model::InvokeMode::Buffered,
            InvokeMode::ResponseStream => model::InvokeMode::ResponseStream,
        }),
    }
}

fn describe_cors(cors: Cors) -> model::Cors {
    model::Cors {
        allow_credentials: cors.allow_credentials,
        allow_headers: cors.allow_headers,
        allow_methods: cors.allow_methods,
        allow_origins: Some(cors.allow_origins),
        expose_headers: cors.expose_headers,
        max_age: cors.max_age_seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
    }
}
