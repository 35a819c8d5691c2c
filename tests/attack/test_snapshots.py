"""Functions that resist being captured, or leave what cannot be made again: they are kept as they are, or refused with a reason."""

import concurrent.futures
import os
import pathlib
import re

import pytest

from support import packages
from support.server import run_firelet
from support.waiting import wait_for
from support.world import refusal

RUNTIME = "python3.12"
SNAP_START = {"ApplyOn": "PublishedVersions"}
# More than any capture of these has the server or its helper hold itself, in KB.
MOST_MEMORY = 150_000
# Functions of the C library that take addresses are given them as such.
FUNCTION = """
import ctypes, fcntl, http.client, mmap, os, resource, select, signal, socket, threading, time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
print("at import", flush=True)

def api(method, path, timeout=30):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=timeout)
    connection.request(method, "/2018-06-01/runtime/" + path, b"" if method == "GET" else b"{}")
    return connection.getresponse().status

def always(work):
    def run():
        while True:
            work()
    threading.Thread(target=run, daemon=True).start()

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

%s

def handler(event, context):
    return look()
"""

# What a function does in its Init phase, and what is so afterwards.
KEPT = {
    "one port for both versions of the Internet, as asyncio listens": (
        "import asyncio\nloop = asyncio.new_event_loop()\n"
        "async def serve(): return await asyncio.start_server(lambda r, w: w.close(), None, 8123)\n"
        "server = loop.run_until_complete(serve())",
        "len(server.sockets) == 2",
    ),
    "names that hurt readers": (
        r"NAMES = [b'a\nb', b'\x1b[31m', b'\xff\xfe', b'x (deleted)', b'n' * 255]" + "\n"
        "for name in NAMES: open(b'/tmp/' + name, 'w').write('x')",
        "sorted(os.listdir(b'/tmp')) == sorted(NAMES)",
    ),
    "a file of a petabyte": (
        "with open('/tmp/holes', 'wb') as file:\n  file.truncate(1 << 50)\n  file.seek(1 << 49)\n  file.write(b'x')",
        "(os.stat('/tmp/holes').st_size, os.stat('/tmp/holes').st_blocks) == (1 << 50, 8)",
    ),
    "programs that run as their owner": (
        "open('/tmp/program', 'w').close()\nos.chmod('/tmp/program', 0o6777)",
        "os.statvfs('/tmp').f_flag & os.ST_NOSUID and os.stat('/tmp/program').st_uid == os.getuid()",
    ),
    "thousands of mappings": (
        "places = [LIBC.mmap(None, 4096, 1 + number % 2 * 2, 0x22, -1, 0) for number in range(8000)]",
        "len(open('/proc/self/maps').readlines()) > 8000",
    ),
    "terabytes that nothing is in": ("place = LIBC.mmap(None, 64 << 40, 0, 0x4022, -1, 0)", "place is not None"),
    "threads that never rest": ("for _ in range(8): always(lambda: None)", "threading.active_count() == 9"),
    "no descriptors": ("os.closerange(0, 3)", "os.readlink('/proc/self/exe') != ''"),
    "descriptors of itself": (
        "opened = [os.open(f'/proc/self/{name}', os.O_RDONLY) for name in ('mem', 'maps', 'fd', 'ns')]",
        "all(os.readlink(f'/proc/self/fd/{one}').startswith('/proc/2/') for one in opened)",
    ),
    "what watches what watches": (
        "reader, writer = os.pipe()\npolls = [select.epoll() for _ in range(5)]\npolls[0].register(reader, 1)\n"
        "for inner, outer in zip(polls, polls[1:]): outer.register(inner.fileno(), 1)\nos.write(writer, b'x')",
        "[number for number, _ in polls[4].poll(1)] == [polls[3].fileno()]",
    ),
    "limits of its own": (
        "resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nresource.setrlimit(resource.RLIMIT_NPROC, (1, 1))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)[1] == 1024",
    ),
    "code of its own in the kernel's page": (
        "line = next(line for line in open('/proc/self/maps') if '[vdso]' in line)\n"
        "start, end = (int(word, 16) for word in line.split()[0].split('-'))\n"
        "assert LIBC.mprotect(start, end - start, 7) == 0\nctypes.memmove(start + 0x300, b'\\x0f\\x05\\xeb\\xfe', 4)",
        "True",
    ),
    "a restore that fails before there is one": (
        "early = [api('POST', 'restore/error'), api('POST', 'restore/error')]",
        "early == [403, 403] and (api('GET', 'restore/next'), api('POST', 'restore/error')) == (403, 403)",
    ),
    "a thread that asks to be restored before all is loaded": (
        "asked = []\ndef ask():\n  try: asked.append(api('GET', 'restore/next'))\n  except OSError: asked.append(0)\n"
        "thread = threading.Thread(target=ask)\nthread.start()\nthread.join(0.5)",
        "thread.join() is None and asked == [0]",
    ),
}
REFUSED = {
    "a lock": (
        "file = open('/tmp/lock', 'w')\nfcntl.flock(file, fcntl.LOCK_EX)",
        r"a lock that descriptor \d+ holds",
    ),
    "a file with two names": ("open('/tmp/a', 'w').close()\nos.link('/tmp/a', '/tmp/b')", "which has other names too"),
    "names of mappings that fill memory": (
        "os.chdir('/tmp')\nfor _ in range(2000):\n  os.mkdir('d' * 250)\n  os.chdir('d' * 250)\n"
        "file = open('f', 'w+b')\nfile.write(b'x' * 8192)\nfile.flush()\n"
        "for number in range(3000): LIBC.mmap(None, 4096, 1 + number % 2 * 2, 2, file.fileno(), 0)",
        "the kernel tells too much of its maps",
    ),
    "more mappings than are told": (
        "for number in range(64_000): LIBC.mmap(None, 4096, 1 + number % 2 * 2, 0x22, -1, 0)",
        r"its memory has 64\d\d\d parts",
    ),
    "what others may not look into": ("assert LIBC.prctl(4, 0, 0, 0, 0) == 0", "it does not let others look into it"),
    "a watch on files": ("watch = LIBC.inotify_init()", "anon_inode:inotify"),
    "a deleted file with a name for terminals": (
        "file = open('/tmp/a\\n\\x1b[31m', 'w')\nos.unlink(file.name)",
        r"the open file /tmp/a\?\?\[31m \(deleted\)",
    ),
    "memory of all processes": (
        "LIBC.shmat.restype = ctypes.c_void_p\nLIBC.shmat(LIBC.shmget(0, 4096, 0o1600), None, 0)",
        "SYSV00000000",
    ),
    "a named pipe": (
        "os.mkfifo('/tmp/pipe')\npipe = os.open('/tmp/pipe', os.O_RDWR | os.O_NONBLOCK)",
        "neither plain nor a directory",
    ),
    "directories in directories": (
        "os.chdir('/tmp')\nfor _ in range(100):\n  os.mkdir('d')\n  os.chdir('d')",
        "too deep",
    ),
}
# What happens in the moment of the capture is chance.
EITHER = {
    "a thread that floods its process with signals": (
        "signal.signal(signal.SIGUSR1, lambda *_: None)\nalways(lambda: os.kill(os.getpid(), signal.SIGUSR1))"
    ),
    "a thread that makes others": (
        "def short():\n  thread = threading.Thread(target=int)\n  thread.start()\n  thread.join()\nalways(short)"
    ),
    "processes without end": "always(fork)",
    "output without end": "always(lambda: print('x' * 1000))",
}


