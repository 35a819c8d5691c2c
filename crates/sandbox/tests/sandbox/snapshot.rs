//! Processes that are captured in one sandbox and go on in others.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use firelet_sandbox::{End, Error, Launcher, Snapshot, SnapshotError, Spec, Step, read_exit};

use super::harness::Test;
use super::isolation::as_ordinary_user;
use super::world::{MB, World, finish, mount, python, shell, spec, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("a_captured_python_goes_on_in_other_sandboxes", a_captured_python_goes_on),
    ("an_ordinary_user_can_capture_and_restore", an_ordinary_user_can_capture),
    ("root_of_a_rootless_container_can_capture_and_restore", root_of_a_rootless_container_can_capture),
    ("descriptors_of_a_captured_process_come_back", descriptors_come_back),
    ("files_of_tmp_of_a_captured_process_come_back", files_of_tmp_come_back),
    ("threads_of_a_captured_process_come_back", threads_come_back),
    ("signals_timers_and_the_heap_of_a_captured_process_come_back", signals_come_back),
    ("a_rust_program_and_node_go_on_too", a_rust_program_and_node_go_on),
    ("a_restored_process_has_no_more_rights_than_any_other", a_restored_process_has_no_more_rights),
    ("what_cannot_be_made_again_is_refused_with_its_name", what_cannot_be_made_again_is_refused),
    ("a_process_that_left_another_is_refused", a_process_that_left_another_is_refused),
    ("a_frozen_process_can_be_captured", a_frozen_process_can_be_captured),
    ("a_restored_process_can_be_captured_again", a_restored_process_can_be_captured_again),
    ("several_processes_go_on_from_one_snapshot_at_a_time", several_processes_go_on_at_a_time),
    (
        "a_process_that_makes_threads_without_end_does_not_escape",
        a_process_that_makes_threads_does_not_escape,
    ),
    ("a_kill_in_the_middle_of_a_capture_is_told", a_kill_in_the_middle_of_a_capture_is_told),
    ("a_process_that_cannot_be_stopped_is_given_up", a_process_that_cannot_be_stopped_is_given_up),
    ("a_process_too_large_for_its_new_sandbox_is_told", a_process_too_large_is_told),
    ("a_changed_file_is_told", a_changed_file_is_told),
];

/// Waits at the end of a connection to the server, as a runtime does.
const PARKED: &str = "import os, socket, sys, time\nconnection = socket.create_connection(('127.0.0.1', 9001))\n\
                      def park():\n  print('parked', flush=True)\n  return connection.recv(1)\n";

fn hear(output: &mut File, word: &str) -> String {
    let mut bytes = Vec::new();
    wait_for(word, || {
        let _ = output.read_to_end(&mut bytes);
        bytes.ends_with(word.as_bytes()).then_some(())
    });
    String::from_utf8(bytes).unwrap()
}

/// Launches, waits until the program says that it is parked, and captures it.
fn try_capture(launcher: &Launcher, spec: &Spec) -> Result<Snapshot, SnapshotError> {
    let mut sandbox = launcher.launch(spec).unwrap();
    hear(&mut File::from(sandbox.take_output()), "parked\n");
    sandbox.snapshot()
}

fn capture(launcher: &Launcher, script: &str) -> Snapshot {
    try_capture(launcher, &python(&format!("{PARKED}{script}"))).unwrap()
}

fn from(snapshot: &Snapshot) -> Spec {
    Spec { snapshot: Some(snapshot.clone()), ..shell("echo not restored") }
}

/// What a script prints from where it is parked, in a sandbox that it goes on in.
#[track_caller]
fn check(script: &str, expected: &str) {
    let world = World::new();
    let snapshot = capture(&world.launcher, script);
    let outcome = finish(world.launcher.launch(&from(&snapshot)).unwrap());
    assert_eq!(outcome.output, expected);
    assert_eq!(outcome.status, Some((End::Exited(0), false)));
}

