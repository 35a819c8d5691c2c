"""Forks interpreters into sandboxes.

This process is part of firelet and no function's: it has the rights of firelet's sandbox helper, which starts it and tells it over
standard input, a socket, to fork. It runs no code of a function, knows none, and has no network. A child gives up every right before
it is told its function, in the order and to the extent of `crates/sandbox/src/guest.rs`, whose counterpart this is.

What children share: the addresses of the interpreter's memory, and the secret of its string hashes.
"""

import ctypes
import gc
import posix
import resource
import struct
import sys

import _socket

# user, group, flags, cgroup files, processes; rights that landlock restricts, those of them that files have; instructions.
ORDER = struct.Struct("<IIIIIQQI")
HAS_NETWORK = 1
HAS_USER_NAMESPACE = 2
# The zygote's own process namespace comes along, since there is a way back to it.
HAS_HOME = 4
# A function waits for the child.
IS_AWAITED = 8
ORDER_SIZE = 65536
DESCRIPTORS = 32

CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
LAST_CAPABILITY = 40
CAPABILITY_VERSION = 0x20080522
SECCOMP_SET_MODE_FILTER = 1
LANDLOCK_RULE_PATH_BENEATH = 1
MSG_CMSG_CLOEXEC = 0x40000000
EINVAL = 22
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Numbers of system calls that differ between machines: capset, seccomp.
NUMBERS = {"x86_64": (126, 317), "aarch64": (91, 277)}
PIDFD_OPEN, LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 434, 444, 445, 446

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
capset_number, seccomp_number = NUMBERS[posix.uname().machine]


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "system call")
    return result


def system_call(number, *arguments):
    return check(libc.syscall(ctypes.c_long(number), *arguments))


def number(value):
    return ctypes.c_ulong(value)


def setns(descriptor, kind):
    check(libc.setns(descriptor, kind))


def prctl(option, *values):
    return libc.prctl(option, *[number(value) for value in values + (0,) * (4 - len(values))])


class Order:
    """One child to fork: how to get in, and what it keeps."""

    def __init__(self, packet, descriptors):
        (self.user, self.group, flags, cgroups, self.processes, self.restricted, self.of_files, count) = ORDER.unpack_from(packet)
        self.filter = packet[ORDER.size : ORDER.size + 8 * count]
        take = iter(descriptors).__next__
        self.reply, self.orders, self.output = take(), take(), take()
        self.mounts, self.process_namespace, self.messages, self.host_name = take(), take(), take(), take()
        self.network = take() if flags & HAS_NETWORK else None
        self.user_namespace = take() if flags & HAS_USER_NAMESPACE else None
        self.home = take() if flags & HAS_HOME else None
        self.is_awaited = bool(flags & IS_AWAITED)
        self.cgroups = [take() for _ in range(cgroups)]


def serve():
    """Forks for as long as there are orders. Returns in a child, and there whether a function waits for it."""
    gc.collect()
    gc.freeze()
    connection = _socket.socket(fileno=0)
    connection.send(b"1")
    while True:
        packet, ancillary, _, _ = connection.recvmsg(ORDER_SIZE, _socket.CMSG_SPACE(4 * DESCRIPTORS), MSG_CMSG_CLOEXEC)
        if not packet:
            posix._exit(0)
        descriptors = [descriptor for _, _, data in ancillary for descriptor in memoryview(data).cast("i")]
        order = Order(packet, descriptors)
        if fork(order):
            connection.detach()
            return order.is_awaited
        for descriptor in descriptors:
            posix.close(descriptor)


def fork(order):
    """True in the child that serves a function, in its sandbox; false here.

    The sandbox's first process inherits the child, because whoever forks it there ends at once.
    """
    if order.home is None and (errand := posix.fork()):
        posix.waitpid(errand, 0)
        return False
    try:
        setns(order.process_namespace, CLONE_NEWPID)
        inside = posix.fork()
        if inside:
            posix.waitpid(inside, 0)
            if order.home is None:
                posix._exit(0)
            setns(order.home, CLONE_NEWPID)
            return False
        child = posix.fork()
        if child:
            reply(order, child)
            posix._exit(0)
        enter(order)
    except BaseException as error:
        # A zygote that cannot come home would fork into a sandbox; a child that is not shut in must not go on.
        sys.__stderr__.write("firelet: an interpreter could not be forked into a sandbox: {!r}\n".format(error))
        sys.__stderr__.flush()
        posix._exit(1)
    return True


def reply(order, child):
    pidfd = system_call(PIDFD_OPEN, child, 0)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pidfd.to_bytes(4, sys.byteorder))]
    _socket.socket(fileno=order.reply).sendmsg([child.to_bytes(4, "little")], rights)


def enter(order):
    prctl(PR_SET_DUMPABLE, 0)
    for file in order.cgroups:
        posix.write(file, b"0")
    check(libc.unshare(CLONE_NEWCGROUP))
    namespaces = (
        (order.network, CLONE_NEWNET),
        (order.messages, CLONE_NEWIPC),
        (order.host_name, CLONE_NEWUTS),
        (order.mounts, CLONE_NEWNS),
        (order.user_namespace, CLONE_NEWUSER),
    )
    for namespace, kind in namespaces:
        if namespace is not None:
            setns(namespace, kind)
    posix.setsid()
    posix.umask(0o022)
    posix.dup2(order.orders, 0)
    posix.dup2(order.output, 1)
    posix.dup2(order.output, 2)
    resource.setrlimit(resource.RLIMIT_NPROC, (order.processes, order.processes))
    for capability in range(LAST_CAPABILITY + 1):
        if prctl(PR_CAPBSET_DROP, capability) < 0 and ctypes.get_errno() != EINVAL:
            raise OSError(ctypes.get_errno(), "bounding set")
    posix.setresgid(order.group, order.group, order.group)
    posix.setresuid(order.user, order.user, order.user)
    drop_capabilities()
    prctl(PR_SET_DUMPABLE, 0)
    posix.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if order.restricted:
        restrict_writes(order)
    install(order.filter)
    # As after a start of its own.
    prctl(PR_SET_DUMPABLE, 1)


def drop_capabilities():
    check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL))
    header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    system_call(capset_number, header, bytes(24))
    check(prctl(PR_SET_NO_NEW_PRIVS, 1))


def restrict_writes(order):
    handled = struct.pack("=Q", order.restricted)
    rules = system_call(LANDLOCK_CREATE_RULESET, handled, number(len(handled)), 0)
    for path in ("/tmp",) + DEVICES:
        place = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
        rights = order.restricted if path == "/tmp" else order.restricted & order.of_files
        system_call(LANDLOCK_ADD_RULE, rules, LANDLOCK_RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        posix.close(place)
    system_call(LANDLOCK_RESTRICT_SELF, rules, 0)
    posix.close(rules)


def install(instructions):
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(buffer))
    system_call(seccomp_number, SECCOMP_SET_MODE_FILTER, 0, program)
