//! Memory, processes, `/tmp`, descriptors: what a sandbox cannot use more of.

use firelet_sandbox::End;

use super::harness::Test;
use super::world::{MB, World, python, shell, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("too_much_memory_is_reported_as_out_of_memory", too_much_memory),
    ("too_much_memory_in_a_child_process_counts", too_much_memory_in_a_child),
    ("shared_memory_counts_as_memory", shared_memory_counts),
    ("files_in_tmp_do_not_count_as_memory", files_in_tmp_do_not_count),
    ("memory_is_still_bounded_with_a_full_tmp", memory_is_bounded_with_a_full_tmp),
    ("room_of_files_that_are_gone_is_no_memory", room_of_files_that_are_gone),
    ("memory_in_the_place_of_files_is_memory", memory_in_the_place_of_files),
    ("tmp_is_bounded_in_bytes_and_inodes", tmp_is_bounded),
    ("a_fork_bomb_stays_inside", a_fork_bomb_stays_inside),
    ("resource_limits_are_those_of_lambda", resource_limits),
    ("peak_memory_is_told", peak_memory_is_told),
    ("processor_time_is_capped", processor_time_is_capped),
];

const OUT_OF_MEMORY: Option<(End, bool)> = Some((End::Signaled(9), true));

fn too_much_memory() {
    let outcome =
        World::new().python("print('up', flush=True); a = b'x' * (200 << 20); import time; time.sleep(30)");
    assert_eq!(outcome.output, "up\n");
    assert_eq!(outcome.status, OUT_OF_MEMORY);
}

fn too_much_memory_in_a_child() {
    let script =
        "for i in 1 2 3; do python3 -c 'import time; a = b\"x\" * (60 << 20); time.sleep(30)' & done; wait";
    assert_eq!(World::new().shell(script).status, OUT_OF_MEMORY);
}

fn shared_memory_counts() {
    let script = "import os, time\nf = os.memfd_create('m')\nfor i in range(200): os.write(f, b'x' * (1 << 20))\ntime.sleep(30)";
    assert_eq!(World::new().python(script).status, OUT_OF_MEMORY);
}

const FILL_TMP: &str =
    "f = open('/tmp/big', 'wb')\nfor i in range(400): f.write(b'x' * (1 << 20))\nf.flush()\n";

fn files_in_tmp_do_not_count() {
    let outcome = World::new().python(&format!("{FILL_TMP}a = b'x' * (60 << 20)\nprint('survived')"));
    assert_eq!(outcome.output, "survived\n");
    let peak = outcome.peak_memory_bytes;
    assert!(peak < 128 * MB, "{peak}");
}

fn memory_is_bounded_with_a_full_tmp() {
    let outcome =
        World::new().python(&format!("{FILL_TMP}a = b'x' * (150 << 20)\nimport time; time.sleep(30)"));
    assert_eq!(outcome.status, OUT_OF_MEMORY);
}

fn room_of_files_that_are_gone() {
    let script = "import os, time\ntime.sleep(1)\nf.close()\nos.unlink('/tmp/big')\na = b'x' * (150 << 20)\ntime.sleep(30)";
    assert_eq!(World::new().python(&format!("{FILL_TMP}{script}")).status, OUT_OF_MEMORY);
}

fn memory_in_the_place_of_files() {
    let script = "import os, time\nfor i in range(40): open(f'/tmp/{i}', 'wb').write(b'x' * (10 << 20))\ntime.sleep(1)\nkept = []\n\
                  for i in range(40):\n  os.unlink(f'/tmp/{i}')\n  kept.append(b'x' * (10 << 20))\ntime.sleep(30)";
    assert_eq!(World::new().python(script).status, OUT_OF_MEMORY);
}

fn tmp_is_bounded() {
    let script = "dd if=/dev/zero of=/tmp/big bs=1M count=600 2>&1 | grep -o 'No space left on device'; \
                  i=0; while mkdir /tmp/d$i 2>/dev/null; do i=$((i+1)); done; rm /tmp/big; mkdir /tmp/d$i && echo room";
    let mut spec = shell(script);
    spec.tmp_bytes = 16 * MB;
    let output = World::new().run(&spec).output;
    assert!(output.starts_with("No space left on device"), "{output}");
}

fn a_fork_bomb_stays_inside() {
    let script = "import os\nn = 0\ntry:\n  while n < 5000:\n    if os.fork() == 0:\n      import signal; signal.pause()\n    n += 1\n\
                  except OSError as error:\n  print(error.errno, n)";
    let mut spec = python(script);
    spec.processes = 32;
    let output = World::new().run(&spec).output;
    assert_eq!(output, "11 31\n");
}

fn resource_limits() {
    let script = "import resource as r\nfor l in (r.RLIMIT_NOFILE, r.RLIMIT_CORE, r.RLIMIT_MEMLOCK, r.RLIMIT_NPROC): print(r.getrlimit(l))";
    let output = World::new().python(script).output;
    assert_eq!(output, "(1024, 1024)\n(0, 0)\n(65536, 65536)\n(128, 128)\n");
}

fn peak_memory_is_told() {
    let world = World::new();
    let script = "a = b'x' * (80 << 20)\ndel a\nprint('done', flush=True)\nimport time; time.sleep(30)";
    let mut sandbox = world.launcher.launch(&python(script)).unwrap();
    let mut output = std::fs::File::from(sandbox.take_output());
    wait_for("the allocation", || std::io::Read::read_exact(&mut output, &mut [0; 5]).ok());
    let living = sandbox.usage().peak_memory_bytes / MB;
    assert!((80..110).contains(&living), "{living} MB");
    assert_eq!(sandbox.usage().peak_memory_bytes / MB, living);
    let ended = world.python("a = b'x' * (80 << 20)\ndel a").peak_memory_bytes / MB;
    assert!((80..110).contains(&ended), "{ended} MB");
}

fn processor_time_is_capped() {
    // Every process goes on until the same moment, however late a busy host lets it start.
    let script = "import os, time\nstart = time.monotonic()\nfor i in range(3): os.fork()\n\
                  while time.monotonic() < start + 0.5: pass\nprint(time.process_time(), time.monotonic() - start)";
    let mut spec = python(script);
    spec.cpu.cap_milli = 250;
    let output = World::new().run(&spec).output;
    let (used, passed): (Vec<f64>, Vec<f64>) = output
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(used, passed)| (used.parse::<f64>().unwrap(), passed.parse::<f64>().unwrap()))
        .unzip();
    let total: f64 = used.iter().sum();
    let longest = passed.iter().copied().fold(0.5, f64::max);
    // A quarter, and what the interpreter took to start.
    assert!(total < longest / 2.0 + 0.1, "{output}");
}
