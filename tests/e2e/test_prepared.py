"""Interpreters that are started ahead: functions cannot tell, and get them only where they cannot."""

import concurrent.futures
import json
import re

import pytest

from support import packages
from support.server import Server
from support.traces import PROC, main_processes, read
from support.waiting import wait_for
from support.world import World

PYTHON, NODE = "python3.11", "nodejs20.x"
RUNTIMES = (PYTHON, NODE)

# What a function can see of itself, before and while it is invoked.
SELF = {
    PYTHON: """
import sys
streams = {name: stream_of for name in ("stdin", "stdout", "stderr") for stream_of in [getattr(sys, name)]}
early = {
    "argv": sys.argv[:],
    "orig_argv": sys.orig_argv[:],
    "flags": repr(sys.flags),
    "path": sys.path[:],
    "executable": [sys.executable, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.platlibdir],
    "xoptions": repr(sys._xoptions),
    "warnoptions": sys.warnoptions[:],
    "bytecode": [sys.dont_write_bytecode, sys.pycache_prefix],
    "path_hooks": len(sys.path_hooks),
    "importers": sorted(name for name in sys.path_importer_cache if not name.startswith("/var/lang")),
    "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
    "main": sorted(sys.modules["__main__"].__dict__),
    "file": sys.modules["__main__"].__file__,
    "recursion": sys.getrecursionlimit(),
    "switch": sys.getswitchinterval(),
    "traced": [sys.gettrace(), sys.getprofile()],
    "rehearsed": [name for name in sys.modules if "practice" in name],
}
import builtins, faulthandler, gc, locale, os, resource, signal, subprocess, threading, time, warnings

def stream(one):
    settings = [one.encoding, one.errors, one.line_buffering, one.write_through, one.mode, one.name, one.newlines]
    below = [type(one.buffer).__name__, one.buffer.raw.name, one.buffer.raw.mode, one.buffer.raw.closefd]
    return settings + below + [one.seekable(), one.readable(), one.writable(), one.isatty(), one.fileno()]

def descriptor(number):
    kind = os.readlink("/proc/self/fd/" + number).split(":")[0]
    flags = [line for line in open("/proc/self/fdinfo/" + number) if line.startswith("flags")]
    return [number, kind, flags, os.get_inheritable(int(number))]

def mine(text, names):
    return [line for line in text.splitlines() if line.split(":")[0] in names]

def handler(event, context):
    status = open("/proc/self/status").read()
    return early | {
        "environ": list(os.environ.items()),
        "environb": [list(map(repr, item)) for item in os.environb.items()],
        "child": subprocess.run(["env"], capture_output=True, text=True).stdout,
        "streams": [stream(one) for one in streams.values()],
        "same streams": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "input": [sys.stdin.tell(), sys.stdin.read(), os.read(0, 10).decode()],
        "descriptors": sorted(descriptor(number) for number in os.listdir("/proc/self/fd")[:-1]),
        "directory": os.getcwd(),
        "command": open("/proc/self/cmdline").read(),
        "name": open("/proc/self/comm").read(),
        "status": mine(status, {
            "Umask", "State", "PPid", "TracerPid", "Uid", "Gid", "Groups", "Threads", "SigPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp",
            "Seccomp_filters", "Cpus_allowed",
        }),
        "limits": open("/proc/self/limits").read(),
        "score": open("/proc/self/oom_score_adj").read(),
        "nice": os.nice(0),
        "scheduler": os.sched_getscheduler(0),
        "affinity": sorted(os.sched_getaffinity(0)),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "session": [os.getppid(), os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "user": [os.getresuid(), os.getresgid(), os.getgroups()],
        "mounts": sorted(line.split()[4] for line in open("/proc/self/mountinfo")),
        "files": [sorted(os.listdir(folder)) for folder in ("/tmp", "/opt", "/var/task", "/var/runtime", "/mnt")],
        "tmp": os.statvfs("/tmp").f_blocks,
        "host": os.uname().nodename,
        "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(), sys.getfilesystemencoding()],
        "zone": [time.tzname, time.timezone],
        "signals": {int(one): str(signal.getsignal(one)) for one in signal.valid_signals()},
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
        "filters": [repr(one) for one in warnings.filters],
        "threads": [threading.active_count(), threading.current_thread().name],
        "builtins": sorted(dir(builtins)),
        "faults": faulthandler.is_enabled(),
        "logging": logging_setup(),
        # One that is there until `logging` is imported has gone.
        "meta_path": [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path],
        "maps": sorted({line.split()[-1] for line in open("/proc/self/maps") if "/var/" in line and ".so" not in line}),
    }

def logging_setup():
    import logging
    return [repr(one) for one in logging.getLogger().handlers] + [logging.getLogger().level, logging.Logger.manager.disable]
""",
    NODE: """
const fs = require('fs');
const os = require('os');
const child = require('child_process');

const early = {
  argv: process.argv.slice(),
  argv0: process.argv0,
  execArgv: process.execArgv,
  title: process.title,
  main: [require.main === module, require.main?.filename, module.paths, module.parent?.filename],
  globals: Object.getOwnPropertyNames(globalThis).sort(),
  symbols: Object.getOwnPropertySymbols(globalThis).map(String).sort(),
  awslambda: Object.keys(globalThis.awslambda ?? {}),
  rehearsed: Object.keys(require.cache).concat(Object.keys(require('module')._pathCache)).filter((file) => file.includes('practice')),
  listeners: process.eventNames().map(String).sort(),
};

function descriptor(number) {
  const link = fs.readlinkSync('/proc/self/fd/' + number);
  return [Number(number), link.split(':')[0]];
}

function descriptors() {
  return fs.readdirSync('/proc/self/fd').filter((number) => fs.existsSync('/proc/self/fdinfo/' + number)).map(descriptor);
}

const STATUS = new RegExp(
  '^(Umask|NSpid|PPid|NSpgid|NSsid|TracerPid|Uid|Gid|Groups|Threads|SigPnd|SigBlk|SigIgn|SigCgt|CapInh|CapPrm|CapEff|CapBnd|' +
  'NoNewPrivs|Seccomp|Seccomp_filters|Cpus_allowed):'
);

exports.handler = async () => ({
  ...early,
  resources: process.getActiveResourcesInfo(),
  env: Object.entries(process.env),
  child: child.execFileSync('/usr/bin/env', { encoding: 'utf8' }),
  input: [fs.fstatSync(0).isCharacterDevice(), fs.readFileSync(0, 'utf8'), process.stdin.constructor.name, process.stdin.fd],
  inherited: child.execFileSync('/bin/sh', ['-c', 'readlink /proc/self/fd/0; cat'], {
    encoding: 'utf8',
    stdio: ['inherit', 'pipe', 'pipe'],
  }),
  output: [process.stdout.constructor.name, process.stderr.constructor.name, process.stdout.isTTY],
  descriptors: descriptors(),
  directory: process.cwd(),
  pwd: process.env.PWD,
  command: fs.readFileSync('/proc/self/cmdline', 'utf8'),
  name: fs.readFileSync('/proc/self/comm', 'utf8'),
  status: fs.readFileSync('/proc/self/status', 'utf8').split('\\n').filter((line) => STATUS.test(line)),
  limits: fs.readFileSync('/proc/self/limits', 'utf8'),
  user: [process.getuid(), process.getgid(), process.getgroups(), process.umask()],
  session: [process.pid, process.ppid],
  processes: fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).sort(),
  mounts: fs.readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\\n').map((line) => line.split(' ')[4]).sort(),
  files: ['/tmp', '/opt', '/var/task', '/var/runtime', '/mnt'].map((folder) => fs.readdirSync(folder).sort()),
  host: os.hostname(),
  zone: [new Date(0).toString(), Intl.DateTimeFormat().resolvedOptions()],
  listenersNow: process.eventNames().map(String).sort(),
  features: process.features,
  config: process.allowedNodeEnvironmentFlags.size,
  heap: require('v8').getHeapStatistics().heap_size_limit,
  paths: require('module').globalPaths,
  exit: process.exitCode ?? null,
});
""",
}
# Names differ from environment to environment.
OWN = ("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "_X_AMZN_TRACE_ID")


def package(runtime, source):
    return packages.python(source) if runtime == PYTHON else packages.package({"index.js": source})


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("without") / "data", "--prepared-interpreters", "0").start()
    yield World(running)
    assert running.stop() == 0


