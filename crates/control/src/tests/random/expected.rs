//! What a call is to do, judged by what could be read before it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::call::{Call, Name, Part, queue_arn};
use super::snapshot::{Snapshot, text};

/// Executions that functions can reserve of an account's 1,000.
const RESERVABLE: u64 = 900;

/// The keys of what a call that succeeds adds, removes and changes. Nothing else changes, and of what changes, all that
/// has a revision has a new one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Effect {
    pub(super) added: BTreeSet<String>,
    pub(super) removed: BTreeSet<String>,
    pub(super) changed: BTreeSet<String>,
    /// What is written anew, maybe as it was.
    pub(super) written: BTreeSet<String>,
}

impl Effect {
    fn add(mut self, key: String) -> Self {
        self.added.insert(key);
        self
    }

    fn remove(mut self, key: String) -> Self {
        self.removed.insert(key);
        self
    }

    fn change(mut self, key: String) -> Self {
        self.changed.insert(key);
        self
    }

    /// Sets what may not have been there before.
    fn put(mut self, before: &Snapshot, key: String) -> Self {
        let keys = if before.has(&key) { &mut self.written } else { &mut self.added };
        keys.insert(key);
        self
    }

    fn remove_if_there(self, before: &Snapshot, key: String) -> Self {
        if before.has(&key) { self.remove(key) } else { self }
    }
}

/// The last versions that were published, by function or layer, also of those that are deleted.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) functions: BTreeMap<Name, u64>,
    pub(super) layers: BTreeMap<Name, u64>,
}

/// The effect of `call`; none when it is refused. Of a resource with an id, `id` is the one that was meant or made.
pub(super) fn expect(call: &Call, before: &Snapshot, numbers: &Numbers, id: Option<&str>) -> Option<Effect> {
    let none = Effect::default();
    match call {
        Call::Create { name, publish, .. } => (!before.has(&latest(name))).then(|| {
            let created = none.add(latest(name));
            if *publish { created.add(version(name, 1)) } else { created }
        }),
        Call::Configure { name, .. } => is_at_rest(before, name).then(|| none.change(latest(name))),
        Call::UseLayer { name, layer, number } => {
            let is_taken = is_at_rest(before, name) && before.has(&format!("layer {layer}:{number}"));
            is_taken.then(|| none.change(latest(name)))
        }
        Call::UpdateCode { name, content, publish } => is_at_rest(before, name).then(|| {
            let updated = none.change(latest(name));
            let mut code = code_of(before.get(&latest(name))?);
            code.0 = Value::String(sha256(*content));
            let published = publish.then(|| published(before, numbers, name, &code)).flatten();
            Some(published.into_iter().fold(updated, Effect::add))
        })?,
        Call::Publish { name } => is_at_rest(before, name).then(|| {
            let code = code_of(before.get(&latest(name))?);
            let published = published(before, numbers, name, &code);
            Some(
                published
                    .map(|version| Effect::default().add(version).change(latest(name)))
                    .unwrap_or_default(),
            )
        })?,
        Call::Delete { name } => before.has(&latest(name)).then(|| {
            let is_of_it = |key: &&str| {
                let (kind, rest) = key.split_once(' ').expect("a kind and more");
                !["layer", "signing", "mapping"].contains(&kind) && rest.split(':').next() == Some(*name)
            };
            let removed = before.keys().filter(is_of_it).map(str::to_owned).collect();
            Effect { removed, ..none }
        }),
        Call::DeleteVersion { name, number } => {
            let number = number.to_string();
            let prefix = format!("{name}:");
            let is_named = before
                .of_kind("alias")
                .any(|(key, alias)| key.starts_with(&prefix) && text(alias, "FunctionVersion") == number);
            (before.has(&latest(name)) && !is_named).then(|| {
                ["version", "policy", "events"].into_iter().fold(none, |effect, kind| {
                    effect.remove_if_there(before, format!("{kind} {name}:{number}"))
                })
            })
        }
        Call::Settle => Some(settled(before)),
        Call::SettleSnapshots { .. } => {
            let versions = before.of_kind("version").filter(|(_, version)| awaits_snapshot(version));
            Some(versions.fold(none, |effect, (key, _)| effect.change(format!("version {key}"))))
        }
        Call::Restart => Some(none),
        Call::CreateAlias { .. }
        | Call::UpdateAlias { .. }
        | Call::DeleteAlias { .. }
        | Call::Permit { .. }
        | Call::Forbid { .. }
        | Call::PutEvents { .. }
        | Call::DeleteEvents { .. } => expect_of_part(call, before),
        _ => expect_of_setting(call, before, numbers, id),
    }
}

