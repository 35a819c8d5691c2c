//! What a hostile guest sees and may do: as little as possible.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use firelet_sandbox::{End, EnforcementStatus, Network};

use super::harness::Test;
use super::world::{World, finish, mount, python, read_all, shell, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("everything_is_enforced_for_root_on_this_machine", everything_is_enforced),
    ("the_guest_is_lambdas_user_without_capabilities", the_guest_has_no_capabilities),
    ("only_the_standard_descriptors_are_open", only_standard_descriptors),
    ("host_files_are_out_of_sight", host_files_are_out_of_sight),
    ("nothing_but_tmp_can_be_written", nothing_but_tmp_can_be_written),
    ("host_processes_are_out_of_sight", host_processes_are_out_of_sight),
    ("system_files_belong_to_root", system_files_belong_to_root),
    ("mounts_are_read_only_and_ignore_setuid", mounts_are_restricted),
    ("host_secrets_in_proc_are_masked", proc_is_masked),
    ("every_namespace_is_its_own", every_namespace_is_its_own),
    ("two_sandboxes_have_different_host_users", different_host_users),
    ("dangerous_system_calls_are_refused", dangerous_calls_are_refused),
    ("foreign_call_tables_kill", foreign_tables_kill),
    ("the_guest_is_as_nice_as_the_server", niceness_is_the_servers),
    ("signals_arrive_with_their_defaults", signals_are_default),
    ("the_network_has_only_loopback_and_the_listener", network_is_isolated),
    ("the_host_network_can_be_shared", host_network),
    ("an_ordinary_user_can_launch_too", an_ordinary_user_can_launch),
    ("root_of_a_rootless_container_can_launch_too", root_of_a_rootless_container_can_launch),
    ("a_refused_proc_is_told", a_refused_proc_is_told),
    ("refused_user_namespaces_are_told_with_a_remedy", refused_user_namespaces_are_told_with_a_remedy),
];

fn everything_is_enforced() {
    let world = World::new();
    let missing: Vec<_> = world
        .launcher
        .enforcement()
        .items
        .iter()
        .filter(|item| item.status != EnforcementStatus::Enforced)
        .collect();
    assert!(world.launcher.enforcement().is_complete(), "{missing:?}");
}

fn the_guest_has_no_capabilities() {
    let output =
        World::new().shell("id -u; id -g; id -G; grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status").output;
    let none = "0000000000000000";
    let expected = format!(
        "993\n990\n990\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\nCapAmb:\t{none}\nNoNewPrivs:\t1\nSeccomp:\t2\n"
    );
    assert_eq!(output, expected);
}

fn only_standard_descriptors() {
    let world = World::new();
    let _other = world.launcher.launch(&shell("sleep 1003")).unwrap();
    let script = "import os\nfor f in sorted(os.listdir('/proc/self/fd')):\n  try: print(f, os.readlink('/proc/self/fd/' + f).split(':')[0])\n  except OSError: pass";
    assert_eq!(world.python(script).output, "0 /dev/null\n1 pipe\n2 pipe\n");
}

fn host_files_are_out_of_sight() {
    let output = World::new()
        .shell("ls /; ls /etc; ls /root /home /sys /boot /work 2>/dev/null; ls -A /var /run /mnt /opt")
        .output;
    for name in ["root", "home", "sys", "boot", "work", "shadow", "ssh", "machine-id", "log", "cron.d"] {
        assert!(!output.lines().any(|line| line == name), "{name} in {output}");
    }
}

fn nothing_but_tmp_can_be_written() {
    let world = World::new();
    let code = world.file("code", "x");
    let script = "for d in / /etc /usr /usr/bin /var/task /opt /var /dev /proc /proc/sys/kernel /run /mnt; do \
                  touch $d/x 2>/dev/null && echo wrote $d; done; find / -xdev -writable ! -type l 2>/dev/null; \
                  echo y > /proc/sys/kernel/core_pattern; echo y > /proc/self/oom_score_adj; touch /tmp/x && echo tmp";
    let mut spec = shell(&format!("({script}) 2>/dev/null"));
    spec.mounts = vec![mount(&code, "/var/task")];
    let output = world.run(&spec).output;
    let written: Vec<_> = output.lines().filter(|line| !line.starts_with("/dev/")).collect();
    assert_eq!(written, ["/tmp", "tmp"]);
}

fn host_processes_are_out_of_sight() {
    let output = World::new()
        .shell("echo /proc/[0-9]*; cat /proc/1/environ /proc/1/status 2>&1; kill -9 1 2>&1; echo alive")
        .output;
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("/proc/2"));
    assert!(output.contains("No such file"), "{output}");
    assert!(output.ends_with("alive\n"), "{output}");
}

