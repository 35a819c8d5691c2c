//! Lists of functions, page by page.
//!
//! A marker is sealed and names the last item of its page, so that a list goes on from there whatever was added or
//! deleted in between, and no caller can make one up.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use firelet_api::model;
use firelet_store::function::{Listing, Position};
use firelet_store::{FunctionVersion, Version};
use firelet_types::{Qualifier, Scope, limits};

use crate::control::Control;
use crate::describe::{Detail, describe};
use crate::error::{Error, InvalidParameter};

const PURPOSE: &str = "marker";
/// The value of `MasterRegion` that filters nothing.
const ANY_REGION: &str = "ALL";

impl Control {
    /// One page of the functions of the account in this Region, by name.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html>.
    ///
    /// # Errors
    /// When the marker is not one of this list, or the store cannot be read.
    pub async fn list_functions(
        &self,
        scope: &Scope,
        request: model::ListFunctionsRequest,
    ) -> Result<model::ListFunctionsResponse, Error> {
        let listing = match request.function_version {
            Some(model::FunctionVersion::All) => Listing::All,
            None => Listing::Latest,
        };
        let after = request.marker.map(|marker| self.read_marker(scope, listing, &marker)).transpose()?;
        if let Some(master) = request.master_region.filter(|master| master != ANY_REGION) {
            return replicas_of(&master, listing);
        }
        let asked = request.max_items.and_then(|items| usize::try_from(items).ok());
        let limit = asked.unwrap_or(limits::FUNCTIONS_PER_PAGE).clamp(1, limits::FUNCTIONS_PER_PAGE);
        let mut records = self.store.functions().list(scope, listing, after.as_ref(), limit + 1)?;
        let is_last = records.len() <= limit;
        records.truncate(limit);
        let last = records.last().filter(|_| !is_last);
        Ok(model::ListFunctionsResponse {
            next_marker: last.map(|record| self.write_marker(scope, listing, record)),
            functions: Some(records.iter().map(|record| item(record, listing)).collect()),
        })
    }

    fn write_marker(&self, scope: &Scope, listing: Listing, last: &FunctionVersion) -> String {
        let place = format!("{}:{}", last.name, last.version);
        let seal = self.sealer.seal(PURPOSE, &sealed(scope, listing, &place));
        BASE64_URL_SAFE_NO_PAD.encode(format!("{place}:{seal}"))
    }

    fn read_marker(
        &self,
        scope: &Scope,
        listing: Listing,
        marker: &str,
    ) -> Result<Position, InvalidParameter> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(marker).map_err(|_| InvalidParameter::Marker)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidParameter::Marker)?;
        let (place, seal) = text.rsplit_once(':').ok_or(InvalidParameter::Marker)?;
        if !self.sealer.is_sealed(PURPOSE, &sealed(scope, listing, place), seal) {
            return Err(InvalidParameter::Marker);
        }
        let (name, version) = place.split_once(':').ok_or(InvalidParameter::Marker)?;
        let version = match Qualifier::from(version) {
            Qualifier::Latest => Version::Latest,
            Qualifier::Version(number) => Version::Published(number),
            Qualifier::Name(_) => return Err(InvalidParameter::Marker),
        };
        Ok(Position { name: name.parse().map_err(|_| InvalidParameter::Marker)?, version })
    }
}

fn sealed(scope: &Scope, listing: Listing, place: &str) -> String {
    format!("{}/{}/{listing:?}/{place}", scope.account, scope.region)
}

/// Functions that the edge service replicated from a master: there is no edge here, so there are none.
fn replicas_of(_master: &str, listing: Listing) -> Result<model::ListFunctionsResponse, Error> {
    match listing {
        Listing::All => Ok(model::ListFunctionsResponse { next_marker: None, functions: Some(Vec::new()) }),
        Listing::Latest => Err(InvalidParameter::MasterRegion.into()),
    }
}

fn item(record: &FunctionVersion, listing: Listing) -> model::FunctionConfiguration {
    let qualifier = match (listing, record.version) {
        (Listing::Latest, _) => None,
        (Listing::All, Version::Latest) => Some(Qualifier::Latest),
        (Listing::All, Version::Published(number)) => Some(Qualifier::Version(number)),
    };
    describe(record, qualifier, Detail::Listed)
}
