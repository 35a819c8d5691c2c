//! The memory limit where no cgroup counts: of an ordinary user, and of root without a memory controller.

use firelet_sandbox::{Launcher, item};

use super::harness::Test;
use super::isolation::{as_ordinary_user, as_root};
use super::world::{finish, python};

pub(crate) const TESTS: &[Test] = &[
    ("memory_of_an_ordinary_users_sandbox_is_counted", memory_of_an_ordinary_user),
    ("memory_without_a_controller_is_counted_for_root_too", memory_without_a_controller),
];

/// What uses up memory, of 128 MB.
const TOO_MUCH: &[(&str, &str)] = &[
    ("of its own", "a = b'x' * (200 << 20)"),
    ("after it did nothing for a while", "time.sleep(3)\na = b'x' * (200 << 20)"),
    ("of children", "for i in range(3):\n  if os.fork() == 0: a = b'x' * (60 << 20); time.sleep(30)"),
    (
        "of children that write to what they share",
        "a = bytearray(b'x') * (60 << 20)\nfor i in range(3):\n  if os.fork() == 0:\n    \
         for j in range(0, len(a), 4096): a[j] = i\n    time.sleep(30)",
    ),
    ("of one that lets nobody look", "assert LIBC.prctl(4, 0, 0, 0, 0) == 0\na = b'x' * (200 << 20)"),
    (
        "of one that tries to blind who counts",
        "import resource\ntry: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))\nexcept PermissionError: pass\n\
         a = b'x' * (200 << 20)",
    ),
    (
        "in a file without a name",
        "f = os.memfd_create('m')\nfor i in range(200): os.write(f, b'x' * (1 << 20))",
    ),
    (
        "in a mapping that is shared",
        "m = mmap.mmap(-1, 200 << 20)\nfor i in range(0, 200 << 20, 4096): m[i] = 1",
    ),
    (
        "in a segment",
        "s = LIBC.shmget(0, ctypes.c_size_t(200 << 20), 0o1600)\nLIBC.shmat.restype = ctypes.c_void_p\n\
         ctypes.memset(LIBC.shmat(s, None, 0), 1, 200 << 20)",
    ),
    (
        "with a full /tmp",
        "f = open('/tmp/big', 'wb')\nfor i in range(400): f.write(b'x' * (1 << 20))\nf.flush()\na = b'x' * (150 << 20)",
    ),
];

/// What does not, though it may look so.
const ENOUGH: &[(&str, &str)] = &[
    ("of its own", "a = b'x' * (90 << 20)\ntime.sleep(1)"),
    (
        "shared with children",
        "a = b'x' * (90 << 20)\nfor i in range(4):\n  if os.fork() == 0: time.sleep(1.5); os._exit(0)\n\
         for i in range(4): os.wait()",
    ),
    (
        "lent to programs that start",
        "a = b'x' * (90 << 20)\nfor i in range(100): subprocess.run(['/bin/true'], check=True)",
    ),
    (
        "of one child after the other",
        "for i in range(8):\n  if os.fork() == 0: a = b'x' * (90 << 20); os._exit(0)\n  os.wait()",
    ),
    (
        "in a file without a name that is mapped",
        "f = os.memfd_create('m')\nos.truncate(f, 80 << 20)\nm = mmap.mmap(f, 80 << 20)\n\
         for i in range(0, 80 << 20, 4096): m[i] = 1\ntime.sleep(1)",
    ),
    (
        "in mapped files of /tmp",
        "f = open('/tmp/big', 'w+b')\nfor i in range(400): f.write(b'x' * (1 << 20))\nf.flush()\n\
         m = mmap.mmap(f.fileno(), 400 << 20)\nfor i in range(0, 400 << 20, 4096): m[i]\na = b'x' * (60 << 20)\ntime.sleep(1)",
    ),
    ("reserved only", "m = mmap.mmap(-1, 4 << 30)\ntime.sleep(1)"),
];

/// Runs all, and prints what becomes of them.
pub(crate) fn tell(launcher: &Launcher) {
    println!("{:?}", launcher.enforcement().status(item::MEMORY));
    for (name, script) in TOO_MUCH {
        println!("too much memory {name}: {}", run(launcher, script, "time.sleep(30)"));
    }
    for (name, script) in ENOUGH {
        println!("enough memory {name}: {}", run(launcher, script, "print('survived')"));
    }
}

fn run(launcher: &Launcher, script: &str, tail: &str) -> String {
    let head =
        "import ctypes, mmap, os, subprocess, time\nLIBC = ctypes.CDLL(None)\nprint('up', flush=True)\n";
    let outcome = finish(launcher.launch(&python(&format!("{head}{script}\n{tail}"))).unwrap());
    let is_out_of_memory = outcome.status.is_some_and(|(_, is_out_of_memory)| is_out_of_memory);
    if is_out_of_memory { "ended".into() } else { outcome.output.replace('\n', " ") }
}

fn check(output: &str) {
    assert!(output.starts_with("Some(Limited("), "{output}");
    for (name, _) in TOO_MUCH {
        assert!(output.contains(&format!("too much memory {name}: ended\n")), "{name}: {output}");
    }
    for (name, _) in ENOUGH {
        assert!(output.contains(&format!("enough memory {name}: up survived \n")), "{name}: {output}");
    }
}

fn memory_of_an_ordinary_user() {
    check(&as_ordinary_user("role-ordinary-memory", "true", ""));
}

fn memory_without_a_controller() {
    check(&as_root("role-ordinary-memory", "umount -R /sys/fs/cgroup"));
}
