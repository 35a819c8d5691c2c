"""What functions leave on the host while they run: processes, namespaces, cgroups, mounts."""

import os
import pathlib
import re
import time

from support.server import Server

PROC = pathlib.Path("/proc")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
NAMESPACES = ("pid", "mnt", "net", "ipc", "uts")


# The processes of functions that were found so far: ids, and when they began.
_seen = {}


def processes_of(function):
    """The processes on this host that run in an environment of `function`.

    Those found once belong to it until they end, also when their server has ended and cannot be asked any more.
    """
    mark = f"AWS_LAMBDA_FUNCTION_NAME={function}\0".encode()
    spaces = {space for pid in main_processes(function) if (space := process_space(pid))}
    found = {pid for pid in all_processes() if mark in read(PROC / pid / "environ") or is_guest(pid, spaces)}
    alive = {(pid, begin) for pid, begin in _seen.get(function, ()) if begin_of(pid) == begin and not is_zombie(pid)}
    _seen[function] = alive | {(pid, begin) for pid in found if (begin := begin_of(pid))}
    return {pid for pid, _ in _seen[function]}


def main_processes(function):
    """The main processes of the environments of `function`, as the servers tell."""
    found = set()
    for server in Server.running():
        try:
            environments = server.environments(function)
        except OSError:
            # It ends just now.
            continue
        found |= {str(one["processId"]) for one in environments if "processId" in one}
    return found


def process_space(pid):
    try:
        return (PROC / pid / "ns" / "pid").readlink()
    except OSError:
        return None


def is_guest(pid, spaces):
    """Whether a process is in one of the process namespaces `spaces`, and not the first of it, which is firelet's."""
    return process_space(pid) in spaces and number_inside(pid) not in (None, "1")


def number_inside(pid):
    """The process id in the process's own namespace."""
    lines = read(PROC / pid / "status").decode(errors="replace").splitlines()
    return next((line.split()[-1] for line in lines if line.startswith("NSpid:")), None)


def is_zombie(pid):
    return state_of(pid, 0) == "Z"


def all_processes():
    return {entry.name for entry in PROC.iterdir() if entry.name.isdigit()}


def namespaces_of(pids):
    """The namespaces that `pids` have and this process does not."""
    found = {link for pid in pids for link in links(pid)}
    return found - links("self")


def namespaces_in_use(since):
    """The namespaces of processes that are older than `since`, a time of `now`.

    The kernel gives the numbers of namespaces again, so those of newer processes say nothing.
    """
    return {link for pid in all_processes() if (begin_of(pid) or since) < since for link in links(pid)}


def now():
    """The time as /proc tells it: clock ticks since the machine started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")


def links(pid):
    found = set()
    for name in NAMESPACES:
        try:
            found.add((PROC / pid / "ns" / name).readlink())
        except OSError:
            continue
    return found


def cgroups_of(pids):
    """The folders of cgroups that `pids` are in and this process is not."""
    own = cgroup_folders("self")
    return {folder for pid in pids for folder in cgroup_folders(pid)} - own


def cgroup_folders(pid):
    folders = set()
    for line in read(PROC / pid / "cgroup").decode().splitlines():
        _, controllers, path = line.split(":", 2)
        for root in cgroup_roots(controllers):
            folders.add(root / path.lstrip("/"))
    return folders


def cgroup_roots(controllers):
    if not controllers:
        return [root for root in (CGROUPS, CGROUPS / "unified") if (root / "cgroup.controllers").exists()]
    return [CGROUPS / controllers] if (CGROUPS / controllers).exists() else []


def mounts_below(folder):
    """Mounts of this host at or below `folder`."""
    lines = read(PROC / "self" / "mountinfo").decode().splitlines()
    return [line for line in lines if line.split()[4].startswith(str(folder))]


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def children_of(pid):
    """The processes that `pid` has started itself."""
    return {child for child in all_processes() if parent_of(child) == str(pid)}


def parent_of(pid):
    return state_of(pid, 1)


def begin_of(pid):
    began = state_of(pid, 19)
    return began and int(began)


def state_of(pid, index):
    """A field of /proc/PID/stat, counted from the one after the name."""
    # The name may hold anything, parentheses included.
    fields = read(PROC / pid / "stat").decode(errors="replace").rpartition(")")[2].split()
    return fields[index] if fields else None


def memory_of(server):
    """The bytes of memory that the server holds."""
    status = (PROC / str(server.process.pid) / "status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10


def is_frozen(function):
    """Whether the environment of `function` stands still."""
    events = [folder / "cgroup.events" for folder in cgroups_of(processes_of(function))]
    return any("frozen 1" in file.read_text() for file in events if file.exists())
