//! Markers: where a list goes on.
//!
//! A marker is sealed and names the last item of its page, so that a list goes on from there whatever was added or
//! deleted in between, and no caller can make one up, nor use one of another list.

use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use firelet_types::Scope;

use crate::code_link::Sealer;
use crate::error::InvalidParameter;

const PURPOSE: &str = "marker";

/// One list in one scope, whose markers are good for no other.
pub(crate) struct Markers<'a> {
    sealer: &'a Sealer,
    scope: &'a Scope,
    /// What is listed, with everything that picks the items.
    list: String,
}

impl<'a> Markers<'a> {
    pub(crate) fn new(sealer: &'a Sealer, scope: &'a Scope, list: String) -> Self {
        Self { sealer, scope, list }
    }

    /// The marker for the page after the item at `place`.
    pub(crate) fn write(&self, place: &str) -> String {
        let seal = self.sealer.seal(PURPOSE, &self.sealed(place));
        BASE64_URL_SAFE_NO_PAD.encode(format!("{place}:{seal}"))
    }

    /// The place that a marker names.
    ///
    /// # Errors
    /// When no page of this list has given it out.
    pub(crate) fn read(&self, marker: &str) -> Result<String, InvalidParameter> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(marker).map_err(|_| InvalidParameter::Marker)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidParameter::Marker)?;
        let (place, seal) = text.rsplit_once(':').ok_or(InvalidParameter::Marker)?;
        if self.sealer.is_sealed(PURPOSE, &self.sealed(place), seal) {
            Ok(place.to_owned())
        } else {
            Err(InvalidParameter::Marker)
        }
    }

    /// Like [`Markers::read`], and reads the place as what it names.
    pub(crate) fn parse<T: FromStr>(&self, marker: &str) -> Result<T, InvalidParameter> {
        self.read(marker)?.parse().map_err(|_| InvalidParameter::Marker)
    }

    fn sealed(&self, place: &str) -> String {
        format!("{}/{}/{}/{place}", self.scope.account, self.scope.region, self.list)
    }
}

/// The number of items on a page: what was asked for, and at most `limit`.
pub(crate) fn page_size(asked: Option<i32>, limit: usize) -> usize {
    asked.and_then(|items| usize::try_from(items).ok()).unwrap_or(limit).clamp(1, limit)
}

/// Cuts `items`, of which one more than `limit` was read, to a page; says what the marker is after, if more follow.
pub(crate) fn cut<T>(items: &mut Vec<T>, limit: usize) -> Option<&T> {
    let is_last = items.len() <= limit;
    items.truncate(limit);
    items.last().filter(|_| !is_last)
}
