//! From the name that a caller used to the environments of one version.
//!
//! Look-ups are kept until the store has changed, so that the warm path reads no database.

use std::collections::HashMap;
use std::sync::Arc;

use firelet_pool::{Group, Pool};
use firelet_store::{Alias, FunctionVersion, Store, Version};
use firelet_types::{Chance, FunctionName, Qualifier, Scope};
use parking_lot::RwLock;

use crate::concurrency::{Bounds, Concurrency, Share};

/// Look-ups kept at once; beyond that all are forgotten.
const ROUTES: usize = 65_536;

/// Look-ups by what they were made with.
type Kept<K, V> = RwLock<HashMap<(Scope, FunctionName, K), V>>;

/// Where an invocation goes.
#[derive(Clone)]
pub(crate) struct Route {
    /// The version as the store has it now, with its state.
    pub(crate) function: Arc<FunctionVersion>,
    /// Its environments.
    pub(crate) group: Arc<Group>,
    /// How many of its invocations may run.
    pub(crate) share: Share,
    /// The store's generation at which this was true.
    generation: u64,
}

/// Finds the environments that serve a function.
pub(crate) struct Routing {
    store: Arc<Store>,
    pool: Pool,
    concurrency: Concurrency,
    chance: Chance,
    routes: Kept<Version, Route>,
    /// Each with the store's generation at which it was true.
    aliases: Kept<String, (Arc<Alias>, u64)>,
}

impl Routing {
    pub(crate) fn new(store: Arc<Store>, pool: Pool, concurrency: Concurrency, chance: Chance) -> Self {
        let (routes, aliases) = (RwLock::default(), RwLock::default());
        Self { store, pool, concurrency, chance, routes, aliases }
    }

    /// The environments of this node.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The route to `name` and `qualifier`, as the function is configured now; none when there is no such version. An
    /// alias with weights leads now to one version and now to the other.
    pub(crate) fn find(
        &self,
        scope: &Scope,
        name: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<Route>, firelet_store::Error> {
        let version = match qualifier {
            Qualifier::Latest => Version::Latest,
            Qualifier::LatestPublished => Version::LatestPublished,
            Qualifier::Version(number) => Version::Published(*number),
            Qualifier::Name(alias) => match self.alias(scope, name, alias)? {
                Some(alias) => choose(&alias, || self.chance.fraction()),
                None => return Ok(None),
            },
        };
        self.version(scope, name, version)
    }

    fn version(
        &self,
        scope: &Scope,
        name: &FunctionName,
        version: Version,
    ) -> Result<Option<Route>, firelet_store::Error> {
        let key = (scope.clone(), name.clone(), version);
        let generation = self.store.changes().generation();
        if let Some(route) = self.routes.read().get(&key)
            && route.generation == generation
            && !route.group.is_retired()
        {
            return Ok(Some(route.clone()));
        }
        let functions = self.store.functions();
        let (Some(function), Some(reservations)) =
            (functions.get(scope, name, version)?, functions.reservations(scope, name)?)
        else {
            self.routes.write().remove(&key);
            return Ok(None);
        };
        let allocated = match reservations.provisioned {
            0 => 0,
            _ => functions.allocated_concurrency(scope, name, version)?,
        };
        let share = self.concurrency.share(scope, name, version, Bounds { reservations, allocated });
        let route = Route { group: self.pool.group(&function), function, share, generation };
        keep(&self.routes, key, route.clone());
        Ok(Some(route))
    }

    fn alias(
        &self,
        scope: &Scope,
        name: &FunctionName,
        alias: &str,
    ) -> Result<Option<Arc<Alias>>, firelet_store::Error> {
        let key = (scope.clone(), name.clone(), alias.to_owned());
        let generation = self.store.changes().generation();
        if let Some((alias, of)) = self.aliases.read().get(&key)
            && *of == generation
        {
            return Ok(Some(Arc::clone(alias)));
        }
        let Some(alias) = self.store.functions().alias(scope, name, alias)?.map(Arc::new) else {
            self.aliases.write().remove(&key);
            return Ok(None);
        };
        keep(&self.aliases, key, (Arc::clone(&alias), generation));
        Ok(Some(alias))
    }
}

fn keep<K: Eq + std::hash::Hash, V>(kept: &Kept<K, V>, key: (Scope, FunctionName, K), value: V) {
    let mut kept = kept.write();
    if kept.len() >= ROUTES {
        kept.clear();
    }
    kept.insert(key, value);
}

/// The version that one invocation of `alias` gets. `fraction` draws a number from 0 up to 1.
fn choose(alias: &Alias, fraction: impl FnOnce() -> f64) -> Version {
    if alias.weights.is_empty() {
        return alias.version;
    }
    let mut left = fraction();
    for (number, weight) in &alias.weights {
        if left < *weight {
            return Version::Published(*number);
        }
        left -= weight;
    }
    alias.version
}

#[cfg(test)]
mod tests {
    use firelet_types::{Ids, RevisionId};

    use super::*;

    #[test]
    fn weights_share_out_invocations() {
        let alias = |weights: &[(u64, f64)]| Alias {
            name: "live".into(),
            version: Version::Published(1),
            revision: RevisionId::new(&Ids::seeded(1)),
            description: String::new(),
            weights: weights.iter().copied().collect(),
        };
        for (weights, fraction, expected) in [
            (&[][..], 0.0, 1),
            (&[(2, 0.25)], 0.0, 2),
            (&[(2, 0.25)], 0.249, 2),
            (&[(2, 0.25)], 0.25, 1),
            (&[(2, 0.25)], 0.999, 1),
            (&[(2, 0.0)], 0.0, 1),
            (&[(2, 1.0)], 0.999, 2),
            (&[(2, 0.25), (3, 0.5)], 0.5, 3),
            (&[(2, 0.25), (3, 0.5)], 0.75, 1),
        ] {
            let chosen = choose(&alias(weights), || fraction);
            assert_eq!(chosen, Version::Published(expected), "{weights:?} {fraction}");
        }
    }
}
