//! Requests as clients send them, and what no client should send.

use std::collections::BTreeSet;
use std::ptr;

use http::Method;
use proptest::prelude::proptest;
use serde_json::json;

use super::*;
use crate::generated::shapes::INPUTS;
use crate::model;
use crate::{Operation, check, route};

/// Routes and decodes one request.
fn decode<T: DecodeRequest>(
    method: &str,
    uri: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Result<T, DecodeError> {
    let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
    let routed = route(&method.parse::<Method>().unwrap(), path, query).unwrap();
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    T::decode(&Request { labels: &routed.labels, query: &routed.query, headers: &headers, body: body.into() })
}

fn create(body: &str) -> Result<model::CreateFunctionRequest, DecodeError> {
    decode("POST", "/2015-03-31/functions", &[], body.to_owned())
}

fn refused<T: std::fmt::Debug>(result: Result<T, DecodeError>, expected: &str) {
    match result.unwrap_err() {
        DecodeError::Serialization(message) => assert_eq!(message, expected),
        DecodeError::Validation(violations) => panic!("a violation: {violations}"),
    }
}

#[test]
fn create_function_is_read_from_its_body() {
    let input = create(
        r#"{"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Runtime": "python9.9", "Timeout": 3,
            "Code": {"ZipFile": "UEsDBA=="}, "Environment": {"Variables": {"NAME": "value"}}, "Unknown": [1, {}],
            "Description": null, "Architectures": ["arm64"], "KMSKeyArn": ""}"#,
    )
    .unwrap();
    assert_eq!(input.function_name, "f");
    assert_eq!(input.runtime, Some(model::Runtime::Other("python9.9".to_owned())));
    assert_eq!(input.code.zip_file.as_deref(), Some(&b"PK\x03\x04"[..]));
    assert_eq!(input.environment.unwrap().variables.unwrap()["NAME"], "value");
    assert_eq!(input.architectures, Some(vec![model::Architecture::Arm64]));
    assert_eq!((input.timeout, input.description, input.kms_key_arn.as_deref()), (Some(3), None, Some("")));
}

#[test]
fn invoke_takes_the_body_unchanged() {
    let body = Bytes::from_static(b"\x00not json");
    let headers =
        [("x-amz-invocation-type", "Event"), ("x-amz-log-type", "Tail"), ("x-amz-client-context", "e30=")];
    let uri = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af/invocations?Qualifier=live";
    let input: model::InvocationRequest = decode("POST", uri, &headers, body.clone()).unwrap();
    assert_eq!(input.function_name, "arn:aws:lambda:us-east-1:123456789012:function:f");
    assert_eq!(input.invocation_type, Some(model::InvocationType::Event));
    assert_eq!(input.log_type, Some(model::LogType::Tail));
    assert_eq!((input.client_context.as_deref(), input.qualifier.as_deref()), (Some("e30="), Some("live")));
    let payload = input.payload.unwrap();
    assert!(ptr::eq(payload.as_ptr(), body.as_ptr()), "the body was copied");

    let input: model::InvocationRequest =
        decode("POST", "/2015-03-31/functions/f/invocations", &[], "").unwrap();
    assert_eq!(input.payload, None);
}

#[test]
fn query_lists_and_numbers_are_read() {
    let uri = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af?tagKeys=a&tagKeys=b%20c";
    let input: model::UntagResourceRequest = decode("DELETE", uri, &[], "").unwrap();
    assert_eq!(input.tag_keys, ["a", "b c"]);
    let list = |query: &str| {
        decode::<model::ListFunctionsRequest>(
            "GET",
            &format!("/2015-03-31/functions/?{query}"),
            &[],
            "ignored",
        )
    };
    let input = list("MaxItems=50&FunctionVersion=ALL&Marker=").unwrap();
    assert_eq!((input.max_items, input.marker.as_deref()), (Some(50), Some("")));
    assert_eq!(input.function_version, Some(model::FunctionVersion::All));
    assert_eq!(list("MaxItems=").unwrap().max_items, None);
    refused(list("MaxItems=abc&FunctionVersion=bad"), "'abc' can not be converted to an Integer");
    refused(list("MaxItems=99999999999"), "'99999999999' can not be converted to an Integer");
}

#[test]
fn labels_and_times_become_numbers() {
    let input: model::GetLayerVersionRequest =
        decode("GET", "/2018-10-31/layers/name/versions/7", &[], "").unwrap();
    assert_eq!(input.version_number, 7);
    let uri =
        "/2025-12-01/functions/f/durable-executions?StartedAfter=2026-01-02T03:04:05.5Z&ReverseOrder=true";
    let input: model::ListDurableExecutionsByFunctionRequest = decode("GET", uri, &[], "").unwrap();
    assert_eq!(input.started_after, Some(crate::EpochSeconds(1_767_323_045.5)));
    assert_eq!(input.reverse_order, Some(true));
}

