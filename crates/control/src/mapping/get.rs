//! GetEventSourceMapping.

use firelet_api::model;
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;

use super::describe::{Detail, describe};
use super::error::MappingError;

impl Control {
    /// An event source mapping.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html>.
    ///
    /// # Errors
    /// When there is no such mapping.
    pub async fn get_event_source_mapping(
        &self,
        scope: &Scope,
        request: model::GetEventSourceMappingRequest,
    ) -> Result<model::EventSourceMappingConfiguration, Error> {
        let found = self.store.mappings().get(scope, super::id(&request.uuid)?)?;
        Ok(describe(&found.ok_or(MappingError::NotFound)?, Detail::Full))
    }
}
