//! Which runtimes and instruction sets a layer says it is meant for. Nothing holds a function to it, as on AWS.
//!
//! Runtimes that never were do not come here: the constraints of the model refuse them.

use firelet_api::model;
use firelet_store::definition::Architecture;
use firelet_store::layer::LayerFilter;

/// What a list is to show.
pub(super) fn filter(
    runtime: Option<&model::Runtime>,
    architecture: Option<model::Architecture>,
) -> LayerFilter {
    LayerFilter {
        runtime: runtime.map(|runtime| runtime.as_str().to_owned()),
        architecture: architecture.map(stored),
    }
}

pub(super) const fn stored(architecture: model::Architecture) -> Architecture {
    match architecture {
        model::Architecture::X86_64 => Architecture::X86_64,
        model::Architecture::Arm64 => Architecture::Arm64,
    }
}

pub(super) const fn shown(architecture: Architecture) -> model::Architecture {
    match architecture {
        Architecture::X86_64 => model::Architecture::X86_64,
        Architecture::Arm64 => model::Architecture::Arm64,
    }
}
