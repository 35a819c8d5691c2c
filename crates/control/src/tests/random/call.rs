//! The calls, of few names each, so that they meet.

use firelet_store::function::Reason;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::harness::{ROLE, World, answer, encoded, package, request};
use crate::Error;

pub(super) type Name = &'static str;

const NAMES: [Name; 2] = ["a", "b"];
const ALIASES: [Name; 2] = ["live", "next"];
const LAYERS: [Name; 2] = ["l", "m"];
const PROFILE: &str = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789";

/// What of a function is meant: itself, a version or an alias.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Whole,
    Version(u64),
    Alias(Name),
}

impl Part {
    pub(super) fn qualifier(&self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Version(number) => Some(number.to_string()),
            Self::Alias(name) => Some((*name).to_owned()),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Call {
    Create { name: Name, publish: bool, snap_start: bool },
    Configure { name: Name, memory: u32 },
    UseLayer { name: Name, layer: Name, number: u64 },
    UpdateCode { name: Name, content: u8, publish: bool },
    Publish { name: Name },
    Delete { name: Name },
    DeleteVersion { name: Name, number: u64 },
    CreateAlias { name: Name, alias: Name, number: u64 },
    UpdateAlias { name: Name, alias: Name, number: u64 },
    DeleteAlias { name: Name, alias: Name },
    Permit { name: Name, part: Part, statement: u8 },
    Forbid { name: Name, part: Part, statement: u8 },
    Reserve { name: Name, executions: u32 },
    Release { name: Name },
    Tag { name: Name, key: u8 },
    Untag { name: Name, key: u8 },
    PutEvents { name: Name, part: Part, retries: u32 },
    DeleteEvents { name: Name, part: Part },
    PublishLayer { layer: Name, content: u8 },
    DeleteLayer { layer: Name, number: u64 },
    CreateSigning,
    DeleteSigning { which: usize },
    Attach { name: Name, which: usize },
    Detach { name: Name },
    Map { name: Name, queue: u8 },
    Unmap { which: usize },
    Settle,
    SettleSnapshots { fail: bool },
    Restart,
}

/// Calls about functions, and in each history about one subject more, so that its calls meet.
pub(super) fn calls() -> impl Strategy<Value = Vec<Call>> {
    let history =
        |subject: BoxedStrategy<Call>| proptest::collection::vec(prop_oneof![functions(), subject], 1..40);
    prop_oneof![
        3 => history(parts()),
        1 => history(settings()),
        2 => history(layers_and_mappings()),
        2 => history(signing()),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    proptest::sample::select(NAMES.as_slice())
}

fn alias() -> impl Strategy<Value = Name> {
    proptest::sample::select(ALIASES.as_slice())
}

fn layer() -> impl Strategy<Value = Name> {
    proptest::sample::select(LAYERS.as_slice())
}

fn number() -> impl Strategy<Value = u64> {
    1_u64..4
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![Just(Part::Whole), number().prop_map(Part::Version), alias().prop_map(Part::Alias)]
}

fn functions() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => (name(), any::<bool>(), any::<bool>())
            .prop_map(|(name, publish, snap_start)| Call::Create { name, publish, snap_start }),
        2 => (name(), 128_u32..131).prop_map(|(name, memory)| Call::Configure { name, memory }),
        3 => (name(), 0_u8..3, any::<bool>())
            .prop_map(|(name, content, publish)| Call::UpdateCode { name, content, publish }),
        3 => name().prop_map(|name| Call::Publish { name }),
        1 => name().prop_map(|name| Call::Delete { name }),
        2 => (name(), number()).prop_map(|(name, number)| Call::DeleteVersion { name, number }),
        8 => Just(Call::Settle),
        2 => any::<bool>().prop_map(|fail| Call::SettleSnapshots { fail }),
        2 => Just(Call::Restart),
    ]
}

fn parts() -> BoxedStrategy<Call> {
    let versioned = || (name(), alias(), number());
    prop_oneof![
        3 => versioned().prop_map(|(name, alias, number)| Call::CreateAlias { name, alias, number }),
        2 => versioned().prop_map(|(name, alias, number)| Call::UpdateAlias { name, alias, number }),
        1 => (name(), alias()).prop_map(|(name, alias)| Call::DeleteAlias { name, alias }),
        3 => (name(), part(), 0_u8..2).prop_map(|(name, part, statement)| Call::Permit { name, part, statement }),
        2 => (name(), part(), 0_u8..2).prop_map(|(name, part, statement)| Call::Forbid { name, part, statement }),
        2 => (name(), part(), 0_u32..3).prop_map(|(name, part, retries)| Call::PutEvents { name, part, retries }),
        1 => (name(), part()).prop_map(|(name, part)| Call::DeleteEvents { name, part }),
    ]
    .boxed()
}

fn settings() -> BoxedStrategy<Call> {
    prop_oneof![
        2 => (name(), 0_u32..800).prop_map(|(name, executions)| Call::Reserve { name, executions }),
        1 => name().prop_map(|name| Call::Release { name }),
        2 => (name(), 0_u8..2).prop_map(|(name, key)| Call::Tag { name, key }),
        1 => (name(), 0_u8..2).prop_map(|(name, key)| Call::Untag { name, key }),
    ]
    .boxed()
}

fn layers_and_mappings() -> BoxedStrategy<Call> {
    prop_oneof![
        2 => (layer(), 0_u8..3).prop_map(|(layer, content)| Call::PublishLayer { layer, content }),
        1 => (layer(), number()).prop_map(|(layer, number)| Call::DeleteLayer { layer, number }),
        3 => (name(), layer(), number()).prop_map(|(name, layer, number)| Call::UseLayer { name, layer, number }),
        2 => (name(), 0_u8..2).prop_map(|(name, queue)| Call::Map { name, queue }),
        1 => (0_usize..2).prop_map(|which| Call::Unmap { which }),
    ]
    .boxed()
}

fn signing() -> BoxedStrategy<Call> {
    prop_oneof![
        1 => Just(Call::CreateSigning),
        1 => (0_usize..2).prop_map(|which| Call::DeleteSigning { which }),
        2 => (name(), 0_usize..2).prop_map(|(name, which)| Call::Attach { name, which }),
        1 => name().prop_map(|name| Call::Detach { name }),
    ]
    .boxed()
}

pub(super) fn code(content: u8) -> bytes::Bytes {
    package("app.py", &vec![content; content.into()])
}

pub(super) fn arn(name: Name) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

pub(super) fn layer_arn(layer: Name, number: u64) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:layer:{layer}:{number}")
}

