//! The guest-side programs, embedded in the binary, laid out on disk for `/var/runtime`.
//!
//! A folder is made once for each interpreter version and content, under a name that tells both, and never
//! changed after that. Python's modules are compiled there, because `/var/runtime` is read-only inside and a start
//! would otherwise compile them every time.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::catalogue::{Family, Interpreter};

/// How long compiling may take; it takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file and its text.
type Embedded = (&'static str, &'static str);

macro_rules! embedded {
    ($folder:literal, $($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../../runtimes/", $folder, "/", $file)))),+]
    };
}

const PYTHON: &[Embedded] = embedded!(
    "python",
    "awslambdaric/__init__.py",
    "awslambdaric/lambda_context.py",
    "bootstrap.py",
    "firelet_runtime/__init__.py",
    "firelet_runtime/assignment.py",
    "firelet_runtime/bootstrap.py",
    "firelet_runtime/connection.py",
    "firelet_runtime/faults.py",
    "firelet_runtime/identity.py",
    "firelet_runtime/logs.py",
    "firelet_runtime/marshal.py",
    "firelet_runtime/practice.py",
    "firelet_runtime/rehearsal.py",
    "firelet_runtime/snapshot.py",
    "firelet_runtime/streams.py",
    "firelet_runtime/zygote.py",
    "snapshot_restore_py.py",
);

const NODE: &[Embedded] = embedded!(
    "node",
    "bootstrap.cjs",
    "firelet_runtime/assignment.cjs",
    "firelet_runtime/connection.cjs",
    "firelet_runtime/console.cjs",
    "firelet_runtime/errors.cjs",
    "firelet_runtime/globals.cjs",
    "firelet_runtime/invocation.cjs",
    "firelet_runtime/loader.cjs",
    "firelet_runtime/packages.cjs",
    "firelet_runtime/practice.js",
    "firelet_runtime/rehearsal.cjs",
    "firelet_runtime/streaming.cjs",
);

/// Why a bootstrap could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The interpreter could not compile its modules.
    #[error("{program} cannot compile the bootstrap: {problem}")]
    Compile {
        /// The interpreter.
        program: PathBuf,
        /// What it said.
        problem: String,
    },
}

/// How a runtime is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// The folder that is `/var/runtime` inside; none for custom runtimes.
    pub directory: Option<PathBuf>,
    /// The program, as a path inside the sandbox, and its arguments.
    pub argv: Vec<String>,
}

/// Lays out bootstraps, each once.
#[derive(Debug)]
pub struct Bootstraps {
    root: PathBuf,
    prepared: Mutex<HashMap<String, Arc<Bootstrap>>>,
}

impl Bootstraps {
    /// Bootstraps below `root`, which is made when it is needed.
    #[must_use]
    pub fn in_directory(root: PathBuf) -> Self {
        Self { root, prepared: Mutex::default() }
    }

    /// The bootstrap for `interpreter`, laid out if this is the first time.
    ///
    /// # Errors
    ///
    /// When files cannot be written, or the interpreter cannot compile them.
    pub async fn prepare(&self, interpreter: &Interpreter) -> Result<Arc<Bootstrap>, Error> {
        let mut prepared = self.prepared.lock().await;
        if let Some(bootstrap) = prepared.get(&interpreter.runtime) {
            return Ok(Arc::clone(bootstrap));
        }
        let bootstrap = Arc::new(self.lay_out(interpreter).await?);
        prepared.insert(interpreter.runtime.clone(), Arc::clone(&bootstrap));
        Ok(bootstrap)
    }

    async fn lay_out(&self, interpreter: &Interpreter) -> Result<Bootstrap, Error> {
        let (Some(prefix), Some(program)) = (&interpreter.prefix, &interpreter.program) else {
            return Ok(Bootstrap { directory: None, argv: vec!["/var/task/bootstrap".to_owned()] });
        };
        let inside = Path::new("/var/lang").join(program).to_string_lossy().into_owned();
        let (files, argv) = match interpreter.family {
            Family::Python => (PYTHON, vec![inside, "-S".into(), "/var/runtime/bootstrap.py".into()]),
            Family::Node => (NODE, vec![inside, "/var/runtime/bootstrap.cjs".into()]),
            Family::Custom => (&[][..], vec!["/var/task/bootstrap".to_owned()]),
        };
        let directory = self.root.join(folder_name(interpreter, files));
        if !directory.exists() {
            let unfinished = self.root.join(format!("{}.new", folder_name(interpreter, files)));
            remove(&unfinished)?;
            write_files(&unfinished, files)?;
            if interpreter.family == Family::Python {
                compile(&prefix.join(program), &unfinished).await?;
            }
            let failed = |source| Error::Write { path: unfinished.clone(), source };
            let finished = unfinished.clone();
            let opened = tokio::task::spawn_blocking(move || make_readable(&finished)).await;
            opened.map_err(|error| failed(error.into()))?.map_err(failed)?;
            publish(&unfinished, &directory)?;
        }
        Ok(Bootstrap { directory: Some(directory), argv })
    }
}