def publish(world, source, **settings):
    """A version of a new function that starts from a snapshot, by the name that it is invoked by."""
    settings = {"runtime": RUNTIME, "SnapStart": SNAP_START} | settings
    name = world.deploy(packages.python(source), **settings)
    version = f"{name}:" + world.client.publish_version(FunctionName=name)["Version"]
    wait_for(lambda: world.configuration(version)["State"] == "Active", "the version is active")
    return version


def is_kept(world, version):
    """Whether Init ran once."""
    printed = run_firelet("logs", version.partition(":")[0], endpoint=world.server.endpoint, check=True).stdout
    return sum("at import" in line for line in printed.splitlines()) == 1


def reason(world, version):
    """Why the state of a function is not kept, as the operator is told."""
    name = version.partition(":")[0]
    lines = [line for line in world.server.log().splitlines() if f"function={name} " in line and "cannot be kept" in line]
    return re.search(r'reason="(.*)"', lines[0])[1] if lines else None


@pytest.fixture(scope="module")
def world(world):
    """One whose server has let all of them go at the end, and held no more meanwhile than it may."""
    helper = world.server.inventory()["helper"]["processId"]
    at_rest = descriptors(helper) + descriptors(world.server.process.pid)
    yield world
    for function in world.client.list_functions()["Functions"]:
        world.client.delete_function(FunctionName=function["FunctionName"])
    inventory = world.server.inventory
    wait_for(lambda: not inventory()["environments"] and not inventory()["snapshots"]["count"], "all are gone")

    def left():
        return descriptors(helper) + descriptors(world.server.process.pid)

    # Some sandboxes and interpreters wait for functions to come.
    wait_for(lambda: left() < at_rest + 200, "their descriptors are gone")
    assert max(memory(helper), world.server.memory("VmHWM")) < MOST_MEMORY
    assert inventory()["helper"]["processId"] == helper