/// The same of calls about aliases, policies and event invoke configurations.
fn expect_of_part(call: &Call, before: &Snapshot) -> Option<Effect> {
    let none = Effect::default();
    match call {
        Call::CreateAlias { name, alias, number } => {
            let key = format!("alias {name}:{alias}");
            (before.has(&version(name, *number)) && !before.has(&key)).then(|| none.add(key))
        }
        Call::UpdateAlias { name, alias, number } => {
            let key = format!("alias {name}:{alias}");
            (before.has(&version(name, *number)) && before.has(&key)).then(|| none.change(key))
        }
        Call::DeleteAlias { name, alias } => before.has(&latest(name)).then(|| {
            ["alias", "policy", "events"]
                .into_iter()
                .fold(none, |effect, kind| effect.remove_if_there(before, format!("{kind} {name}:{alias}")))
        }),
        Call::Permit { name, part, statement } => {
            let (owner, key) = (owner(name, part), policy(name, part));
            let is_new = !statements(before, &key).contains(&format!("s{statement}"));
            (before.has(&owner) && is_new).then(|| {
                let owned = none.change(owner);
                if before.has(&key) { owned.change(key) } else { owned.add(key) }
            })
        }
        Call::Forbid { name, part, statement } => {
            let (owner, key) = (owner(name, part), policy(name, part));
            let statements = statements(before, &key);
            statements.contains(&format!("s{statement}")).then(|| {
                let owned = none.change(owner);
                if statements.len() > 1 { owned.change(key) } else { owned.remove(key) }
            })
        }
        Call::PutEvents { name, part, .. } => {
            before.has(&owner(name, part)).then(|| none.put(before, events(name, part)))
        }
        Call::DeleteEvents { name, part } => {
            let key = events(name, part);
            before.has(&key).then(|| none.remove(key))
        }
        _ => unreachable!("{call:?} is about no part of a function"),
    }
}

/// The same of calls about settings of functions, layers, code signing configurations and mappings.
fn expect_of_setting(call: &Call, before: &Snapshot, numbers: &Numbers, id: Option<&str>) -> Option<Effect> {
    let none = Effect::default();
    let has_function = |name: &Name| before.has(&latest(name));
    match call {
        Call::Reserve { name, executions } => {
            let key = format!("reserved {name}");
            let reserved =
                |(of, value): (&str, &Value)| if of == *name { 0 } else { value.as_u64().unwrap() };
            let others: u64 = before.of_kind("reserved").map(reserved).sum();
            let own = before.get(&key).and_then(Value::as_u64).unwrap_or_default();
            // Less than before is always taken; here the sum was in bounds before.
            let fits = u64::from(*executions) <= own || others + u64::from(*executions) <= RESERVABLE;
            (has_function(name) && fits).then(|| none.put(before, key))
        }
        Call::Release { name } => {
            has_function(name).then(|| none.remove_if_there(before, format!("reserved {name}")))
        }
        Call::Tag { name, .. } => {
            has_function(name).then(|| none.change(latest(name)).put(before, format!("tags {name}")))
        }
        Call::Untag { name, key } => has_function(name).then(|| {
            let tags = before.get(&format!("tags {name}")).and_then(Value::as_object);
            let has = |tags: &&serde_json::Map<String, Value>| tags.contains_key(&format!("k{key}"));
            let effect = none.change(latest(name));
            match tags.filter(has).map(serde_json::Map::len) {
                None => effect,
                Some(1) => effect.remove(format!("tags {name}")),
                Some(_) => effect.change(format!("tags {name}")),
            }
        }),
        Call::PublishLayer { layer, .. } => {
            let number = numbers.layers.get(layer).copied().unwrap_or_default() + 1;
            Some(none.add(format!("layer {layer}:{number}")))
        }
        Call::DeleteLayer { layer, number } => {
            Some(none.remove_if_there(before, format!("layer {layer}:{number}")))
        }
        Call::CreateSigning => Some(none.add(format!("signing {}", id?))),
        Call::DeleteSigning { .. } => {
            let is_used = before.of_kind("under").any(|(_, arn)| arn.as_str() == id);
            (!is_used).then(|| Some(none.remove(format!("signing {}", id?))))?
        }
        Call::Attach { name, .. } => {
            (has_function(name) && id.is_some()).then(|| none.put(before, format!("under {name}")))
        }
        Call::Detach { name } => {
            has_function(name).then(|| none.remove_if_there(before, format!("under {name}")))
        }
        Call::Map { name, queue } => {
            let is_same = |mapping: &Value| {
                text(mapping, "FunctionArn").ends_with(&format!(":{name}"))
                    && text(mapping, "EventSourceArn") == queue_arn(*queue)
            };
            let is_new = !before.of_kind("mapping").any(|(_, mapping)| is_same(mapping));
            (has_function(name) && is_new).then(|| Some(none.add(format!("mapping {}", id?))))?
        }
        Call::Unmap { .. } => {
            let key = format!("mapping {}", id?);
            (text(before.get(&key)?, "State") == "Disabled").then(|| none.change(key))
        }
        _ => unreachable!("{call:?} changes no setting"),
    }
}