#[track_caller]
fn check_refused(script: &str, reason: &str) {
    let world = World::new();
    let result = try_capture(&world.launcher, &python(&format!("{PARKED}{script}")));
    let Err(SnapshotError::Unsupported { reason: given }) = result else { panic!("{result:?}") };
    assert!(given.contains(reason), "{given}");
    assert_eq!(world.shell("echo well").output, "well\n");
}

const STATE: &str = "state = {'count': 41, 'text': 'x' * 3_000_000}\n\
                     print(park(), os.getpid(), os.getcwd(), state['count'] + 1, len(state['text']), flush=True)\n\
                     more = [str(number) for number in range(300_000)]\nprint(len(more), open('/proc/self/comm').read())";

/// What a process prints that was captured once and goes on three times.
pub(crate) fn capture_and_go_on(launcher: &Launcher) -> String {
    let snapshot = capture(launcher, STATE);
    assert!(snapshot.size() > 3 << 20);
    let go_on = |_| finish(launcher.launch(&from(&snapshot)).unwrap()).output;
    (0..3).map(go_on).collect()
}

const GONE_ON: &str = "b'' 2 /tmp 42 3000000\n300000 python3\n\n";

fn a_captured_python_goes_on() {
    assert_eq!(capture_and_go_on(&World::new().launcher), GONE_ON.repeat(3));
}

fn an_ordinary_user_can_capture() {
    let output = as_ordinary_user("role-ordinary-snapshot", "true", "");
    assert_eq!(output, format!("{}\n", GONE_ON.repeat(3)));
}

fn root_of_a_rootless_container_can_capture() {
    let output = as_ordinary_user("role-ordinary-snapshot", "true", "unshare --user --map-root-user");
    assert_eq!(output, format!("{}\n", GONE_ON.repeat(3)));
}

fn descriptors_come_back() {
    check(DESCRIPTORS, "well\n");
}

const DESCRIPTORS: &str = r#"
import fcntl, select, threading
reader, writer = os.pipe()
os.write(writer, b"waits")
copy = fcntl.fcntl(writer, fcntl.F_DUPFD, 100)
half, gone = os.pipe()
os.close(gone)
one, other = socket.socketpair()
one.sendall(b"for the other")
other.setblocking(False)
file = open("/tmp/file", "w+b", buffering=0)
file.write(b"0123456789")
file.seek(4)
appended = os.open("/tmp/file", os.O_RDWR | os.O_APPEND)
zero = os.open("/dev/zero", os.O_RDONLY)
listener = socket.create_server(("127.0.0.1", 4321))
library = open(os.__file__, "rb")
library.seek(100)
after = library.peek(10)[:10]
event = os.eventfd(7, os.EFD_NONBLOCK) if hasattr(os, "eventfd") else None
poll = select.epoll()
poll.register(reader, select.EPOLLIN)
poll.register(event, select.EPOLLIN)
os.chdir("/var")
os.umask(0o027)
before = sorted(os.listdir("/proc/self/fd"), key=int)
park()
now = sorted(os.listdir("/proc/self/fd"), key=int)
assert before == now, (before, now)
assert sorted(number for number, _ in poll.poll(0)) == sorted([reader, event])
assert os.read(reader, 100) == b"waits"
os.write(copy, b"more")
assert os.read(reader, 100) == b"more"
assert os.read(half, 1) == b""
assert other.recv(100) == b"for the other"
other.setblocking(True)
other.sendall(b"back")
assert one.recv(100) == b"back"
assert file.read() == b"456789"
os.write(appended, b"ab")
assert os.pread(appended, 100, 0) == b"0123456789ab"
assert os.read(zero, 2) == bytes(2)
assert library.read(10) == after
assert os.eventfd_read(event) == 7
try:
    os.eventfd_read(event)
    raise SystemExit("blocks")
except BlockingIOError:
    pass
