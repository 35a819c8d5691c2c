//! What a change of a capacity provider left to be done. Nothing is started, so a state that passes has nothing to
//! wait for.

use firelet_store::capacity_provider::{CapacityProvider, CapacityProviderEditor, CapacityProviderState};
use futures_util::future::join_all;

use crate::control::Control;
use crate::error::Error;

impl Control {
    /// Finishes every creation, update and deletion of a capacity provider that is stored as begun.
    pub(crate) async fn settle_capacity_providers(&self) -> Result<(), Error> {
        let unsettled = self.store.capacity_providers().unsettled()?;
        let steps = unsettled.into_iter().map(|provider| self.settle_capacity_provider(provider));
        join_all(steps).await.into_iter().collect()
    }

    async fn settle_capacity_provider(&self, seen: CapacityProvider) -> Result<(), Error> {
        let name = seen.name;
        let decide = move |editor: &mut CapacityProviderEditor<'_>| -> Result<(), Error> {
            let Some(provider) = editor.get(&name)? else { return Ok(()) };
            match provider.state {
                CapacityProviderState::Active => Ok(()),
                CapacityProviderState::Pending => {
                    let state = CapacityProviderState::Active;
                    Ok(editor.put(&CapacityProvider { state, ..provider })?)
                }
                CapacityProviderState::Deleting => Ok(editor.delete(&name)?),
            }
        };
        self.store.capacity_providers().update(&seen.scope, decide).await
    }
}
