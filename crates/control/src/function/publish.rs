//! Publishing: `$LATEST` as it is becomes a version that stays.

use firelet_store::function::Entry;
use firelet_store::{Definition, FunctionVersion, State, Version};
use firelet_types::RevisionId;

use crate::error::Error;

use super::creating;

/// Publishes `latest`, which the entry has already stored. Answers the version that was published last if nothing
/// but the description has changed since.
pub(super) fn publish(
    entry: &mut Entry<'_>,
    latest: &FunctionVersion,
    revision: RevisionId,
) -> Result<FunctionVersion, Error> {
    let last = entry.last_published();
    if let Some(published) = entry.version(Version::Published(last))?.filter(|_| last > 0)
        && is_same(&published.definition, &latest.definition)
    {
        return Ok(published);
    }
    let published = FunctionVersion {
        version: Version::Published(last + 1),
        revision,
        state: State::Pending(creating()),
        last_update: None,
        ..latest.clone()
    };
    entry.put(&published)?;
    Ok(published)
}

fn is_same(published: &Definition, latest: &Definition) -> bool {
    let described = Definition { description: published.description.clone(), ..latest.clone() };
    *published == described
}
