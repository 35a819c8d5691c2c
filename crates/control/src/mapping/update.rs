//! UpdateEventSourceMapping.

use firelet_api::model;
use firelet_store::mapping::{Editor, EventSource, Mapping};
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;
use crate::name;

use super::describe::{Detail, describe};
use super::kind::Kind;
use super::settings::Changes;
use super::{duplicate, function, state};

impl Control {
    /// Changes the function or the settings of an event source mapping, or whether it polls.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html>.
    ///
    /// # Errors
    /// What is wrong with the request, or that the mapping is not there or cannot be changed now.
    pub async fn update_event_source_mapping(
        &self,
        scope: &Scope,
        request: model::UpdateEventSourceMappingRequest,
    ) -> Result<model::EventSourceMappingConfiguration, Error> {
        let id = super::id(&request.uuid)?;
        let target =
            request.function_name.as_deref().map(|name| name::resolve(scope, name, None)).transpose()?;
        let changes = Changes::of_update(&request);
        let now = self.clock.now();
        let decide = move |editor: &mut Editor<'_>| -> Result<Mapping, Error> {
            let (before, rest) = super::at_rest(editor, id, "update")?;
            let kind = Kind::of(&before.source);
            let settings = changes.update(kind, consumer_group(&before.source), before.settings.clone())?;
            let mut after = Mapping {
                settings,
                state: state::updated(rest, request.enabled),
                last_modified: now,
                ..before
            };
            if let Some(target) = &target {
                let function = function::find(editor, target)?;
                (after.function, after.qualifier) = (function.name, function.qualifier);
            }
            duplicate::check(&editor.of_function(&after.function)?, &after)?;
            editor.put(&after)?;
            Ok(after)
        };
        let updated = self.store.mappings().update(scope, decide).await?;
        Ok(describe(&updated, Detail::Full))
    }
}

fn consumer_group(source: &EventSource) -> Option<&str> {
    match source {
        EventSource::ManagedKafka { subscription, .. }
        | EventSource::SelfManagedKafka { subscription, .. } => Some(&subscription.consumer_group),
        EventSource::Queue { .. }
        | EventSource::Kinesis { .. }
        | EventSource::DynamoDb { .. }
        | EventSource::Broker { .. }
        | EventSource::DocumentDb { .. } => None,
    }
}