pub(super) fn queue_arn(queue: u8) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:q{queue}")
}

/// Makes one call that is no restart. `id` is what a resource is known by that has no name.
pub(super) async fn perform(world: &World, call: &Call, id: Option<&str>) -> Result<Value, Error> {
    let (control, scope) = (&world.control, &world.scope);
    match call {
        Call::Create { name, publish, snap_start } => {
            let apply_on = if *snap_start { "PublishedVersions" } else { "None" };
            let members = json!({
                "FunctionName": name, "Publish": publish, "Role": ROLE, "SnapStart": { "ApplyOn": apply_on },
            });
            world.create(members).await
        }
        Call::Configure { name, memory } => {
            world.configure(json!({ "FunctionName": name, "MemorySize": memory })).await
        }
        Call::UseLayer { name, layer, number } => {
            world.configure(json!({ "FunctionName": name, "Layers": [layer_arn(layer, *number)] })).await
        }
        Call::UpdateCode { name, content, publish } => {
            let zip = encoded(&code(*content));
            world.update_code(json!({ "FunctionName": name, "ZipFile": zip, "Publish": publish })).await
        }
        Call::Publish { name } => {
            control.publish_version(scope, request(json!({ "FunctionName": name }))).await.map(answer)
        }
        Call::Delete { name } => world.delete(name, None).await,
        Call::DeleteVersion { name, number } => world.delete(name, Some(&number.to_string())).await,
        Call::CreateAlias { name, alias, number } => {
            let version = number.to_string();
            world
                .create_alias(json!({ "FunctionName": name, "Name": alias, "FunctionVersion": version }))
                .await
        }
        Call::UpdateAlias { name, alias, number } => {
            let version = number.to_string();
            world
                .update_alias(json!({ "FunctionName": name, "Name": alias, "FunctionVersion": version }))
                .await
        }
        Call::DeleteAlias { name, alias } => done(world.delete_alias(name, alias).await),
        Call::Permit { name, part, statement } => {
            let members = json!({
                "FunctionName": name, "Qualifier": part.qualifier(), "StatementId": format!("s{statement}"),
                "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
            });
            world.permit(members).await
        }
        Call::Forbid { name, part, statement } => {
            let members = json!({
                "FunctionName": name, "Qualifier": part.qualifier(), "StatementId": format!("s{statement}"),
            });
            done(world.forbid(members).await)
        }
        Call::PutEvents { name, part, retries } => {
            let members = json!({
                "FunctionName": name, "Qualifier": part.qualifier(), "MaximumRetryAttempts": retries,
            });
            world.put_event_invoke_config(members).await
        }
        Call::DeleteEvents { name, part } => {
            let members = json!({ "FunctionName": name, "Qualifier": part.qualifier() });
            done(world.delete_event_invoke_config(members).await)
        }
        Call::PublishLayer { layer, content } => {
            let zip = encoded(&code(*content));
            world.publish_layer(json!({ "LayerName": layer, "Content": { "ZipFile": zip } })).await
        }
        Call::DeleteLayer { layer, number } => {
            let members = json!({ "LayerName": layer, "VersionNumber": number });
            done(control.delete_layer_version(scope, request(members)).await)
        }
        Call::Map { name, queue } => {
            let members =
                json!({ "FunctionName": name, "EventSourceArn": queue_arn(*queue), "Enabled": false });
            control.create_event_source_mapping(scope, request(members)).await.map(answer)
        }
        Call::Unmap { .. } => {
            let members = json!({ "UUID": id });
            control.delete_event_source_mapping(scope, request(members)).await.map(answer)
        }
        Call::SettleSnapshots { fail } => {
            let reason = Reason { code: "FunctionError".to_owned(), text: "failed".to_owned() };
            world.settle_snapshots(fail.then_some(reason)).await;
            Ok(Value::Null)
        }
        Call::Settle | Call::Restart => done(control.settle().await),
        _ => perform_setting(world, call, id).await,
    }
}

