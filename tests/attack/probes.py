"""What a hostile function tries. Each probe tells what it got hold of, or nothing if it got nothing.

The same code runs inside a function, where it must get nothing, and bare on this machine, where it must get something:
a probe that never gets anything proves nothing. Only the standard library, since a function has no more. `host` names what
the test has laid out: files, processes, sockets, and the limits of the function.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading

PROBES = {}
LIBC = ctypes.CDLL(None, use_errno=True)
# A call that the sandbox refuses ends in one of these before the kernel has looked at its arguments.
REFUSED = {errno.EPERM, errno.ENOSYS}


def probe(family):
    def keep(function):
        PROBES[function.__name__] = (family, function)
        return function

    return keep


def run(name, host):
    """What the probe got, as text; None if it got nothing."""
    try:
        got = PROBES[name][1](host)
    except (OSError, MemoryError, RuntimeError, ValueError):
        # What the kernel refuses is not got; Python has four ways to say so.
        return None
    return str(got)[:200] if got else None


def handler(event, context):
    return run(event["probe"], event["host"])


def call(number, *arguments):
    """A system call by its number on x86-64; the result and the error."""
    ctypes.set_errno(0)
    values = [value if isinstance(value, bytes | ctypes.Array) else ctypes.c_long(value) for value in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *values)
    return result, ctypes.get_errno()


def reaches(number, *arguments):
    """Whether a call with arguments that do no harm gets past the sandbox."""
    result, error = call(number, *arguments)
    return (result, errno.errorcode.get(error)) if result != -1 or error not in REFUSED else None


def first_readable(paths):
    """The first of `paths` that holds anything to read, with its beginning."""
    for path in paths:
        with contextlib.suppress(OSError):
            with open(path, "rb", buffering=0) as file:
                os.set_blocking(file.fileno(), False)
                if content := file.read(16):
                    return path, content
    return None


def first_openable(paths, flags=os.O_RDWR):
    """The first of `paths` that can be opened; nothing is read or written."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.close(os.open(path, flags | os.O_NONBLOCK))
            return path
    return None


# --- files ---


@probe("files")
def reads_a_file_of_the_host(host):
    return first_readable([host["secret"]])


@probe("files")
def reads_a_file_of_the_host_through_a_link_in_tmp(host):
    link = pathlib.Path("/tmp", f"link-{os.getpid()}")
    link.symlink_to(host["secret"])
    try:
        return link.read_text()
    finally:
        link.unlink()


@probe("files")
def reads_a_file_of_the_host_by_climbing(host):
    return first_readable([f"{start}{'/..' * 40}{host['secret']}" for start in (".", "/proc/self/cwd", "/tmp", "/dev/fd")])


@probe("files")
def reads_a_file_of_the_host_through_the_root_of_another_process(host):
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    return first_readable([f"/proc/{pid}/{way}{host['secret']}" for pid in pids for way in ("root", "cwd/../../..")])


@probe("files")
def finds_the_data_directory(host):
    return first_readable([f"{host['data']}/firelet.db"]) or os.listdir(host["data"])


@probe("files")
def reads_passwords(host):
    return first_readable(["/etc/shadow", "/etc/gshadow", "/etc/sudoers"])


@probe("files")
def lists_homes(host):
    return [entry for home in ("/root", "/home") if os.path.isdir(home) for entry in os.listdir(home)]


@probe("files")
def learns_the_machine_id(host):
    return first_readable(["/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostname.host", "/sys/class/dmi/id/product_uuid"]) or (
        os.path.exists("/sys/kernel") and "sysfs"
    )


@probe("files")
def opens_a_file_of_the_host_by_handle(host):
    # As in the escape from containers known as shocker: handles of files name them without any path.
    mount = os.open(host["mount"], os.O_RDONLY)
    try:
        handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
        call(303, mount, b"\0", handle, ctypes.create_string_buffer(4), 0x1000)
        opened, error = call(304, mount, handle, os.O_RDONLY)
        if opened >= 0:
            os.close(opened)
        return opened >= 0 or (error not in REFUSED and errno.errorcode[error])
    finally:
        os.close(mount)


