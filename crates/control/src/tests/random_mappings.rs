//! Whatever callers do to mappings, in whatever order: a function has one mapping of a source at most, a mapping is
//! changed only at rest, and the list is what was created and is not gone. The same after a restart.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::harness::{World, answer, request};
use crate::{Error, MappingError};

const FUNCTIONS: [&str; 2] = ["a", "b"];

#[derive(Debug, Clone)]
enum Call {
    Create { function: usize, queue: u8, enabled: bool },
    Update { which: usize, enabled: Option<bool>, function: Option<usize> },
    Delete { which: usize },
    Settle,
    Restart,
}

fn call() -> impl Strategy<Value = Call> {
    let function = || 0..FUNCTIONS.len();
    prop_oneof![
        3 => (function(), 0_u8..2, any::<bool>())
            .prop_map(|(function, queue, enabled)| Call::Create { function, queue, enabled }),
        3 => (0_usize..4, any::<Option<bool>>(), proptest::option::of(function()))
            .prop_map(|(which, enabled, function)| Call::Update { which, enabled, function }),
        2 => (0_usize..4).prop_map(|which| Call::Delete { which }),
        4 => Just(Call::Settle),
        1 => Just(Call::Restart),
    ]
}

/// What a mapping should be.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    function: usize,
    queue: u8,
    state: &'static str,
    rest: &'static str,
}

fn arn(queue: u8) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:q{queue}")
}

const fn rest(enabled: bool) -> &'static str {
    if enabled { "Enabled" } else { "Disabled" }
}

struct History {
    world: World,
    mappings: BTreeMap<String, Expected>,
}

impl History {
    fn has(&self, function: usize, queue: u8, except: Option<&str>) -> bool {
        self.mappings
            .iter()
            .any(|(id, mapping)| except != Some(id) && (mapping.function, mapping.queue) == (function, queue))
    }

    fn pick(&self, which: usize) -> Option<(String, Expected)> {
        let (id, expected) = self.mappings.iter().nth(which)?;
        Some((id.clone(), expected.clone()))
    }

    async fn perform(mut self, call: Call) -> Self {
        match call {
            Call::Create { function, queue, enabled } => self.create(function, queue, enabled).await,
            Call::Update { which, enabled, function } => self.update(which, enabled, function).await,
            Call::Delete { which } => self.delete(which).await,
            Call::Settle => {
                self.world.control.settle().await.unwrap();
                self.mappings.retain(|_, mapping| mapping.state != "Deleting");
                for mapping in self.mappings.values_mut() {
                    mapping.state = mapping.rest;
                }
            }
            Call::Restart => self.world = self.world.restart(),
        }
        self
    }

    async fn create(&mut self, function: usize, queue: u8, enabled: bool) {
        let members = json!({
            "FunctionName": FUNCTIONS[function], "EventSourceArn": arn(queue), "Enabled": enabled,
        });
        let result =
            self.world.control.create_event_source_mapping(&self.world.scope, request(members)).await;
        if self.has(function, queue, None) {
            assert!(matches!(result, Err(Error::Mapping(MappingError::Duplicate(_)))), "{result:?}");
            return;
        }
        let state = if enabled { "Creating" } else { "Disabled" };
        let id = result.unwrap().uuid.unwrap();
        self.mappings.insert(id, Expected { function, queue, state, rest: rest(enabled) });
    }

    async fn update(&mut self, which: usize, enabled: Option<bool>, function: Option<usize>) {
        let Some((id, before)) = self.pick(which) else { return };
        let members =
            json!({ "UUID": id, "Enabled": enabled, "FunctionName": function.map(|index| FUNCTIONS[index]) });
        let result =
            self.world.control.update_event_source_mapping(&self.world.scope, request(members)).await;
        let function = function.unwrap_or(before.function);
        if before.state != before.rest {
            assert!(matches!(result, Err(Error::Mapping(MappingError::InUse { .. }))), "{result:?}");
            return;
        }
        if self.has(function, before.queue, Some(&id)) {
            assert!(matches!(result, Err(Error::Mapping(MappingError::Duplicate(_)))), "{result:?}");
            return;
        }
        let rest = enabled.map_or(before.rest, rest);
        let state = match (before.rest, rest) {
            ("Disabled", "Enabled") => "Enabling",
            ("Enabled", "Disabled") => "Disabling",
            _ => "Updating",
        };
        assert_eq!(result.unwrap().state.as_deref(), Some(state));
        self.mappings.insert(id, Expected { function, state, rest, ..before });
    }

    async fn delete(&mut self, which: usize) {
        let Some((id, before)) = self.pick(which) else { return };
        let request = request(json!({ "UUID": id }));
        let result = self.world.control.delete_event_source_mapping(&self.world.scope, request).await;
        if before.state == before.rest {
            result.unwrap();
            self.mappings.insert(id, Expected { state: "Deleting", ..before });
        } else {
            assert!(matches!(result, Err(Error::Mapping(MappingError::InUse { .. }))), "{result:?}");
        }
    }

    async fn check(&self) {
        let request = request(json!({}));
        let page = self.world.control.list_event_source_mappings(&self.world.scope, request).await.unwrap();
        let page = answer(page);
        let found = page["EventSourceMappings"].as_array().unwrap().iter();
        let told = |mapping: &Value| {
            let text = |member: &str| mapping[member].as_str().unwrap().to_owned();
            (text("UUID"), [text("FunctionArn"), text("EventSourceArn"), text("State")])
        };
        let expected = self.mappings.iter().map(|(id, mapping)| {
            let name = FUNCTIONS[mapping.function];
            let function = format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
            (id.clone(), [function, arn(mapping.queue), mapping.state.to_owned()])
        });
        assert_eq!(found.map(told).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mappings_are_what_was_made_of_them(calls in proptest::collection::vec(call(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().with_function("a").await.with_function("b").await;
            let mut history = History { world, mappings: BTreeMap::new() };
            for call in calls {
                history = history.perform(call).await;
                history.check().await;
            }
        });
    }
}