fn system_files_belong_to_root() {
    let world = World::new();
    let code = world.file("code", "x");
    let mut spec = shell(
        "stat -c '%U:%G %n' / /usr /usr/bin/env /etc/passwd /tmp /var/task/code; echo x > /tmp/f; stat -c %U /tmp/f",
    );
    spec.mounts = vec![mount(&code, "/var/task")];
    let expected = ["/", "/usr", "/usr/bin/env", "/etc/passwd", "/tmp", "/var/task/code"]
        .map(|path| format!("root:root {path}\n"))
        .concat();
    assert_eq!(world.run(&spec).output, format!("{expected}sbx_user1051\n"));
}

fn mounts_are_restricted() {
    let output = World::new().shell("cut -d' ' -f5,6 /proc/self/mountinfo").output;
    for line in output.lines() {
        let (point, options) = line.split_once(' ').unwrap();
        let has = |option| options.split(',').any(|other| other == option);
        assert!(has("ro") || point == "/tmp", "{line}");
        assert!(has("nosuid"), "{line}");
        assert!(
            has("nodev") || (has("noexec") && (point.starts_with("/dev/") || point.starts_with("/proc/"))),
            "{line}"
        );
    }
    assert!(output.lines().count() > 8, "{output}");
}

fn proc_is_masked() {
    let script = "for f in kcore keys key-users timer_list kallsyms kmsg sysrq-trigger; do head -c 1 /proc/$f 2>/dev/null; done; \
                  ls /proc/acpi /proc/scsi 2>/dev/null | grep -v : ; dd if=/dev/zero of=/proc/sysrq-trigger count=0 2>&1 | grep -c denied; echo end";
    let output = World::new().shell(script).output;
    assert!(
        output.trim_end().ends_with("end") && output.trim().lines().all(|line| line.len() < 4),
        "{output}"
    );
}

const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

fn namespaces(world: &World) -> Vec<String> {
    let output = world
        .shell("cd /proc/self/ns; for n in user mnt pid net ipc uts cgroup; do readlink $n; done")
        .output;
    output.lines().map(str::to_owned).collect()
}

fn every_namespace_is_its_own() {
    let world = World::new();
    let (first, second) = (namespaces(&world), namespaces(&world));
    for (place, name) in NAMESPACES.iter().enumerate() {
        let host = std::fs::read_link(Path::new("/proc/self/ns").join(name)).unwrap();
        assert_ne!(first[place], host.to_str().unwrap(), "{name}");
        assert_eq!(first[place].split(':').next(), Some(*name));
        assert_eq!(second.len(), NAMESPACES.len());
    }
    assert_eq!(
        world.shell("hostname; cut -d: -f3 /proc/self/cgroup | sort -u").output.lines().next(),
        Some("sandbox.localdomain")
    );
}

fn different_host_users() {
    let world = World::new();
    let map = || world.shell("cat /proc/self/uid_map").output;
    let (first, second) = (map(), map());
    assert_eq!(first.lines().count(), 2);
    assert_ne!(first, second);
}

const DANGEROUS: &str = r#"
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *arguments):
    result = libc.syscall(number, *[ctypes.c_long(a) for a in arguments])
    print(name, errno.errorcode[ctypes.get_errno()] if result == -1 else 'done')
call('unshare user', 272, 0x10000000)
call('clone user', 56, 0x10000011, 0, 0, 0, 0)
call('clone3', 435, 0, 0)
call('setns', 308, 0, 0)
call('ptrace', 101, 16, 1, 0, 0)
call('mount', 165, 0, 0, 0, 0, 0)
call('umount2', 166, 0, 0)
call('open_tree', 428, 0, 0, 0)
call('move_mount', 429, 0, 0, 0, 0, 0)
call('fsopen', 430, 0, 0)
call('pivot_root', 155, 0, 0)
call('chroot', 161, 0)
call('keyctl', 250, 0, 0, 0)
call('add_key', 248, 0, 0, 0)
call('bpf', 321, 0, 0, 0)
call('perf_event_open', 298, 0, 0, 0, 0, 0)
call('io_uring_setup', 425, 1, 0)
call('userfaultfd', 323, 0)
call('kexec_load', 246, 0, 0, 0, 0)
call('init_module', 175, 0, 0, 0)
call('process_vm_readv', 310, 1, 0, 0, 0, 0)
call('open_by_handle_at', 304, 0, 0, 0)
call('personality', 135, 0x0040000)
call('TIOCSTI', 16, 0, 0x5412, 0)
call('TIOCSTI high bits', 16, 0, 0x100005412, 0)
call('TIOCLINUX', 16, 0, 0x541c, 0)
call('socket packet', 41, 17, 3, 0)
call('socket vsock', 41, 40, 1, 0)
call('socket alg', 41, 38, 5, 0)
call('netlink audit', 41, 16, 3, 9)
call('seccomp', 317, 1, 0, 0)
call('reboot', 169, 0, 0, 0, 0)
call('mknod device', 133, 0, 0x2000, 0)
"#;