#[test]
fn a_structure_can_be_the_whole_body() {
    let stop = |body: &'static str| {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f:1/durable-execution/a/b";
        let uri =
            format!("/2025-12-01/durable-executions/{}/stop", arn.replace(':', "%3A").replace('/', "%2F"));
        decode::<model::StopDurableExecutionRequest>("POST", &uri, &[], body)
    };
    let error = stop(r#"{"ErrorMessage": "no"}"#).unwrap().error.unwrap();
    assert_eq!(error.error_message.as_deref(), Some("no"));
    assert_eq!(stop("").unwrap().error, None);
    refused(stop("[]"), "Start of list found where not expected");
}

#[test]
fn wrong_json_types_are_refused_before_constraints() {
    let check = |body: &str, expected: &str| refused(create(body), expected);
    check(r#"{"Timeout": "3"}"#, "STRING_VALUE can not be converted to an Integer");
    check(r#"{"Timeout": 3.5}"#, "NUMBER_VALUE can not be converted to an Integer");
    check(r#"{"Timeout": 3000000000}"#, "NUMBER_VALUE can not be converted to an Integer");
    check(r#"{"Handler": 3}"#, "NUMBER_VALUE can not be converted to a String");
    check(r#"{"Handler": true}"#, "TRUE_VALUE can not be converted to a String");
    check(r#"{"Publish": "yes"}"#, "STRING_VALUE can not be converted to a Boolean");
    check(r#"{"Layers": {}}"#, "Start of structure or map found where not expected.");
    check(r#"{"Environment": {"Variables": {"A": ["x"]}}}"#, "Start of list found where not expected");
    check(r#"{"Description": 3.5}"#, "NUMBER_VALUE can not be converted to a String");
    check(r#"{"Layers": "x"}"#, "Expected list or null");
    check(r#"{"Tags": "x"}"#, "Expected map or null");
    check(r#"{"TracingConfig": 5}"#, "Expected null");
    check(r#"{"FileSystemConfigs": ["x"]}"#, "Expected null");
    check(r#"{"Code": [], "FunctionName": "!"}"#, "Start of list found where not expected");
}

#[test]
fn text_that_is_no_json_is_refused() {
    for body in ["{", "}", "nul", "{} {}", "{\"a\":}", "{\"FunctionName\": \"\u{0}\"}"] {
        let Err(DecodeError::Serialization(message)) = create(body) else { panic!("{body} was read") };
        assert!(message.starts_with("Could not parse request body into json: "), "{message}");
    }
    let deep = format!("{{\"Unknown\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(create(&deep).is_err());
}

#[test]
fn base64_that_is_none_is_refused() {
    let body =
        r#"{"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {"ZipFile": "***"}}"#;
    let Err(DecodeError::Serialization(message)) = create(body) else { panic!("it was read") };
    assert!(message.starts_with("Invalid base64"), "{message}");
}

#[test]
fn secrets_are_not_printed() {
    let input = create(
        r#"{"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {"ZipFile": "UEsDBA=="},
            "Environment": {"Variables": {"NAME": "hidden value"}}}"#,
    )
    .unwrap();
    let printed = format!("{input:?}");
    assert!(!printed.contains("hidden") && !printed.contains("NAME") && !printed.contains("PK"), "{printed}");
    assert!(printed.contains("zip_file: Some((sensitive))"), "{printed}");
}

/// All patterns that a request can meet.
fn patterns(shape: &'static Shape, found: &mut Vec<&'static crate::shape::Pattern>) {
    match shape {
        Shape::String { pattern, .. } => found.extend(pattern),
        Shape::List { item, .. } => patterns(item, found),
        Shape::Map { key, value, .. } => {
            patterns(key, found);
            patterns(value, found);
        }
        Shape::Structure(structure) => {
            structure.members.iter().for_each(|member| patterns(member.shape, found));
        }
        _ => {}
    }
}

#[test]
fn every_pattern_compiles_and_is_anchored() {
    let mut found = Vec::new();
    INPUTS.iter().flat_map(|input| input.members).for_each(|member| patterns(member.shape, &mut found));
    let sources: BTreeSet<_> = found.iter().map(|pattern| pattern.source).collect();
    assert!(sources.len() > 60, "only {} patterns", sources.len());
    let accepting: BTreeSet<_> =
        found.iter().filter(|pattern| pattern.matches("\u{0}\n")).map(|pattern| pattern.source).collect();
    assert_eq!(accepting, BTreeSet::from([r"[\s\S]*", r"[\s\S]+", r"[^ /\.$\x22]*"]));
}

#[test]
fn patterns_that_look_around_do_not_take_long() {
    let names = ["9".repeat(4_000_000), "a.".repeat(2_000_000)];
    for name in names {
        let result =
            create(&json!({"FunctionName": "f", "Role": "r", "Code": {"S3Bucket": name}}).to_string());
        assert!(matches!(result, Err(DecodeError::Validation(_))));
    }
}

proptest! {
    #[test]
    fn no_request_panics(operation in 0..Operation::ALL.len(), body: Vec<u8>, label in ".*", value in ".*") {
        let headers = HeaderMap::new();
        let labels = ["FunctionName", "Name", "UUID", "Resource", "VersionNumber"].map(|name| (name, label.clone()));
        let query = ["Qualifier", "MaxItems", "tagKeys"].map(|name| (name.to_owned(), value.clone()));
        let request = Request { labels: &labels, query: &query, headers: &headers, body: body.into() };
        let _ = check(Operation::ALL[operation], &request);
    }

    /// What has the right types is refused for its constraints only: building the struct cannot fail.
    #[test]
    fn well_typed_bodies_are_built_or_break_constraints(operation in 0..Operation::ALL.len(), seed: u64) {
        let table = INPUTS[operation];
        let mut dice = Dice(seed | 1);
        let body = Value::Object(members(table, &mut dice)).to_string();
        let labels: Vec<_> = table.members.iter().filter_map(|member| match member.location {
            Location::Label(name) => Some((name, "7".to_owned())),
            _ => None,
        }).collect();
        let request = Request { labels: &labels, query: &[], headers: &HeaderMap::new(), body: body.clone().into() };
        match check(Operation::ALL[operation], &request) {
            Ok(()) | Err(DecodeError::Validation(_)) => {}
            Err(DecodeError::Serialization(message)) => panic!("{message}: {body}"),
        }
    }

    #[test]
    fn any_text_value_is_shown_whole(text in "[^!]*") {
        let name = format!("{text}!");
        let body = json!({"FunctionName": name, "Role": "r", "Code": {}}).to_string();
        let Err(DecodeError::Validation(violations)) = create(&body) else { panic!("{name} is no name") };
        let shown = format!("Value '{name}' at 'functionName' failed");
        assert!(violations.items().iter().any(|item| item.starts_with(&shown)));
    }

    #[test]
    fn flags_are_read_from_the_query(value: bool) {
        let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af%3A1%2Fdurable-execution%2Fa%2Fb";
        let uri = format!("/2025-12-01/durable-executions/{arn}?IncludeExecutionData={value}");
        let input: model::GetDurableExecutionRequest = decode("GET", &uri, &[], "").unwrap();
        assert_eq!(input.include_execution_data, Some(value));
    }
}

/// A small generator of its own: values by shape, often at the edge of what is allowed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(length).unwrap())).unwrap()
    }
}

fn members(structure: &Structure, dice: &mut Dice) -> Map<String, Value> {
    let mut chosen = Map::new();
    for member in structure.members.iter().filter(|member| member.location == Location::Body) {
        if member.required || dice.roll(3) > 0 {
            chosen.insert(member.name.to_owned(), value(member.shape, dice));
        }
    }
    chosen
}

fn value(shape: &Shape, dice: &mut Dice) -> Value {
    if dice.roll(20) == 0 {
        return Value::Null;
    }
    match shape {
        Shape::String { values: Some(values), .. } if dice.roll(10) > 0 => {
            Value::from(values[dice.index(values.len())])
        }
        Shape::String { .. } => {
            Value::from(["", "1", "name", "é\n", "arn:aws:iam::123456789012:role/r"][dice.index(5)])
        }
        Shape::Integer { .. } => Value::from([0, 1, 2, 512, i32::MAX, i32::MIN][dice.index(6)]),
        Shape::Long { .. } => Value::from(dice.roll(u64::MAX).cast_signed()),
        Shape::Double { .. } | Shape::Timestamp => {
            [json!(0), json!(0.5), json!(-1e300)][dice.index(3)].clone()
        }
        Shape::Boolean => Value::from(dice.roll(2) == 0),
        Shape::Blob { .. } => Value::from(["", "QQ==", "QQ"][dice.index(3)]),
        Shape::List { item, .. } => (0..dice.roll(3)).map(|_| value(item, dice)).collect(),
        Shape::Map { key, value: shape, .. } => {
            let key = value(key, dice).as_str().unwrap_or("key").to_owned();
            Value::Object(Map::from_iter([(key, value(shape, dice))]))
        }
        Shape::Structure(structure) => Value::Object(members(structure, dice)),
    }
}
