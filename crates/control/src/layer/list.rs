//! ListLayers and ListLayerVersions, page by page.

use firelet_api::model;
use firelet_store::layer::{LayerFilter, LayerVersion};
use firelet_types::{Scope, limits};

use crate::control::Control;
use crate::error::Error;
use crate::marker::{Markers, cut, page_size};

use super::{compatibility, describe, own_layer};

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
        let markers = Markers::new(&self.sealer, scope, listed("layers", &filter));
        let after = request.marker.map(|marker| markers.read(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::LAYERS_PER_PAGE);
        let mut page = self.store.layers().list(scope, &filter, after.as_deref(), limit + 1)?;
        let next_marker = cut(&mut page, limit).map(|last| markers.write(last.arn.layer.name.as_str()));
        Ok(model::ListLayersResponse { next_marker, layers: Some(page.iter().map(layer).collect()) })
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
        let markers = Markers::new(&self.sealer, scope, listed(&layer.to_string(), &filter));
        let before = request.marker.map(|marker| markers.parse(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::LAYERS_PER_PAGE);
        let mut page = self.store.layers().versions(&layer, &filter, before, limit + 1)?;
        let next_marker = cut(&mut page, limit).map(|last| markers.write(&last.arn.number.to_string()));
        Ok(model::ListLayerVersionsResponse {
            next_marker,
            layer_versions: Some(page.iter().map(describe::item).collect()),
        })
    }
}

fn listed(what: &str, filter: &LayerFilter) -> String {
    let LayerFilter { runtime, architecture } = filter;
    format!("{what}/{}/{architecture:?}", runtime.as_deref().unwrap_or_default())
}

fn layer(newest: &LayerVersion) -> model::LayersListItem {
    model::LayersListItem {
        layer_name: Some(newest.arn.layer.name.to_string()),
        layer_arn: Some(newest.arn.layer.to_string()),
        latest_matching_version: Some(describe::item(newest)),
    }
}