fn dangerous_calls_are_refused() {
    let output = World::new().python(DANGEROUS).output;
    assert_eq!(output.lines().count(), 33, "{output}");
    for line in output.lines() {
        let expected = if line.starts_with("clone3") { "ENOSYS" } else { "EPERM" };
        assert!(line.ends_with(expected), "{line}");
    }
}

fn foreign_tables_kill() {
    let x32 = "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)";
    let outcome = World::new().python(x32);
    assert_eq!(outcome.status, Some((End::Signaled(31), false)));
}

fn niceness_is_the_servers() {
    let output = World::new().python("import os; print(os.getpriority(os.PRIO_PROCESS, 0))").output;
    let ours = rustix::process::getpriority_process(None).unwrap();
    assert_eq!(output, format!("{ours}\n"));
}

fn signals_are_default() {
    let output = World::new().shell("grep -E 'Sig(Blk|Ign)|ShdPnd' /proc/self/status").output;
    assert_eq!(output, "ShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

const CALL_HOME: &str = r#"
import socket
s = socket.create_connection(('127.0.0.1', 9001)); s.sendall(b'hello'); print(s.recv(10).decode())
for target in [('1.1.1.1', 80), ('169.254.169.254', 80), ('10.0.0.1', 22)]:
    try: socket.create_connection(target, 1); print('reached', target)
    except OSError as error: print(error.strerror)
print(sorted(name for _, name in socket.if_nameindex()))
"#;

fn network_is_isolated() {
    let world = World::new();
    let mut sandbox = world.launcher.launch(&python(CALL_HOME)).unwrap();
    let listener = sandbox.take_listener().unwrap();
    let (mut stream, _) = wait_for("the guest's call", || listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    stream.write_all(b"welcome").unwrap();
    let output = read_all(sandbox.take_output());
    assert_eq!(
        output,
        "welcome\nNetwork is unreachable\nNetwork is unreachable\nNetwork is unreachable\n['lo']\n"
    );
}

fn host_network() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut spec = python(&format!(
        "import socket; socket.create_connection(('127.0.0.1', {port})); print('connected')"
    ));
    spec.network = Network::Host;
    let mut sandbox = world.launcher.launch(&spec).unwrap();
    assert!(sandbox.take_listener().is_none());
    assert_eq!(finish(sandbox).output, "connected\n");
}

/// What a role that the user nobody plays prints, after `prepare` ran as root and inside of `wrapper`.
pub(crate) fn as_ordinary_user(role: &str, prepare: &str, wrapper: &str) -> String {
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all";
    elsewhere(role, &format!("chown -R 65534:65534 $place; {prepare}"), &format!("{nobody} {wrapper}"))
}

/// What a role that root plays prints, after `prepare` ran in a mount namespace of its own.
pub(crate) fn as_root(role: &str, prepare: &str) -> String {
    elsewhere(role, prepare, "")
}

fn elsewhere(role: &str, prepare: &str, wrapper: &str) -> String {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let script = format!(
        "set -e; place={}; mkdir $place/scratch; cp /proc/{}/exe $place/program; {prepare}; \
         exec {wrapper} $place/program {role} $place",
        directory.path().display(),
        std::process::id()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn check_ordinary(output: &str, more: &[&str]) {
    let always = [
        "user namespace: Enforced\n",
        "own user id for each sandbox: NotEnforced",
        "\n993\n990\n",
        "\n2\nx\n",
        "Some((Exited(0), false))",
    ];
    for expected in always.iter().chain(more) {
        assert!(output.contains(expected), "{expected:?} is not in {output}");
    }
}

/// Without cgroups, processes are counted.
const COUNTED: &str = "memory limit: Limited(\"";

fn an_ordinary_user_can_launch() {
    let output = as_ordinary_user("role-ordinary", "true", "");
    check_ordinary(&output, &["own /proc: Enforced\n", COUNTED, "CapBnd:\t0000000000000000\n"]);
}

fn root_of_a_rootless_container_can_launch() {
    let output = as_ordinary_user("role-ordinary", "true", "unshare --user --map-root-user");
    check_ordinary(&output, &["own /proc: Enforced\n", COUNTED, "CapBnd:\t0000000000000000\n"]);
}

/// Container engines cover parts of `/proc`; the kernel then refuses ordinary users a fresh one.
fn a_refused_proc_is_told() {
    let output = as_ordinary_user("role-ordinary", "mount -t tmpfs none /proc/tty", "");
    let told =
        ["own /proc: Limited(\"sandboxes have an empty /proc: mount /proc: ", "memory limit: NotEnforced"];
    check_ordinary(&output, &told);
}

fn refused_user_namespaces_are_told_with_a_remedy() {
    let none =
        "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --inh-caps=-all --bounding-set=-sys_admin";
    let output = as_ordinary_user(
        "role-ordinary",
        "true",
        &format!("unshare --user --map-root-user sh -c '{none} \"$@\"' sh"),
    );
    assert!(output.contains("CreateUserNamespace"), "{output}");
    assert!(output.contains("sysctl user.max_user_namespaces"), "{output}");
}
