//! What there is on this node, for people and for tests: environments, interpreters that wait, snapshots, the helper.
//! Changes nothing.

use firelet_runtime::{Observation, Sandboxes, Stock};
use firelet_store::Version;
use firelet_types::{FunctionName, Scope, TenantId};

use crate::service::Key;
use crate::snapshot::SnapshotStock;

/// What there is on this node.
#[derive(Debug)]
pub struct Inventory {
    /// The environments that have not ended, in the order of their functions.
    pub environments: Vec<Resident>,
    /// The interpreters that were started ahead, by runtime; none where the helper does not tell.
    pub prepared: Vec<Stock>,
    /// The snapshots that environments can start from.
    pub snapshots: SnapshotStock,
    /// The process id of the helper that makes sandboxes.
    pub helper_id: u32,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// Account and Region.
    pub scope: Scope,
    /// The function.
    pub function: FunctionName,
    /// The function's version.
    pub version: Version,
    /// Whom it works for, if the function keeps tenants apart.
    pub tenant: Option<TenantId>,
    /// What was seen of it.
    pub seen: Observation,
}

impl Resident {
    pub(crate) fn new(key: &Key, seen: Observation) -> Self {
        let Key { scope, name, version, tenant } = key;
        Self { scope: scope.clone(), function: name.clone(), version: *version, tenant: tenant.clone(), seen }
    }

    fn place(&self) -> impl Ord + '_ {
        let Scope { account, region } = &self.scope;
        let tenant = self.tenant.as_ref().map(ToString::to_string);
        (account, region, self.function.as_str(), self.version, tenant, self.seen.id.to_string())
    }
}

/// By account, Region, function, version and tenant.
pub(crate) fn in_order(mut residents: Vec<Resident>) -> Vec<Resident> {
    residents.sort_by(|one, other| one.place().cmp(&other.place()));
    residents
}

/// What waits of the interpreters that are started ahead. Asks the helper, which blocks for a moment.
pub(crate) fn stock(sandboxes: &Sandboxes) -> Vec<Stock> {
    sandboxes.stock().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot tell which interpreters wait");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use firelet_runtime::{Activity, InitializationType};
    use firelet_types::{EnvironmentId, Ids};

    use super::*;

    fn resident(account: &str, function: &str, version: Version, tenant: Option<&str>) -> Resident {
        let seen = Observation {
            id: EnvironmentId::new(&Ids::seeded(1)),
            activity: Activity::Idle,
            process_id: None,
            initialization: InitializationType::OnDemand,
            peak_memory_bytes: 0,
        };
        Resident {
            scope: Scope { account: account.parse().unwrap(), region: "us-east-1".parse().unwrap() },
            function: function.parse().unwrap(),
            version,
            tenant: tenant.map(|tenant| tenant.parse().unwrap()),
            seen,
        }
    }

    #[test]
    fn environments_come_in_the_order_of_their_functions() {
        let ordered = [
            resident("000000000000", "b", Version::Latest, None),
            resident("123456789012", "a", Version::Latest, Some("x")),
            resident("123456789012", "a", Version::Latest, Some("y")),
            resident("123456789012", "a", Version::Published(2), None),
            resident("123456789012", "a", Version::Published(10), None),
            resident("123456789012", "b", Version::Latest, None),
        ];
        let mut mixed = ordered.to_vec();
        mixed.reverse();
        mixed.swap(1, 4);
        assert_eq!(in_order(mixed), ordered);
    }
}