client = socket.create_connection(("127.0.0.1", 4321))
accepted, _ = listener.accept()
client.sendall(b"x")
assert accepted.recv(1) == b"x"
assert os.getcwd() == "/var" and os.umask(0) == 0o027
assert fcntl.fcntl(copy, fcntl.F_GETFD) & fcntl.FD_CLOEXEC == 0
assert fcntl.fcntl(reader, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
print("well")
"#;

fn files_of_tmp_come_back() {
    check(
        FILES, "well
",
    );
}

const FILES: &str = r#"
os.makedirs("/tmp/a/b")
open("/tmp/a/b/file", "w").write("content " * 100_000)
os.chmod("/tmp/a/b/file", 0o640)
os.utime("/tmp/a/b/file", (1_000_000_000, 1_100_000_000.5))
with open("/tmp/sparse", "wb") as sparse:
    sparse.truncate(200 << 20)
    sparse.seek(100 << 20)
    sparse.write(b"middle")
os.symlink("a/b/file", "/tmp/link")
os.mkfifo("/tmp/pipe")
os.mkdir("/tmp/closed")
open("/tmp/closed/inside", "w").write("x")
os.chmod("/tmp/closed", 0o500)
os.utime("/tmp/a", (1_000_000_000, 1_200_000_000))
open("/tmp/empty", "w")
park()
assert open("/tmp/link").read() == "content " * 100_000
status = os.stat("/tmp/a/b/file")
assert status.st_mode & 0o7777 == 0o640 and status.st_mtime == 1_100_000_000.5 and status.st_uid == os.getuid()
assert os.stat("/tmp/a").st_mtime == 1_200_000_000
status = os.stat("/tmp/sparse")
assert status.st_size == 200 << 20 and status.st_blocks < 1000
with open("/tmp/sparse", "rb") as sparse:
    sparse.seek((100 << 20) - 2)
    assert sparse.read(10) == bytes(2) + b"middle" + bytes(2)
assert os.listdir("/tmp/closed") == ["inside"] and os.stat("/tmp/closed").st_mode & 0o777 == 0o500
assert sorted(os.listdir("/tmp")) == ["a", "closed", "empty", "link", "pipe", "sparse"]
print("well")
"#;

fn threads_come_back() {
    check(
        THREADS, "well
",
    );
}

const THREADS: &str = r#"
import queue, select, signal, threading
waits = []
def in_condition(condition, answers):
    with condition:
        waits.append(1)
        condition.wait()
        answers.put("condition")
def in_sleep(answers):
    waits.append(1)
    time.sleep(0.05)
    answers.put("sleep")
def in_select(reader, answers):
    waits.append(1)
    select.select([reader], [], [])
    answers.put("select")
def in_queue(jobs, answers):
    waits.append(1)
    answers.put(jobs.get(timeout=1000))
def short():
    pass
condition, answers, jobs = threading.Condition(), queue.Queue(), queue.Queue()
reader, writer = os.pipe()
for _ in range(5):
    gone = threading.Thread(target=short)
    gone.start()
    gone.join()
threads = [
    threading.Thread(target=in_condition, args=(condition, answers)),
    threading.Thread(target=in_sleep, args=(answers,)),
    threading.Thread(target=in_select, args=(reader, answers)),
    threading.Thread(target=in_queue, args=(jobs, answers)),
]
for thread in threads:
    thread.start()
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
numbers = [threading.get_native_id()] + [thread.native_id for thread in threads]
while len(waits) < 4:
    time.sleep(0.001)
park()
assert sorted(int(number) for number in os.listdir("/proc/self/task")) == sorted(numbers) or not threads[1].is_alive()
with condition:
    condition.notify()
os.write(writer, b"x")
jobs.put("queue")
assert sorted(answers.get(timeout=10) for _ in range(4)) == ["condition", "queue", "select", "sleep"]
for thread in threads:
    thread.join()
os.kill(os.getpid(), signal.SIGUSR1)
assert handled == [1]
more = threading.Thread(target=lambda: answers.put("more"))
more.start()
assert answers.get(timeout=10) == "more"
signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
assert handled == [1, 1]
print("well")
"#;

fn signals_come_back() {
    check(SIGNALS, "well\n");
}

const SIGNALS: &str = r#"
import ctypes, faulthandler, signal
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
def stack():
    found = Stack()
    assert libc.sigaltstack(None, ctypes.byref(found)) == 0
    return found.start, found.size, found.flags
faulthandler.enable()
handled = []
signal.signal(signal.SIGALRM, lambda *_: handled.append("timer"))
signal.signal(signal.SIGUSR1, lambda *_: handled.append("user"))
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.setitimer(signal.ITIMER_REAL, 0.5, 1000)
libc.prctl(15, b"renamed", 0, 0, 0)
before = stack(), libc.sbrk(0), open("/proc/self/stat").read().rsplit(") ", 1)[1].split()[23:26]
assert before[0][1] > 0
park()
now = stack(), libc.sbrk(0), open("/proc/self/stat").read().rsplit(") ", 1)[1].split()[23:26]
assert before == now, (before, now)
assert libc.sbrk(1 << 20) == before[1] and libc.sbrk(0) == before[1] + (1 << 20)
while not handled:
    time.sleep(0.01)
assert handled == ["timer"] and 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
os.kill(os.getpid(), signal.SIGUSR2)
os.kill(os.getpid(), signal.SIGUSR1)
assert handled == ["timer"]
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
assert handled == ["timer", "user"]
assert open("/proc/self/comm").read() == "renamed\n"
assert libc.sched_getcpu() in os.sched_getaffinity(0)
print("well")
"#;

const NODE: &str = "const socket = require('net').connect(9001, '127.0.0.1', () => console.log('parked'));\n\
                    socket.resume().on('error', () => {}).on('close', () => {\n\
                    setTimeout(() => { console.log('goes on', process.pid); process.exit(0); }, 1); });";

fn a_rust_program_and_node_go_on() {
    let world = World::new();
    let code = world.directory.path().join("code");
    std::fs::create_dir(&code).unwrap();
    std::fs::copy("/proc/self/exe", code.join("program")).unwrap();
    let mut node = spec(&["/usr/bin/node", "-e", NODE]);
    node.memory_bytes = 512 * MB;
    let mut program = spec(&["/mnt/program", "role-parked", "/tmp"]);
    program.mounts = vec![mount(&code, "/mnt")];
    for spec in [program, node] {
        let snapshot = Some(try_capture(&world.launcher, &spec).unwrap());
        let outcome = finish(world.launcher.launch(&Spec { snapshot, ..spec }).unwrap());
        assert_eq!(outcome.output, "goes on 2\n");
    }
}

/// All that tells what a process may do, and who may look into it.
const RIGHTS: &str = r#"
park()
wanted = ("Cap", "NoNewPrivs", "Seccomp", "Groups", "Uid", "Gid", "TracerPid", "Threads", "SigIgn", "SigBlk")
print([line for line in open("/proc/self/status") if line.startswith(wanted)])
print(open("/proc/self/limits").read(), open("/proc/self/cgroup").read(), open("/proc/self/oom_score_adj").read())
print(sorted(os.listdir("/proc/self/fd")), [number for number in os.listdir("/proc") if number.isdigit()])
print(open("/proc/self/cmdline").read(), open("/proc/self/auxv", "rb").read() != b"", os.readlink("/proc/self/exe"))
print([os.access(place, os.W_OK) for place in ("/", "/usr", "/var/task", "/tmp")], os.getpriority(0, 0), os.getsid(0))
print([line.split()[-1] for line in open("/proc/self/maps") if line.split()[1].endswith("s")])
print("done")
"#;

fn a_restored_process_has_no_more_rights() {
    let world = World::new();
    let mut sandbox = world.launcher.launch(&python(&format!("{PARKED}{RIGHTS}"))).unwrap();
    let listener = sandbox.take_listener().unwrap();
    let mut connection = wait_for("the connection", || listener.accept().ok()).0;
    let mut output = File::from(sandbox.take_output());
    hear(&mut output, "parked\n");
    connection.write_all(b"x").unwrap();
    let ordinary = hear(&mut output, "done\n");
    let snapshot = capture(&world.launcher, RIGHTS);
    let restored = finish(world.launcher.launch(&from(&snapshot)).unwrap()).output;
    assert!(restored.contains("TracerPid:\\t0") && restored.contains("Seccomp:\\t2"), "{restored}");
    assert_eq!(restored, ordinary);
}

fn what_cannot_be_made_again_is_refused() {
    let refused = [
        ("import subprocess; child = subprocess.Popen(['sleep', '1000'])", "more than one process"),
        ("file = open('/tmp/x', 'w'); os.remove('/tmp/x')", "/tmp/x (deleted)"),
        (
            "import mmap; file = open('/tmp/x', 'w+b'); file.truncate(4096); m = mmap.mmap(file.fileno(), 4096)",
            "/tmp/x, mapped to be written to",
        ),
        (
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 5555))",
            "a socket of family 2 and type 2",
        ),
        ("s = socket.socket(socket.AF_UNIX); s.bind('/tmp/socket')", "a Unix socket with a name"),
        ("os.dup2(1, 1001)", "descriptor 1001"),
        ("file = os.memfd_create('x')", "/memfd:x"),
    ];
    for (script, reason) in refused {
        check_refused(&format!("{script}\npark()"), reason);
    }
}

