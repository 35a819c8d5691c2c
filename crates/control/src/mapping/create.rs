//! CreateEventSourceMapping.

use firelet_api::model;
use firelet_store::mapping::{Editor, Mapping};
use firelet_types::{MappingId, Scope};

use crate::control::Control;
use crate::error::Error;
use crate::{name, tag};

use super::describe::{Detail, describe};
use super::settings::Changes;
use super::{duplicate, function, source, state};

impl Control {
    /// Makes a mapping from an event source to a function.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>.
    ///
    /// # Errors
    /// What is wrong with the request, or that the function reads the source already.
    pub async fn create_event_source_mapping(
        &self,
        scope: &Scope,
        request: model::CreateEventSourceMappingRequest,
    ) -> Result<model::EventSourceMappingConfiguration, Error> {
        let target = name::resolve(scope, &request.function_name, None)?;
        let id = MappingId::new(&self.ids);
        let kind = source::kind(&request)?;
        let source = source::parse(&request, kind, id)?;
        let settings = Changes::of_creation(&request).create(kind)?;
        let rest = state::wanted(request.enabled.unwrap_or(true));
        let tags = request.tags.unwrap_or_default();
        tag::check(&tags)?;
        let now = self.clock.now();
        let decide = move |editor: &mut Editor<'_>| -> Result<Mapping, Error> {
            let function = function::find(editor, &target)?;
            let mapping = Mapping {
                scope: target.scope,
                id,
                function: function.name,
                qualifier: function.qualifier,
                source,
                settings,
                state: state::created(kind, rest),
                last_modified: now,
            };
            duplicate::check(&editor.of_function(&mapping.function)?, &mapping)?;
            editor.put(&mapping)?;
            editor.set_tags(id, &tags)?;
            Ok(mapping)
        };
        let created = self.store.mappings().update(scope, decide).await?;
        Ok(describe(&created, Detail::Full))
    }
}
