//! Interpreters that are started ahead: which, and for which functions they will do.
//!
//! An interpreter that waits knows no function. It reads some environment variables when it starts; a function for which
//! one of those has another value gets an interpreter of its own, started for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use firelet_sandbox::{Mount, Program, Template};
use parking_lot::Mutex;

use crate::bootstrap::{self, Bootstrap, Bootstraps};
use crate::catalogue::{Family, Interpreter};
use crate::sandboxes::Sandboxes;
use crate::variables;

/// Has firelet's bootstrap, where it would wait for a function, fork interpreters that do.
const FORK: &str = "FIRELET_FORK";

/// Beginnings of the names of variables that programs and their libraries read when they start.
const READ_AT_START: &[&str] = &[
    "GCONV_", "GLIBC_", "ICU_", "LANG", "LC_", "LD_", "LOCPATH", "MALLOC_", "NODE_", "OPENSSL_", "PYTHON",
    "SSL_", "TZ", "UV_", "V8_",
];

/// The interpreters that wait, by runtime.
#[derive(Debug)]
pub struct PreparedInterpreters {
    /// How many wait for each runtime that is in use.
    count: usize,
    templates: Mutex<BTreeMap<String, Template>>,
}

impl PreparedInterpreters {
    /// Keeps `count` interpreters of each runtime that is in use; none with zero.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { count, templates: Mutex::default() }
    }

    /// Whether interpreters of `runtime` are started ahead already, or never will be.
    #[must_use]
    pub fn covers(&self, runtime: &str) -> bool {
        self.count == 0 || self.templates.lock().contains_key(runtime)
    }

    /// Has interpreters of a runtime started ahead from now on. Returns at once. Answers false for a runtime without one.
    ///
    /// # Errors
    ///
    /// When the bootstrap cannot be laid out.
    pub async fn prepare(
        &self,
        interpreter: &Interpreter,
        bootstraps: &Bootstraps,
        sandboxes: &Sandboxes,
    ) -> Result<bool, bootstrap::Error> {
        if interpreter.family == Family::Custom {
            return Ok(false);
        }
        let bootstrap = bootstraps.prepare(interpreter).await?;
        let mut templates = self.templates.lock();
        templates.insert(interpreter.runtime.clone(), template(interpreter, &bootstrap, self.count));
        sandboxes.prepare(templates.values().cloned().collect());
        Ok(true)
    }

    /// The template that will do for a function with these variables.
    pub(crate) fn template_for(
        &self,
        interpreter: &Interpreter,
        environment: &[(String, String)],
    ) -> Option<String> {
        let templates = self.templates.lock();
        let template = templates.get(&interpreter.runtime)?;
        is_same_at_start(&template.program.environment, environment).then(|| template.name.clone())
    }
}

fn template(interpreter: &Interpreter, bootstrap: &Bootstrap, count: usize) -> Template {
    let program = Program {
        argv: bootstrap.argv.iter().map(Into::into).collect(),
        environment: variables::of_runtime(interpreter),
        working_directory: "/".into(),
    };
    let mut zygote = program.clone();
    zygote.environment.push((FORK.to_owned(), "1".to_owned()));
    Template {
        name: interpreter.runtime.clone(),
        program,
        zygote: (interpreter.family == Family::Python).then_some(zygote),
        mounts: mounts(interpreter, bootstrap),
        count,
    }
}

/// What an interpreter needs inside, whatever its function.
pub(crate) fn mounts(interpreter: &Interpreter, bootstrap: &Bootstrap) -> Vec<Mount> {
    let mount = |source: &PathBuf, target: &str| Mount { source: source.clone(), target: target.into() };
    let prefix = interpreter.prefix.iter().map(|prefix| mount(prefix, "/var/lang"));
    prefix.chain(bootstrap.directory.iter().map(|directory| mount(directory, "/var/runtime"))).collect()
}

fn is_same_at_start(before: &[(String, String)], now: &[(String, String)]) -> bool {
    let read_at_start = |variables: &[(String, String)]| -> BTreeMap<String, String> {
        let is_read = |name: &str| READ_AT_START.iter().any(|beginning| name.starts_with(beginning));
        variables.iter().filter(|(name, _)| is_read(name)).cloned().collect()
    };
    read_at_start(before) == read_at_start(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::function;
    use crate::variables::{Place, variables};

    #[track_caller]
    fn check(runtime: &str, user: &[(&str, &str)], will_do: bool) {
        let mut function = function(runtime);
        function.variables.extend(user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let waiting = variables::of_runtime(&function.interpreter);
        let place = Place { log_stream: "stream", runtime_api: "127.0.0.1:9001", token: None };
        let wanted = variables(&function, &place);
        assert_eq!(is_same_at_start(&waiting, &wanted), will_do, "{runtime} {user:?}");
    }

    #[test]
    fn a_function_that_changes_what_is_read_at_the_start_gets_an_interpreter_of_its_own() {
        for runtime in ["python3.13", "nodejs20.x"] {
            check(runtime, &[], true);
            check(runtime, &[("TABLE", "t"), ("PATH", "/opt/mine")], true);
            check(runtime, &[("TZ", "Europe/Berlin")], false);
            check(runtime, &[("LD_PRELOAD", "/opt/x.so")], false);
            check(runtime, &[("LC_ALL", "C")], false);
        }
        check("python3.13", &[("PYTHONPATH", "/var/task/lib")], false);
        check("python3.13", &[("PYTHONHASHSEED", "0")], false);
        check("nodejs20.x", &[("NODE_OPTIONS", "--enable-source-maps")], false);
        check("nodejs20.x", &[("NODE_OPTIONS", "")], false);
    }
}