@probe("files")
def changes_its_own_code(host):
    with open(f"{host['task']}/probes.py", "a"):
        return "opened for writing"


@probe("files")
def changes_the_programs_of_the_system(host):
    return next((folder for folder in ("/usr/bin", "/usr/lib", "/bin", "/lib") if leaves_a_file(folder)), None)


@probe("files")
def changes_the_settings_of_the_system(host):
    return next((folder for folder in ("/etc", "/run", "/var", "/") if leaves_a_file(folder)), None)


def leaves_a_file(folder):
    path = pathlib.Path(folder, f"probe-{os.getpid()}")
    try:
        path.touch(exist_ok=False)
    except OSError:
        return False
    path.unlink()
    return True


@probe("files")
def runs_a_program_as_root(host):
    # Set-user-id programs of the system, and one of its own making.
    copy = pathlib.Path("/tmp", f"id-{os.getpid()}")
    copy.write_bytes(pathlib.Path("/usr/bin/id").read_bytes())
    copy.chmod(0o6755)
    try:
        shown = subprocess.run([copy, "-u"], capture_output=True, text=True).stdout
        return shown.strip() == "0"
    finally:
        copy.unlink()


@probe("files")
def makes_a_device(host):
    path = f"/tmp/device-{os.getpid()}"
    os.mknod(path, 0o020666, os.makedev(1, 1))
    os.unlink(path)
    return "made the memory of the machine a file"


@probe("files")
def opens_devices(host):
    names = ["mem", "kmem", "port", "kmsg", "vda", "sda", "nvme0n1", "loop-control", "loop0", "fuse", "kvm", "net/tun", "ptmx", "tty", "console", "uinput", "vhost-net", "snapshot", "mapper/control", "hpet", "rtc0"]
    return first_openable([f"/dev/{name}" for name in names]) or first_openable([f"/dev/{name}" for name in names], os.O_RDONLY)


@probe("files")
def shares_memory_files_with_the_host(host):
    return first_readable([host["shared"]]) or leaves_a_file("/dev/shm")


# --- processes ---


@probe("processes")
def sees_processes_of_the_host(host):
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and host["mark"].encode() in read(f"/proc/{pid}/cmdline")]


@probe("processes")
def reads_the_environments_of_other_processes(host):
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and host["mark"].encode() in read(f"/proc/{pid}/environ")]


def read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


@probe("processes")
def sends_a_signal_to_a_process_of_the_host(host):
    os.kill(host["process"], 0)
    return "could"


@probe("processes")
def takes_hold_of_a_process_by_descriptor(host):
    os.close(os.pidfd_open(host["process"]))
    return "held it"


@probe("processes")
def takes_a_descriptor_of_another_process(host):
    return reaches(438, -1, 0, 0)


@probe("processes")
def traces_another_process(host):
    result, error = call(101, 0x4206, host["process"], 0, 0)
    if result == 0:
        call(101, 17, host["process"], 0, 0)
    return result == 0


@probe("processes")
def traces_at_all(host):
    return reaches(101, 99_999, 0, 0, 0)


@probe("processes")
def reads_the_memory_of_another_process(host):
    return first_openable([f"/proc/{host['process']}/mem", f"/proc/{host['process']}/maps"], os.O_RDONLY) or reaches(
        310, host["process"], 0, 0, 0, 0, 0
    )


@probe("processes")
def compares_kernel_objects_with_another_process(host):
    return reaches(312, os.getpid(), os.getpid(), 0, 0, 0)


@probe("processes")
def runs_before_others(host):
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, before - 1)
    os.setpriority(os.PRIO_PROCESS, 0, before)
    return "lowered its niceness"


@probe("processes")
def runs_in_real_time(host):
    before = os.sched_getscheduler(0)
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    os.sched_setscheduler(0, before, os.sched_param(0))
    return "real time"


@probe("processes")
def changes_the_limits_of_the_first_process(host):
    limits = resource.prlimit(1, resource.RLIMIT_NOFILE)
    return resource.prlimit(1, resource.RLIMIT_NOFILE, limits)