fn folder_name(interpreter: &Interpreter, files: &[Embedded]) -> String {
    let mut digest = Sha256::new();
    for (name, text) in files {
        digest.update(name.as_bytes());
        digest.update([0]);
        digest.update(text.as_bytes());
        digest.update([0]);
    }
    let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{digest}", interpreter.version.replace([':', '/'], "-"))
}

/// Removes what an interrupted start left; the data directory is locked, so nobody else is at it.
fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Write { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Lets every user read a tree, whatever this process's umask: functions run as users of their own.
fn make_readable(path: &Path) -> io::Result<()> {
    let is_folder = path.is_dir();
    fs::set_permissions(path, fs::Permissions::from_mode(if is_folder { 0o755 } else { 0o644 }))?;
    if is_folder {
        for entry in fs::read_dir(path)? {
            make_readable(&entry?.path())?;
        }
    }
    Ok(())
}

fn write_files(directory: &Path, files: &[Embedded]) -> Result<(), Error> {
    for (name, text) in files {
        let path = directory.join(name);
        let folder = path.parent().unwrap_or(directory);
        fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
        fs::write(&path, text).map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}

async fn compile(program: &Path, directory: &Path) -> Result<(), Error> {
    let failed = |problem| Error::Compile { program: program.to_owned(), problem };
    // Checked by content, so that a copy of the folder with other file times keeps its bytecode.
    let arguments = ["-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"];
    let compiling = Command::new(program)
        .args(arguments)
        .arg(directory)
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let Output { status, stdout, stderr } = tokio::time::timeout(PATIENCE, compiling)
        .await
        .map_err(|_| failed(format!("no end after {} s", PATIENCE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&[stdout, stderr].concat()).trim().to_owned()))
    }
}

/// Gives a finished folder its name. Another start of the same content may have been first.
fn publish(unfinished: &Path, directory: &Path) -> Result<(), Error> {
    match fs::rename(unfinished, directory) {
        Ok(()) => Ok(()),
        Err(_) if directory.exists() => fs::remove_dir_all(unfinished)
            .map_err(|source| Error::Write { path: unfinished.to_owned(), source }),
        Err(source) => Err(Error::Write { path: directory.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file below `folder`, as paths relative to it.
    fn files_below(folder: &Path) -> Vec<String> {
        let mut folders = vec![folder.to_owned()];
        let mut files = Vec::new();
        while let Some(current) = folders.pop() {
            for entry in fs::read_dir(current).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension != "pyc") {
                    files.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        files.sort();
        files
    }

    #[test]
    fn every_file_of_a_bootstrap_is_embedded() {
        let runtimes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtimes");
        for (folder, embedded) in [("python", PYTHON), ("node", NODE)] {
            let names: Vec<&str> = embedded.iter().map(|(name, _)| *name).collect();
            assert_eq!(files_below(&runtimes.join(folder)), names, "{folder}");
        }
    }

    #[tokio::test]
    async fn a_bootstrap_is_laid_out_once() {
        let directory = tempfile::tempdir().unwrap();
        let interpreter = Interpreter {
            runtime: "nodejs20.x".into(),
            family: Family::Node,
            prefix: Some("/usr".into()),
            program: Some("bin/node".into()),
            version: "nodejs:20.1.2".into(),
        };
        let prepare = || async {
            Bootstraps::in_directory(directory.path().to_owned()).prepare(&interpreter).await.unwrap()
        };
        let first = prepare().await;
        assert_eq!(first.argv, ["/var/lang/bin/node", "/var/runtime/bootstrap.cjs"]);
        let folder = first.directory.clone().unwrap();
        assert_eq!(files_below(&folder).len(), NODE.len());
        assert_eq!(prepare().await, first);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
