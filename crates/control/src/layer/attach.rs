//! The layers of a function: which it may have, and how large they may be together with its code.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/adding-layers.html>.

use firelet_store::Definition;
use firelet_store::definition::Layer;
use firelet_store::function::Entry;
use firelet_types::{LayerVersionArn, Region, Scope, limits};

use crate::error::{Error, InvalidParameter};
use crate::quota::Quotas;

use super::{LayerError, access};

/// Judges what can be judged by the ARNs alone.
pub(crate) fn check_names(arns: &[String], region: &Region) -> Result<(), InvalidParameter> {
    if arns.len() > limits::LAYERS_PER_FUNCTION {
        return Err(InvalidParameter::LayerCount);
    }
    let is_elsewhere = |arn: &LayerVersionArn| arn.layer.scope.region != *region;
    if arns.iter().any(|text| text.parse().is_ok_and(|arn| is_elsewhere(&arn))) {
        return Err(InvalidParameter::LayerRegion { region: region.clone() });
    }
    Ok(())
}

/// The layers that a function of `scope` gets by these ARNs, as they are in the step that stores the function.
pub(crate) fn attach(entry: &Entry<'_>, scope: &Scope, arns: Vec<String>) -> Result<Vec<Layer>, Error> {
    let mut layers: Vec<Layer> = Vec::new();
    for text in arns {
        let Ok(arn) = text.parse::<LayerVersionArn>() else {
            return Err(InvalidParameter::LayerMissing { arn: text }.into());
        };
        let Some(found) = access::usable(scope, &arn, entry.layer_version(&arn)?)? else {
            return Err(InvalidParameter::LayerMissing { arn: text }.into());
        };
        if let Some(other) = layers.iter().find(|other| other.arn.layer == arn.layer) {
            return Err(
                LayerError::SameLayer { first: other.arn.to_string(), second: arn.to_string() }.into()
            );
        }
        layers.push(Layer { arn, code: found.definition.code });
    }
    Ok(layers)
}

/// Refuses a function whose code and layers are too large together.
pub(crate) fn check_size(definition: &Definition, quotas: &Quotas) -> Result<(), LayerError> {
    let layers = definition.layers.iter().map(|layer| layer.code.unzipped_bytes);
    let actual = layers.fold(definition.code.unzipped_bytes, u64::saturating_add);
    let limit = quotas.unzipped_bytes;
    if !definition.layers.is_empty() && actual > limit {
        return Err(LayerError::CombinedSize { limit, actual });
    }
    Ok(())
}
