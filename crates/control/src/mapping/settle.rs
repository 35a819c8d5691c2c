//! What a change of a mapping left to be done. Nothing polls yet, so a state that passes has nothing to wait for.

use firelet_store::MappingState;
use firelet_store::mapping::{Editor, Mapping};
use futures_util::future::join_all;

use crate::control::Control;
use crate::error::Error;

use super::state;

impl Control {
    /// Finishes every creation, update and deletion of a mapping that is stored as begun.
    pub(crate) async fn settle_mappings(&self) -> Result<(), Error> {
        let unsettled = self.store.mappings().unsettled()?;
        let steps = unsettled.into_iter().map(|mapping| self.settle_mapping(mapping));
        join_all(steps).await.into_iter().collect()
    }

    async fn settle_mapping(&self, seen: Mapping) -> Result<(), Error> {
        let now = self.clock.now();
        let id = seen.id;
        let decide = move |editor: &mut Editor<'_>| -> Result<(), Error> {
            let Some(mapping) = editor.get(id)?.filter(|mapping| mapping.state.is_unsettled()) else {
                return Ok(());
            };
            match state::end(mapping.state) {
                Some(rest) => {
                    let state = MappingState::Settled(rest);
                    editor.put(&Mapping { state, last_modified: now, ..mapping })?;
                }
                None => editor.delete(id)?,
            }
            Ok(())
        };
        self.store.mappings().update(&seen.scope, decide).await
    }
}
