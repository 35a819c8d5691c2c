"""Everything at once for a while: functions that answer, crash, hang, change and go, under load.

Each worker has functions of its own, and so knows what they must answer. FIRELET_SOAK_SECONDS makes it longer, and
FIRELET_SOAK_SEED repeats the choices of a run.
"""

import collections
import concurrent.futures
import os
import pathlib
import random
import time

import pytest
from botocore.exceptions import ClientError

from support import packages
from support.server import Server
from support.traces import all_processes, cgroups_of, children_of, mounts_below, namespaces_in_use, namespaces_of, now, read
from support.waiting import wait_for
from support.world import ROLE, World

SECONDS = float(os.environ.get("FIRELET_SOAK_SECONDS", "12"))
SEED = os.environ.get("FIRELET_SOAK_SEED", str(random.SystemRandom().randrange(10**9)))
WORKERS = 6
# What a caller may be told when others change or use up the same things at the same time.
REFUSALS = {
    "ResourceConflictException": 409,
    "TooManyRequestsException": 429,
}
KEEPER = """
import os, signal, subprocess, sys

MARK = {mark!r}

def handler(event, context):
    do = event.get("do")
    if do == "crash":
        os._exit(7)
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "hang":
        subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
        signal.pause()
    if do == "fail":
        raise ValueError(MARK)
    if do == "flood":
        print("x" * 1_000_000)
    if do == "files":
        with open("/tmp/" + context.aws_request_id, "wb") as file:
            file.write(bytes(1 << 20))
    return [MARK, event.get("number")]
"""


def code(mark):
    return packages.python(KEEPER.format(mark=mark))


# The helper, the interpreter that others are forked from, and what is made ahead: four sandboxes and two interpreters in theirs,
# each with its first process and a guest.
AT_REST = 2 + 2 * (4 + 2)


class Worker:
    """One function, changed and called by nobody else."""

    def __init__(self, world, number):
        self.world, self.client = world, world.client
        self.name = f"soak-{number}"
        self.random = random.Random(f"{SEED}/{number}")
        self.version = 0
        self.exists = False
        self.done = collections.Counter()

    @property
    def mark(self):
        return f"{self.name}/{self.version}"

    def work(self, until):
        while time.monotonic() < until:
            self.step()
        return self.done

    def step(self):
        if not self.exists:
            return self.create()
        actions = [
            (self.call, 40), (self.call_badly, 6), (self.send, 6), (self.change, 5), (self.configure, 3),
            (self.publish, 3), (self.provision, 2), (self.reserve, 2), (self.delete, 2),
        ]  # fmt: skip
        chosen = self.random.choices([action for action, _ in actions], [weight for _, weight in actions])[0]
        try:
            chosen()
        except ClientError as error:
            status, told = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
            assert REFUSALS.get(told) == status, f"{chosen.__name__}: {status} {error}"
            self.done[told] += 1
        else:
            self.done[chosen.__name__] += 1

    def create(self):
        self.version += 1
        self.world.create(code(self.mark), name=self.name, Timeout=2, MemorySize=128, Role=ROLE)
        self.exists = True
        self.world.await_active(self.name)

    def call(self):
        number = self.random.randrange(10**6)
        do = self.random.choice([None, None, None, "flood", "files"])
        answer = self.world.invoke(self.name, {"number": number, "do": do}, tail=self.random.random() < 0.3)
        assert (answer.error, answer.payload) == (None, [self.mark, number]), answer

    def call_badly(self):
        do = self.random.choice(["crash", "kill", "fail", "hang"])
        answer = self.world.invoke(self.name, {"do": do})
        assert answer.error == "Unhandled"
        expected = {
            "crash": "exit status 7", "kill": "signal: killed", "fail": self.mark, "hang": "Task timed out after 2.00",
        }  # fmt: skip
        assert expected[do] in answer.payload["errorMessage"], answer

    def send(self):
        do = self.random.choice([None, "fail"])
        answer = self.client.invoke(FunctionName=self.name, InvocationType="Event", Payload=f'{{"do": "{do}"}}'.encode())
        assert answer["StatusCode"] == 202

    def change(self):
        self.version += 1
        try:
            self.client.update_function_code(FunctionName=self.name, ZipFile=code(self.mark))
        except ClientError:
            self.version -= 1
            raise
        self.world.await_updated(self.name)

    def configure(self):
        self.client.update_function_configuration(FunctionName=self.name, MemorySize=self.random.choice([128, 160, 192]))
        self.world.await_updated(self.name)

    def publish(self):
        published = self.client.publish_version(FunctionName=self.name)["Version"]
        answer = self.world.invoke(self.name, {"number": 1}, Qualifier=published)
        assert (answer.error, answer.payload) == (None, [self.mark, 1]), answer

    def provision(self):
        version = self.client.publish_version(FunctionName=self.name)["Version"]
        self.client.put_provisioned_concurrency_config(
            FunctionName=self.name, Qualifier=version, ProvisionedConcurrentExecutions=1
        )
        answer = self.world.invoke(self.name, {"number": 2}, Qualifier=version)
        assert (answer.error, answer.payload) == (None, [self.mark, 2]), answer
        self.client.delete_provisioned_concurrency_config(FunctionName=self.name, Qualifier=version)

    def reserve(self):
        self.client.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=2)
        self.call()
        self.client.delete_function_concurrency(FunctionName=self.name)

    def delete(self):
        self.client.delete_function(FunctionName=self.name)
        self.exists = False


