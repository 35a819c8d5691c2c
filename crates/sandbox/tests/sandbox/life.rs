//! Start, end, kill, and what is left after either.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use firelet_sandbox::{End, Error, Launcher, Options, Step, read_exit};

use super::harness::Test;
use super::world::{World, finish, mount, options, python, shell, spec, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("exit_codes_and_signals_are_reported", exit_codes_and_signals_are_reported),
    ("a_missing_program_is_named", a_missing_program_is_named),
    ("a_missing_mount_is_named", a_missing_mount_is_named),
    ("an_impossible_specification_is_refused", an_impossible_specification_is_refused),
    ("kill_ends_everything_in_the_sandbox", kill_ends_everything_in_the_sandbox),
    ("a_frozen_sandbox_stands_still_until_it_is_thawed", a_frozen_sandbox_stands_still),
    ("a_frozen_sandbox_can_be_killed", a_frozen_sandbox_can_be_killed),
    ("the_end_of_the_main_process_ends_its_descendants", the_end_of_the_main_process_ends_its_descendants),
    ("a_dropped_launcher_leaves_nothing", a_dropped_launcher_leaves_nothing),
    (
        "a_killed_helper_leaves_nothing_after_the_next_start",
        a_killed_helper_leaves_nothing_after_the_next_start,
    ),
    (
        "a_killed_server_leaves_nothing_after_the_next_start",
        a_killed_server_leaves_nothing_after_the_next_start,
    ),
    ("a_kill_in_the_middle_of_launches_leaves_nothing", a_kill_in_the_middle_of_launches_leaves_nothing),
    ("a_helper_killed_while_it_prepares_leaves_nothing", a_helper_killed_while_it_prepares_leaves_nothing),
    ("a_dead_helper_is_told", a_dead_helper_is_told),
    ("a_second_launcher_of_the_same_data_directory_is_refused", a_second_launcher_is_refused),
    ("users_are_used_again_once_their_sandbox_is_gone", users_are_used_again),
    ("launches_from_several_threads_do_not_disturb_each_other", launches_from_several_threads),
];

fn exited(code: i32) -> Option<(End, bool)> {
    Some((End::Exited(code), false))
}

fn exit_codes_and_signals_are_reported() {
    let world = World::new();
    assert_eq!(world.shell("exit 0").status, exited(0));
    assert_eq!(world.shell("exit 42").status, exited(42));
    assert_eq!(world.shell("kill -TERM $$").status, Some((End::Signaled(15), false)));
    let outcome = world.shell("echo out; echo err >&2");
    assert_eq!(outcome.output, "out\nerr\n");
}

fn a_missing_program_is_named() {
    let error = World::new().launcher.launch(&spec(&["/var/task/bootstrap"])).unwrap_err();
    assert_eq!(error.to_string(), "execute /var/task/bootstrap in the sandbox");
    assert!(matches!(error, Error::Execute { source, .. } if source.kind() == std::io::ErrorKind::NotFound));
}

fn a_missing_mount_is_named() {
    let mut spec = shell("true");
    spec.mounts = vec![mount(Path::new("/no/such/code"), "/var/task")];
    let error = World::new().launcher.launch(&spec).unwrap_err();
    assert!(
        matches!(&error, Error::Isolate { step: Step::OpenMountSource, detail, .. } if detail == "/no/such/code")
    );
}

fn an_impossible_specification_is_refused() {
    let world = World::new();
    let refused = |spec| matches!(world.launcher.launch(&spec), Err(Error::Specification { .. }));
    assert!(refused(spec(&[])));
    assert!(refused(spec(&["relative"])));
    let mut climbing = shell("true");
    climbing.mounts = vec![mount(Path::new("/usr"), "/opt/../../etc")];
    assert!(refused(climbing));
    let mut huge = shell("true");
    huge.environment = vec![("BIG".into(), "x".repeat(200_000))];
    assert!(refused(huge));
    assert_eq!(world.shell("exit 3").status, exited(3));
}

