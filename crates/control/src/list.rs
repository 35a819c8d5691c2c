//! Lists of functions and of their versions, page by page.

use firelet_api::model;
use firelet_store::function::{Listing, Position};
use firelet_store::{FunctionVersion, Version};
use firelet_types::{Qualifier, Scope, limits};

use crate::control::Control;
use crate::describe::{Detail, describe};
use crate::error::{Error, InvalidParameter};
use crate::marker::{Markers, cut, page_size};
use crate::name::resolve;

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
        let markers = Markers::new(&self.sealer, scope, format!("functions/{listing:?}"));
        let after = request.marker.map(|marker| position(&markers.read(&marker)?)).transpose()?;
        if let Some(master) = request.master_region.filter(|master| master != ANY_REGION) {
            return replicas_of(&master, listing);
        }
        let limit = page_size(request.max_items, limits::FUNCTIONS_PER_PAGE);
        let mut records = self.store.functions().list(scope, listing, after.as_ref(), limit + 1)?;
        let last = cut(&mut records, limit);
        let next_marker = last.map(|record| markers.write(&format!("{}:{}", record.name, record.version)));
        Ok(model::ListFunctionsResponse {
            next_marker,
            functions: Some(records.iter().map(|record| item(record, listing)).collect()),
        })
    }

    /// One page of the versions of a function: `$LATEST.PUBLISHED`, if there is one, `$LATEST`, and the published ones by
    /// number.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html>.
    ///
    /// # Errors
    /// When there is no such function, the marker is not one of this list, or the store cannot be read.
    pub async fn list_versions_by_function(
        &self,
        scope: &Scope,
        request: model::ListVersionsByFunctionRequest,
    ) -> Result<model::ListVersionsByFunctionResponse, Error> {
        let target = resolve(scope, &request.function_name, None)?;
        let name = target.unqualified_function()?;
        let markers = Markers::new(&self.sealer, scope, format!("versions/{name}"));
        let after = request.marker.map(|marker| version(&markers.read(&marker)?)).transpose()?;
        if self.store.functions().get(scope, &name, Version::Latest)?.is_none() {
            return Err(target.function_not_found());
        }
        let limit = page_size(request.max_items, limits::FUNCTIONS_PER_PAGE);
        let mut records = self.store.functions().versions(scope, &name, after, limit + 1)?;
        let next_marker = cut(&mut records, limit).map(|record| markers.write(&record.version.to_string()));
        Ok(model::ListVersionsByFunctionResponse {
            next_marker,
            versions: Some(records.iter().map(|record| item(record, Listing::All)).collect()),
        })
    }
}

/// The version that a marker names.
pub(crate) fn version(text: &str) -> Result<Version, InvalidParameter> {
    match Qualifier::from(text) {
        Qualifier::Latest => Ok(Version::Latest),
        Qualifier::LatestPublished => Ok(Version::LatestPublished),
        Qualifier::Version(number) => Ok(Version::Published(number)),
        Qualifier::Name(_) => Err(InvalidParameter::Marker),
    }
}

fn position(place: &str) -> Result<Position, InvalidParameter> {
    let (name, number) = place.split_once(':').ok_or(InvalidParameter::Marker)?;
    Ok(Position { name: name.parse().map_err(|_| InvalidParameter::Marker)?, version: version(number)? })
}

/// Functions that the edge service replicated from a master: there is no edge here, so there are none.
fn replicas_of(_master: &str, listing: Listing) -> Result<model::ListFunctionsResponse, Error> {
    match listing {
        Listing::All => Ok(model::ListFunctionsResponse { next_marker: None, functions: Some(Vec::new()) }),
        Listing::Latest => Err(InvalidParameter::MasterRegion.into()),
    }
}

fn item(record: &FunctionVersion, listing: Listing) -> model::FunctionConfiguration {
    let qualifier = match listing {
        Listing::Latest => None,
        Listing::All => Some(record.version.into()),
    };
    describe(record, qualifier, Detail::Listed)
}