def descendants(pid):
    children = children_of(pid)
    return children | {one for child in children for one in descendants(child)}


def at_rest(server):
    """The server's processes once it has no environment and has made ahead all that it makes; nothing before that."""
    found = descendants(str(server.process.pid))
    return len(found) == AT_REST and server.inventory()["environments"] == [] and found


def resident_kilobytes(pid):
    status = read(pathlib.Path("/proc", pid, "status")).decode()
    return int(status.split("VmRSS:")[1].split()[0])


def descriptors(pid):
    """Open descriptors, without those of log files: of these the server keeps a bounded number open."""
    links = []
    for entry in pathlib.Path("/proc", pid, "fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return len([link for link in links if "/logs/" not in link])


@pytest.fixture(scope="module")
def soaked(tmp_path_factory):
    options = ("--freeze-after", "20", "--async-retry-seconds", "1", "--quota", "concurrent-executions=120")
    server = Server(tmp_path_factory.mktemp("soak") / "data", *options).start()
    yield server
    server.stop()


def test_nothing_is_wrong_and_nothing_is_left(soaked):
    world = World(soaked)
    server = str(soaked.process.pid)
    first = Worker(world, "first")
    first.create()
    for _ in range(20):
        first.call()
    # Interpreters of a runtime are started ahead while a function has it, and then stay.
    wait_for(lambda: soaked.inventory()["prepared"], "interpreters are started ahead")
    first.delete()
    wait_for(lambda: at_rest(soaked), "only what is made ahead is left")
    (helper,) = children_of(server)
    before = {pid: descriptors(pid) for pid in (server, helper)}
    memory = resident_kilobytes(server)
    namespaces, cgroups = set(), set()

    until = time.monotonic() + SECONDS
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        workers = [Worker(world, number) for number in range(WORKERS)]
        running = [pool.submit(worker.work, until) for worker in workers]
        while not all(one.done() for one in running):
            guests = descendants(server) - {helper}
            namespaces |= namespaces_of(guests)
            # A process that is on its way out shows the root.
            cgroups |= {folder for folder in cgroups_of(guests) if "firelet-" in str(folder)}
            concurrent.futures.wait(running, timeout=0.5)
        done = sum((one.result() for one in running), collections.Counter())
    for worker in workers:
        if worker.exists:
            worker.delete()
    ended = now()

    about = f"seed {SEED}, {dict(done)}"
    assert all(done[action] for action in ("call", "call_badly", "send", "change", "publish", "delete")), about
    left = wait_for(lambda: at_rest(soaked), f"no function is left: {about}")
    namespaces -= namespaces_of(left)
    cgroups -= cgroups_of(left)
    wait_for(lambda: not namespaces & namespaces_in_use(ended), f"no namespace is left: {about}")
    occupied = lambda: [folder for folder in cgroups if read(folder / "cgroup.procs")]  # noqa: E731
    wait_for(lambda: not occupied(), f"no process is left in a control group: {about}")
    assert cgroups and namespaces
    assert mounts_below(soaked.data_directory) == []
    for pid, count in before.items():
        wait_for(lambda: descriptors(pid) <= count + 16, f"descriptors of {pid} are closed: {about}")  # noqa: B023
    assert resident_kilobytes(server) < memory + 64_000, about
    assert "panicked" not in soaked.log() and "ERROR" not in soaked.log(), soaked.log()
    assert helper in all_processes()
