//! A process that is killed loses nothing that it was answered.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;

use crate::definition::Code;
use crate::function::tests::{record, scope};
use crate::{Definition, Error, FunctionVersion, Options, Store, Version};

/// Names the data directory to the child, and with it that it is the child.
const DATA_DIRECTORY: &str = "FIRELET_TEST_DATA_DIRECTORY";
const ANSWERS: usize = 40;

fn open(path: &Path) -> Store {
    Store::open(&Options { data_directory: path.to_owned() }).unwrap()
}

#[test]
fn what_was_answered_before_a_kill_is_there_afterwards() {
    if let Some(path) = std::env::var_os(DATA_DIRECTORY) {
        write_for_ever(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::what_was_answered_before_a_kill_is_there_afterwards", "--nocapture"])
        .env(DATA_DIRECTORY, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let answered: Vec<String> =
        lines.filter_map(|line| line.strip_prefix("stored ").map(str::to_owned)).take(ANSWERS).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answered.len(), ANSWERS);

    let store = open(&path);
    for name in answered {
        let record =
            store.functions().get(&scope(), &name.parse().unwrap(), Version::Latest).unwrap().unwrap();
        let package = store.blobs().local_path(&record.definition.code.sha256).unwrap();
        assert_eq!(std::fs::read_to_string(package).unwrap(), name);
    }
}

/// Stores functions one after the other and says so after each.
fn write_for_ever(path: &Path) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open(path);
    for number in 0_u32.. {
        let name = format!("function-{number}");
        let result: Result<(), Error> = runtime.block_on(async {
            let blob = store.blobs().put(Bytes::from(name.clone())).await?;
            let code = Code { sha256: blob.sha256, size_bytes: blob.size_bytes, unzipped_bytes: 0 };
            let blank = record(&name, Version::Latest, 0);
            let record = FunctionVersion { definition: Definition { code, ..blank.definition }, ..blank };
            store.functions().update(&scope(), &record.name.clone(), move |entry| entry.put(&record)).await
        });
        result.unwrap();
        println!("stored {name}");
        std::io::stdout().flush().unwrap();
    }
    unreachable!("the parent kills this process long before the numbers end")
}
