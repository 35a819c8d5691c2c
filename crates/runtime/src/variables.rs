//! The environment variables that a function finds.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html> and, for values, recordings of
//! functions that print them.

use firelet_types::{AccountId, CredentialsToken, Region};

use crate::catalogue::{Family, Interpreter};
use crate::credentials_api::{self, LOCAL_SECRET};
use crate::environment::Function;

/// Where segments would be sent. Nobody listens: datagrams to loopback are lost without an error.
const XRAY_DAEMON: &str = "127.0.0.1";
const XRAY_PORT: &str = "2000";

/// What an environment has of its own.
pub(crate) struct Place<'a> {
    /// The name of its log stream.
    pub(crate) log_stream: &'a str,
    /// Address and port of its Runtime API.
    pub(crate) runtime_api: &'a str,
    /// What its function asks for credentials with, if it starts from a snapshot. It finds nothing then that other
    /// environments from the same snapshot have otherwise: see
    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html> and
    /// <https://docs.aws.amazon.com/lambda/latest/dg/snapstart-monitoring.html>.
    pub(crate) token: Option<CredentialsToken>,
}

/// The environment variables of `function`, AWS's own after the user's so that the user's cannot replace them.
pub(crate) fn variables(function: &Function, place: &Place<'_>) -> Vec<(String, String)> {
    let Place { log_stream, runtime_api, token } = *place;
    let (family, scope) = (function.interpreter.family, &function.scope);
    let mut variables =
        Variables(function.variables.iter().map(|(name, value)| (name.clone(), until_nul(value))).collect());
    runtime_defaults(&mut variables, family, &function.interpreter.runtime);
    region(&mut variables, &scope.region);
    variables.set("AWS_LAMBDA_FUNCTION_NAME", function.name.as_str());
    variables.set("AWS_LAMBDA_FUNCTION_VERSION", &function.version);
    variables.set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory_megabytes.to_string());
    match token {
        Some(token) => container_credentials(&mut variables, runtime_api, token),
        None => {
            credentials(&mut variables, &scope.account);
            variables.set("AWS_LAMBDA_LOG_GROUP_NAME", &function.log_group);
            variables.set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
        }
    }
    variables.set("AWS_LAMBDA_INITIALIZATION_TYPE", function.initialization.as_str());
    variables.set("AWS_LAMBDA_RUNTIME_API", runtime_api);
    variables.default("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    variables.set("AWS_XRAY_DAEMON_ADDRESS", &format!("{XRAY_DAEMON}:{XRAY_PORT}"));
    variables.set("_AWS_XRAY_DAEMON_ADDRESS", XRAY_DAEMON);
    variables.set("_AWS_XRAY_DAEMON_PORT", XRAY_PORT);
    variables.set("LAMBDA_TASK_ROOT", "/var/task");
    variables.set("LAMBDA_RUNTIME_DIR", "/var/runtime");
    variables.set("_HANDLER", &until_nul(&function.handler));
    if let Some(json) = &function.json_logging {
        variables.set("AWS_LAMBDA_LOG_FORMAT", "JSON");
        variables.set("AWS_LAMBDA_LOG_LEVEL", &json.application_level);
    }
    if family != Family::Custom {
        variables.set("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{}", function.interpreter.runtime));
    }
    variables.0
}

/// The variables of an interpreter that waits for a function: those that it may read when it starts.
pub(crate) fn of_runtime(interpreter: &Interpreter) -> Vec<(String, String)> {
    let mut variables = Variables(Vec::new());
    runtime_defaults(&mut variables, interpreter.family, &interpreter.runtime);
    variables.0
}

/// What a runtime brings and users may have set otherwise.
fn runtime_defaults(variables: &mut Variables, family: Family, runtime: &str) {
    variables.default_in_front("TZ", ":UTC");
    variables.default("PATH", &path(family));
    variables.default("LD_LIBRARY_PATH", &library_path(family));
    variables.default("LANG", "en_US.UTF-8");
    match family {
        Family::Python => {
            variables.default("PYTHONPATH", "/var/runtime");
            variables.default("LC_CTYPE", "C.UTF-8");
        }
        Family::Node => variables.default("NODE_PATH", &node_path(runtime)),
        Family::Custom => {}
    }
}

/// Those of a runtime's variables that extensions find as well.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-extensions-registration-api-a>.
pub(crate) fn of_extensions(variables: &[(String, String)]) -> Vec<(String, String)> {
    let is_hidden = |name: &str| name.starts_with('_') || HIDDEN_FROM_EXTENSIONS.contains(&name);
    variables.iter().filter(|(name, _)| !is_hidden(name)).cloned().collect()
}

/// What is the runtime's alone, besides what begins with an underscore.
const HIDDEN_FROM_EXTENSIONS: [&str; 7] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// No variable can hold a NUL; what follows one is left out, as by C's own functions.
fn until_nul(value: &str) -> String {
    value.split('\0').next().unwrap_or_default().to_owned()
}

fn region(variables: &mut Variables, region: &Region) {
    variables.set("AWS_REGION", region.as_str());
    variables.set("AWS_DEFAULT_REGION", region.as_str());
}

