//! From the name that a caller used to the environments of one version.
//!
//! Look-ups are kept until the store has changed, so that the warm path reads no database.

use std::collections::HashMap;
use std::sync::Arc;

use firelet_pool::{Group, Pool};
use firelet_store::{FunctionVersion, Store, Version};
use firelet_types::{FunctionName, Qualifier, Scope};
use parking_lot::RwLock;

/// Look-ups kept at once; beyond that all are forgotten.
const ROUTES: usize = 65_536;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    scope: Scope,
    name: FunctionName,
    version: Version,
}

/// Where an invocation goes.
#[derive(Clone)]
pub(crate) struct Route {
    /// The version as the store has it now, with its state.
    pub(crate) function: Arc<FunctionVersion>,
    /// Its environments.
    pub(crate) group: Arc<Group>,
    /// The store's generation at which this was true.
    generation: u64,
}

/// Finds the environments that serve a function.
pub(crate) struct Routing {
    store: Arc<Store>,
    pool: Pool,
    routes: RwLock<HashMap<Key, Route>>,
}

impl Routing {
    pub(crate) fn new(store: Arc<Store>, pool: Pool) -> Self {
        Self { store, pool, routes: RwLock::default() }
    }

    /// The environments of this node.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The route to `name` and `qualifier`, as the function is configured now; none when there is no such version.
    pub(crate) fn find(
        &self,
        scope: &Scope,
        name: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<Route>, firelet_store::Error> {
        let version = match qualifier {
            Qualifier::Latest => Version::Latest,
            Qualifier::Version(number) => Version::Published(*number),
            Qualifier::Name(_) => return Ok(None),
        };
        let key = Key { scope: scope.clone(), name: name.clone(), version };
        let generation = self.store.changes().generation();
        if let Some(route) = self.routes.read().get(&key)
            && route.generation == generation
            && !route.group.is_retired()
        {
            return Ok(Some(route.clone()));
        }
        let Some(function) = self.store.functions().get(scope, name, version)? else {
            self.routes.write().remove(&key);
            return Ok(None);
        };
        let route = Route { group: self.pool.group(&function), function, generation };
        let mut routes = self.routes.write();
        if routes.len() >= ROUTES {
            routes.clear();
        }
        routes.insert(key, route.clone());
        Ok(Some(route))
    }
}