fn latest(name: Name) -> String {
    format!("version {name}:$LATEST")
}

fn version(name: Name, number: u64) -> String {
    format!("version {name}:{number}")
}

/// What has the revision of a policy.
fn owner(name: Name, part: &Part) -> String {
    match part {
        Part::Whole => latest(name),
        Part::Version(number) => version(name, *number),
        Part::Alias(alias) => format!("alias {name}:{alias}"),
    }
}

fn policy(name: Name, part: &Part) -> String {
    format!("policy {name}:{}", part.qualifier().unwrap_or_default())
}

fn events(name: Name, part: &Part) -> String {
    format!("events {name}:{}", part.qualifier().unwrap_or_else(|| "$LATEST".to_owned()))
}

fn statements(before: &Snapshot, policy: &str) -> Vec<String> {
    let statements = before.get(policy).and_then(|policy| policy["Statement"].as_array());
    statements.into_iter().flatten().map(|statement| text(statement, "Sid").to_owned()).collect()
}

/// Whether a function is there and takes an update.
fn is_at_rest(before: &Snapshot, name: Name) -> bool {
    before.get(&latest(name)).is_some_and(|function| !is_unsettled(function))
}

fn is_unsettled(version: &Value) -> bool {
    version["State"] == "Pending" || version["LastUpdateStatus"] == "InProgress"
}

fn awaits_snapshot(version: &Value) -> bool {
    let is_snapped =
        version["SnapStart"]["ApplyOn"] == "PublishedVersions" && version["Version"] != "$LATEST";
    is_snapped && version["State"] == "Pending"
}

/// Everything that these calls change in a version.
fn code_of(version: &Value) -> (Value, Value, Value) {
    (version["CodeSha256"].clone(), version["MemorySize"].clone(), version["Layers"].clone())
}

fn sha256(content: u8) -> String {
    use base64::Engine;
    use sha2::Digest;
    base64::prelude::BASE64_STANDARD.encode(sha2::Sha256::digest(super::call::code(content)))
}

/// The key of the version that publishing `code` makes; none when the last version is still there and is the same.
fn published(
    before: &Snapshot,
    numbers: &Numbers,
    name: Name,
    code: &(Value, Value, Value),
) -> Option<String> {
    let last = numbers.functions.get(name).copied().unwrap_or_default();
    let is_same = before.get(&version(name, last)).is_some_and(|published| code_of(published) == *code);
    (!is_same).then(|| version(name, last + 1))
}

fn settled(before: &Snapshot) -> Effect {
    let is_due = |version: &Value| is_unsettled(version) && !awaits_snapshot(version);
    let versions = before.of_kind("version").filter(|(_, version)| is_due(version));
    let effect = versions.fold(Effect::default(), |effect, (key, _)| effect.change(format!("version {key}")));
    let going = before.of_kind("mapping").filter(|(_, mapping)| text(mapping, "State") == "Deleting");
    going.fold(effect, |effect, (key, _)| effect.remove(format!("mapping {key}")))
}
