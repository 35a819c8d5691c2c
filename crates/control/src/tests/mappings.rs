//! Event source mappings. Answers and texts as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaEventSourceMappings`, and
//! `tests/aws/services/lambda_/event_source_mapping/test_api.snapshot.json`, unless a comment names another source.
//!
//! Here are the calls, and one mapping of each kind of source; the tests themselves are in the modules below.

mod lifecycle;
mod list;
mod refusals;
mod settings;

use serde_json::{Value, json};

use super::harness::{World, answer, request};
use crate::Error;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:queue";
const FIFO: &str = "arn:aws:sqs:us-east-1:000000000000:queue.fifo";
const KINESIS: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/events";
const DYNAMODB: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2025-02-17T16:33:01.784";
const MSK: &str = "arn:aws:kafka:us-east-1:000000000000:cluster/c/11111111-2222-3333-4444-555555555555-1";
const BROKER: &str = "arn:aws:mq:us-east-1:000000000000:broker:b:b-11111111-2222-3333-4444-555555555555";
const DOCUMENTS: &str = "arn:aws:rds:us-east-1:000000000000:cluster:documents";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s";

impl World {
    async fn map(&self, members: Value) -> Result<Value, Error> {
        let mut all = json!({ "FunctionName": "echo" });
        for (key, value) in members.as_object().unwrap() {
            all[key] = value.clone();
        }
        self.control.create_event_source_mapping(&self.scope, request(all)).await.map(answer)
    }

    /// Makes a mapping, waits until it is at rest, and gives its id.
    async fn mapped(&self, members: Value) -> String {
        let id = uuid(&self.map(members).await.unwrap());
        self.control.settle().await.unwrap();
        id
    }

    async fn mapping(&self, id: &str) -> Result<Value, Error> {
        let request = request(json!({ "UUID": id }));
        self.control.get_event_source_mapping(&self.scope, request).await.map(answer)
    }

    async fn remap(&self, id: &str, members: Value) -> Result<Value, Error> {
        let mut all = members;
        all["UUID"] = json!(id);
        self.control.update_event_source_mapping(&self.scope, request(all)).await.map(answer)
    }

    async fn unmap(&self, id: &str) -> Result<Value, Error> {
        let request = request(json!({ "UUID": id }));
        self.control.delete_event_source_mapping(&self.scope, request).await.map(answer)
    }

    async fn mappings(&self, members: Value) -> Result<Value, Error> {
        self.control.list_event_source_mappings(&self.scope, request(members)).await.map(answer)
    }
}

fn uuid(mapping: &Value) -> String {
    mapping["UUID"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<String> {
    page["EventSourceMappings"].as_array().unwrap().iter().map(uuid).collect()
}

fn of(arn: &str) -> Value {
    json!({ "EventSourceArn": arn })
}

fn with(base: &Value, members: Value) -> Value {
    let mut all = base.clone();
    let Value::Object(members) = members else { panic!("{members} are no members") };
    for (key, value) in members {
        all[key] = value;
    }
    all
}

fn kinesis() -> Value {
    json!({ "EventSourceArn": KINESIS, "StartingPosition": "LATEST" })
}

fn dynamodb() -> Value {
    json!({ "EventSourceArn": DYNAMODB, "StartingPosition": "TRIM_HORIZON" })
}

fn msk() -> Value {
    json!({ "EventSourceArn": MSK, "Topics": ["topic"], "StartingPosition": "LATEST" })
}

fn self_managed() -> Value {
    json!({
        "SelfManagedEventSource": { "Endpoints": { "KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000", "kafka:2000"] } },
        "Topics": ["topic"],
        "SourceAccessConfigurations": [{ "Type": "BASIC_AUTH", "URI": SECRET }],
    })
}

fn broker() -> Value {
    json!({
        "EventSourceArn": BROKER,
        "Queues": ["orders"],
        "SourceAccessConfigurations": [
            { "Type": "BASIC_AUTH", "URI": SECRET }, { "Type": "VIRTUAL_HOST", "URI": "/" },
        ],
    })
}

fn documents() -> Value {
    json!({
        "EventSourceArn": DOCUMENTS,
        "StartingPosition": "LATEST",
        "SourceAccessConfigurations": [{ "Type": "BASIC_AUTH", "URI": SECRET }],
        "DocumentDBEventSourceConfig": { "DatabaseName": "shop" },
    })
}