@probe("processes")
def says_whom_the_memory_killer_spares(host):
    with open("/proc/self/oom_score_adj", "r+") as file:
        before = file.read()
        file.seek(0)
        file.write(before)
    return "may write it"


# --- namespaces and mounts ---


def unshares(flag):
    child = os.fork()
    if child == 0:
        os._exit(0 if call(272, flag)[0] == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


@probe("namespaces")
def makes_a_user_namespace(host):
    return unshares(0x10000000)


@probe("namespaces")
def makes_a_mount_namespace(host):
    return unshares(0x00020000)


@probe("namespaces")
def makes_a_network_namespace(host):
    return unshares(0x40000000)


@probe("namespaces")
def clones_into_a_user_namespace(host):
    child, error = call(56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child > 0:
        os.waitpid(child, 0)
    return child > 0


@probe("namespaces")
def clones_by_the_new_call_whose_flags_no_filter_sees(host):
    return reaches(435, 0, 0)


@probe("namespaces")
def enters_the_namespaces_of_another_process(host):
    for name in ("net", "mnt", "user", "pid"):
        with contextlib.suppress(OSError):
            descriptor = os.open(f"/proc/{host['process']}/ns/{name}", os.O_RDONLY)
            os.close(descriptor)
            return name
    return reaches(308, 0, 0)


@probe("mounts")
def mounts_a_file_system(host):
    return reaches(165, b"none\0", b"/nowhere\0", b"tmpfs\0", 0, 0)


@probe("mounts")
def makes_a_mount_writable(host):
    return reaches(165, b"none\0", b"/nowhere\0", b"none\0", 32 | 4096, 0)


@probe("mounts")
def unmounts_what_hides_files(host):
    return reaches(166, b"/nowhere\0", 2)


@probe("mounts")
def changes_its_root(host):
    child = os.fork()
    if child == 0:
        try:
            os.chroot("/tmp")
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@probe("mounts")
def changes_the_root_of_all(host):
    return reaches(155, b"/nowhere\0", b"/nowhere\0")


@probe("mounts")
def mounts_by_the_new_calls(host):
    calls = {428: (-1, b"\0", 0), 429: (-1, b"\0", -1, b"\0", 0), 430: (b"none\0", 0xFFFF), 432: (-1, 0, 0), 442: (-1, b"\0", 0, 0, 0)}
    return [number for number, arguments in calls.items() if reaches(number, *arguments)]


# --- interfaces of the kernel ---

# Arguments that no kernel accepts, or that change nothing: what counts is whether the kernel looks at them.
CALLS = {
    "loads_a_program_into_the_kernel": (321, (0, 0, 0)),
    "watches_performance_events": (298, (0, 0, -1, -1, 0)),
    "sets_up_rings_of_calls": (425, (0, 0)),
    "handles_page_faults_of_its_own": (323, (0xFFFF,)),
    "adds_a_key_to_the_kernel": (248, (b"user\0", b"probe\0", b"x\0", 1, -3)),
    "asks_for_keys_of_the_kernel": (249, (b"user\0", b"probe\0", 0, 0)),
    "controls_keys_of_the_kernel": (250, (0, -3, 0, 0, 0)),
    "restarts_the_machine": (169, (0, 0, 0, 0)),
    "swaps_to_a_file": (167, (b"/nowhere\0", 0)),
    "accounts_processes_to_a_file": (163, (b"/nowhere/at/all\0",)),
    "sets_quotas": (179, (0x800000, b"/nowhere\0", 0, 0)),
    "sets_the_clock": (227, (99, 0)),
    "tunes_the_clock": (305, (99, 0)),
    "sets_the_name_of_the_host": (170, (b"x\0", -1)),
    "sets_the_domain_of_the_host": (171, (b"x\0", -1)),
    "reads_the_log_of_the_kernel": (103, (10, 0, 0)),
    "changes_its_personality": (135, (0x0040000,)),
    "watches_the_file_system_of_others": (300, (0, 0)),
    "moves_pages_between_nodes": (279, (0, 0, 0, 0, 0, 0)),
    "decides_where_memory_comes_from": (238, (99, 0, 0)),
    "makes_memory_that_is_secret_from_the_kernel": (447, (0xFFFF,)),
    "filters_calls_with_a_listener": (317, (1, 8, 0)),
}


def reaching(number, arguments):
    return lambda host: reaches(number, *arguments)


for name, (number, arguments) in CALLS.items():
    PROBES[name] = ("kernel", reaching(number, arguments))


@probe("kernel")
def calls_through_the_table_of_another_architecture(host):
    # The number has the bit of x32, whose table a filter of 64-bit numbers does not see. A process that does it is killed.
    child = os.fork()
    if child == 0:
        call(0x40000000 + 39)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@probe("kernel")
def calls_through_the_32_bit_gate(host):
    # mov eax, 20 (getpid); int 0x80; ret
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    child = os.fork()
    if child == 0:
        os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 else 1)
    return os.waitpid(child, 0)[1] == 0


@probe("kernel")
def types_into_the_terminal(host):
    return reaches(16, 0, 0x5412, 0)


@probe("kernel")
def types_into_the_terminal_by_a_number_with_high_bits(host):
    return reaches(16, 0, 0x100005412, 0)


@probe("kernel")
def changes_settings_of_the_kernel(host):
    paths = ["kernel/core_pattern", "kernel/modprobe", "vm/overcommit_memory", "net/ipv4/ip_forward", "kernel/hostname"]
    return first_openable([f"/proc/sys/{path}" for path in paths], os.O_WRONLY)


@probe("kernel")
def reads_memory_of_the_kernel(host):
    return first_readable(["/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/kpagecount", "/proc/sched_debug"])


@probe("kernel")
def learns_addresses_of_the_kernel(host):
    with open("/proc/kallsyms") as symbols:
        return any(int(line.split()[0], 16) for line in symbols)


@probe("kernel")
def opens_control_groups(host):
    return first_readable(["/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/memory/tasks"])


@probe("kernel")
def opens_debugging_interfaces(host):
    return [path for path in ("/sys/kernel", "/sys/class", "/sys/devices") if os.path.isdir(path)]


# --- network ---


def connects(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as connection:
        connection.settimeout(2)
        connection.connect(address)
        return connection.getsockname() or "connected"


@probe("network")
def calls_the_server_of_the_host(host):
    return connects(("127.0.0.1", host["server"]))


@probe("network")
def calls_a_neighbour_on_loopback(host):
    return connects(("127.0.0.1", host["port"]))


@probe("network")
def calls_a_neighbour_on_loopback_by_another_of_its_addresses(host):
    return connects(("127.1.2.3", host["port"]))


@probe("network")
def calls_the_host_by_its_own_address(host):
    return connects((host["address"], host["port"]))


@probe("network")
def finds_a_way_to_the_metadata_of_a_cloud(host):
    return connects(("169.254.169.254", 80), kind=socket.SOCK_DGRAM)


@probe("network")
def finds_a_way_to_a_name_server(host):
    return connects(("192.0.2.53", 53), kind=socket.SOCK_DGRAM)


@probe("network")
def calls_a_socket_without_a_file(host):
    return connects("\0" + host["abstract"], family=socket.AF_UNIX)


@probe("network")
def calls_a_socket_of_the_host(host):
    return connects(host["socket"], family=socket.AF_UNIX)


@probe("network")
def sees_interfaces(host):
    return [name for _, name in socket.if_nameindex() if name != "lo"]


SOCKETS = {
    "listens_to_packets": (17, 3, 0x0300),
    "sends_packets_of_its_own_making": (2, 3, 1),
    "calls_the_hypervisor": (40, 1, 0),
    "uses_the_cryptography_of_the_kernel": (38, 5, 0),
    "listens_to_events_of_the_kernel": (16, 3, 15),
    "talks_to_the_audit": (16, 3, 9),
    "changes_routes": (16, 3, 12),
}


def opening(family, kind, protocol):
    return lambda host: reaches(41, family, kind, protocol)


for name, arguments in SOCKETS.items():
    PROBES[name] = ("network", opening(*arguments))


# --- nat: what a function tries that may connect to the outside ---


def first(attempts):
    """The first of several attempts that works."""
    for attempt, *arguments in attempts:
        with contextlib.suppress(OSError):
            return attempt(*arguments)
    return None


def asks(address, family=socket.AF_INET, source=None):
    """Whether something answers a datagram."""
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        if source:
            client.bind((source, 0))
        client.sendto(b"question", address)
        return client.recvfrom(1500)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@probe("nat")
def calls_the_metadata_of_a_cloud(host):
    return first((connects, (address, host["far_port"]), family_of(address)) for address in host["metadata"])


@probe("nat")
def asks_the_metadata_of_a_cloud(host):
    return first((asks, (address, host["far_port"]), family_of(address)) for address in host["metadata"])


@probe("nat")
def calls_a_private_network(host):
    return first((connects, (address, host["far_port"]), family_of(address)) for address in host["private"])


@probe("nat")
def calls_the_host_by_each_of_its_addresses(host):
    return first((connects, (address, host["echo"]), family_of(address)) for address in host["addresses"])


@probe("nat")
def asks_the_host_by_each_of_its_addresses(host):
    return first((asks, (address, host["echo"]), family_of(address)) for address in host["addresses"])


@probe("nat")
def calls_the_host_by_addresses_of_version_4_in_version_6(host):
    forms = ("::ffff:{}", "::{}", "64:ff9b::{}")
    addresses = [form.format(address) for form in forms for address in host["addresses"] if ":" not in address]
    return first((connects, (address, host["echo"]), socket.AF_INET6) for address in addresses)


@probe("nat")
def calls_the_host_by_an_address_that_means_none(host):
    return first((connects, (address, host["echo"]), family_of(address)) for address in ("0.0.0.0", "::", "0.0.0.1"))


@probe("nat")
def calls_the_host_in_a_hurry(host):
    # The first packet brings data: TCP Fast Open.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        # A timeout of Python's would make it nonblocking, which is another way to connect.
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", 2, 0))
        connection.sendto(b"question", socket.MSG_FASTOPEN, (host["near"], host["echo"]))
        return connection.recv(100)


@probe("nat")
def calls_the_host_by_its_address_on_the_link(host):
    names = dict((name, number) for number, name in socket.if_nameindex())
    number = names.get(host["link"], 1)
    return first((connects, (host["link_local"], host["echo"], 0, scope), socket.AF_INET6) for scope in (number, 0))


@probe("nat")
def calls_all_of_a_network_at_once(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.sendto(b"question", (host["broadcast"], host["far_port"]))
        return client.recvfrom(1500)


@probe("nat")
def calls_the_name_server_by_another_port(host):
    return first((attempt, (host["resolver"], host["echo"])) for attempt in (connects, asks))


@probe("nat")
def calls_another_function(host):
    addresses = ["127.0.0.1", "169.254.76.1", "169.254.78.1", "169.254.78.2", "fd66:6972:656c::1", host["near"]]
    return first((connects, (address, host["neighbour"]), family_of(address)) for address in addresses)


@probe("nat")
def sends_under_the_name_of_another(host):
    return asks((host["far"], host["far_port"]), source=host["near"])


@probe("nat")
def calls_under_the_name_of_another(host):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.bind((host["near"], 0))
        connection.connect((host["far"], host["far_port"]))
        return connection.getsockname()


@probe("nat")
def calls_a_port_of_the_host_beside_the_one_that_is_allowed(host):
    return first((connects, (address, host["echo"]), family_of(address)) for address in ("127.0.0.1", "127.0.0.2", "::1"))


@probe("nat")
def changes_an_interface(host):
    # RTM_NEWLINK: loopback, which is up, shall be up.
    up, loopback, answer = 1, 1, 36
    message = struct.pack("=IHHII", 32, 16, 0x5, 1, 0) + struct.pack("=BxHiII", 0, 0, loopback, up, up)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.settimeout(2)
        netlink.send(message)
        error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    return answer if error == 0 else None


@probe("nat")
def learns_of_other_interfaces(host):
    return [name for _, name in socket.if_nameindex() if name != "lo"]


# --- credentials ---


@probe("credentials")
def is_root(host):
    return 0 in os.getresuid() or 0 in os.getresgid() or 0 in os.getgroups()


@probe("credentials")
def becomes_root(host):
    os.setresuid(0, 0, 0)
    return os.getuid() == 0


@probe("credentials")
def becomes_another_user(host):
    child = os.fork()
    if child == 0:
        try:
            os.setuid(1)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@probe("credentials")
def has_capabilities(host):
    sets = re.findall(r"Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+([0-9a-f]+)", pathlib.Path("/proc/self/status").read_text())
    return any(int(value, 16) for value in sets)


@probe("credentials")
def may_gain_privileges(host):
    return "NoNewPrivs:\t0" in pathlib.Path("/proc/self/status").read_text()


@probe("credentials")
def finds_keys_of_the_user(host):
    return first_readable([host["keys"]])


@probe("credentials")
def holds_descriptors_of_the_server(host):
    opened = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            opened.append(os.readlink(f"/proc/self/fd/{name}"))
    return [link for link in opened if link.startswith(("/", "anon_inode")) and not link.startswith(("/dev/null", host["task"], "/proc", "/tmp/probe"))]


# --- resources ---


@probe("resources")
def starts_more_processes_than_allowed(host):
    children = []
    try:
        while len(children) <= host["processes"]:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    except OSError:
        return None
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    return len(children)


@probe("resources")
def starts_more_threads_than_allowed(host):
    threading.stack_size(65_536)
    over, threads = threading.Event(), []
    try:
        while len(threads) <= host["processes"]:
            thread = threading.Thread(target=over.wait)
            thread.start()
            threads.append(thread)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        threading.stack_size(0)
    return len(threads)


@probe("resources")
def opens_more_files_than_allowed(host):
    with contextlib.suppress(ValueError, OSError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened = []
    try:
        while len(opened) <= host["descriptors"]:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return len(opened)


@probe("resources")
def fills_tmp_beyond_its_size(host):
    path = pathlib.Path("/tmp", f"probe-{os.getpid()}")
    block = bytes(1 << 20)
    try:
        with open(path, "wb") as file:
            for _ in range(host["tmp_megabytes"] + 1):
                file.write(block)
        return path.stat().st_size
    finally:
        path.unlink(missing_ok=True)


@probe("resources")
def makes_files_in_tmp_without_end(host):
    return os.statvfs("/tmp").f_files > host["inodes"] or os.statvfs("/tmp").f_files == 0


@probe("resources")
def locks_memory(host):
    return LIBC.mlock(ctypes.create_string_buffer(1 << 20), ctypes.c_size_t(1 << 20)) == 0


@probe("resources")
def dumps_core_on_the_host(host):
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    return "allowed"


@probe("resources")
def makes_message_queues(host):
    return reaches(240, b"probe\0", os.O_CREAT | os.O_RDWR, 0o600, 0) and reaches(241, b"probe\0") is not None


def memory(hold):
    """Whether a child lives that takes more memory than the function has, and keeps it."""

    def attack(host):
        child = os.fork()
        if child == 0:
            hold(host["memory_megabytes"] + 64)
            # A peak may pass; what counts is whether it can be kept.
            signal.sigtimedwait([], 3)
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0

    return attack


def hold_anonymous(megabytes):
    for _ in range(megabytes):
        block = mmap.mmap(-1, 1 << 20)
        block.write(bytes(1 << 20))
        globals().setdefault("held", []).append(block)


def hold_files_without_names(megabytes):
    descriptor = os.memfd_create("probe")
    for _ in range(megabytes):
        os.write(descriptor, bytes(1 << 20))


def hold_shared_segments(megabytes):
    segment = LIBC.shmget(0, ctypes.c_size_t(megabytes << 20), 0o1600)
    if segment < 0:
        os._exit(1)
    LIBC.shmat.restype = ctypes.c_void_p
    address = LIBC.shmat(segment, None, 0)
    LIBC.shmctl(segment, 0, None)
    if address in (None, 2**64 - 1):
        os._exit(1)
    ctypes.memset(address, 1, megabytes << 20)


PROBES["holds_more_memory_than_it_has"] = ("memory", memory(hold_anonymous))
PROBES["hides_memory_in_files_without_names"] = ("memory", memory(hold_files_without_names))
PROBES["hides_memory_in_shared_segments"] = ("memory", memory(hold_shared_segments))


# --- snapshots: what a process tries that goes on from one ---


def image_mappings():
    """Where the image of a snapshot is mapped: addresses as text."""
    lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
    return [line.split()[0] for line in lines if "/memfd:snapshot" in line]


@probe("snapshots")
def opens_the_image_that_it_goes_on_from(host):
    ways = [f"/proc/self/map_files/{place}" for place in image_mappings()]
    return first_openable(ways) or first_openable(ways, os.O_RDONLY)


@probe("snapshots")
def holds_the_image_that_it_goes_on_from(host):
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return [link for link in links if "memfd" in link]


@probe("snapshots")
def makes_holes_in_the_image_for_all(host):
    for place in image_mappings():
        start, end = (int(word, 16) for word in place.split("-"))
        # MADV_REMOVE
        if call(28, start, end - start, 9)[0] == 0:
            return place
    return None


@probe("snapshots")
def is_still_traced(host):
    return "TracerPid:\t0\n" not in pathlib.Path("/proc/self/status").read_text()


def go_on(host):
    """Has what a process has that goes on from a snapshot, and more than it may have of it."""
    image = os.memfd_create("snapshot")
    os.ftruncate(image, mmap.PAGESIZE)
    # PTRACE_TRACEME
    call(101, 0, 0, 0, 0)
    globals()["image"] = mmap.mmap(image, mmap.PAGESIZE), image


PROBES["go_on"] = ("layout", go_on)
PROBES["maps_the_image"] = ("layout", lambda host: image_mappings())


# --- neighbours ---

# What one function leaves open for the other, under names that both know.
KEY, PORT, NAME = 0x66697265, 47_811, "firelet-neighbour"


def lay_out(host):
    """Opens everything that a neighbour could reach, and keeps it open."""
    pathlib.Path("/tmp", NAME).write_text("secret of a neighbour")
    listener = socket.create_server(("127.0.0.1", PORT), backlog=16)
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0" + NAME)
    abstract.listen(16)
    segment = LIBC.shmget(KEY, ctypes.c_size_t(4096), 0o1666)
    sleeper = subprocess.Popen(["/bin/sleep", "300"], env={"MARK": NAME}, start_new_session=True)
    globals()["laid_out"] = listener, abstract, sleeper, segment


PROBES["lay_out"] = ("layout", lay_out)


@probe("neighbours")
def reads_tmp_of_a_neighbour(host):
    return first_readable([f"/tmp/{NAME}"])


@probe("neighbours")
def calls_a_port_of_a_neighbour(host):
    return connects(("127.0.0.1", PORT))


@probe("neighbours")
def calls_a_socket_of_a_neighbour(host):
    return connects("\0" + NAME, family=socket.AF_UNIX)


@probe("neighbours")
def opens_shared_memory_of_a_neighbour(host):
    return LIBC.shmget(KEY, ctypes.c_size_t(4096), 0) >= 0


@probe("neighbours")
def sees_processes_of_a_neighbour(host):
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and NAME.encode() in read(f"/proc/{pid}/environ")]


if __name__ == "__main__":
    if PROBES[sys.argv[1]][0] == "neighbours":
        lay_out(None)
    if PROBES[sys.argv[1]][0] == "snapshots":
        go_on(None)
    print(json.dumps(run(sys.argv[1], json.loads(sys.argv[2]))))
    if "laid_out" in globals():
        laid_out[2].kill()
        LIBC.shmctl(laid_out[3], 0, None)
