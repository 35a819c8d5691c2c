//! Configurations of asynchronous invocations: how often and for how long they are tried, and who hears of their end.
//!
//! What they configure is not done here.

use firelet_api::{EpochSeconds, model};
use firelet_store::Version;
use firelet_store::function::{Entry, EventInvokeConfig};
use firelet_types::{FunctionArn, FunctionIdentifier, FunctionName, Qualifier, Scope, Timestamp, limits};

use crate::control::Control;
use crate::error::{Error, InvalidParameter, NotFound};
use crate::marker::{Markers, cut, page_size};
use crate::name::{Target, resolve};

/// What a request changes.
struct Change {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_seconds: Option<u32>,
    /// Of success and of failure.
    destinations: Option<[Option<String>; 2]>,
}

/// What a change starts from.
#[derive(Clone, Copy)]
enum Basis {
    Nothing,
    Existing,
}

impl Control {
    /// Sets the configuration of a function, a version or an alias; what the request leaves out is unset.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html>.
    ///
    /// # Errors
    /// When there is no such function, version or alias, nothing is configured, or a destination is wrong.
    pub async fn put_function_event_invoke_config(
        &self,
        scope: &Scope,
        request: model::PutFunctionEventInvokeConfigRequest,
    ) -> Result<model::FunctionEventInvokeConfig, Error> {
        let change = Change::new(
            request.maximum_retry_attempts,
            request.maximum_event_age_in_seconds,
            request.destination_config,
        )?;
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        self.configure(target, change, Basis::Nothing).await
    }

    /// Changes the configuration of a function, a version or an alias; what the request leaves out stays.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionEventInvokeConfig.html>.
    ///
    /// # Errors
    /// When there is no such function, version, alias or configuration, nothing is changed, or a destination is wrong.
    pub async fn update_function_event_invoke_config(
        &self,
        scope: &Scope,
        request: model::UpdateFunctionEventInvokeConfigRequest,
    ) -> Result<model::FunctionEventInvokeConfig, Error> {
        let change = Change::new(
            request.maximum_retry_attempts,
            request.maximum_event_age_in_seconds,
            request.destination_config,
        )?;
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        self.configure(target, change, Basis::Existing).await
    }

    async fn configure(
        &self,
        target: Target,
        change: Change,
        basis: Basis,
    ) -> Result<model::FunctionEventInvokeConfig, Error> {
        let scope = target.scope.clone();
        let function = target.function().map_err(|_| NotFound::ConfiguredFunction)?;
        let qualifier = target.qualifier.unwrap_or(Qualifier::Latest);
        let arn = arn(&scope, &function, &qualifier);
        let now = self.clock.now();
        self.check_destinations(&scope, &function, &change)?;
        let decide = move |entry: &mut Entry<'_>| -> Result<EventInvokeConfig, Error> {
            check_exists(entry, &qualifier)?;
            let before = match basis {
                Basis::Nothing => blank(qualifier, now),
                Basis::Existing => {
                    let before = entry.event_invoke_config(&qualifier)?;
                    before.ok_or(NotFound::EventInvokeConfig { arn })?
                }
            };
            let config = change.apply(EventInvokeConfig { last_modified: now, ..before });
            entry.put_event_invoke_config(&config)?;
            Ok(config)
        };
        let config = self.store.functions().update(&scope, &function, decide).await?;
        Ok(describe(&scope, &function, config))
    }

    /// The configuration of a function, a version or an alias.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionEventInvokeConfig.html>.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get_function_event_invoke_config(
        &self,
        scope: &Scope,
        request: model::GetFunctionEventInvokeConfigRequest,
    ) -> Result<model::FunctionEventInvokeConfig, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function()?;
        let qualifier = target.qualifier.unwrap_or(Qualifier::Latest);
        let config = self.store.functions().event_invoke_config(scope, &function, &qualifier)?;
        let missing = || NotFound::EventInvokeConfig { arn: arn(scope, &function, &qualifier) };
        Ok(describe(scope, &function, config.ok_or_else(missing)?))
    }

    /// Deletes the configuration of a function, a version or an alias.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionEventInvokeConfig.html>.
    ///
    /// # Errors
    /// When there is none.
    pub async fn delete_function_event_invoke_config(
        &self,
        scope: &Scope,
        request: model::DeleteFunctionEventInvokeConfigRequest,
    ) -> Result<(), Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function()?;
        let qualifier = target.qualifier.unwrap_or(Qualifier::Latest);
        let arn = arn(scope, &function, &qualifier);
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            if entry.event_invoke_config(&qualifier)?.is_none() {
                return Err(NotFound::EventInvokeConfig { arn }.into());
            }
            Ok(entry.delete_event_invoke_config(&qualifier)?)
        };
        self.store.functions().update(scope, &function, decide).await
    }

    /// One page of the configurations of a function, its versions and its aliases.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionEventInvokeConfigs.html>.
    ///
    /// # Errors
    /// When there is no such function, or the marker is not one of this list.
    pub async fn list_function_event_invoke_configs(
        &self,
        scope: &Scope,
        request: model::ListFunctionEventInvokeConfigsRequest,
    ) -> Result<model::ListFunctionEventInvokeConfigsResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let function = target.function().map_err(|_| NotFound::ConfiguredFunction)?;
        let markers = Markers::new(&self.sealer, scope, format!("event-invoke-configs/{function}"));
        let after = request.marker.map(|marker| markers.read(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::FUNCTIONS_PER_PAGE);
        let functions = self.store.functions();
        let listed = functions.event_invoke_configs(scope, &function, after.as_deref(), limit + 1)?;
        let mut configs = listed.ok_or(NotFound::ConfiguredFunction)?;
        let next_marker = cut(&mut configs, limit).map(|config| markers.write(&config.qualifier.to_string()));
        let describe = |config| describe(scope, &function, config);
        Ok(model::ListFunctionEventInvokeConfigsResponse {
            next_marker,
            function_event_invoke_configs: Some(configs.into_iter().map(describe).collect()),
        })
    }

    /// Whether results can be sent where a change wants them. A function must be there; of other services only their
    /// kind is known.
    fn check_destinations(
        &self,
        scope: &Scope,
        function: &FunctionName,
        change: &Change,
    ) -> Result<(), Error> {
        let Some([on_success, on_failure]) = &change.destinations else { return Ok(()) };
        let places = [(on_success, &SUCCESS_SERVICES[..]), (on_failure, &FAILURE_SERVICES[..])];
        for (destination, services) in places {
            let Some(destination) = destination else { continue };
            match destination.split(':').nth(2) {
                Some("lambda") => self.check_function_destination(scope, function, destination)?,
                Some(service) if services.contains(&service) => {}
                _ => {
                    return Err(InvalidParameter::DestinationConfig {
                        on_success: part("OnSuccess", on_success.as_deref()),
                        on_failure: part("OnFailure", on_failure.as_deref()),
                    }
                    .into());
                }
            }
        }
        Ok(())
    }

    fn check_function_destination(
        &self,
        scope: &Scope,
        function: &FunctionName,
        destination: &str,
    ) -> Result<(), Error> {
        let invalid = || InvalidParameter::DestinationArn { arn: destination.to_owned() };
        let named: FunctionIdentifier = destination.parse().map_err(|_| invalid())?;
        let name: FunctionName = named.name.parse().map_err(|_| invalid())?;
        let is_here = named.account.as_ref().is_none_or(|account| *account == scope.account)
            && named.region.as_ref().is_none_or(|region| *region == scope.region);
        if !is_here || self.store.functions().get(scope, &name, Version::Latest)?.is_none() {
            return Err(invalid().into());
        }
        if name == *function {
            return Err(InvalidParameter::DestinationOfItself.into());
        }
        Ok(())
    }
}

