//! Whatever callers do, in whatever order: numbers of versions only grow, a revision is new exactly when something
//! changed, the totals are the sums, and the list is what was created and not deleted. The same after a restart.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::harness::{World, encoded, package};

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Call {
    Create { name: &'static str, publish: bool },
    Configure { name: &'static str, memory: u32 },
    UpdateCode { name: &'static str, content: u8, publish: bool },
    Delete { name: &'static str },
    DeleteVersion { name: &'static str, version: u64 },
    Settle,
    Restart,
}

fn call() -> impl Strategy<Value = Call> {
    let name = || proptest::sample::select(NAMES.as_slice());
    prop_oneof![
        3 => (name(), any::<bool>()).prop_map(|(name, publish)| Call::Create { name, publish }),
        2 => (name(), 128_u32..132).prop_map(|(name, memory)| Call::Configure { name, memory }),
        3 => (name(), 0_u8..3, any::<bool>())
            .prop_map(|(name, content, publish)| Call::UpdateCode { name, content, publish }),
        1 => name().prop_map(|name| Call::Delete { name }),
        1 => (name(), 1_u64..4).prop_map(|(name, version)| Call::DeleteVersion { name, version }),
        4 => Just(Call::Settle),
        1 => Just(Call::Restart),
    ]
}

/// Every version by its qualified ARN, as the list shows it.
async fn everything(world: &World) -> BTreeMap<String, Value> {
    let all = world.list(json!({ "FunctionVersion": "ALL" })).await.unwrap();
    let functions = all["Functions"].as_array().unwrap().iter();
    functions
        .map(|function| (function["FunctionArn"].as_str().unwrap().to_owned(), function.clone()))
        .collect()
}

struct History {
    world: World,
    live: HashSet<&'static str>,
    highest: BTreeMap<&'static str, u64>,
    revisions: HashSet<String>,
    before: BTreeMap<String, Value>,
}

impl History {
    async fn perform(mut self, call: Call) -> Self {
        match call {
            Call::Create { name, publish } => {
                let result = self.world.create(json!({ "FunctionName": name, "Publish": publish })).await;
                assert_eq!(result.is_ok(), self.live.insert(name));
                if let Ok(created) = result {
                    self.highest.insert(name, 0);
                    self.published(name, &created);
                }
            }
            Call::Configure { name, memory } => {
                let request = json!({ "FunctionName": name, "MemorySize": memory });
                if let Ok(updated) = self.world.configure(request).await {
                    assert_eq!(updated["MemorySize"], memory);
                }
            }
            Call::UpdateCode { name, content, publish } => {
                let zip = encoded(&package("app.py", &vec![content; content.into()]));
                let request = json!({ "FunctionName": name, "ZipFile": zip, "Publish": publish });
                if let Ok(updated) = self.world.update_code(request).await {
                    self.published(name, &updated);
                }
            }
            Call::Delete { name } => {
                let result = self.world.delete(name, None).await;
                assert_eq!(result.is_ok(), self.live.remove(name));
            }
            Call::DeleteVersion { name, version } => {
                let result = self.world.delete(name, Some(&version.to_string())).await;
                assert_eq!(result.is_ok(), self.live.contains(name));
            }
            Call::Settle => self.world.control.settle().await.unwrap(),
            Call::Restart => {
                self.world = self.world.restart();
                assert_eq!(everything(&self.world).await, self.before);
            }
        }
        self
    }

    /// A version that was published is the highest so far, or one that is still there unchanged.
    fn published(&mut self, name: &'static str, answer: &Value) {
        let Ok(version) = answer["Version"].as_str().unwrap().parse::<u64>() else { return };
        let highest = self.highest.entry(name).or_default();
        let is_known = self.revisions.contains(answer["RevisionId"].as_str().unwrap());
        assert!(version == *highest + 1 || (version == *highest && is_known), "{version} after {highest}");
        *highest = version;
    }

    async fn check(mut self) -> Self {
        let after = everything(&self.world).await;
        for (arn, version) in &after {
            let revision = version["RevisionId"].as_str().unwrap().to_owned();
            match self.before.get(arn) {
                Some(before) if before["RevisionId"] == version["RevisionId"] => assert_eq!(before, version),
                _ => assert!(self.revisions.insert(revision), "{arn} has a revision that was used before"),
            }
        }
        let latest: HashSet<&str> = after
            .values()
            .filter(|version| version["Version"] == "$LATEST")
            .map(|version| version["FunctionName"].as_str().unwrap())
            .collect();
        assert_eq!(latest, self.live);
        let size: u64 = after.values().map(|version| version["CodeSize"].as_u64().unwrap()).sum();
        let expected = json!({ "FunctionCount": self.live.len(), "TotalCodeSize": size });
        assert_eq!(self.world.usage().await, expected);
        self.before = after;
        self
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn calls_in_any_order_keep_the_invariants(calls in proptest::collection::vec(call(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut history = History {
                world: World::new(),
                live: HashSet::new(),
                highest: BTreeMap::new(),
                revisions: HashSet::new(),
                before: BTreeMap::new(),
            };
            for call in calls {
                history = history.perform(call).await.check().await;
            }
        });
    }
}
