//! ListLayers and ListLayerVersions, page by page.
//!
//! A marker is sealed together with what is listed, and names the last item of its page, so that a list goes on from
//! there whatever was published or deleted in between, and no caller can make one up.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use firelet_api::model;
use firelet_store::layer::{LayerFilter, LayerVersion};
use firelet_types::{Scope, limits};

use crate::control::Control;
use crate::error::{Error, InvalidParameter};

use super::{compatibility, describe, own_layer};

const PURPOSE: &str = "layer marker";

impl Control {
    /// One page of the layers of the account in this Region that have versions, by name, each with its newest one.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html>.
    ///
    /// # Errors
    /// When the marker is not one of this list.
    pub async fn list_layers(
        &self,
        scope: &Scope,
        request: model::ListLayersRequest,
    ) -> Result<model::ListLayersResponse, Error> {
        let filter =
            compatibility::filter(request.compatible_runtime.as_ref(), request.compatible_architecture);
        let listed = listed(&format!("{}/{}", scope.account, scope.region), &filter);
        let after = request.marker.map(|marker| self.read_layer_marker(&listed, &marker)).transpose()?;
        let limit = page_size(request.max_items);
        let found = self.store.layers().list(scope, &filter, after.as_deref(), limit + 1)?;
        let (page, last) = page(found, limit);
        Ok(model::ListLayersResponse {
            next_marker: last.map(|last| self.write_layer_marker(&listed, last.arn.layer.name.as_str())),
            layers: Some(page.iter().map(layer).collect()),
        })
    }

    /// One page of the versions of a layer, newest first; none if there is no such layer.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListLayerVersions.html>.
    ///
    /// # Errors
    /// When the layer is another account's, or the marker is not one of this list.
    pub async fn list_layer_versions(
        &self,
        scope: &Scope,
        request: model::ListLayerVersionsRequest,
    ) -> Result<model::ListLayerVersionsResponse, Error> {
        let filter =
            compatibility::filter(request.compatible_runtime.as_ref(), request.compatible_architecture);
        let layer = own_layer(scope, &request.layer_name, "ListLayerVersions")?;
        let listed = listed(&layer.to_string(), &filter);
        let place = request.marker.map(|marker| self.read_layer_marker(&listed, &marker)).transpose()?;
        let before = place.map(|place| place.parse().map_err(|_| InvalidParameter::Marker)).transpose()?;
        let limit = page_size(request.max_items);
        let found = self.store.layers().versions(&layer, &filter, before, limit + 1)?;
        let (page, last) = page(found, limit);
        Ok(model::ListLayerVersionsResponse {
            next_marker: last.map(|last| self.write_layer_marker(&listed, &last.arn.number.to_string())),
            layer_versions: Some(page.iter().map(describe::item).collect()),
        })
    }

    fn write_layer_marker(&self, listed: &str, place: &str) -> String {
        let seal = self.sealer.seal(PURPOSE, &format!("{listed}/{place}"));
        BASE64_URL_SAFE_NO_PAD.encode(format!("{place}:{seal}"))
    }

    fn read_layer_marker(&self, listed: &str, marker: &str) -> Result<String, InvalidParameter> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(marker).map_err(|_| InvalidParameter::Marker)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidParameter::Marker)?;
        let (place, seal) = text.rsplit_once(':').ok_or(InvalidParameter::Marker)?;
        if !self.sealer.is_sealed(PURPOSE, &format!("{listed}/{place}"), seal) {
            return Err(InvalidParameter::Marker);
        }
        Ok(place.to_owned())
    }
}

fn listed(what: &str, filter: &LayerFilter) -> String {
    let LayerFilter { runtime, architecture } = filter;
    format!("{what}/{}/{architecture:?}", runtime.as_deref().unwrap_or_default())
}

fn page_size(asked: Option<i32>) -> usize {
    let asked = asked.and_then(|items| usize::try_from(items).ok());
    asked.unwrap_or(limits::LAYERS_PER_PAGE).clamp(1, limits::LAYERS_PER_PAGE)
}

/// The items of a page, and the last of them if more follow.
fn page(mut found: Vec<LayerVersion>, limit: usize) -> (Vec<LayerVersion>, Option<LayerVersion>) {
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let last = found.last().filter(|_| !is_last).cloned();
    (found, last)
}

fn layer(newest: &LayerVersion) -> model::LayersListItem {
    model::LayersListItem {
        layer_name: Some(newest.arn.layer.name.to_string()),
        layer_arn: Some(newest.arn.layer.to_string()),
        latest_matching_version: Some(describe::item(newest)),
    }
}
