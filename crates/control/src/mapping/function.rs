//! Which function a mapping is of: the one place that looks at functions for mappings.

use firelet_store::Version;
use firelet_store::mapping::Editor;
use firelet_types::{FunctionName, Qualifier};

use crate::error::Error;
use crate::name::Target;

use super::error::MappingParameter;

/// A function that exists, and the qualifier in the form that the caller used.
pub(super) struct Function {
    pub(super) name: FunctionName,
    pub(super) qualifier: Option<Qualifier>,
}

/// The function, version or alias that `target` means, if it exists.
pub(super) fn find(editor: &Editor<'_>, target: &Target) -> Result<Function, Error> {
    let missing = || Error::from(MappingParameter::FunctionMissing);
    let name: FunctionName = target.name.parse().map_err(|_| missing())?;
    let entry = editor.function(&name)?;
    let exists = match &target.qualifier {
        None | Some(Qualifier::Latest) => entry.exists(),
        Some(Qualifier::LatestPublished) => entry.version(Version::LatestPublished)?.is_some(),
        Some(Qualifier::Version(number)) => entry.version(Version::Published(*number))?.is_some(),
        Some(Qualifier::Name(alias)) => entry.alias(alias)?.is_some(),
    };
    if exists { Ok(Function { name, qualifier: target.qualifier.clone() }) } else { Err(missing()) }
}
