//! Which program serves a Lambda runtime identifier on this host.
//!
//! A managed runtime is served by the host's own interpreter of that very version, found by name and then asked
//! for its version, because a name proves nothing. Answers are kept: a host's interpreters do not change under a
//! running server, and one that was missing is looked for again.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::process::Command;

/// How long a program may take to say which version it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a guest is started and which rules its program follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `python3.X`, with firelet's bootstrap.
    Python,
    /// `nodejsX.x`, with firelet's bootstrap.
    Node,
    /// `provided.*`: the package brings its own `bootstrap`.
    Custom,
}

/// The program that serves one runtime identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The identifier, such as `python3.11`.
    pub runtime: String,
    /// How it is started.
    pub family: Family,
    /// The folder that is `/var/lang` inside, where there is one.
    pub prefix: Option<PathBuf>,
    /// The program's path below `prefix`.
    pub program: Option<PathBuf>,
    /// The version that INIT_START shows, such as `python:3.11.7`.
    pub version: String,
}

/// Why a runtime cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// firelet has no rules for this runtime.
    #[error(
        "firelet cannot run the runtime {runtime} yet; it runs python3.X, nodejsX.x, provided.al2 and provided.al2023"
    )]
    Unsupported {
        /// The identifier.
        runtime: String,
    },
    /// The host has no interpreter of that version.
    #[error(
        "no {wanted} for the runtime {runtime} on this host (looked at {}); install it, or start firelet with \
         --runtime {runtime}=/path/to/the/program",
        looked_at(.candidates)
    )]
    NotFound {
        /// The identifier.
        runtime: String,
        /// The program and version.
        wanted: String,
        /// What was tried, and what it was.
        candidates: Vec<(PathBuf, String)>,
    },
}

fn looked_at(candidates: &[(PathBuf, String)]) -> String {
    let tried: Vec<String> =
        candidates.iter().map(|(path, problem)| format!("{}: {problem}", path.display())).collect();
    if tried.is_empty() { "the search path and the usual folders".to_owned() } else { tried.join("; ") }
}

/// Finds interpreters.
#[derive(Debug)]
pub struct Catalogue {
    /// Programs that the operator named, by runtime identifier.
    configured: HashMap<String, PathBuf>,
    search_path: OsString,
    home: Option<PathBuf>,
    found: Mutex<HashMap<String, Arc<Interpreter>>>,
}

/// What a runtime identifier asks for.
struct Wanted {
    family: Family,
    /// `3.11` or `20`.
    version: String,
}

impl Catalogue {
    /// A catalogue that looks in `search_path` (as in `PATH`) and below `home`, and first at `configured`.
    #[must_use]
    pub fn new(configured: HashMap<String, PathBuf>, search_path: OsString, home: Option<PathBuf>) -> Self {
        Self { configured, search_path, home, found: Mutex::default() }
    }

    /// The interpreter for `runtime`, such as `python3.11`.
    ///
    /// # Errors
    ///
    /// When firelet does not know the runtime, or the host has no interpreter of its version; the error lists
    /// what was looked at.
    pub async fn interpreter(&self, runtime: &str) -> Result<Arc<Interpreter>, Error> {
        if let Some(found) = self.found.lock().get(runtime) {
            return Ok(Arc::clone(found));
        }
        let interpreter = Arc::new(self.find(runtime).await?);
        self.found.lock().insert(runtime.to_owned(), Arc::clone(&interpreter));
        Ok(interpreter)
    }

    async fn find(&self, runtime: &str) -> Result<Interpreter, Error> {
        let wanted = wanted(runtime).ok_or_else(|| Error::Unsupported { runtime: runtime.to_owned() })?;
        if wanted.family == Family::Custom {
            return Ok(Interpreter {
                runtime: runtime.to_owned(),
                family: Family::Custom,
                prefix: None,
                program: None,
                version: runtime.replacen('.', ":", 1),
            });
        }
        let mut candidates = Vec::new();
        for candidate in self.candidates(runtime, &wanted) {
            match probe(&candidate, &wanted).await {
                Ok(probed) => return Ok(probed.interpreter(runtime, wanted.family)),
                Err(problem) => candidates.push((candidate, problem)),
            }
        }
        let name = if wanted.family == Family::Python { "Python" } else { "Node.js" };
        let wanted = format!("{name} {}", wanted.version);
        Err(Error::NotFound { runtime: runtime.to_owned(), wanted, candidates })
    }

    /// The programs worth asking, best first; only those that exist.
    fn candidates(&self, runtime: &str, wanted: &Wanted) -> Vec<PathBuf> {
        if let Some(path) = self.configured.get(runtime) {
            return vec![path.clone()];
        }
        let version = &wanted.version;
        let names = match wanted.family {
            Family::Python => vec![format!("python{version}"), "python3".to_owned()],
            _ => vec![
                format!("node{version}"),
                format!("node-{version}"),
                "node".to_owned(),
                "nodejs".to_owned(),
            ],
        };
        let usual = ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"].map(PathBuf::from);
        let folders: Vec<PathBuf> = std::env::split_paths(&self.search_path).chain(usual).collect();
        let mut paths = self.version_manager_candidates(wanted);
        for name in &names {
            paths.extend(folders.iter().map(|folder| folder.join(name)));
        }
        let mut seen = std::collections::HashSet::new();
        paths.retain(|path| path.is_file() && path.canonicalize().is_ok_and(|path| seen.insert(path)));
        paths
    }

