//! ListEventSourceMappings, page by page.
//!
//! A marker is sealed and names the last mapping of its page, so that a list goes on from there whatever was added
//! or deleted in between, and no caller can make one up.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use firelet_api::model;
use firelet_store::Version;
use firelet_store::mapping::Selection;
use firelet_types::{MappingId, Scope, limits};

use crate::control::Control;
use crate::error::{Error, InvalidParameter};
use crate::name::{self, Target};

use super::describe::{Detail, describe};

const PURPOSE: &str = "event source mapping marker";

impl Control {
    /// One page of the event source mappings of the account in this Region: all, or those of a function, of an
    /// event source, or of both.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html>.
    ///
    /// # Errors
    /// When the marker is not one of this list, or the function is neither there nor has left mappings.
    pub async fn list_event_source_mappings(
        &self,
        scope: &Scope,
        request: model::ListEventSourceMappingsRequest,
    ) -> Result<model::ListEventSourceMappingsResponse, Error> {
        let target =
            request.function_name.as_deref().map(|name| name::resolve(scope, name, None)).transpose()?;
        let function = match &target {
            Some(target) => Some((target.function()?, target.qualifier.clone())),
            None => None,
        };
        let selection = Selection { function, source_arn: request.event_source_arn };
        let after = request.marker.map(|marker| self.read_place(scope, &selection, &marker)).transpose()?;
        let asked = request.max_items.and_then(|items| usize::try_from(items).ok());
        let limit = asked.unwrap_or(limits::MAPPINGS_PER_PAGE).clamp(1, limits::MAPPINGS_PER_PAGE);
        let mut mappings = self.store.mappings().list(scope, &selection, after, limit + 1)?;
        if let Some(target) = target.filter(|_| mappings.is_empty()) {
            self.check_function(&target)?;
        }
        let is_last = mappings.len() <= limit;
        mappings.truncate(limit);
        let last = mappings.last().filter(|_| !is_last);
        Ok(model::ListEventSourceMappingsResponse {
            next_marker: last.map(|mapping| self.write_place(scope, &selection, mapping.id)),
            event_source_mappings: Some(
                mappings.iter().map(|mapping| describe(mapping, Detail::Listed)).collect(),
            ),
        })
    }

    /// Refuses a function that is not there. One that is gone and has left mappings is not asked about.
    fn check_function(&self, target: &Target) -> Result<(), Error> {
        match self.store.functions().get(&target.scope, &target.function()?, Version::Latest)? {
            Some(_) => Ok(()),
            None => Err(target.not_found()),
        }
    }

    fn write_place(&self, scope: &Scope, selection: &Selection, last: MappingId) -> String {
        let seal = self.sealer.seal(PURPOSE, &sealed(scope, selection, last));
        BASE64_URL_SAFE_NO_PAD.encode(format!("{last}:{seal}"))
    }

    fn read_place(
        &self,
        scope: &Scope,
        selection: &Selection,
        marker: &str,
    ) -> Result<MappingId, InvalidParameter> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(marker).map_err(|_| InvalidParameter::Marker)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidParameter::Marker)?;
        let (place, seal) = text.split_once(':').ok_or(InvalidParameter::Marker)?;
        let last = super::id(place).map_err(|_| InvalidParameter::Marker)?;
        let is_ours = self.sealer.is_sealed(PURPOSE, &sealed(scope, selection, last), seal);
        if is_ours { Ok(last) } else { Err(InvalidParameter::Marker) }
    }
}

fn sealed(scope: &Scope, selection: &Selection, last: MappingId) -> String {
    format!("{}/{}/{selection:?}/{last}", scope.account, scope.region)
}