fn a_process_that_left_another_is_refused() {
    let script = "if os.fork() == 0:\n  os.setsid()\n  if os.fork():\n    os._exit(0)\n  time.sleep(1000)\n\
                  os.wait()\npark()";
    check_refused(script, "more than one process");
}

fn a_frozen_process_can_be_captured() {
    let world = World::new();
    let mut sandbox = world.launcher.launch(&python(&format!("{PARKED}park()\nprint('goes on')"))).unwrap();
    hear(&mut File::from(sandbox.take_output()), "parked\n");
    sandbox.freeze().unwrap();
    let snapshot = sandbox.snapshot().unwrap();
    let exit = sandbox.take_exit();
    wait_for("the end of the captured sandbox", || read_exit(&exit).ok());
    assert_eq!(finish(world.launcher.launch(&from(&snapshot)).unwrap()).output, "goes on\n");
    assert!(matches!(sandbox.snapshot(), Err(SnapshotError::Failed(_))));
}

fn a_restored_process_can_be_captured_again() {
    let world = World::new();
    let first = capture(
        &world.launcher,
        "connection = None\npark = lambda: input() if False else time.sleep(0.2)\n\
                        data = [str(number) for number in range(100_000)]\nprint('parked', flush=True)\npark()\n\
                        print('parked', flush=True)\npark()\nprint(sum(map(len, data)))",
    );
    let second = try_capture(&world.launcher, &from(&first)).unwrap();
    assert!(finish(world.launcher.launch(&from(&second)).unwrap()).output.ends_with("488890\n"));
}

