//! Rules for the text of files. A rule is a pure function from a file to its faults.

use std::path::Path;

use anyhow::Context;

use crate::commands::run_quietly;

/// A file of the project: its path from the root, and its text.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

type Rule = fn(&Source<'_>) -> Vec<String>;

const RULES: [Rule; 10] = [
    rust_files_say_what_they_are_for,
    modules_have_no_mod_rs,
    unsafe_stays_in_the_sandbox,
    lints_are_those_of_the_workspace,
    only_the_owner_uses,
    todos_have_an_issue,
    no_test_is_ignored_or_named_test,
    lock_files_name_no_registry,
    text_is_clean,
    no_merge_is_left_half_done,
];

/// Words that only some folders may use: the word, who may, and why the others may not.
const OWNED: [(&str, &[&str], &str); 6] = [
    ("rusqlite", &["crates/store/"], "only `store` knows SQL"),
    ("libc::", &["crates/sandbox/"], "only `sandbox` makes system calls by hand"),
    ("tokio::spawn", &["crates/firelet/", "xtask/"], "tasks are owned: return a future or keep a `JoinSet`"),
    ("anyhow::", &["crates/firelet/", "xtask/", "fuzz/"], "libraries have typed errors"),
    ("env::var(", &["crates/firelet/", "xtask/"], "only `firelet` reads the environment"),
    ("clap::", &["crates/firelet/", "xtask/"], "only `firelet` reads the command line"),
];

/// Faults in the files that git tracks, or would track.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = run_quietly(&mut git).context("list the project's files")?;
    let mut faults = Vec::new();
    for path in listed.lines() {
        // What is not there was removed but not committed; what is no text has no rules.
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        faults.extend(faults_of(&Source { path, text: &text }));
    }
    Ok(faults)
}

fn faults_of(source: &Source<'_>) -> Vec<String> {
    if source.is_generated() || source.is_in(&["fuzz/seeds/", "xtask/src/tidy/"]) {
        return Vec::new();
    }
    RULES.iter().flat_map(|rule| rule(source)).collect()
}

impl Source<'_> {
    fn is_rust(&self) -> bool {
        Path::new(self.path).extension().is_some_and(|extension| extension == "rs")
    }

    fn is_generated(&self) -> bool {
        self.path.contains("/generated/") || self.path == "api/lambda.json"
    }

    fn named(&self, name: &str) -> bool {
        self.path.rsplit('/').next() == Some(name)
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// A fault for each line that `is_bad`, comments aside.
    fn code_lines(&self, is_bad: impl Fn(&str) -> bool, what: &str) -> Vec<String> {
        self.lines(|line| !line.trim_start().starts_with("//") && is_bad(line), what)
    }

    fn lines(&self, is_bad: impl Fn(&str) -> bool, what: &str) -> Vec<String> {
        let numbered = self.text.lines().enumerate().filter(|(_, line)| is_bad(line));
        numbered.map(|(index, _)| format!("{}:{}: {what}", self.path, index + 1)).collect()
    }

    fn whole(&self, is_bad: bool, what: &str) -> Vec<String> {
        if is_bad { vec![format!("{}: {what}", self.path)] } else { Vec::new() }
    }
}

fn rust_files_say_what_they_are_for(source: &Source<'_>) -> Vec<String> {
    let silent = source.is_rust() && !source.named("tests.rs") && !source.text.starts_with("//!");
    source.whole(silent, "starts without `//!`: say what the module is for")
}

fn modules_have_no_mod_rs(source: &Source<'_>) -> Vec<String> {
    source.whole(source.named("mod.rs"), "modules are `name.rs` beside `name/`")
}

fn unsafe_stays_in_the_sandbox(source: &Source<'_>) -> Vec<String> {
    if !source.is_rust() || source.is_in(&["crates/sandbox/"]) {
        return Vec::new();
    }
    let is_unsafe = |line: &str| line.contains("unsafe {") || line.contains("unsafe fn");
    source.code_lines(is_unsafe, "`unsafe` belongs in crates/sandbox")
}

fn lints_are_those_of_the_workspace(source: &Source<'_>) -> Vec<String> {
    let member = source.named("Cargo.toml") && source.is_in(&["crates/", "xtask/"]);
    let exempt = source.is_in(&["crates/sandbox/"]);
    let inherits = source.text.contains("[lints]\nworkspace = true");
    source
        .whole(member && !exempt && !inherits, "takes the lints of the workspace: `[lints] workspace = true`")
}