fn kill_ends_everything_in_the_sandbox() {
    let world = World::new();
    let sandbox = world.launcher.launch(&shell("(setsid sleep 1000 &) ; sleep 1000 & wait")).unwrap();
    let main = sandbox.process_id().unwrap();
    assert!(fs::read_to_string(format!("/proc/{main}/cmdline")).unwrap().starts_with("/bin/sh\0-c\0(setsid"));
    sandbox.kill();
    sandbox.kill();
    // The output ends only when the last process that holds it is gone.
    let outcome = finish(sandbox);
    assert_eq!(outcome.status, None);
    wait_for("the end of the main process", || outcome.sandbox.process_id().is_none().then_some(()));
    outcome.sandbox.kill();
}

/// Counts as fast as it can, and prints the count a thousand times a second.
const COUNTER: &str = "import threading, sys, time\ncount = 0\ndef work():\n  global count\n  while True: count += 1\n\
                       threading.Thread(target=work, daemon=True).start()\nprint('up', flush=True)\n\
                       while True:\n  time.sleep(0.001); print(count, flush=True)";

/// What it prints within a moment.
fn prints(output: &mut File) -> usize {
    let mut printed = 0;
    let until = Instant::now() + Duration::from_millis(200);
    while Instant::now() < until {
        printed += output.read(&mut [0; 65_536]).unwrap_or(0);
    }
    printed
}

fn a_frozen_sandbox_stands_still() {
    let world = World::new();
    let mut sandbox = world.launcher.launch(&python(COUNTER)).unwrap();
    let mut output = File::from(sandbox.take_output());
    wait_for("the first line", || (prints(&mut output) > 0).then_some(()));
    sandbox.freeze().unwrap();
    wait_for("the freezer", || is_frozen(&world.options.instance).then_some(()));
    wait_for("silence", || (prints(&mut output) == 0).then_some(()));
    sandbox.freeze().unwrap();
    assert_eq!(prints(&mut output), 0);
    sandbox.thaw().unwrap();
    wait_for("the next line", || (prints(&mut output) > 0).then_some(()));
    sandbox.thaw().unwrap();
    wait_for("lines after another thaw", || (prints(&mut output) > 0).then_some(()));
}

/// Whether the kernel says that a sandbox of this instance stands still; a busy host has others be silent for a while.
fn is_frozen(instance: &str) -> bool {
    let groups = cgroups_of(instance).into_iter().filter_map(|place| fs::read_dir(place).ok()).flatten();
    let events =
        groups.flatten().filter_map(|group| fs::read_to_string(group.path().join("cgroup.events")).ok());
    events.into_iter().any(|text| text.lines().any(|line| line == "frozen 1"))
}

fn a_frozen_sandbox_can_be_killed() {
    let world = World::new();
    let mut sandbox = world.launcher.launch(&python(COUNTER)).unwrap();
    let mut output = File::from(sandbox.take_output());
    wait_for("the first line", || (prints(&mut output) > 0).then_some(()));
    sandbox.freeze().unwrap();
    wait_for("silence", || (prints(&mut output) == 0).then_some(()));
    sandbox.kill();
    // The output ends only when the last process that holds it is gone.
    wait_for("the end", || matches!(output.read(&mut [0; 64]), Ok(0)).then_some(()));
    sandbox.thaw().unwrap();
    sandbox.freeze().unwrap();
}

fn the_end_of_the_main_process_ends_its_descendants() {
    let outcome = World::new().shell("(setsid sh -c 'trap \"\" TERM HUP; sleep 1000' &) ; echo bye");
    assert_eq!(outcome.output, "bye\n");
    assert_eq!(outcome.status, exited(0));
}

fn cgroups_of(instance: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in
        fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(" - cgroup"))
    {
        let point = Path::new(mount.split(' ').nth(4).unwrap());
        found.extend(Some(point.join(format!("firelet-{instance}"))).filter(|path| path.exists()));
    }
    found
}

/// Host processes that run as users of this world: first processes and guests.
fn processes_of(options: &Options) -> usize {
    let users = options.first_user_id..options.first_user_id + options.user_id_count;
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let statuses = processes.filter_map(|process| fs::read_to_string(process.path().join("status")).ok());
    statuses
        .filter(|status| {
            let user = status
                .lines()
                .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
            user.is_some_and(|user| users.contains(&user))
        })
        .count()
}

fn wait_until_gone(options: &Options) {
    wait_for("the end of all processes", || (processes_of(options) == 0).then_some(()));
}