fn several_processes_go_on_at_a_time() {
    let world = World::new();
    let snapshot = capture(
        &world.launcher,
        "data = os.urandom(100_000)\npark()\ndata += os.urandom(8)\n\
                           print(hash(data[:-8]), data[-8:].hex())",
    );
    let launch = || finish(world.launcher.launch(&from(&snapshot)).unwrap()).output;
    let outputs: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(launch)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut words: Vec<(&str, &str)> = outputs.iter().map(|output| output.split_once(' ').unwrap()).collect();
    words.sort_unstable();
    assert!(words.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1), "{words:?}");
}

fn a_process_that_makes_threads_does_not_escape() {
    let world = World::new();
    let script = "import threading\ndef more():\n  while True:\n    thread = threading.Thread(target=time.sleep, args=(0,))\n    \
                  thread.start()\n    thread.join()\nfor _ in range(8):\n  threading.Thread(target=more).start()\npark()";
    for _ in 0..5 {
        match try_capture(&world.launcher, &python(&format!("{PARKED}{script}"))) {
            // How far numbers of threads are apart is chance.
            Ok(snapshot) => drop(world.launcher.launch(&from(&snapshot))),
            Err(SnapshotError::Unsupported { reason }) => assert!(reason.contains("threads"), "{reason}"),
            Err(SnapshotError::Failed(error)) => panic!("{error:?}"),
        }
    }
    assert_eq!(world.shell("echo well").output, "well\n");
}

