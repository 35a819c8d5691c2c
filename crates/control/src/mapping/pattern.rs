//! The grammar of event filter patterns: whether Lambda takes a pattern.
//!
//! Pure: text in, yes or no out. It matches no events, and it does not say what is wrong, because Lambda does not.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax>. Of the
//! EventBridge operators Lambda has those of that page: no wildcards, no address ranges, and `anything-but` without
//! operators of its own.

use serde_json::{Map, Value};

/// The key of alternatives over several fields.
const OR: &str = "$or";
/// The fewest alternatives that `$or` can have; with fewer it is a field of that name.
const ALTERNATIVES: usize = 2;
const OPERATORS: [&str; 6] = ["anything-but", "equals-ignore-case", "exists", "numeric", "prefix", "suffix"];

/// Whether `text` is a filter pattern.
pub(crate) fn is_valid(text: &str) -> bool {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => are_fields(&fields),
        _ => false,
    }
}

/// Fields and what each of them must be; all of them must fit.
fn are_fields(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && fields.iter().all(|(name, condition)| is_condition(name, condition))
}

fn is_condition(name: &str, condition: &Value) -> bool {
    match condition {
        Value::Object(fields) => are_fields(fields),
        Value::Array(alternatives) if name == OR && are_alternatives(alternatives) => {
            alternatives.iter().filter_map(Value::as_object).all(are_fields)
        }
        Value::Array(values) => !values.is_empty() && values.iter().all(is_value),
        _ => false,
    }
}

/// Whether the value of `$or` holds alternatives, and not values of a field that happens to have that name.
fn are_alternatives(values: &[Value]) -> bool {
    let is_operator =
        |fields: &Map<String, Value>| fields.keys().any(|key| OPERATORS.contains(&key.as_str()));
    let is_alternative = |value: &Value| value.as_object().is_some_and(|fields| !is_operator(fields));
    values.len() >= ALTERNATIVES && values.iter().all(is_alternative)
}

/// One value that a field may have: itself, or an operator.
fn is_value(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(_) => false,
        Value::Object(operator) => {
            let mut entries = operator.iter();
            match (entries.next(), entries.next()) {
                (Some((name, operand)), None) => is_operation(name, operand),
                _ => false,
            }
        }
    }
}

fn is_operation(name: &str, operand: &Value) -> bool {
    match name {
        "anything-but" => is_exclusion(operand),
        "equals-ignore-case" => operand.is_string(),
        "exists" => operand.is_boolean(),
        "numeric" => operand.as_array().is_some_and(|terms| is_range(terms)),
        "prefix" | "suffix" => operand.is_string() || ignores_case(operand),
        _ => false,
    }
}

fn ignores_case(operand: &Value) -> bool {
    let Some(operator) = operand.as_object() else { return false };
    operator.len() == 1 && operator.get("equals-ignore-case").is_some_and(Value::is_string)
}

/// A text or number that the field must not be, or several of the same type.
fn is_exclusion(operand: &Value) -> bool {
    match operand {
        Value::String(_) | Value::Number(_) => true,
        Value::Array(values) => {
            !values.is_empty() && (values.iter().all(Value::is_string) || values.iter().all(Value::is_number))
        }
        _ => false,
    }
}