fn credentials(variables: &mut Variables, account: &AccountId) {
    variables.set("AWS_ACCESS_KEY_ID", account.as_str());
    variables.set("AWS_SECRET_ACCESS_KEY", LOCAL_SECRET);
    variables.set("AWS_SESSION_TOKEN", LOCAL_SECRET);
}

/// As in AWS's open emulator (`lambda/rapidcore/env/environment.go`).
fn container_credentials(variables: &mut Variables, runtime_api: &str, token: CredentialsToken) {
    let uri = format!("http://{runtime_api}{}", credentials_api::PATH);
    variables.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri);
    variables.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", &token.to_string());
}

fn path(family: Family) -> String {
    let own = if family == Family::Custom { "" } else { "/var/lang/bin:" };
    format!("{own}/usr/local/bin:/usr/bin/:/bin:/opt/bin")
}

fn library_path(family: Family) -> String {
    let own = if family == Family::Custom { "" } else { "/var/lang/lib:" };
    format!("{own}/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib")
}

/// `nodejs20.x` finds packages of layers made for it in `/opt/nodejs/node20`.
fn node_path(runtime: &str) -> String {
    let major = runtime.trim_start_matches("nodejs").trim_end_matches(".x");
    format!(
        "/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
    )
}

struct Variables(Vec<(String, String)>);

impl Variables {
    /// Sets what no user may change.
    fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(existing, _)| existing != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Sets what a user may have set otherwise.
    fn default(&mut self, name: &str, value: &str) {
        if !self.has(name) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The same before all others: where an interpreter that has waited keeps it, for which a new one is costly.
    fn default_in_front(&mut self, name: &str, value: &str) {
        if !self.has(name) {
            self.0.insert(0, (name.to_owned(), value.to_owned()));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(existing, _)| existing == name)
    }
}

#[cfg(test)]
mod tests {
    use firelet_types::Ids;

    use super::*;
    use crate::environment::InitializationType;
    use crate::environment::tests::function;

    #[track_caller]
    fn check(runtime: &str, user: &[(&str, &str)], name: &str, expected: Option<&str>) {
        let mut function = function(runtime);
        function.variables.extend(user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        check_of(&function, None, name, expected);
    }

    #[track_caller]
    fn check_of(function: &Function, token: Option<CredentialsToken>, name: &str, expected: Option<&str>) {
        let place = Place { log_stream: "stream", runtime_api: "127.0.0.1:9001", token };
        let variables = variables(function, &place);
        let values: Vec<&str> = variables
            .iter()
            .filter(|(existing, _)| existing == name)
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(
            values,
            expected.into_iter().collect::<Vec<_>>(),
            "{} {name}",
            function.interpreter.runtime
        );
    }

    #[test]
    fn functions_find_what_aws_gives_them() {
        check("python3.11", &[], "AWS_EXECUTION_ENV", Some("AWS_Lambda_python3.11"));
        check("python3.11", &[], "AWS_REGION", Some("us-east-1"));
        check("python3.11", &[], "PATH", Some("/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"));
        check("provided.al2023", &[], "AWS_EXECUTION_ENV", None);
        check("provided.al2023", &[], "PATH", Some("/usr/local/bin:/usr/bin/:/bin:/opt/bin"));
        check("nodejs20.x", &[], "PYTHONPATH", None);
    }

    #[test]
    fn functions_that_start_from_snapshots_find_what_is_good_everywhere() {
        let token = CredentialsToken::new(&Ids::seeded(1));
        let mut function = function("python3.13");
        function.initialization = InitializationType::SnapStart;
        let check = |name: &str, expected: Option<&str>| check_of(&function, Some(token), name, expected);
        check("AWS_LAMBDA_INITIALIZATION_TYPE", Some("snap-start"));
        check("AWS_CONTAINER_CREDENTIALS_FULL_URI", Some("http://127.0.0.1:9001/2021-04-23/credentials"));
        check("AWS_CONTAINER_AUTHORIZATION_TOKEN", Some(&token.to_string()));
        check("AWS_REGION", Some("us-east-1"));
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_STREAM_NAME",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn the_time_zone_comes_first_unless_it_is_the_users() {
        let first = |user: &[(&str, &str)]| {
            let mut function = function("nodejs20.x");
            function.variables =
                user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let place = Place { log_stream: "stream", runtime_api: "127.0.0.1:9001", token: None };
            variables(&function, &place).swap_remove(0)
        };
        assert_eq!(first(&[("ADDED", "x")]), ("TZ".to_owned(), ":UTC".to_owned()));
        assert_eq!(first(&[("ADDED", "x"), ("TZ", "CET")]), ("ADDED".to_owned(), "x".to_owned()));
    }

    #[test]
    fn users_may_set_some_and_not_others() {
        check("python3.11", &[("PATH", "/opt/mine")], "PATH", Some("/opt/mine"));
        check("python3.11", &[("TABLE", "t")], "TABLE", Some("t"));
        check("python3.11", &[("TABLE", "t\0x")], "TABLE", Some("t"));
        check("python3.11", &[("_HANDLER", "evil")], "_HANDLER", Some("app.handler"));
    }
}
