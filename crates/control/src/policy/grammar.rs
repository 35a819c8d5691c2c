//! What a policy document may say.
//!
//! Refuses what IAM's grammar does not have; whether actions, principals and resources exist is not asked. See
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>.

use std::collections::{BTreeMap, HashSet};

use firelet_types::AccountId;
use serde::Deserialize;

use super::{Document, object};

/// `InvalidParameterValueException`: why a document is no policy of a resource. The words are those of IAM's
/// `MalformedPolicyDocument`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// No JSON, or not of the form of a policy.
    #[error("Syntax errors in policy.")]
    Syntax,
    /// Two statements of one id; see <https://github.com/kubernetes/kops/issues/4951>.
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    DuplicateId,
    /// A statement about nobody.
    #[error("Missing required field Principal")]
    NoPrincipal,
    /// A principal of no kind that there is; the words are those of AddPermission.
    #[error("The provided principal was invalid. Please check the principal and try again.")]
    Principal,
    /// A statement of no action.
    #[error("Policy statement must contain actions.")]
    NoAction,
    /// An action of no service.
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    Action,
    /// A statement about no resource; see <https://github.com/aws-samples/aws-health-aware/issues/1>.
    #[error("Policy statement must contain resources.")]
    NoResource,
    /// A resource that cannot be one.
    #[error("Resource {resource} must be in ARN format or \"*\".")]
    Resource {
        /// The resource as written.
        resource: String,
    },
}

/// The versions of the grammar.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

/// Checks that `policy` is one that a resource can have.
pub(crate) fn check(policy: &str) -> Result<(), GrammarError> {
    let document = Document::parse(policy).map_err(|_| GrammarError::Syntax)?;
    let has_known_version = document.version.as_deref().is_none_or(|version| VERSIONS.contains(&version));
    if document.statement.is_empty() || !has_known_version {
        return Err(GrammarError::Syntax);
    }
    let parse = |json: &str| object::<Statement>(json).map_err(|_| GrammarError::Syntax);
    let statements = document.statement.iter().map(|statement| parse(statement.get()));
    let statements = statements.collect::<Result<Vec<_>, _>>()?;
    let mut ids = HashSet::new();
    if !statements.iter().filter_map(|statement| statement.sid.as_ref()).all(|sid| ids.insert(sid)) {
        return Err(GrammarError::DuplicateId);
    }
    statements.iter().try_for_each(Statement::check)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    sid: Option<String>,
    #[serde(rename = "Effect")]
    _effect: Effect,
    principal: Option<Principal>,
    not_principal: Option<Principal>,
    action: Option<Texts>,
    not_action: Option<Texts>,
    resource: Option<Texts>,
    not_resource: Option<Texts>,
    #[serde(rename = "Condition")]
    _condition: Option<BTreeMap<String, BTreeMap<String, Values>>>,
}

#[derive(Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Principal {
    Everybody(String),
    ByKind(BTreeMap<String, Texts>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// What a condition compares with.
#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "that they can be read is all that is checked")]
enum Values {
    One(Value),
    Many(Vec<Value>),
}

#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "that they can be read is all that is checked")]
enum Value {
    Text(String),
    Flag(bool),
    Number(serde_json::Number),
}

impl Statement {
    fn check(&self) -> Result<(), GrammarError> {
        either(self.principal.as_ref(), self.not_principal.as_ref(), GrammarError::NoPrincipal)?.check()?;
        let actions = either(self.action.as_ref(), self.not_action.as_ref(), GrammarError::NoAction)?.all();
        if actions.is_empty() {
            return Err(GrammarError::NoAction);
        }
        if !actions.iter().all(|action| is_action(action)) {
            return Err(GrammarError::Action);
        }
        let resources =
            either(self.resource.as_ref(), self.not_resource.as_ref(), GrammarError::NoResource)?.all();
        if resources.is_empty() {
            return Err(GrammarError::NoResource);
        }
        match resources.iter().find(|resource| !is_resource(resource)) {
            Some(resource) => Err(GrammarError::Resource { resource: resource.clone() }),
            None => Ok(()),
        }
    }
}

/// The element or its opposite: a statement has one of them.
fn either<'a, T>(
    element: Option<&'a T>,
    opposite: Option<&'a T>,
    missing: GrammarError,
) -> Result<&'a T, GrammarError> {
    match (element, opposite) {
        (Some(_), Some(_)) => Err(GrammarError::Syntax),
        (element, opposite) => element.or(opposite).ok_or(missing),
    }
}

fn is_action(action: &str) -> bool {
    action == "*"
        || action.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
}

fn is_resource(resource: &str) -> bool {
    resource == "*" || is_arn(resource)
}

fn is_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.splitn(6, ':').count() == 6
}

impl Principal {
    fn check(&self) -> Result<(), GrammarError> {
        let is_one = match self {
            Self::Everybody(star) => star == "*",
            Self::ByKind(kinds) => {
                !kinds.is_empty()
                    && kinds.iter().all(|(kind, texts)| {
                        let texts = texts.all();
                        !texts.is_empty() && texts.iter().all(|text| is_principal(kind, text))
                    })
            }
        };
        if is_one { Ok(()) } else { Err(GrammarError::Principal) }
    }
}

fn is_principal(kind: &str, text: &str) -> bool {
    match kind {
        "AWS" => is_resource(text) || text.parse::<AccountId>().is_ok(),
        "Service" | "Federated" | "CanonicalUser" => !text.is_empty(),
        _ => false,
    }
}

