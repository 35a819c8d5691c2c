//! Everything that callers can read, each thing under a key of its own: `version a:1`, `policy a:live`, `layer l:1`.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::harness::{World, answer, request};

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    pub(super) async fn of(world: &World) -> Self {
        let mut snapshot = Self::default();
        let all = world.list(json!({ "FunctionVersion": "ALL" })).await.unwrap();
        for version in items(&all, "Functions") {
            let (name, number) = (text(version, "FunctionName"), text(version, "Version"));
            let found = world.get(name, Some(number)).await.unwrap();
            assert_eq!(found["RevisionId"], version["RevisionId"]);
            snapshot.insert(format!("version {name}:{number}"), found);
            if number == "$LATEST" {
                snapshot.add_function(world, name).await;
            } else {
                snapshot.add_policy(world, name, Some(number)).await;
            }
        }
        snapshot.add_others(world).await;
        snapshot
    }

    async fn add_function(&mut self, world: &World, name: &str) {
        let aliases = world.list_aliases(json!({ "FunctionName": name })).await.unwrap();
        for alias in items(&aliases, "Aliases") {
            self.insert(format!("alias {name}:{}", text(alias, "Name")), alias.clone());
            self.add_policy(world, name, Some(text(alias, "Name"))).await;
        }
        self.add_policy(world, name, None).await;
        let function = world.get_function(name).await.unwrap();
        if let Some(tags) = function.get("Tags").filter(|tags| !tags.is_null()) {
            self.insert(format!("tags {name}"), tags.clone());
        }
        if let Some(reserved) = function["Concurrency"].get("ReservedConcurrentExecutions") {
            self.insert(format!("reserved {name}"), reserved.clone());
        }
        let configs = world.list_event_invoke_configs(json!({ "FunctionName": name })).await.unwrap();
        for config in items(&configs, "FunctionEventInvokeConfigs") {
            let qualifier = text(config, "FunctionArn").rsplit(':').next().unwrap().to_owned();
            self.insert(format!("events {name}:{qualifier}"), config.clone());
        }
        let under = named(json!({ "FunctionName": name }));
        let under = world.control.get_function_code_signing_config(&world.scope, under).await.unwrap();
        if let Some(arn) = answer(under).get("CodeSigningConfigArn") {
            self.insert(format!("under {name}"), arn.clone());
        }
    }

    /// The statements of a policy, whose revision is that of its owner.
    async fn add_policy(&mut self, world: &World, name: &str, qualifier: Option<&str>) {
        let Ok(policy) = world.policy(name, qualifier).await else { return };
        let owner = match qualifier {
            None => format!("version {name}:$LATEST"),
            Some(number) if number.parse::<u64>().is_ok() => format!("version {name}:{number}"),
            Some(alias) => format!("alias {name}:{alias}"),
        };
        assert_eq!(self.0[&owner]["RevisionId"], policy["RevisionId"], "{owner}");
        let document = serde_json::from_str(text(&policy, "Policy")).unwrap();
        self.insert(format!("policy {name}:{}", qualifier.unwrap_or_default()), document);
    }

    async fn add_others(&mut self, world: &World) {
        let (control, scope) = (&world.control, &world.scope);
        let layers = answer(control.list_layers(scope, named(json!({}))).await.unwrap());
        for layer in items(&layers, "Layers") {
            let name = text(layer, "LayerName");
            let versions = named(json!({ "LayerName": name }));
            let versions = answer(control.list_layer_versions(scope, versions).await.unwrap());
            for version in items(&versions, "LayerVersions") {
                let number = version["Version"].as_i64().unwrap();
                let found = world.layer(name, number).await.unwrap();
                self.insert(format!("layer {name}:{number}"), without(found, &["Content", "Location"]));
            }
        }
        let configs = answer(control.list_code_signing_configs(scope, named(json!({}))).await.unwrap());
        for config in items(&configs, "CodeSigningConfigs") {
            self.insert(format!("signing {}", text(config, "CodeSigningConfigArn")), config.clone());
        }
        let mappings = answer(control.list_event_source_mappings(scope, named(json!({}))).await.unwrap());
        for mapping in items(&mappings, "EventSourceMappings") {
            self.insert(format!("mapping {}", text(mapping, "UUID")), mapping.clone());
        }
    }

    fn insert(&mut self, key: String, value: Value) {
        let replaced = self.0.insert(key, value);
        assert!(replaced.is_none(), "a thing is listed twice: {replaced:#?}");
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The things of one kind, and what tells each from the others of its kind.
    pub(super) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(kind)?.strip_prefix(' ')?, value)))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn named<T: DeserializeOwned>(members: Value) -> T {
    request(members)
}

fn items<'a>(page: &'a Value, member: &str) -> std::slice::Iter<'a, Value> {
    assert!(page["NextMarker"].is_null(), "one page holds all of these tests");
    page[member].as_array().unwrap().iter()
}

pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value:#}"))
}

fn without(mut value: Value, path: &[&str; 2]) -> Value {
    value[path[0]].as_object_mut().unwrap().remove(path[1]);
    value
}
