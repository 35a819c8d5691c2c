//! Versions that wait for a snapshot, which whoever runs functions makes: which they are, and what came of it.

use firelet_types::RevisionId;

use crate::error::Error;

use super::entry::Entry;
use super::row::{self, COLUMNS};
use super::{FunctionVersion, Functions, LastUpdate, Reason, State};

impl Functions {
    /// All versions that wait for a snapshot. Costs nothing for those that do not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn awaiting_snapshots(&self) -> Result<Vec<FunctionVersion>, Error> {
        let step = "list the versions that wait for a snapshot";
        let query = format!(
            "SELECT {COLUMNS} FROM version JOIN function ON version.function = function.id WHERE unsettled = 2"
        );
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            row::decode_all(&mut statement, [], step)
        })
    }
}

impl Entry<'_> {
    /// Ends the wait of a version for its snapshot: it can be invoked, or it has failed for `failure`. Without effect if it
    /// does not wait any more, or is not the version that was `seen`.
    ///
    /// # Errors
    /// When the database cannot be read or refuses it.
    pub fn settle_snapshot(
        &mut self,
        seen: &FunctionVersion,
        failure: Option<Reason>,
        revision: RevisionId,
    ) -> Result<(), Error> {
        let Some(record) = self.version(seen.version)? else { return Ok(()) };
        let is_seen = record.last_modified == seen.last_modified && record.definition == seen.definition;
        if !is_seen || !record.awaits_snapshot() {
            return Ok(());
        }
        let (state, last_update) = match failure {
            None => (State::Active, Some(LastUpdate::Successful)),
            // Without a last update, as while it was pending: Terraform's provider, which takes any other end of an update
            // for an error at once, is known to wait for that of such a version until its patience ends.
            Some(reason) => (State::Failed(reason), None),
        };
        self.put(&FunctionVersion { revision, state, last_update, ..record })
    }
}