/// Makes a call that changes a setting or a code signing configuration.
async fn perform_setting(world: &World, call: &Call, id: Option<&str>) -> Result<Value, Error> {
    let (control, scope) = (&world.control, &world.scope);
    match call {
        Call::Reserve { name, executions } => {
            let members = json!({ "FunctionName": name, "ReservedConcurrentExecutions": executions });
            control.put_function_concurrency(scope, request(members)).await.map(answer)
        }
        Call::Release { name } => {
            let members = json!({ "FunctionName": name });
            done(control.delete_function_concurrency(scope, request(members)).await)
        }
        Call::Tag { name, key } => done(world.tag(&arn(name), json!({ format!("k{key}"): "v" })).await),
        Call::Untag { name, key } => done(world.untag(&arn(name), &[&format!("k{key}")]).await),
        Call::CreateSigning => {
            let members = json!({ "AllowedPublishers": { "SigningProfileVersionArns": [PROFILE] } });
            control.create_code_signing_config(scope, request(members)).await.map(answer)
        }
        Call::DeleteSigning { .. } => {
            let members = json!({ "CodeSigningConfigArn": id });
            control.delete_code_signing_config(scope, request(members)).await.map(answer)
        }
        Call::Attach { name, .. } => {
            let members = json!({ "FunctionName": name, "CodeSigningConfigArn": id });
            control.put_function_code_signing_config(scope, request(members)).await.map(answer)
        }
        Call::Detach { name } => {
            let members = json!({ "FunctionName": name });
            done(control.delete_function_code_signing_config(scope, request(members)).await)
        }
        _ => unreachable!("{call:?} changes no setting"),
    }
}

fn done(result: Result<(), Error>) -> Result<Value, Error> {
    result.map(|()| Value::Null)
}