fn a_kill_in_the_middle_of_a_capture_is_told() {
    let world = World::new();
    let script = format!("{PARKED}text = 'x' * 20_000_000\npark()");
    for round in 0..12 {
        let mut sandbox = world.launcher.launch(&python(&script)).unwrap();
        hear(&mut File::from(sandbox.take_output()), "parked\n");
        std::thread::scope(|scope| {
            let capture = scope.spawn(|| sandbox.snapshot());
            let due = Instant::now() + Duration::from_millis(1) * round;
            wait_for("the moment of the kill", || (Instant::now() >= due).then_some(()));
            sandbox.kill();
            if let Err(error) = capture.join().unwrap() {
                assert!(matches!(error, SnapshotError::Failed(_)), "{error:?}");
            }
        });
    }
    assert_eq!(world.shell("echo well").output, "well\n");
}

/// A parent waits for the child of a `vfork` where no tracer can stop it.
fn a_process_that_cannot_be_stopped_is_given_up() {
    let world = World::new();
    let script = "import ctypes, platform\nnumber = {'x86_64': 56, 'aarch64': 220}[platform.machine()]\n\
                  print('parked', flush=True)\n\
                  if ctypes.CDLL(None).syscall(number, 0x4000 | 17, 0, 0, 0, 0) == 0:\n  time.sleep(1000)";
    let mut sandbox = world.launcher.launch(&python(&format!("{PARKED}{script}"))).unwrap();
    hear(&mut File::from(sandbox.take_output()), "parked\n");
    wait_for("the child", || {
        let process = sandbox.process_id().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        children.is_ok_and(|children| !children.is_empty()).then_some(())
    });
    let error = sandbox.snapshot().unwrap_err();
    assert!(matches!(&error, SnapshotError::Failed(Error::Isolate { step: Step::Capture, .. })), "{error:?}");
    assert_eq!(world.shell("echo well").output, "well\n");
}

fn a_process_too_large_is_told() {
    let world = World::new();
    let snapshot = capture(&world.launcher, "text = bytearray(b'x' * 60_000_000)\npark()\nprint(len(text))");
    let mut small = from(&snapshot);
    small.memory_bytes = 30 << 20;
    let error = world.launcher.launch(&small).unwrap_err();
    assert!(matches!(&error, Error::Isolate { step: Step::Restore, .. }), "{error:?}");
    assert_eq!(finish(world.launcher.launch(&from(&snapshot)).unwrap()).output, "60000000\n");
}

fn a_changed_file_is_told() {
    let world = World::new();
    let code = world.file("data.txt", "before");
    let mut spec = python(&format!("{PARKED}file = open('/mnt/data.txt')\npark()\nprint(file.read())"));
    spec.mounts = vec![mount(&code, "/mnt")];
    let snapshot = try_capture(&world.launcher, &spec).unwrap();
    let again = Spec { mounts: spec.mounts.clone(), ..from(&snapshot) };
    assert_eq!(finish(world.launcher.launch(&again).unwrap()).output, "before\n");
    world.file("data.txt", "quite another");
    let error = world.launcher.launch(&again).unwrap_err();
    assert!(matches!(&error, Error::Isolate { step: Step::Restore, .. }), "{error:?}");
}