fn only_the_owner_uses(source: &Source<'_>) -> Vec<String> {
    if !source.is_rust() || !source.is_in(&["crates/", "xtask/"]) || source.path.contains("/tests/") {
        return Vec::new();
    }
    let others = OWNED.iter().filter(|(_, owners, _)| !source.is_in(owners));
    others.flat_map(|(word, _, why)| source.code_lines(|line| uses(line, word), why)).collect()
}

/// Whether `line` has `word` where a word starts.
fn uses(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '"')
    })
}

fn todos_have_an_issue(source: &Source<'_>) -> Vec<String> {
    let mark = |line: &str| line.contains("TODO") && !line.contains("TODO(#");
    let other = |line: &str| ["FIXME", "XXX:", "HACK:"].iter().any(|word| line.contains(word));
    if !source.is_rust() && !source.path.ends_with(".py") {
        return Vec::new();
    }
    source.lines(|line| mark(line) || other(line), "needs an issue: `TODO(#123)`")
}

fn no_test_is_ignored_or_named_test(source: &Source<'_>) -> Vec<String> {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut faults =
        source.code_lines(|line| line.contains("#[ignore"), "a known fault is asserted, never ignored");
    faults.extend(
        source
            .code_lines(|line| line.trim_start().starts_with("fn test_"), "a test's name says what happens"),
    );
    faults
}

fn lock_files_name_no_registry(source: &Source<'_>) -> Vec<String> {
    if !source.named("package-lock.json") {
        return Vec::new();
    }
    source.lines(|line| line.contains("\"resolved\""), "leave the registry out of lock files")
}

fn text_is_clean(source: &Source<'_>) -> Vec<String> {
    let mut faults = source.lines(|line| line.ends_with([' ', '\t']), "ends in blanks");
    faults.extend(source.whole(source.text.contains('\r'), "has carriage returns"));
    let unfinished = !source.text.is_empty() && !source.text.ends_with('\n');
    faults.extend(source.whole(unfinished, "ends without a line break"));
    faults
}

fn no_merge_is_left_half_done(source: &Source<'_>) -> Vec<String> {
    let is_mark = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    source.lines(is_mark, "a merge left both sides here: keep what is right")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(faults_of(&Source { path, text }), expected);
    }

    #[test]
    fn a_tidy_file_passes() {
        check("crates/pool/src/lib.rs", "//! Leases environments.\n\nfn lease() {}\n", &[]);
    }

    #[test]
    fn a_silent_module_is_a_fault() {
        check(
            "crates/pool/src/a.rs",
            "fn lease() {}\n",
            &["crates/pool/src/a.rs: starts without `//!`: say what the module is for"],
        );
    }

    #[test]
    fn unsafe_is_allowed_in_the_sandbox_only() {
        let text = "//! Calls.\nfn call() { unsafe { now() } }\n";
        check("crates/sandbox/src/sys.rs", text, &[]);
        check(
            "crates/pool/src/sys.rs",
            text,
            &["crates/pool/src/sys.rs:2: `unsafe` belongs in crates/sandbox"],
        );
    }

    #[test]
    fn words_belong_to_their_owners() {
        let text = "//! Rows.\nuse rusqlite::Connection;\n";
        check("crates/store/src/rows.rs", text, &[]);
        check("crates/pool/src/rows.rs", text, &["crates/pool/src/rows.rs:2: only `store` knows SQL"]);
    }

    #[test]
    fn a_todo_names_its_issue() {
        check("crates/pool/src/a.rs", "//! A.\n// TODO(#12): more\n", &[]);
        check(
            "crates/pool/src/a.rs",
            "//! A.\n// TODO: more\n",
            &["crates/pool/src/a.rs:2: needs an issue: `TODO(#123)`"],
        );
    }

    #[test]
    fn a_half_done_merge_is_a_fault() {
        let fault = "a merge left both sides here: keep what is right";
        let text = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> topic\n";
        let faults = [2, 6].map(|line| format!("tests/rows.txt:{line}: {fault}"));
        check("tests/rows.txt", text, &faults.each_ref().map(String::as_str));
    }

    #[test]
    fn lock_files_are_free_of_hosts() {
        check(
            "examples/a/package-lock.json",
            "{ \"resolved\": \"https://registry\" }\n",
            &["examples/a/package-lock.json:1: leave the registry out of lock files"],
        );
    }
}