impl Texts {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    /// A policy of one statement, with these members in place of its own; a null takes one away.
    fn policy(members: &Json) -> String {
        let mut statement = json!({
            "Sid": "one", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": "*",
        });
        let statement_members = statement.as_object_mut().unwrap();
        for (name, value) in members.as_object().unwrap() {
            statement_members.insert(name.clone(), value.clone());
        }
        statement_members.retain(|_, value| !value.is_null());
        json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
    }

    #[test]
    fn statements_say_what_the_grammar_has() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:echo";
        for (members, expected) in [
            (json!({}), Ok(())),
            (json!({ "Sid": null, "Effect": "Deny" }), Ok(())),
            (
                json!({ "Principal": { "AWS": ["*", "123456789012", "arn:aws:iam::123456789012:root"] } }),
                Ok(()),
            ),
            (json!({ "Principal": { "Service": "s3.amazonaws.com" }, "Resource": [arn, "*"] }), Ok(())),
            (json!({ "Principal": null, "NotPrincipal": { "Federated": "x" } }), Ok(())),
            (json!({ "Action": null, "NotAction": ["lambda:*"] }), Ok(())),
            (json!({ "Action": ["*"], "Resource": null, "NotResource": arn }), Ok(())),
            (json!({ "Condition": { "Bool": { "aws:SecureTransport": [true, "x", 1] } } }), Ok(())),
            (json!({ "Effect": null }), Err(GrammarError::Syntax)),
            (json!({ "Effect": "allow" }), Err(GrammarError::Syntax)),
            (json!({ "Sid": 1 }), Err(GrammarError::Syntax)),
            (json!({ "Other": 1 }), Err(GrammarError::Syntax)),
            (json!({ "NotPrincipal": "*" }), Err(GrammarError::Syntax)),
            (json!({ "NotAction": "*" }), Err(GrammarError::Syntax)),
            (json!({ "NotResource": "*" }), Err(GrammarError::Syntax)),
            (json!({ "Condition": [] }), Err(GrammarError::Syntax)),
            (json!({ "Condition": { "Bool": { "key": {} } } }), Err(GrammarError::Syntax)),
            (json!({ "Principal": null }), Err(GrammarError::NoPrincipal)),
            (json!({ "Principal": "s3.amazonaws.com" }), Err(GrammarError::Principal)),
            (json!({ "Principal": {} }), Err(GrammarError::Principal)),
            (json!({ "Principal": { "AWS": [] } }), Err(GrammarError::Principal)),
            (json!({ "Principal": { "AWS": "nobody" } }), Err(GrammarError::Principal)),
            (json!({ "Principal": { "Other": "x" } }), Err(GrammarError::Principal)),
            (json!({ "Action": null }), Err(GrammarError::NoAction)),
            (json!({ "Action": [] }), Err(GrammarError::NoAction)),
            (json!({ "Action": "InvokeFunction" }), Err(GrammarError::Action)),
            (json!({ "Resource": null }), Err(GrammarError::NoResource)),
            (json!({ "Resource": [] }), Err(GrammarError::NoResource)),
            (
                json!({ "Resource": ["*", "echo"] }),
                Err(GrammarError::Resource { resource: "echo".to_owned() }),
            ),
        ] {
            assert_eq!(check(&policy(&members)), expected, "{members}");
        }
    }

    #[test]
    fn documents_are_objects_of_statements() {
        let one = r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#;
        let named = r#"{"Sid":"a","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#;
        for (document, expected) in [
            (format!(r#"{{"Statement":{one}}}"#), Ok(())),
            (format!(r#" {{"Version":"2008-10-17","Id":"x","Statement":[{one}, {one}, {named}]}} "#), Ok(())),
            (format!(r#"{{"Statement":[{named},{named}]}}"#), Err(GrammarError::DuplicateId)),
            (format!(r#"{{"Version":"2020-01-01","Statement":[{one}]}}"#), Err(GrammarError::Syntax)),
            (format!(r#"{{"Statement":[{one}],"Other":1}}"#), Err(GrammarError::Syntax)),
            (format!(r#"{{"Statement":[{one}],"Statement":[{one}]}}"#), Err(GrammarError::Syntax)),
            (format!(r#"["2012-10-17","x",[{one}]]"#), Err(GrammarError::Syntax)),
            (r#"{"Statement":[["a","Allow"]]}"#.to_owned(), Err(GrammarError::Syntax)),
            (r#"{"Statement":[]}"#.to_owned(), Err(GrammarError::Syntax)),
            (r#"{"Version":"2012-10-17"}"#.to_owned(), Err(GrammarError::Syntax)),
            ("{".to_owned(), Err(GrammarError::Syntax)),
            (String::new(), Err(GrammarError::Syntax)),
            (format!(r#"{{"Statement":{}"#, "[".repeat(20_000)), Err(GrammarError::Syntax)),
            (
                format!(r#"{{"Statement":[{{"Condition":{}{}}}]}}"#, "[".repeat(9_000), "]".repeat(9_000)),
                Err(GrammarError::Syntax),
            ),
        ] {
            assert_eq!(check(&document), expected, "{document}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,80}", members in r#"("(Sid|Action|Principal)":[\[{"a-z:]{1,8},?){0,3}"#) {
            let _ = check(&text);
            let _ = check(&format!(r#"{{"Statement":[{{{members}}}]}}"#));
        }
    }
}
