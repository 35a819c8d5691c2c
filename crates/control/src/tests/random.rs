//! Whatever callers do, in whatever order: each call does what it is to do and nothing else, and a refused one does
//! nothing at all. Numbers of versions only grow, a revision is new exactly when what it is of has changed, and the
//! totals are the sums. The same after a restart.

mod call;
mod expected;
mod snapshot;

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::harness::{World, answer, request};

use call::{Call, calls, perform};
use expected::{Effect, Numbers, expect};
use snapshot::{Snapshot, text};

struct History {
    world: World,
    before: Snapshot,
    numbers: Numbers,
    /// Every revision that anything ever had.
    revisions: HashSet<String>,
}

impl History {
    async fn step(mut self, call: Call) -> Self {
        let Some(meant) = self.meant(&call) else { return self };
        if matches!(call, Call::Restart) {
            self.world = self.world.restart();
        }
        let result = match call {
            Call::Restart => Ok(Value::Null),
            _ => perform(&self.world, &call, meant.as_deref()).await,
        };
        let id = meant.or_else(|| result.as_ref().ok().and_then(|answer| made(&call, answer)));
        let expected = expect(&call, &self.before, &self.numbers, id.as_deref());
        assert_eq!(result.is_ok(), expected.is_some(), "{call:?} gave {result:?}, expected {expected:?}");
        let after = Snapshot::of(&self.world).await;
        compare(&call, &self.before, &after, &expected.unwrap_or_default());
        self.count(&call, &after);
        self.check_revisions(&after);
        check_totals(&self.world, &after).await;
        self.before = after;
        self
    }

    /// The id of the resource without a name that a call is about, or that there is no such resource to call about;
    /// no id where a call needs none.
    fn meant(&self, call: &Call) -> Option<Option<String>> {
        let nth = |kind, which| Some(Some(self.before.of_kind(kind).nth(which)?.0.to_owned()));
        match call {
            Call::DeleteSigning { which } | Call::Attach { which, .. } => nth("signing", *which),
            Call::Unmap { which } => nth("mapping", *which),
            _ => Some(None),
        }
    }

    /// Keeps note of the versions that are there, each of which is at most one more than the last ever.
    fn count(&mut self, call: &Call, after: &Snapshot) {
        if let Call::Create { name, .. } = call
            && !self.before.has(&format!("version {name}:$LATEST"))
        {
            self.numbers.functions.insert(name, 0);
        }
        let highest = |kind, name: &str| {
            let prefix = format!("{name}:");
            let numbers = after.of_kind(kind).filter_map(|(key, _)| key.strip_prefix(&prefix)?.parse().ok());
            numbers.max().unwrap_or(0_u64)
        };
        for (name, last) in &mut self.numbers.functions {
            *last = highest("version", name).max(*last);
        }
        if let Call::PublishLayer { layer, .. } = call {
            let last = self.numbers.layers.entry(layer).or_default();
            *last = highest("layer", layer).max(*last);
        }
    }

    fn check_revisions(&mut self, after: &Snapshot) {
        for kind in ["version", "alias"] {
            for (key, value) in after.of_kind(kind) {
                let key = format!("{kind} {key}");
                match self.before.get(&key) {
                    Some(before) if before["RevisionId"] == value["RevisionId"] => {
                        assert_eq!(before, value, "{key} changed and kept its revision");
                    }
                    _ => {
                        let revision = text(value, "RevisionId").to_owned();
                        assert!(self.revisions.insert(revision), "{key} has a revision that was used before");
                    }
                }
            }
        }
    }
}

/// The id that a call gave to what it made.
fn made(call: &Call, answer: &Value) -> Option<String> {
    let id = match call {
        Call::CreateSigning => &answer["CodeSigningConfig"]["CodeSigningConfigArn"],
        Call::Map { .. } => &answer["UUID"],
        _ => return None,
    };
    id.as_str().map(str::to_owned)
}

/// Checks that what was added, removed and changed is what was expected.
fn compare(call: &Call, before: &Snapshot, after: &Snapshot, expected: &Effect) {
    let keys = |snapshot: &Snapshot| snapshot.keys().map(str::to_owned).collect::<BTreeSet<_>>();
    let (old, new) = (keys(before), keys(after));
    let changed = old.intersection(&new).filter(|key| before.get(key) != after.get(key)).cloned();
    let (written, changed): (BTreeSet<_>, BTreeSet<_>) =
        changed.partition(|key| expected.written.contains(key));
    let found = Effect {
        added: new.difference(&old).cloned().collect(),
        removed: old.difference(&new).cloned().collect(),
        changed,
        written: expected.written.clone(),
    };
    assert_eq!(found, *expected, "{call:?}, which also wrote {written:?}");
}

async fn check_totals(world: &World, after: &Snapshot) {
    let size = |value: &Value| value["CodeSize"].as_u64().unwrap();
    let versions: u64 = after.of_kind("version").map(|(_, version)| size(version)).sum();
    let layers: u64 = after.of_kind("layer").map(|(_, version)| size(&version["Content"])).sum();
    let functions = after.of_kind("version").filter(|(key, _)| key.ends_with(":$LATEST")).count();
    let reserved: u64 = after.of_kind("reserved").map(|(_, value)| value.as_u64().unwrap()).sum();
    let settings = world.control.get_account_settings(&world.scope, request(json!({}))).await.unwrap();
    let settings = answer(settings);
    let expected = json!({ "FunctionCount": functions, "TotalCodeSize": versions + layers });
    assert_eq!(settings["AccountUsage"], expected);
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 1_000 - reserved);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_in_any_order_do_what_they_are_to_do(calls in calls()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut history = History {
                world: World::new(),
                before: Snapshot::default(),
                numbers: Numbers::default(),
                revisions: HashSet::new(),
            };
            for call in calls {
                history = history.step(call).await;
            }
        });
    }
}