def await_stock(world, runtime, count=2):
    """Waits until interpreters of a runtime wait for functions."""
    waiting = lambda: {one["runtime"]: one["waiting"] for one in world.server.inventory()["prepared"]}
    wait_for(lambda: waiting().get(runtime, 0) >= count, f"{count} interpreters of {runtime} wait")


def was_prepared(name):
    """Whether the environments of a function run interpreters that were started before they knew it."""
    mark = f"AWS_LAMBDA_FUNCTION_NAME={name}\0".encode()
    told = {mark in read(PROC / pid / "environ") for pid in main_processes(name)}
    (answer,) = told
    return not answer


def report(world, name):
    """What a function sees of itself, without what is its own."""
    answer = world.invoke(name)
    assert answer.error is None, answer.body
    text = answer.body.decode()
    for variable in OWN:
        text = hide(text, variable)
    return json.loads(text.replace(name, "NAME"))


def hide(text, variable):
    return re.sub(variable + r"""(=|", ?"|'", "b')[^"'\\]*""", variable, text)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_function_cannot_tell_that_its_interpreter_was_started_ahead(world, without, runtime):
    variables = {"ZEBRA": "1", "ADDED": "é = ü", "PATH": "/opt/mine:/usr/bin:/bin", "EMPTY": ""}
    reports = []
    for place, is_ahead in ((without, False), (world, True)):
        name = place.deploy(
            package(runtime, SELF[runtime]), runtime=runtime, Environment={"Variables": variables}
        )
        if is_ahead:
            await_stock(place, runtime)
        reports.append(report(place, name))
        assert was_prepared(name) == is_ahead
    plain, ahead = reports
    assert ahead.keys() == plain.keys()
    assert {key: (plain[key], ahead[key]) for key in plain if plain[key] != ahead[key]} == {}


