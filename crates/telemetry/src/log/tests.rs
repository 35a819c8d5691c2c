use std::path::Path;

use firelet_types::{AccountId, Region};

use super::*;

fn group(name: &str) -> LogGroup {
    LogGroup { scope: Scope { account: AccountId::local(), region: Region::local() }, name: name.to_owned() }
}

/// Runs `work` against a writer of its own, and gives what `read` then sees of `/aws/lambda/f`.
fn check(
    options: impl FnOnce(&mut Options),
    write: impl FnOnce(&Logs),
) -> (tempfile::TempDir, Vec<String>, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Options::in_directory(directory.path().join("logs"));
    options(&mut settings);
    let (logs, writer) = Logs::open(settings.clone()).unwrap();
    let thread = std::thread::spawn(move || writer.run());
    write(&logs);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let history = runtime.block_on(logs.read(group("/aws/lambda/f"), 1_000)).unwrap();
    logs.stop();
    thread.join().unwrap();
    let text = |line: LogLine| String::from_utf8_lossy(&line.text).into_owned();
    let file = files::group_file(&settings.directory, &group("/aws/lambda/f"));
    let entries = std::fs::read_dir(file.parent().unwrap()).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    (directory, history.into_iter().map(text).collect(), paths)
}

fn write(logs: &Logs, stream: &str, millis: i64, text: &'static str) {
    let stream = logs.stream(group("/aws/lambda/f"), stream.to_owned());
    stream.write(Timestamp::from_millis(millis), Bytes::from_static(text.as_bytes()));
}

#[test]
fn lines_of_several_streams_are_merged_by_time() {
    let (_directory, lines, _) = check(
        |_| {},
        |logs| {
            write(logs, "2026/11/23/[$LATEST]a", 1, "one\ntwo\n");
            write(logs, "2026/11/23/[$LATEST]b", 3, "four");
            write(logs, "2026/11/23/[$LATEST]a", 2, "three\n");
        },
    );
    assert_eq!(lines, ["one", "two", "three", "four"]);
}

#[test]
fn a_group_nobody_wrote_to_is_empty() {
    let (_directory, lines, paths) = check(|_| {}, |_| {});
    assert!(lines.is_empty() && paths.is_empty());
}

#[test]
fn the_file_tells_whose_each_line_is() {
    let (_directory, _, paths) = check(
        |_| {},
        |logs| {
            for (stream, text) in [("a b", "one"), ("a b", "two\n three"), ("c\nd", "four"), ("a b", "five")]
            {
                write(logs, stream, 1, text);
            }
        },
    );
    let text = std::fs::read_to_string(&paths[0]).unwrap();
    assert_eq!(text, " a%20b\n1 one\n a%20b\n1 two\n1  three\n c%0Ad\n1 four\n a%20b\n1 five\n");
}

#[test]
fn names_cannot_leave_the_log_folder() {
    let root = Path::new("logs");
    let [file, plain] = ["../../../escape", "escape"].map(|name| files::group_file(root, &group(name)));
    assert_eq!(file.parent(), plain.parent());
}

#[test]
fn the_longest_names_fit_the_disk_and_stay_apart() {
    let long = |last: &str| format!("{}{last}", "/".repeat(511));
    let directory = tempfile::tempdir().unwrap();
    let names = [long("a"), long("b")].map(|name| {
        let file = files::group_file(directory.path(), &group(&name));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(files::set_aside(&file), name).unwrap();
        file
    });
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_file_is_set_aside_when_full_and_only_once() {
    let (_directory, lines, paths) = check(
        |options| options.group_bytes = 1,
        |logs| {
            for text in ["first", "second", "third"] {
                write(logs, "s", 1, text);
                // A read makes the writer flush, so each line fills the file.
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(logs.read(group("/aws/lambda/f"), 1)).unwrap();
            }
        },
    );
    assert_eq!(lines, ["third"]);
    assert_eq!(paths.len(), 2);
}

#[test]
fn any_number_of_streams_share_one_file() {
    let (_directory, lines, paths) = check(
        |_| {},
        |logs| {
            for number in 0..200 {
                write(logs, &format!("stream-{number}"), 1, "line");
            }
        },
    );
    assert_eq!((lines.len(), paths.len()), (200, 1));
}

#[test]
fn a_follower_sees_each_line_once() {
    let directory = tempfile::tempdir().unwrap();
    let (logs, writer) = Logs::open(Options::in_directory(directory.path().to_owned())).unwrap();
    let thread = std::thread::spawn(move || writer.run());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        write(&logs, "s", 1, "before");
        let mut follow = logs.follow(group("/aws/lambda/f"), 10).await.unwrap();
        write(&logs, "s", 2, "after\nlast");
        assert_eq!(follow.history.iter().map(|line| &line.text[..]).collect::<Vec<_>>(), [b"before"]);
        assert_eq!(&follow.live.recv().await.unwrap().text[..], b"after");
        assert_eq!(&follow.live.recv().await.unwrap().text[..], b"last");
    });
    logs.stop();
    thread.join().unwrap();
}

#[test]
fn a_stream_that_writes_faster_than_the_disk_waits_and_leaves_room_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { stream_queue_bytes: 1_000, ..Options::in_directory(directory.path().to_owned()) };
    let (logs, writer) = Logs::open(options).unwrap();
    let [busy, other] = ["busy", "other"].map(|name| logs.stream(group("/aws/lambda/f"), name.to_owned()));
    busy.write(Timestamp::from_millis(1), Bytes::from(vec![b'x'; 1_000]));
    assert!(!busy.has_room() && other.has_room());
    let thread = std::thread::spawn(move || writer.run());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(busy.room());
    assert!(busy.has_room());
    logs.stop();
    thread.join().unwrap();
}

#[test]
fn what_does_not_fit_the_queue_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { queue_bytes: 1_000, ..Options::in_directory(directory.path().to_owned()) };
    let (logs, writer) = Logs::open(options).unwrap();
    write(&logs, "s", 1, "kept");
    let stream = logs.stream(group("/aws/lambda/f"), "s".to_owned());
    stream.write(Timestamp::from_millis(2), Bytes::from(vec![b'x'; 1_000]));
    let thread = std::thread::spawn(move || writer.run());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let history = runtime.block_on(logs.read(group("/aws/lambda/f"), 10)).unwrap();
    assert_eq!(history.len(), 1);
    logs.stop();
    thread.join().unwrap();
}