/// Services other than Lambda that can be told of success.
const SUCCESS_SERVICES: [&str; 3] = ["sns", "sqs", "events"];
/// Services other than Lambda that can be told of failure.
const FAILURE_SERVICES: [&str; 4] = ["sns", "sqs", "events", "s3"];

/// One half of a destination configuration, as AWS's service prints it.
fn part(name: &str, destination: Option<&str>) -> String {
    destination.map_or_else(|| "null".to_owned(), |destination| format!("{name}(destination={destination})"))
}

impl Change {
    fn new(
        maximum_retry_attempts: Option<i32>,
        maximum_event_age_seconds: Option<i32>,
        destinations: Option<model::DestinationConfig>,
    ) -> Result<Self, InvalidParameter> {
        if maximum_retry_attempts.is_none() && maximum_event_age_seconds.is_none() && destinations.is_none() {
            return Err(InvalidParameter::NothingConfigured);
        }
        let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
        let given = |arn: Option<String>| arn.filter(|arn| !arn.is_empty());
        Ok(Self {
            maximum_retry_attempts: number(maximum_retry_attempts),
            maximum_event_age_seconds: number(maximum_event_age_seconds),
            destinations: destinations.map(|config| {
                let on_success = config.on_success.and_then(|success| given(success.destination));
                let on_failure = config.on_failure.and_then(|failure| given(failure.destination));
                [on_success, on_failure]
            }),
        })
    }

    fn apply(self, before: EventInvokeConfig) -> EventInvokeConfig {
        let [on_success, on_failure] = self.destinations.unwrap_or([before.on_success, before.on_failure]);
        EventInvokeConfig {
            maximum_retry_attempts: self.maximum_retry_attempts.or(before.maximum_retry_attempts),
            maximum_event_age_seconds: self.maximum_event_age_seconds.or(before.maximum_event_age_seconds),
            on_success,
            on_failure,
            ..before
        }
    }
}

const fn blank(qualifier: Qualifier, last_modified: Timestamp) -> EventInvokeConfig {
    EventInvokeConfig {
        qualifier,
        last_modified,
        maximum_retry_attempts: None,
        maximum_event_age_seconds: None,
        on_success: None,
        on_failure: None,
    }
}

fn check_exists(entry: &Entry<'_>, qualifier: &Qualifier) -> Result<(), Error> {
    let exists = match qualifier {
        Qualifier::Latest => entry.exists(),
        Qualifier::LatestPublished => entry.version(Version::LatestPublished)?.is_some(),
        Qualifier::Version(number) => entry.version(Version::Published(*number))?.is_some(),
        Qualifier::Name(name) => entry.alias(name)?.is_some(),
    };
    if exists { Ok(()) } else { Err(NotFound::ConfiguredFunction.into()) }
}

fn arn(scope: &Scope, function: &FunctionName, qualifier: &Qualifier) -> FunctionArn {
    FunctionArn { scope: scope.clone(), name: function.clone(), qualifier: Some(qualifier.clone()) }
}

fn describe(
    scope: &Scope,
    function: &FunctionName,
    config: EventInvokeConfig,
) -> model::FunctionEventInvokeConfig {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    model::FunctionEventInvokeConfig {
        last_modified: Some(EpochSeconds::from(config.last_modified)),
        function_arn: Some(arn(scope, function, &config.qualifier).to_string()),
        maximum_retry_attempts: config.maximum_retry_attempts.map(number),
        maximum_event_age_in_seconds: config.maximum_event_age_seconds.map(number),
        destination_config: Some(model::DestinationConfig {
            on_success: Some(model::OnSuccess { destination: config.on_success }),
            on_failure: Some(model::OnFailure { destination: config.on_failure }),
        }),
    }
}