VARIABLE = {
    PYTHON: "import os\ndef handler(event, context): return os.environ.get(event['name'])\n",
    NODE: "exports.handler = async (event) => process.env[event.name];\n",
}


@pytest.mark.parametrize(
    ("runtime", "variable", "value", "is_ahead"),
    [
        (PYTHON, "TABLE", "t", True),
        (PYTHON, "PYTHONHASHSEED", "1", False),
        (PYTHON, "LD_PRELOAD", "", False),
        (PYTHON, "TZ", "Europe/Berlin", False),
        (NODE, "TABLE", "t", True),
        (NODE, "NODE_OPTIONS", "--enable-source-maps", False),
    ],
)
def test_a_variable_that_is_read_at_the_start_gets_an_interpreter_of_its_own(world, runtime, variable, value, is_ahead):
    settings = {"Environment": {"Variables": {variable: value}}}
    name = world.deploy(package(runtime, VARIABLE[runtime]), runtime=runtime, **settings)
    await_stock(world, runtime)
    assert world.invoke(name, {"name": variable}).payload == value
    assert was_prepared(name) == is_ahead


NUMBERS = {
    PYTHON: """
import os, random, secrets, tempfile, time, uuid
def handler(event, context):
    time.sleep(0.5)
    return {
        "random": [random.random(), random.getrandbits(64)],
        "other": random.Random().random(),
        "urandom": os.urandom(8).hex(),
        "secrets": secrets.token_hex(8),
        "uuid": str(uuid.uuid4()),
        "time": str(uuid.uuid1()),
        "file": tempfile.mkdtemp(),
    }
""",
    NODE: """
const crypto = require('crypto');
exports.handler = async () => {
  await new Promise((resolve) => setTimeout(resolve, 500));
  return {
    random: [Math.random(), Math.random()],
    bytes: crypto.randomBytes(8).toString('hex'),
    uuid: crypto.randomUUID(),
    web: Array.from(globalThis.crypto.getRandomValues(new Uint32Array(2))),
    key: crypto.generateKeySync('hmac', { length: 128 }).export().toString('hex'),
  };
};
""",
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_environments_draw_different_numbers(world, runtime):
    name = world.deploy(package(runtime, NUMBERS[runtime]), runtime=runtime)
    await_stock(world, runtime)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: world.invoke(name).payload, range(2))
    assert was_prepared(name)
    for kind in one:
        assert one[kind] != other[kind], kind


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_burst_that_takes_more_than_wait_is_answered(world, runtime):
    source = {
        PYTHON: "import time\ndef handler(event, context):\n    time.sleep(1)\n    return event\n",
        NODE: "exports.handler = (event) => new Promise((resolve) => setTimeout(resolve, 1000, event));\n",
    }
    name = world.deploy(package(runtime, source[runtime]), runtime=runtime)
    await_stock(world, runtime)
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda number: world.invoke(name, {"number": number}), range(6)))
    assert [answer.payload for answer in answers] == [{"number": number} for number in range(6)]
    await_stock(world, runtime)


def test_an_interpreter_that_waits_has_nothing_of_functions_that_were_served(world):
    """What one function leaves behind, no other finds: it never gets the same interpreter or sandbox."""
    leaver = """
import builtins, os, pathlib
pathlib.Path("/tmp/left").write_text("x")
os.environ["LEFT"] = "x"
builtins.left = "x"
def handler(event, context): return os.listdir("/var/task")
"""
    finder = """
import builtins, os
def handler(event, context):
    return [hasattr(builtins, "left"), os.environ.get("LEFT"), os.listdir("/tmp"), os.listdir("/var/task")]
"""
    one = world.deploy(packages.package({"app.py": leaver, "secret.txt": "x"}))
    other = world.deploy(packages.python(finder))
    for _ in range(2):
        await_stock(world, PYTHON)
        assert set(world.invoke(one).payload) >= {"app.py", "secret.txt"}
        assert world.invoke(other).payload == [False, None, [], ["app.py"]]
        assert was_prepared(one) and was_prepared(other)


def test_modules_of_a_function_are_found_before_those_that_were_imported_ahead(world):
    files = {"app.py": "import random, json\ndef handler(event, context): return [random.MINE, json.dumps(1)]\n"}
    name = world.deploy(packages.package(files | {"random.py": "MINE = 'mine'\n"}))
    await_stock(world, PYTHON)
    assert world.invoke(name).payload == ["mine", "1"]
    assert was_prepared(name)


def test_logging_works_although_it_is_imported_anew(world):
    files = {"app.py": "import base64, logging\ndef handler(event, context):\n    logging.warning('told')\n"}
    name = world.deploy(packages.package(files | {"base64.py": ""}))
    await_stock(world, PYTHON)
    answer = world.invoke(name, tail=True)
    assert (answer.error, was_prepared(name)) == (None, True), answer
    assert re.search(r"\[WARNING\]\t.*\ttold", answer.log), answer.log
