//! Real interpreters and compiled programs run inside as they do outside.

use super::harness::Test;
use super::world::{MB, World, mount, spec};

pub(crate) const TESTS: &[Test] = &[
    ("python_runs_with_threads_and_processes", python_runs),
    ("python_from_a_mounted_prefix_runs_mounted_code", python_from_a_prefix_runs),
    ("node_runs_with_worker_threads", node_runs),
    ("a_rust_program_runs_with_threads", a_rust_program_runs),
];

const PYTHON: &str = r#"
import asyncio, concurrent.futures, ctypes, json, os, select, signal, socket, sqlite3, ssl, subprocess, tempfile, threading, time
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(lambda n: n * n, range(100))) == 328350
assert subprocess.run(["/bin/echo", "child"], capture_output=True).stdout == b"child\n"
assert asyncio.run(asyncio.sleep(0.001, "slept")) == "slept"
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x"); file.flush(); assert os.path.getsize(file.name) == 1
assert os.memfd_create("m") and os.eventfd(0) and os.getrandom(8)
assert os.pidfd_open(os.getpid()) and os.sched_getaffinity(0)
assert len(ssl.create_default_context().get_ca_certs()) > 10
assert sqlite3.connect("/tmp/db").execute("create table t(a)") is not None
assert socket.gethostbyname("localhost") == "127.0.0.1"
assert socket.gethostbyname(socket.gethostname()) == "127.0.0.1"
import pwd; assert pwd.getpwuid(os.getuid()).pw_name == "sbx_user1051"
print("well")
"#;

fn python_runs() {
    assert_eq!(World::new().python(PYTHON).output, "well\n");
}

fn python_from_a_prefix_runs() {
    let world = World::new();
    let code = world.file("handler.py", "import json\nprint(json.dumps({'a': 1}))\n");
    let mut spec = spec(&["/var/lang/bin/python3.11", "/var/task/handler.py"]);
    spec.mounts = vec![mount("/usr".as_ref(), "/var/lang"), mount(&code, "/var/task")];
    spec.working_directory = "/var/task".into();
    assert_eq!(world.run(&spec).output, "{\"a\": 1}\n");
}

const NODE: &str = r#"
const { Worker } = require('worker_threads');
const fs = require('fs'), os = require('os'), dns = require('dns'), http = require('http'), zlib = require('zlib');
const { execFileSync } = require('child_process');
fs.writeFileSync('/tmp/file', 'x');
fs.watch('/tmp').close();
os.cpus(); os.networkInterfaces(); os.userInfo();
zlib.gzipSync('x');
if (execFileSync('/bin/echo', ['child']).toString() !== 'child\n') throw new Error('child');
const server = http.createServer((request, response) => response.end('served')).listen(8080, '127.0.0.1', () =>
  http.get('http://localhost:8080', (response) => response.on('data', (data) => {
    server.close();
    const worker = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
    worker.on('message', (answer) => console.log(String(data), answer));
  })));
"#;

fn node_runs() {
    let world = World::new();
    let mut spec = spec(&["/usr/bin/node", "-e", NODE]);
    spec.memory_bytes = 256 * MB;
    assert_eq!(world.run(&spec).output, "served 42\n");
}

fn a_rust_program_runs() {
    let world = World::new();
    let program = world.directory.path().join("program");
    std::fs::copy("/proc/self/exe", &program).unwrap();
    let mut spec = spec(&["/mnt/program", "role-threads", "/tmp"]);
    std::fs::create_dir(world.directory.path().join("code")).unwrap();
    std::fs::rename(&program, world.directory.path().join("code/program")).unwrap();
    spec.mounts = vec![mount(&world.directory.path().join("code"), "/mnt")];
    assert_eq!(world.run(&spec).output, "28\n");
}
