//! Every operation of the service model is reached by its own method and path, and by nothing else.

use proptest::prelude::{any, proptest};
use serde_json::Value;

use super::*;

const MODEL: &str = include_str!("../../../../api/lambda.json");
const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:a/b";

fn model() -> Value {
    serde_json::from_str(MODEL).unwrap()
}

/// A path template with every label filled, and the names of the labels.
fn fill(template: &str, value: &str) -> (String, Vec<String>) {
    let mut labels = Vec::new();
    let segments = template.split('/').map(|segment| match segment.strip_prefix('{') {
        Some(label) => {
            labels.push(label.trim_end_matches('}').to_owned());
            value.to_owned()
        }
        None => segment.to_owned(),
    });
    let path = segments.collect::<Vec<_>>().join("/");
    (path, labels)
}

fn find(method: &str, uri: &str) -> Result<Routed, RouteError> {
    let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
    route(&method.parse().unwrap(), path, query)
}

#[test]
fn every_operation_is_reached_by_its_method_and_path() {
    let model = model();
    let operations = model["operations"].as_object().unwrap();
    assert_eq!(operations.len(), Operation::ALL.len());
    for operation in Operation::ALL {
        let http = &operations[operation.name()]["http"];
        let (method, uri) = (http["method"].as_str().unwrap(), http["requestUri"].as_str().unwrap());
        assert_eq!(u64::from(operation.success_status()), http["responseCode"].as_u64().unwrap());
        let (template, query) = uri.split_once('?').map_or((uri, ""), |(path, query)| (path, query));
        for (raw, decoded) in [("name", "name"), (&encoded(ARN), ARN)] {
            let (path, labels) = fill(template, raw);
            let expected: Vec<_> = labels.iter().map(|label| (label.as_str(), decoded.to_owned())).collect();
            for path in [path.clone(), format!("{path}/"), format!("{path}//")] {
                let routed = find(method, &format!("{path}?{query}")).unwrap();
                assert_eq!(
                    (routed.operation, routed.labels),
                    (operation, expected.clone()),
                    "{method} {path}"
                );
            }
        }
    }
}

fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace(':', "%3A").replace('/', "%2F")
}

#[test]
fn every_path_has_the_required_labels_of_its_input() {
    let model = model();
    for (name, operation) in model["operations"].as_object().unwrap() {
        let uri = operation["http"]["requestUri"].as_str().unwrap();
        let (_, labels) = fill(uri.split('?').next().unwrap(), "x");
        let input = &model["shapes"][operation["input"]["shape"].as_str().unwrap()];
        let members = input["members"].as_object().unwrap().iter();
        let mut bound: Vec<_> = members
            .filter(|(_, member)| member["location"] == "uri")
            .map(|(member, shape)| {
                assert!(
                    input["required"].as_array().unwrap().iter().any(|required| required == member),
                    "{name}"
                );
                shape["locationName"].as_str().unwrap().to_owned()
            })
            .collect();
        bound.sort();
        let mut sorted = labels.clone();
        sorted.sort();
        assert_eq!(bound, sorted, "{name}");
    }
}

#[test]
fn operations_that_share_a_path_are_told_apart_by_the_query() {
    let check = |uri: &str, operation: Operation| assert_eq!(find("GET", uri).unwrap().operation, operation);
    check("/2018-10-31/layers", Operation::ListLayers);
    check("/2018-10-31/layers?Marker=x", Operation::ListLayers);
    check("/2018-10-31/layers?find=Other", Operation::ListLayers);
    check("/2018-10-31/layers?Arn=a&find=LayerVersion", Operation::GetLayerVersionByArn);
    let path = "/2019-09-30/functions/f/provisioned-concurrency";
    check(&format!("{path}?Qualifier=1"), Operation::GetProvisionedConcurrencyConfig);
    check(&format!("{path}?List=ALL"), Operation::ListProvisionedConcurrencyConfigs);
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_apart() {
    let unknown = |path: &str| {
        let error = find("GET", path).unwrap_err();
        assert_eq!(error, RouteError::UnknownPath { path: path.to_owned() });
    };
    unknown("");
    unknown("/");
    unknown("functions");
    unknown("/2015-03-31");
    unknown("/2015-03-31/functions//code");
    unknown("/2015-03-31//functions");
    unknown("/2015-03-32/functions");
    unknown("/2015-03-31/functions/f/code/x");
    unknown("/2015-03-31/functions%2Ff");
    let wrong = |method: &str, path: &str| {
        assert!(matches!(find(method, path), Err(RouteError::WrongMethod { .. })), "{method} {path}");
    };
    wrong("PATCH", "/2015-03-31/functions");
    wrong("GET", "/2015-03-31/functions/f/invocations");
    wrong("BREW", "/2015-03-31/functions/f");
}

#[test]
fn query_parameters_are_decoded_in_order() {
    let routed = find("DELETE", "/2017-03-31/tags/x?tagKeys=a+b&tagKeys=%C3%A4%2B&&flag&empty=").unwrap();
    let pairs: Vec<_> = routed.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("tagKeys", "a b"), ("tagKeys", "ä+"), ("flag", ""), ("empty", "")]);
}

#[test]
fn bad_escapes_are_refused() {
    let check = |uri: &str, part: &str| {
        assert_eq!(find("GET", uri), Err(RouteError::BadEncoding { part: part.to_owned() }), "{uri}");
    };
    check("/2015-03-31/functions/a%", "a%");
    check("/2015-03-31/functions/a%4", "a%4");
    check("/2015-03-31/functions/a%zz", "a%zz");
    check("/2015-03-31/functions/%ff", "%ff");
    check("/2015-03-31/functions/f?Qualifier=%c3", "%c3");
}

#[test]
fn the_tree_is_sorted_and_no_path_has_too_many_labels() {
    fn check(node: &Node, labels: usize) {
        assert!(node.literals.is_sorted_by(|(left, _), (right, _)| left < right));
        assert!(labels <= MAX_LABELS);
        assert!(node.targets.is_sorted_by_key(|target| target.query.is_none()));
        node.literals.iter().for_each(|(_, node)| check(node, labels));
        node.label.iter().for_each(|(_, node)| check(node, labels + 1));
    }
    check(&ROOT, 0);
}

proptest! {
    #[test]
    fn no_path_or_query_panics(path in ".*", query in ".*") {
        let _ = route(&Method::GET, &path, Some(&query));
    }

    #[test]
    fn any_name_survives_encoding(name in "[^/]+", post in any::<bool>()) {
        let raw: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (method, suffix) = if post { (Method::POST, "/invocations") } else { (Method::GET, "") };
        let routed = route(&method, &format!("/2015-03-31/functions/{raw}{suffix}"), None).unwrap();
        assert_eq!(routed.labels, [("FunctionName", name)]);
    }
}
