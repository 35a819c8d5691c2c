//! DeleteEventSourceMapping.

use firelet_api::model;
use firelet_store::MappingState;
use firelet_store::mapping::{Editor, Mapping};
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;

use super::describe::{Detail, describe};

impl Control {
    /// Begins to delete an event source mapping; the reconciler ends it.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteEventSourceMapping.html>.
    ///
    /// # Errors
    /// When there is no such mapping, or the change before has not ended.
    pub async fn delete_event_source_mapping(
        &self,
        scope: &Scope,
        request: model::DeleteEventSourceMappingRequest,
    ) -> Result<model::EventSourceMappingConfiguration, Error> {
        let id = super::id(&request.uuid)?;
        let now = self.clock.now();
        let decide = move |editor: &mut Editor<'_>| -> Result<Mapping, Error> {
            let (before, _) = super::at_rest(editor, id, "delete")?;
            let after = Mapping { state: MappingState::Deleting, last_modified: now, ..before };
            editor.put(&after)?;
            Ok(after)
        };
        let deleted = self.store.mappings().update(scope, decide).await?;
        Ok(describe(&deleted, Detail::Full))
    }
}
