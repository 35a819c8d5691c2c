//! How `/_firelet/environments` is spelled: what there is on this node, as JSON. No secrets, nothing of invocations.

use firelet_invoke::{Activity, Inventory, Resident, SnapshotStock, Stock};
use serde_json::{Value, json};

pub(crate) fn describe(inventory: &Inventory) -> Value {
    json!({
        "environments": inventory.environments.iter().map(environment).collect::<Vec<_>>(),
        "prepared": inventory.prepared.iter().map(prepared).collect::<Vec<_>>(),
        "snapshots": snapshots(inventory.snapshots),
        "helper": { "processId": inventory.helper_id },
    })
}

fn environment(resident: &Resident) -> Value {
    let mut described = json!({
        "id": resident.seen.id.to_string(),
        "account": resident.scope.account.as_str(),
        "region": resident.scope.region.as_str(),
        "function": resident.function.as_str(),
        "version": resident.version.to_string(),
        "state": state(resident.seen.activity),
        "initializationType": resident.seen.initialization.as_str(),
        "peakMemoryBytes": resident.seen.peak_memory_bytes,
    });
    if let Some(tenant) = &resident.tenant {
        described["tenant"] = tenant.to_string().into();
    }
    if let Some(process_id) = resident.seen.process_id {
        described["processId"] = process_id.into();
    }
    described
}

const fn state(activity: Activity) -> &'static str {
    match activity {
        Activity::Initializing => "initializing",
        Activity::Idle => "idle",
        Activity::Frozen => "frozen",
        Activity::Busy => "busy",
        Activity::Ending => "ending",
    }
}

fn prepared(stock: &Stock) -> Value {
    json!({
        "runtime": stock.name,
        "wanted": stock.wanted,
        "waiting": stock.waiting,
        "memoryBytes": stock.memory_bytes,
    })
}

fn snapshots(stock: SnapshotStock) -> Value {
    json!({
        "count": stock.count,
        "memoryBytes": stock.memory_bytes,
        "memoryLimitBytes": stock.memory_limit_bytes,
    })
}

#[cfg(test)]
mod tests {
    use firelet_invoke::{InitializationType, Observation, Version};
    use firelet_types::{AccountId, EnvironmentId, Ids, Region, Scope};

    use super::*;

    #[test]
    fn what_there_is_is_told_whole() {
        let scope = Scope { account: "123456789012".parse::<AccountId>().unwrap(), region: Region::local() };
        let seen = Observation {
            id: EnvironmentId::new(&Ids::seeded(1)),
            activity: Activity::Frozen,
            process_id: Some(4711),
            initialization: InitializationType::OnDemand,
            peak_memory_bytes: 1 << 20,
        };
        let resident = Resident {
            scope,
            function: "hello".parse().unwrap(),
            version: Version::Latest,
            tenant: Some("blue".parse().unwrap()),
            seen,
        };
        let mut ending = resident.clone();
        (ending.tenant, ending.seen.process_id, ending.seen.activity) = (None, None, Activity::Busy);
        let prepared =
            vec![Stock { name: "python3.13".into(), wanted: 2, waiting: 1, memory_bytes: 9 << 20 }];
        let id = resident.seen.id.to_string();
        let snapshots = SnapshotStock { count: 2, memory_bytes: 30 << 20, memory_limit_bytes: 1 << 29 };
        let inventory =
            Inventory { environments: vec![resident, ending], prepared, snapshots, helper_id: 4700 };
        let expected = json!({
            "environments": [
                {
                    "id": id, "account": "123456789012", "region": "us-east-1", "function": "hello",
                    "version": "$LATEST", "tenant": "blue", "processId": 4711, "state": "frozen",
                    "initializationType": "on-demand", "peakMemoryBytes": 1_048_576,
                },
                {
                    "id": id, "account": "123456789012", "region": "us-east-1", "function": "hello",
                    "version": "$LATEST", "state": "busy", "initializationType": "on-demand",
                    "peakMemoryBytes": 1_048_576,
                },
            ],
            "prepared": [{ "runtime": "python3.13", "wanted": 2, "waiting": 1, "memoryBytes": 9_437_184 }],
            "snapshots": { "count": 2, "memoryBytes": 31_457_280, "memoryLimitBytes": 536_870_912 },
            "helper": { "processId": 4700 },
        });
        assert_eq!(describe(&inventory), expected);
    }
}
