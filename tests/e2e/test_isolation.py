"""What a function sees of the machine, and what it may do there."""

import os
import socket

import pytest

from support import packages
from support.traces import processes_of
from support.waiting import wait_for

# Runs the code that the event brings, so that each test brings its own.
PROBE = packages.python(
    """
import ctypes, errno, json, os, pathlib, resource, signal, socket, subprocess, sys

def handler(event, context):
    scope = dict(globals())
    exec(event["code"], scope)
    return scope["result"]
"""
)


@pytest.fixture(scope="module")
def probe(world):
    name = world.deploy(PROBE, MemorySize=256)

    def run(code):
        answer = world.invoke(name, {"code": code})
        assert answer.error is None, answer.body
        return answer.payload

    return run


def failing(call):
    return f"""
try:
    {call}
    result = "worked"
except OSError as error:
    result = errno.errorcode[error.errno]
"""


@pytest.mark.parametrize(
    "path", ["/root", "/home", "/etc/shadow", "/var/lib/dpkg", "/work", "/opt/wheels", "/sys/fs/cgroup", "/boot"]
)
def test_files_of_the_host_are_not_there(probe, path):
    seen = probe(
        f"""
import stat
try:
    result = os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read()
except OSError as error:
    result = []
"""
    )
    assert not seen


def test_the_data_directory_is_out_of_sight(server, probe):
    assert probe(failing(f"os.stat({str(server.data_directory)!r})")) == "ENOENT"


@pytest.mark.parametrize("folder", ["/", "/var/task", "/opt", "/var/runtime", "/etc", "/usr", "/bin", "/dev"])
def test_all_but_tmp_is_read_only(probe, folder):
    refused = probe(failing(f"open('{folder}/new', 'w').close()"))
    assert refused in ("EROFS", "EACCES", "EPERM", "ENOENT")


def test_the_function_is_nobody_special(probe):
    user, groups, name = probe("import pwd\nresult = os.getuid(), os.getgroups(), pwd.getpwuid(os.getuid()).pw_name")
    assert user != 0
    assert name == "sbx_user1051"
    assert 0 not in groups
    status = dict(
        line.split(":\t", 1) for line in probe("result = open('/proc/self/status').read()").splitlines() if ":\t" in line
    )
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


def test_other_processes_are_out_of_sight(probe):
    processes = probe("result = [int(p) for p in os.listdir('/proc') if p.isdigit()]")
    assert len(processes) <= 3
    assert os.getpid() not in processes or os.getpid() < 10


def test_the_environment_holds_nothing_of_the_server(probe):
    first = probe("result = [open(f'/proc/{p}/environ').read() if os.access(f'/proc/{p}/environ', os.R_OK) else ''"
                  " for p in os.listdir('/proc') if p.isdigit()]")
    assert not any("FIRELET" in text or "CARGO" in text for text in first)


def test_descriptors_are_not_inherited(probe):
    links = probe(
        "result = [os.readlink(f'/proc/self/fd/{d}') for d in os.listdir('/proc/self/fd')"
        " if os.path.lexists(f'/proc/self/fd/{d}')]"
    )
    assert not [link for link in links if link.startswith("/") and not link.startswith(("/dev/null", "/var/", "/tmp"))]


def test_servers_of_the_host_are_out_of_reach(server, probe):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for port in (server.port, listener.getsockname()[1]):
            assert probe(failing(f"socket.create_connection(('127.0.0.1', {port}), 2)")) == "ECONNREFUSED"


def test_there_is_no_way_out(probe):
    assert probe("result = [name for _, name in socket.if_nameindex()]") == ["lo"]
    assert probe(failing("socket.create_connection(('192.0.2.1', 80), 2)")) in ("ENETUNREACH", "EPERM")


def test_the_host_name_is_not_the_hosts(probe):
    assert probe("result = os.uname().nodename") != os.uname().nodename


@pytest.mark.parametrize(
    "call",
    [
        "ctypes.CDLL(None, use_errno=True).mount",
        "ctypes.CDLL(None, use_errno=True).unshare",
        "ctypes.CDLL(None, use_errno=True).ptrace",
        "ctypes.CDLL(None, use_errno=True).setns",
    ],
)
def test_dangerous_system_calls_are_refused(probe, call):
    code = f"value = {call}(0x10000000, 0, 0, 0, 0)\nresult = value, errno.errorcode.get(ctypes.get_errno())"
    value, error = probe(code)
    assert value == -1
    assert error in ("EPERM", "ENOSYS", "EACCES", "EINVAL", "EBADF")


def test_raising_privileges_fails(probe):
    assert probe(failing("os.setuid(0)")) == "EPERM"
    assert probe(failing("os.chroot('/tmp')")) in ("EPERM", "ENOSYS")
    assert probe(failing("os.mknod('/tmp/device', 0o020666, os.makedev(1, 1))")) in ("EPERM", "ENOSYS")


def test_processes_are_bounded(probe):
    started = probe(
        """
children = []
try:
    while len(children) < 5000:
        children.append(subprocess.Popen(["/bin/sleep", "60"]))
except OSError as error:
    pass
result = len(children)
for child in children:
    child.kill()
for child in children:
    child.wait()
"""
    )
    assert 10 < started < 5000


def test_descriptors_are_bounded(probe):
    assert probe("result = resource.getrlimit(resource.RLIMIT_NOFILE)") == [1024, 1024]


def test_tmp_has_its_size_and_stays(world):
    name = world.deploy(PROBE, EphemeralStorage={"Size": 512}, MemorySize=1024)

    def run(code):
        return world.invoke(name, {"code": code})

    assert run("open('/tmp/kept', 'w').write('here'); result = os.stat('/tmp').st_mode & 0o7777").payload == 0o1777
    assert run("result = open('/tmp/kept').read()").payload == "here"
    size = run("s = os.statvfs('/tmp'); result = s.f_blocks * s.f_frsize >> 20").payload
    assert size == 512
    fill = """
try:
    with open('/tmp/full', 'wb') as file:
        for _ in range(600):
            file.write(bytes(1 << 20))
    result = 'worked'
except OSError as error:
    result = errno.errorcode[error.errno]
os.unlink('/tmp/full')
"""
    assert run(fill).payload == "ENOSPC"


def test_tmp_belongs_to_one_environment(world):
    first, second = world.deploy(PROBE), world.deploy(PROBE)
    world.invoke(first, {"code": "result = open('/tmp/mine', 'w').write('secret')"})
    assert world.invoke(second, {"code": "result = os.listdir('/tmp')"}).payload == []


def test_left_processes_do_not_outlive_their_environment(world):

    name = world.deploy(PROBE)
    world.invoke(name, {"code": "subprocess.Popen(['/bin/sleep', '600'], start_new_session=True); result = 1"})
    assert len(processes_of(name)) >= 2
    world.client.delete_function(FunctionName=name)
    wait_for(lambda: not processes_of(name), "no process of the deleted function is left")


def test_memory_is_what_was_asked_for(world):
    allocate = "x = bytearray({megabytes} << 20); result = len(x) >> 20"
    small = world.deploy(PROBE, MemorySize=128)
    large = world.deploy(PROBE, MemorySize=512)
    assert world.invoke(large, {"code": allocate.format(megabytes=300)}).payload == 300
    assert world.invoke(small, {"code": allocate.format(megabytes=300)}).error == "Unhandled"
    assert world.invoke(small, {"code": allocate.format(megabytes=60)}).payload == 60