fn a_dropped_launcher_leaves_nothing() {
    let World { launcher, options, directory } = World::new();
    let sandbox = launcher.launch(&shell("sleep 1000")).unwrap();
    wait_for("first process, shell and sleep", || (processes_of(&options) == 3).then_some(()));
    assert!(!cgroups_of(&options.instance).is_empty());
    drop(launcher);
    wait_until_gone(&options);
    assert_eq!(cgroups_of(&options.instance), Vec::<PathBuf>::new());
    drop((sandbox, directory));
}

struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    helper: String,
}

fn server(role: &str, directory: &Path) -> Server {
    let mut process = Command::new("/proc/self/exe")
        .args([role.as_ref(), directory.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    Server { process, output, helper: line.trim().into() }
}

fn kill(process: &str) {
    assert!(Command::new("kill").args(["-9", process]).status().unwrap().success());
}

fn check_next_start(directory: &Path) {
    let options = options(directory);
    let launcher = Launcher::start(&options).unwrap();
    drop(launcher);
    wait_until_gone(&options);
    assert_eq!(cgroups_of(&options.instance), Vec::<PathBuf>::new());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(options.scratch.to_str().unwrap()));
    assert_eq!(fs::read_dir(&options.scratch).unwrap().count(), 0);
}

fn a_killed_helper_leaves_nothing_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = server("role-server", directory.path());
    kill(&server.helper);
    wait_until_gone(&options(directory.path()));
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    check_next_start(directory.path());
}

fn a_killed_server_leaves_nothing_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = server("role-server", directory.path());
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    check_next_start(directory.path());
}

fn a_kill_in_the_middle_of_launches_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..12 {
        let mut server = server("role-churn", directory.path());
        for _ in 0..round {
            server.output.read_line(&mut String::new()).unwrap();
        }
        if round % 2 == 0 {
            kill(&server.helper);
        }
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        check_next_start(directory.path());
    }
}

/// Right after its start the helper makes spares, whose short-lived children must not outlive it.
fn a_helper_killed_while_it_prepares_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    for round in 0..60 {
        let launcher = Launcher::start(&options).unwrap();
        let due = Instant::now() + Duration::from_micros(50) * round;
        wait_for("the moment of the kill", || (Instant::now() >= due).then_some(()));
        kill(&launcher.helper_id().to_string());
        drop(launcher);
    }
    check_next_start(directory.path());
}

fn a_dead_helper_is_told() {
    let world = World::new();
    let mut sandbox = world.launcher.launch(&shell("sleep 1000")).unwrap();
    kill(&world.launcher.helper_id().to_string());
    let error = wait_for("the error", || world.launcher.launch(&shell("true")).err());
    assert!(matches!(error, Error::HelperEnded), "{error}");
    let exit = sandbox.take_exit();
    assert_eq!(wait_for("the end of the sandbox", || read_exit(&exit).ok()), None);
    let World { launcher, directory, .. } = world;
    drop(launcher);
    check_next_start(directory.path());
}

fn a_second_launcher_is_refused() {
    let world = World::new();
    let error = Launcher::start(&world.options).unwrap_err();
    assert!(matches!(&error, Error::Isolate { step: Step::LockScratch, .. }), "{error}");
    assert!(error.remedy().is_some());
    assert_eq!(world.shell("exit 0").status, exited(0));
}

fn users_are_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.user_id_count = 3;
    let launcher = Launcher::start(&options).unwrap();
    let first = launcher.launch(&shell("sleep 1000")).unwrap();
    let second = launcher.launch(&shell("sleep 1000")).unwrap();
    let error = launcher.launch(&shell("true")).unwrap_err();
    assert!(matches!(&error, Error::Isolate { step: Step::TakeUser, .. }), "{error}");
    drop(first);
    let third = wait_for("a free user", || launcher.launch(&shell("exit 0")).ok());
    assert_eq!(finish(third).status, exited(0));
    drop(second);
}

fn launches_from_several_threads() {
    let world = World::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for round in 0..5 {
                    let text = format!("{thread} {round}");
                    assert_eq!(world.shell(&format!("echo {text}")).output, format!("{text}\n"));
                }
            });
        }
    });
}