/// `=` and a number, or a bound, or a lower bound and an upper one above it.
fn is_range(terms: &[Value]) -> bool {
    let bound = |sign: &Value, number: &Value| Some((sign.as_str()?.to_owned(), number.as_f64()?));
    match terms {
        [sign, number] => bound(sign, number)
            .is_some_and(|(sign, _)| matches!(sign.as_str(), "=" | "<" | "<=" | ">" | ">=")),
        [lower_sign, lower, upper_sign, upper] => {
            match (bound(lower_sign, lower), bound(upper_sign, upper)) {
                (Some((lower_sign, lower)), Some((upper_sign, upper))) => {
                    matches!(lower_sign.as_str(), ">" | ">=")
                        && matches!(upper_sign.as_str(), "<" | "<=")
                        && lower < upper
                }
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(pattern: &str, expected: bool) {
        assert_eq!(is_valid(pattern), expected, "{pattern}");
    }

    #[test]
    fn what_the_guide_shows_is_taken() {
        for pattern in [
            r#"{"body":{"City":["Seattle"]}}"#,
            r#"{"data":{"UserID":[null]}}"#,
            r#"{"data":{"LastName":[""]}}"#,
            r#"{"a":["x",1,1.5,true,false,null]}"#,
            r#"{"Name":[{"equals-ignore-case":"alice"}]}"#,
            r#"{"Location":["New York"],"Day":["Monday"]}"#,
            r#"{"$or":[{"Location":["New York"]},{"Day":["Monday"]}]}"#,
            r#"{"Weather":[{"anything-but":["Raining"]}]}"#,
            r#"{"Weather":[{"anything-but":"Raining"}]}"#,
            r#"{"Code":[{"anything-but":[1,2]}]}"#,
            r#"{"Price":[{"numeric":["=",100]}]}"#,
            r#"{"Price":[{"numeric":[">",10,"<=",20]}]}"#,
            r#"{"ProductName":[{"exists":true}]}"#,
            r#"{"Region":[{"prefix":"us-"}]}"#,
            r#"{"File":[{"suffix":".png"},{"suffix":{"equals-ignore-case":".JPG"}}]}"#,
            r#"{"eventName":["INSERT"],"dynamodb":{"NewImage":{"id":{"S":[{"exists":true}]}}}}"#,
        ] {
            check(pattern, true);
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "",
            "x",
            "[]",
            "\"text\"",
            "null",
            "{}",
            "{",
            r#"{"a":[1]} x"#,
            r#"{"a":"x"}"#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
            r#"{"a":[["x"]]}"#,
            r#"{"a":[{}]}"#,
            r#"{"a":[{"prefix":"x","suffix":"y"}]}"#,
            r#"{"a":[{"prefix":1}]}"#,
            r#"{"a":[{"prefix":{"wildcard":"x"}}]}"#,
            r#"{"a":[{"prefix":{"equals-ignore-case":"x","suffix":"y"}}]}"#,
            r#"{"a":[{"equals-ignore-case":["x"]}]}"#,
            r#"{"a":[{"exists":"true"}]}"#,
            r#"{"a":[{"unknown":"x"}]}"#,
            r#"{"a":[{"wildcard":"x*"}]}"#,
            r#"{"a":[{"anything-but":[]}]}"#,
            r#"{"a":[{"anything-but":["x",1]}]}"#,
            r#"{"a":[{"anything-but":null}]}"#,
            r#"{"a":[{"anything-but":{"prefix":"x"}}]}"#,
            r#"{"a":[{"numeric":[]}]}"#,
            r#"{"a":[{"numeric":["=","1"]}]}"#,
            r#"{"a":[{"numeric":["<>",1]}]}"#,
            r#"{"a":[{"numeric":[">",2,"<",1]}]}"#,
            r#"{"a":[{"numeric":["<",1,">",2]}]}"#,
            r#"{"$or":[{"a":["x"]}]}"#,
            r#"{"$or":[{"a":["x"]},{"b":[]}]}"#,
        ] {
            check(pattern, false);
        }
        let deep = format!("{}[1]{}", "{\"a\":".repeat(500), "}".repeat(500));
        check(&deep, false);
    }

    #[test]
    fn a_field_may_be_called_or() {
        check(r#"{"$or":["x"]}"#, true);
        check(r#"{"$or":[{"prefix":"x"},{"suffix":"y"}]}"#, true);
    }

    /// Values that a field may have.
    fn value() -> impl Strategy<Value = Value> {
        let text = "[a-z ]{0,6}";
        prop_oneof![
            text.prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
            text.prop_map(|text| json!({ "prefix": text })),
            text.prop_map(|text| json!({ "suffix": { "equals-ignore-case": text } })),
            any::<bool>().prop_map(|exists| json!({ "exists": exists })),
            prop::collection::vec(text, 1..3).prop_map(|texts| json!({ "anything-but": texts })),
            (any::<i32>(), 1..100_i64)
                .prop_map(|(low, width)| json!({ "numeric": [">=", low, "<", i64::from(low) + width] })),
        ]
    }

    /// Patterns by the grammar. No field has the name of an operator.
    fn pattern() -> impl Strategy<Value = Value> {
        let leaf = prop::collection::vec(value(), 1..4).prop_map(Value::from);
        let fields = |condition: BoxedStrategy<Value>| {
            prop::collection::btree_map("[a-f]{1,6}", condition, 1..4).prop_map(|fields| json!(fields))
        };
        let nested = leaf.boxed().prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                fields(inner.clone()),
                prop::collection::vec(fields(inner), 2..4).prop_map(|all| json!({ "$or": all })),
            ]
        });
        prop::collection::btree_map("[a-f]{1,6}", nested, 1..4).prop_map(|fields| json!(fields))
    }

    proptest! {
        #[test]
        fn every_pattern_of_the_grammar_is_taken(pattern in pattern()) {
            prop_assert!(is_valid(&pattern.to_string()), "{}", pattern);
        }

        #[test]
        fn a_fault_anywhere_is_found(pattern in pattern(), fault in prop_oneof![
            Just(json!([])), Just(json!({})), Just(json!("x")), Just(json!([{ "wildcard": "x" }])), Just(json!([[1]])),
        ]) {
            let deep = json!({ "a": pattern, "b": { "c": fault } });
            prop_assert!(!is_valid(&deep.to_string()));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,200}") {
            is_valid(&text);
        }
    }
}
