//! What runs in an environment, each time that it is started: its programs, and the words for those that cannot be.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firelet_sandbox::{Cpu, Mount, Network, Program, Spec};

use super::Function;
use crate::bootstrap::Bootstrap;
use crate::failure::Unlaunched;
use crate::prepared;
use crate::sandboxes::PROCESSES;
use crate::state::State;
use crate::variables;

/// The programs of one environment.
pub(super) struct Plan {
    /// The sandbox, with the program that it starts with: the first extension, if there are any, and else the runtime.
    spec: Spec,
    extensions: Vec<ExtensionProgram>,
    runtime: Program,
    /// Whether the function comes with a program of its own.
    has_bootstrap: bool,
}

/// Whose program it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Runtime,
    /// The extension of this name.
    Extension(Arc<str>),
}

/// One extension that is a program of its own.
#[derive(Clone)]
pub(super) struct ExtensionProgram {
    /// The name of its file.
    pub(super) name: Arc<str>,
    pub(super) program: Program,
}

impl Plan {
    pub(super) fn new(
        function: &Function,
        id: String,
        bootstrap: &Bootstrap,
        variables: Vec<(String, String)>,
        network: Network,
    ) -> Self {
        let extensions = extensions(function.layers.as_deref(), &variables::of_extensions(&variables));
        let runtime = Program {
            argv: arguments(function, &bootstrap.argv),
            environment: variables,
            working_directory: "/var/task".into(),
        };
        let first = extensions.first().map_or(&runtime, |extension| &extension.program);
        let spec = spec(function, id, bootstrap, first, network);
        let has_bootstrap = function.code.join("bootstrap").exists();
        Self { spec, extensions, runtime, has_bootstrap }
    }

    /// Starts with an interpreter of the kind `template` if one waits, unless extensions come before the runtime.
    pub(super) fn with_template(mut self, template: Option<String>) -> Self {
        self.spec.template = template.filter(|_| self.extensions.is_empty());
        self
    }

    pub(super) fn spec(&self) -> Spec {
        self.spec.clone()
    }

    /// Whose program the sandbox starts with.
    pub(super) fn first(&self) -> Who {
        self.extensions.first().map_or(Who::Runtime, |extension| Who::Extension(Arc::clone(&extension.name)))
    }

    /// The extensions that are started after the first; none that the sandbox starts with the runtime.
    pub(super) fn further_extensions(&self) -> &[ExtensionProgram] {
        self.extensions.get(1..).unwrap_or_default()
    }

    /// The runtime, if it is started after extensions.
    pub(super) fn further_runtime(&self) -> Option<&Program> {
        (!self.extensions.is_empty()).then_some(&self.runtime)
    }

    /// Has `state` expect the programs of extensions to register.
    ///
    /// # Errors
    ///
    /// When there are more than there may be, in the words of AWS's open emulator.
    pub(super) fn expect_extensions(&self, state: &mut State) -> Result<(), Unlaunched> {
        for ExtensionProgram { name, .. } in &self.extensions {
            state.expect_extension(name).map_err(|_| Unlaunched {
                error_type: "Extension.LaunchError",
                problem: "ErrTooManyExtensions".to_owned(),
            })?;
        }
        Ok(())
    }

    /// Takes down in `state` that `program`, which is `who`'s, cannot be executed because of `error`; gives what is said of it.
    pub(super) fn unlaunched(
        &self,
        who: &Who,
        program: &str,
        error: &io::Error,
        state: &mut State,
    ) -> Unlaunched {
        match who {
            Who::Runtime if program == BOOTSTRAP && !self.has_bootstrap => Unlaunched {
                error_type: "Runtime.InvalidEntrypoint",
                problem: "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned(),
            },
            Who::Runtime => {
                Unlaunched { error_type: "Runtime.InvalidEntrypoint", problem: problem(program, error) }
            }
            Who::Extension(name) => {
                let is_forbidden = error.kind() == io::ErrorKind::PermissionDenied;
                state.extension_unlaunched(
                    name,
                    if is_forbidden { "PermissionDenied" } else { "UnknownError" },
                );
                Unlaunched { error_type: "Extension.LaunchError", problem: problem(program, error) }
            }
        }
    }
}

/// Every file directly in `/opt/extensions`, whether or not it can be executed, as in AWS's open emulator.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>.
fn extensions(layers: Option<&Path>, environment: &[(String, String)]) -> Vec<ExtensionProgram> {
    let Some(Ok(entries)) = layers.map(|layers| layers.join("extensions").read_dir()) else {
        return Vec::new();
    };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    let mut names: Vec<OsString> = files.map(|entry| entry.file_name()).collect();
    names.sort();
    let program = |name: OsString| {
        let argv = vec![Path::new(EXTENSIONS).join(&name).into_os_string()];
        let program = Program { argv, environment: environment.to_vec(), working_directory: "/".into() };
        ExtensionProgram { name: name.to_string_lossy().into(), program }
    };
    names.into_iter().map(program).collect()
}

fn spec(function: &Function, id: String, bootstrap: &Bootstrap, first: &Program, network: Network) -> Spec {
    let mount = |source: &PathBuf, target: &str| Mount { source: source.clone(), target: target.into() };
    let mut mounts = vec![mount(&function.code, "/var/task")];
    mounts.extend(function.layers.iter().map(|layers| mount(layers, "/opt")));
    mounts.extend(prepared::mounts(&function.interpreter, bootstrap));
    Spec {
        id,
        argv: first.argv.clone(),
        environment: first.environment.clone(),
        working_directory: first.working_directory.clone(),
        mounts,
        memory_bytes: u64::from(function.memory_megabytes) << 20,
        tmp_bytes: u64::from(function.ephemeral_storage_megabytes) << 20,
        cpu: Cpu::for_memory(function.memory_megabytes),
        processes: PROCESSES,
        network,
        template: None,
        snapshot: None,
    }
}

/// The program and its arguments. A custom runtime may come with the layers instead of the function.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>.
fn arguments(function: &Function, bootstrap: &[String]) -> Vec<OsString> {
    let has_own = function.code.join("bootstrap").exists();
    let of_layers = function.layers.as_ref().is_some_and(|layers| layers.join("bootstrap").exists());
    match bootstrap {
        [program, rest @ ..] if program == BOOTSTRAP && !has_own && of_layers => {
            std::iter::once(LAYER_BOOTSTRAP).chain(rest.iter().map(String::as_str)).map(Into::into).collect()
        }
        other => other.iter().map(Into::into).collect(),
    }
}

/// Why `program` cannot be executed, in the words of AWS's supervisor, which is written in Go.
fn problem(program: &str, error: &io::Error) -> String {
    let problem = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ if error.raw_os_error() == Some(ENOEXEC) => "exec format error".to_owned(),
        _ => error.to_string(),
    };
    format!("fork/exec {program}: {problem}")
}

/// Where extensions are that are programs of their own.
const EXTENSIONS: &str = "/opt/extensions";
/// The entry point of a custom runtime.
const BOOTSTRAP: &str = "/var/task/bootstrap";
/// The entry point of a custom runtime that comes with the layers.
const LAYER_BOOTSTRAP: &str = "/opt/bootstrap";
/// Linux's error number for a file that is no program of this machine.
const ENOEXEC: i32 = 8;