def descriptors(process):
    return len(os.listdir(f"/proc/{process}/fd"))


def memory(process):
    """The most memory that a process ever had, in KB."""
    return int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path(f"/proc/{process}/status").read_text())[1])


@pytest.mark.parametrize("what", KEPT)
def test_it_is_kept_as_it_is(world, what):
    init, look = KEPT[what]
    version = publish(world, FUNCTION % f"{init}\ndef look(): return bool({look})")
    answer = world.invoke(version)
    assert (answer.error, answer.payload) == (None, True), answer.body
    assert is_kept(world, version), reason(world, version)


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_and_runs_all_the_same(world, what):
    init, expected = REFUSED[what]
    version = publish(world, FUNCTION % f"{init}\ndef look(): return True", Timeout=10)
    told = reason(world, version)
    assert told is not None and re.search(expected, told) and len(told) < 400, told
    assert world.invoke(version).payload is True


@pytest.mark.parametrize("what", EITHER)
def test_it_is_kept_or_refused_and_goes_on(world, what):
    version = publish(world, FUNCTION % f"{EITHER[what]}\ndef look(): return threading.active_count() > 1")
    assert world.invoke(version).payload is True
    # Of a log that is too long the first lines may be gone.
    assert what == "output without end" or is_kept(world, version) or reason(world, version)


# Each leaves its process at some moment of its capture.
GOING = [
    "threading.Timer(0.05, lambda: os.execv('/bin/sleep', ['sleep', '1000'])).start()",
    "threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()",
    "threading.Timer(0.05, lambda: always(lambda: os.kill(os.getpid(), signal.SIGSTOP))).start()",
    # The main thread ends, and another asks in its place.
    "threading.Thread(target=lambda: (api('GET', 'restore/next'), os._exit(1))).start()\ntime.sleep(0.3)\n"
    "LIBC.syscall(60, 0)",
]


def test_those_that_go_meanwhile_leave_nothing_waiting(world):
    functions = [
        world.deploy(
            packages.python(FUNCTION % f"{init}\ndef look(): return True"),
            runtime=RUNTIME,
            SnapStart=SNAP_START,
            Timeout=3,
        )
        for init in GOING * 3
    ]
    versions = [f"{name}:" + world.client.publish_version(FunctionName=name)["Version"] for name in functions]
    for version in versions:
        wait_for(lambda: world.configuration(version)["State"] in ("Active", "Failed"), f"an end of {version}")
    well = publish(world, FUNCTION % "def look(): return True")
    assert world.invoke(well).payload is True and is_kept(world, well)


WRITERS = """
import os, time
# Small ones are in the heap, whose pages are mapped from the image.
small = [bytearray(b"of the snapshot %d" % number) for number in range(50_000)]
large = bytearray(b"of the snapshot") * 100_000
file = open("/tmp/file", "w+b", buffering=0)
file.write(b"of the snapshot")
writes = 0

def look():
    return [bytes(small[7])[:15], bytes(small[-1])[:15], bytes(large[-15:]), os.pread(file.fileno(), 15, 0)]

def handler(event, context):
    global writes
    before, writes = look() if not writes else None, writes + 1
    own = os.urandom(8).hex().encode()[:15].ljust(15, b".")
    for one in small:
        one[:15] = own
    large[:] = own * 100_000
    os.pwrite(file.fileno(), own, 0)
    time.sleep(1)
    return {"before": [one.decode() for one in before or []], "after": [one.decode() for one in look()], "own": own.decode()}
"""


def test_what_one_writes_is_its_own(world):
    version = publish(world, WRITERS)
    fresh = []
    # The second time there are some that have written before, and some that come after that.
    for count in (2, 4):
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            answers = list(threads.map(lambda _: world.invoke(version).payload, range(count)))
        assert all(answer["after"] == [answer["own"]] * 4 for answer in answers)
        fresh += [answer["before"] for answer in answers if answer["before"]]
    assert fresh == [["of the snapshot"] * 4] * len(fresh) and len(fresh) >= 3


def test_it_is_restored_once_for_each_environment_only(world):
    """A thread that asks again takes the place of nobody."""
    hook = "import snapshot_restore_py\nsnapshot_restore_py.register_after_restore(lambda: asked.append(api('GET', 'restore/next')))"
    version = publish(world, FUNCTION % f"asked = []\n{hook}\ndef look(): return asked")
    assert world.invoke(version).payload == [403]
    failing = "snapshot_restore_py.register_after_restore(lambda: api('POST', 'restore/error'))"
    version = publish(world, FUNCTION % f"import snapshot_restore_py\n{failing}\ndef look(): return 1")
    assert refusal(world.client.invoke, FunctionName=version).code == "SnapStartException"
