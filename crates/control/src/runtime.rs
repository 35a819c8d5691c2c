//! Which runtime identifiers are taken, which no longer, and which never were.

use firelet_api::model;

use crate::error::{Error, InvalidParameter};

/// Runtimes that functions can no longer be created with or updated to.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html#runtimes-deprecated>.
const DEPRECATED: &[&str] = &[
    "nodejs",
    "nodejs4.3",
    "nodejs4.3-edge",
    "nodejs6.10",
    "nodejs8.10",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "java8",
    "python2.7",
    "python3.6",
    "python3.7",
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "go1.x",
    "ruby2.5",
    "ruby2.7",
    "provided",
];

/// The runtimes that the error about an unknown one lists, in the order recorded from AWS in November 2025.
const LISTED: &str = "[nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java17, nodejs16.x, java25, dotnet8, python3.10, java11, python3.11, dotnet6, java21, nodejs18.x, provided.al2, ruby3.3, ruby3.4, java8.al2, ruby3.2, python3.8, python3.9]";

/// Runtimes of which snapshots can be made.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html#snapstart-runtimes>.
const SNAP_START: &[&str] = &[
    "java11",
    "java17",
    "java21",
    "java25",
    "python3.12",
    "python3.13",
    "python3.14",
    "dotnet8",
    "dotnet10",
];

/// Runtimes of functions on capacity providers, by how many executions one virtual CPU takes at a time.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-runtimes.html> and the pages about each
/// language.
const ON_CAPACITY_PROVIDERS: &[(&str, i32)] = &[
    ("nodejs22.x", 64),
    ("nodejs24.x", 64),
    ("nodejs26.x", 64),
    ("java21", 32),
    ("java25", 32),
    ("dotnet8", 32),
    ("dotnet10", 32),
    ("python3.13", 16),
    ("python3.14", 16),
    ("python3.15", 16),
    ("provided.al2023", 8),
];

/// Takes a runtime that functions can be created with.
pub(crate) fn parse(runtime: &model::Runtime) -> Result<String, Error> {
    let text = runtime.as_str();
    match runtime {
        model::Runtime::Other(value) => {
            Err(InvalidParameter::UnknownRuntime { value: value.clone(), known: LISTED.to_owned() }.into())
        }
        _ if DEPRECATED.contains(&text) => {
            Err(InvalidParameter::DeprecatedRuntime { runtime: text.to_owned() }.into())
        }
        _ => Ok(text.to_owned()),
    }
}

pub(crate) fn has_snap_start(runtime: &str) -> bool {
    SNAP_START.contains(&runtime)
}

pub(crate) fn runs_on_capacity_provider(runtime: &str) -> bool {
    ON_CAPACITY_PROVIDERS.iter().any(|(known, _)| *known == runtime)
}

/// Executions at one time for each virtual CPU of an environment.
pub(crate) fn concurrency_per_cpu(runtime: &str) -> i32 {
    let known = ON_CAPACITY_PROVIDERS.iter().find(|(known, _)| *known == runtime);
    known.map_or(1, |(_, concurrency)| *concurrency)
}