    /// Interpreters kept by pyenv and nvm, newest first.
    fn version_manager_candidates(&self, wanted: &Wanted) -> Vec<PathBuf> {
        let Some(home) = &self.home else { return Vec::new() };
        let (versions, prefix, program) = match wanted.family {
            Family::Python => (home.join(".pyenv/versions"), format!("{}.", wanted.version), "bin/python3"),
            _ => (home.join(".nvm/versions/node"), format!("v{}.", wanted.version), "bin/node"),
        };
        let mut folders: Vec<PathBuf> = std::fs::read_dir(versions)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
            .collect();
        folders.sort_by_key(|path| std::cmp::Reverse(patch_number(path)));
        folders.into_iter().map(|folder| folder.join(program)).collect()
    }
}

fn patch_number(folder: &Path) -> u64 {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit('.').next().and_then(|patch| patch.parse().ok()).unwrap_or(0)
}

fn wanted(runtime: &str) -> Option<Wanted> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if runtime == "provided" || runtime.starts_with("provided.") {
        return Some(Wanted { family: Family::Custom, version: String::new() });
    }
    if let Some(minor) = runtime.strip_prefix("python3.") {
        return digits(minor).then(|| Wanted { family: Family::Python, version: format!("3.{minor}") });
    }
    let major = runtime.strip_prefix("nodejs")?.strip_suffix(".x")?;
    digits(major).then(|| Wanted { family: Family::Node, version: major.to_owned() })
}

struct Probed {
    version: String,
    prefix: PathBuf,
    program: PathBuf,
}

impl Probed {
    fn interpreter(self, runtime: &str, family: Family) -> Interpreter {
        let name = if family == Family::Python { "python" } else { "nodejs" };
        Interpreter {
            runtime: runtime.to_owned(),
            family,
            version: format!("{name}:{}", self.version),
            prefix: Some(self.prefix),
            program: Some(self.program),
        }
    }
}

/// Asks a program for its version and place. Each line of its answer is one of: version, prefix, program.
async fn probe(candidate: &Path, wanted: &Wanted) -> Result<Probed, String> {
    let arguments: &[&str] = match wanted.family {
        Family::Python => &[
            "-I",
            "-S",
            "-c",
            "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.base_prefix); print(sys._base_executable)",
        ],
        _ => &[
            "-e",
            "const p=require('path'); console.log(process.versions.node); \
             console.log(p.dirname(p.dirname(process.execPath))); console.log(process.execPath)",
        ],
    };
    let answer = Command::new(candidate)
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("NODE_OPTIONS")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, answer)
        .await
        .map_err(|_| format!("did not answer within {} s", PATIENCE.as_secs()))?
        .map_err(|error: io::Error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let [version, prefix, program] = text.lines().collect::<Vec<_>>()[..] else {
        return Err("does not answer as an interpreter does".to_owned());
    };
    if !version.starts_with(&format!("{}.", wanted.version)) {
        return Err(format!("is version {version}"));
    }
    let real = |path: &str| Path::new(path).canonicalize().map_err(|error| format!("{path}: {error}"));
    let prefix = real(prefix)?;
    let program = real(program)?
        .strip_prefix(&prefix)
        .map_err(|_| format!("{program} is not below its prefix {}", prefix.display()))?
        .to_owned();
    Ok(Probed { version: version.to_owned(), prefix, program })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, name: &str, lines: &str) -> PathBuf {
        let path = folder.join("bin").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let folder = folder.display();
        std::fs::write(&path, format!("#!/bin/sh\nprintf '{lines}\\n{folder}\\n{}\\n'\n", path.display()))
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    async fn find(runtime: &str, configured: Option<&Path>, home: &Path) -> Result<Arc<Interpreter>, Error> {
        let configured = configured.map(|path| (runtime.to_owned(), path.to_owned())).into_iter().collect();
        Catalogue::new(configured, OsString::new(), Some(home.to_owned())).interpreter(runtime).await
    }

    #[tokio::test]
    async fn the_newest_patch_of_the_version_is_taken() {
        let home = tempfile::tempdir().unwrap();
        for version in ["3.99.2", "3.99.10", "3.9.1"] {
            program(&home.path().join(".pyenv/versions").join(version), "python3", version);
        }
        let found = find("python3.99", None, home.path()).await.unwrap();
        assert_eq!(found.version, "python:3.99.10");
        assert_eq!(found.program.as_deref(), Some(Path::new("bin/python3")));
    }

    #[tokio::test]
    async fn a_program_of_another_version_is_named_in_the_error() {
        let home = tempfile::tempdir().unwrap();
        let path = program(home.path(), "python3", "3.98.1");
        let error = find("python3.99", Some(&path), home.path()).await.unwrap_err().to_string();
        assert!(error.contains("no Python 3.99 for the runtime python3.99"), "{error}");
        assert!(
            error.contains("is version 3.98.1") && error.contains(&path.display().to_string()),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_runtime_without_rules_is_refused() {
        let home = tempfile::tempdir().unwrap();
        for runtime in ["java21", "python3", "python3.x", "nodejs.x", "nodejs20", "../python3.1"] {
            let error = find(runtime, None, home.path()).await.unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{runtime}: {error}");
        }
    }

    #[tokio::test]
    async fn custom_runtimes_need_nothing_of_the_host() {
        let home = tempfile::tempdir().unwrap();
        let found = find("provided.al2023", None, home.path()).await.unwrap();
        assert_eq!((found.family, found.version.as_str()), (Family::Custom, "provided:al2023"));
    }
}
