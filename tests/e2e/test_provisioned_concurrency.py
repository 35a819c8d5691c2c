"""Concurrency that is provisioned: environments that are there before anything is invoked."""

import concurrent.futures

import pytest

from support import packages
from support.server import run_firelet
from support.traces import processes_of
from support.waiting import wait_for
from support.world import World, refusal

LIMIT = 110
LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"
HELLO = packages.python(
    """
import os, time, uuid
me = str(uuid.uuid4())
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    if event.get("exit"):
        os._exit(1)
    return {"me": me, "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
"""
)
BROKEN = packages.python("raise ValueError('no')\n")
MISSING = "No Provisioned Concurrency Config found for this function"


@pytest.fixture(scope="module")
def server_options():
    return ("--quota", f"concurrent-executions={LIMIT}")


@pytest.fixture
def crowd():
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        yield threads


def publish(world, name):
    version = world.client.publish_version(FunctionName=name)["Version"]
    wait_for(lambda: world.configuration(f"{name}:{version}")["State"] == "Active", "the version is active")
    return version


def deploy(world, code=HELLO, **settings):
    """A function with a published version, which is version 1."""
    name = world.deploy(code, **settings)
    assert publish(world, name) == "1"
    return name


def provision(world, name, executions, qualifier="1"):
    return world.client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=executions
    )


def provisioned(world, name, qualifier="1"):
    answer = world.client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)
    del answer["ResponseMetadata"], answer["LastModified"]
    return answer


def unprovision(world, name, qualifier="1"):
    return world.client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)


def figures(requested, allocated, available, status, **more):
    return {
        "RequestedProvisionedConcurrentExecutions": requested,
        "AllocatedProvisionedConcurrentExecutions": allocated,
        "AvailableProvisionedConcurrentExecutions": available,
        "Status": status,
    } | more


def await_ready(world, name, executions, qualifier="1"):
    ready = figures(executions, executions, executions, "READY")
    wait_for(lambda: provisioned(world, name, qualifier) == ready, f"{executions} of {name} are ready")


def test_environments_are_there_before_the_first_invocation(world):
    name = deploy(world)
    answer = provision(world, name, 2)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer.items() >= figures(2, 0, 0, "IN_PROGRESS").items()
    await_ready(world, name, 2)
    first = world.invoke(f"{name}:1", tail=True)
    assert first.payload["type"] == "provisioned-concurrency"
    assert "REPORT" in first.log and "Init Duration" not in first.log
    assert world.invoke(name).payload["type"] == "on-demand"
    log = run_firelet("logs", name, endpoint=world.server.endpoint).stdout
    assert log.count("INIT_REPORT Init Duration: ") == 2


def test_failing_init_is_told_and_does_not_go_on_for_ever(world):
    name = deploy(world, BROKEN)
    provision(world, name, 2)
    failed = figures(2, 0, 0, "FAILED", StatusReason="FUNCTION_ERROR_INIT_FAILURE")
    wait_for(lambda: provisioned(world, name) == failed, "the failure is told")
    answer = provision(world, name, 1)
    assert answer["Status"] == "IN_PROGRESS"
    wait_for(lambda: provisioned(world, name)["Status"] == "FAILED", "the failure is told again")
    assert unprovision(world, name)["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_runtime_that_nothing_serves_is_told(world):
    name = deploy(world, runtime="java21")
    provision(world, name, 1)
    wait_for(lambda: provisioned(world, name)["Status"] == "FAILED", "the failure is told")
    assert "java21" in provisioned(world, name)["StatusReason"]


def test_a_list_shows_all_and_deleting_ends_the_environments(world):
    name = deploy(world)
    world.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert world.client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []
    provision(world, name, 1, "live")
    await_ready(world, name, 1, "live")
    (item,) = world.client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert item.pop("LastModified").endswith("+0000")
    assert item == figures(1, 1, 1, "READY", FunctionArn=f"{LAMBDA}{name}:live")
    assert processes_of(name)
    unprovision(world, name, "live")
    wait_for(lambda: not processes_of(name), "the environments have ended")
    error = refusal(provisioned, world, name, "live")
    assert (error.status, error.code) == (404, "ProvisionedConcurrencyConfigNotFoundException")
    assert (error.message, error.body["Type"]) == (MISSING, "User")


def test_fewer_are_kept_when_fewer_are_wanted(world):
    name = deploy(world)
    for executions in (3, 1, 2):
        provision(world, name, executions)
        await_ready(world, name, executions)
        wait_for(lambda: len(processes_of(name)) == executions, f"{executions} are left")


def test_they_outlive_what_ends_idle_environments(make_server):
    world = World(make_server("--idle-seconds", "1", "--idle-environments", "0").start())
    kept, other = deploy(world), deploy(world)
    provision(world, kept, 1)
    await_ready(world, kept, 1)
    processes = processes_of(kept)
    first = world.invoke(f"{kept}:1").payload["me"]
    world.invoke(other)
    wait_for(lambda: not processes_of(other), "what is idle has ended")
    assert processes_of(kept) == processes
    assert world.invoke(f"{kept}:1").payload["me"] == first


def test_one_that_ends_is_replaced(world):
    name = deploy(world)
    provision(world, name, 1)
    await_ready(world, name, 1)
    first = world.invoke(f"{name}:1").payload["me"]
    assert world.invoke(f"{name}:1", {"exit": True}).error == "Unhandled"

    def replacement():
        answer = world.invoke(f"{name}:1").payload
        return answer["type"] == "provisioned-concurrency" and answer["me"]

    assert wait_for(replacement, "another environment has come") != first
    await_ready(world, name, 1)


@pytest.mark.parametrize(
    ("qualifier", "executions", "status", "code", "message"),
    [
        (
            "1",
            0,
            400,
            "ValidationException",
            "1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1",
        ),
        (
            "$LATEST",
            1,
            400,
            "InvalidParameterValueException",
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        ),
        ("9", 1, 404, "ResourceNotFoundException", "Function not found: {arn}:9"),
        ("none", 1, 404, "ResourceNotFoundException", "Cannot find alias arn: {arn}:none"),
        (
            "1",
            LIMIT + 1,
            400,
            "InvalidParameterValueException",
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [110].",
        ),
        (
            "1",
            11,
            400,
            "InvalidParameterValueException",
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            "minimum value of [100].",
        ),
    ],
)
def test_what_cannot_be_is_refused(account, qualifier, executions, status, code, message):
    name = deploy(account)
    error = refusal(provision, account, name, executions, qualifier)
    assert (error.status, error.code) == (status, code)
    arn = f"arn:aws:lambda:us-east-1:{account.account}:function:{name}"
    assert error.message == message.format(arn=arn)
    has_type = code != "ValidationException" and "account's" not in message
    assert (error.body.get("Type") == "User") == has_type


def test_a_version_has_it_once(account):
    name = deploy(account)
    account.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for first, second, message in (
        (
            "1",
            "live",
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
        ),
        ("live", "1", "Version is pointed by a Provisioned Concurrency alias"),
    ):
        provision(account, name, 1, first)
        error = refusal(provision, account, name, 1, second)
        assert (error.status, error.code, error.message) == (409, "ResourceConflictException", message)
        unprovision(account, name, first)


def reserve(world, name, executions):
    return world.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=executions)


def unreserved(world):
    return world.client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]


def invoke_at_once(world, crowd, names):
    """Invokes all of `names` at once for longer than it takes to ask; gives the type of each environment, or why there
    was none."""

    def call(name):
        try:
            return world.invoke(name, {"seconds": 3}).payload["type"]
        except world.client.exceptions.TooManyRequestsException as error:
            return error.response["Reason"]

    return sorted(crowd.map(call, names))


def test_it_is_part_of_what_the_function_reserves(account):
    name = deploy(account)
    reserve(account, name, 2)
    assert unreserved(account) == LIMIT - 2
    error = refusal(provision, account, name, 3)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == (
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )
    provision(account, name, 2)
    assert unreserved(account) == LIMIT - 2
    error = refusal(reserve, account, name, 1)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == (
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
    )
    account.client.delete_function_concurrency(FunctionName=name)
    assert unreserved(account) == LIMIT - 2
    unprovision(account, name)
    assert unreserved(account) == LIMIT


def test_where_all_that_is_reserved_is_provisioned_nothing_is_left_for_latest(account, crowd):
    name = deploy(account)
    reserve(account, name, 2)
    provision(account, name, 2)
    await_ready(account, name, 2)
    error = refusal(account.client.invoke, FunctionName=name)
    assert (error.status, error.code) == (429, "TooManyRequestsException")
    assert error.body["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    answers = invoke_at_once(account, crowd, [f"{name}:1"] * 3)
    assert answers == ["ReservedFunctionConcurrentInvocationLimitExceeded"] + ["provisioned-concurrency"] * 2


def test_what_does_not_fit_spills_over(account, crowd):
    name = deploy(account)
    reserve(account, name, 3)
    provision(account, name, 2)
    await_ready(account, name, 2)
    answers = invoke_at_once(account, crowd, [f"{name}:1"] * 4)
    assert answers == (
        ["ReservedFunctionConcurrentInvocationLimitExceeded", "on-demand"] + ["provisioned-concurrency"] * 2
    )


def test_without_a_reservation_it_is_taken_from_the_others(make_server, crowd):
    """With a limit of 4 on a data directory where 2 are provisioned, the others share 2."""
    world = World(make_server("--quota", "concurrent-executions=104").start())
    kept, other = deploy(world), world.deploy(HELLO)
    provision(world, kept, 2)
    world.server.stop()
    world = World(make_server("--quota", "concurrent-executions=4").start())
    assert unreserved(world) == 2
    await_ready(world, kept, 2)
    answers = invoke_at_once(world, crowd, [other] * 3 + [f"{kept}:1"] * 2)
    assert answers == (
        ["ConcurrentInvocationLimitExceeded"] + ["on-demand"] * 2 + ["provisioned-concurrency"] * 2
    )


def test_they_are_made_again_after_a_restart(make_server):
    world = World(make_server().start())
    name = deploy(world)
    provision(world, name, 1)
    await_ready(world, name, 1)
    first = world.invoke(f"{name}:1").payload["me"]
    world.server.kill()
    world = World(make_server().start())
    await_ready(world, name, 1)
    again = world.invoke(f"{name}:1").payload
    assert again["type"] == "provisioned-concurrency"
    assert again["me"] != first


def test_they_move_with_their_alias(world):
    name = deploy(world, Description="1")
    world.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    provision(world, name, 1, "live")
    await_ready(world, name, 1, "live")
    old = processes_of(name)
    first = world.invoke(f"{name}:live").payload
    assert first["type"] == "provisioned-concurrency"
    world.client.update_function_configuration(FunctionName=name, MemorySize=256)
    world.await_updated(name)
    assert publish(world, name) == "2"
    world.client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    await_ready(world, name, 1, "live")
    answer = world.invoke(f"{name}:live")
    assert (answer.version, answer.payload["type"]) == ("2", "provisioned-concurrency")
    assert answer.payload["me"] != first["me"]
    wait_for(lambda: not old & processes_of(name), "the environments of version 1 have ended")
    assert world.invoke(f"{name}:1").payload["type"] == "on-demand"


def test_a_failing_version_does_not_take_the_place_of_another_for_ever(world):
    """An alias goes to a version that cannot start, and then to one that can."""
    name = deploy(world)
    world.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    provision(world, name, 1, "live")
    await_ready(world, name, 1, "live")
    for code, version in ((BROKEN, "2"), (HELLO, "3")):
        world.client.update_function_code(FunctionName=name, ZipFile=code)
        world.await_updated(name)
        assert publish(world, name) == version
    world.client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    failed = figures(1, 0, 0, "FAILED", StatusReason="FUNCTION_ERROR_INIT_FAILURE")
    wait_for(lambda: provisioned(world, name, "live") == failed, "the failure is told")
    wait_for(lambda: not processes_of(name), "the environments of version 1 have ended")
    world.client.update_alias(FunctionName=name, Name="live", FunctionVersion="3")
    await_ready(world, name, 1, "live")
    assert world.invoke(f"{name}:live").payload["type"] == "provisioned-concurrency"


def test_a_deleted_version_takes_its_environments_with_it(world):
    name = deploy(world)
    provision(world, name, 2)
    await_ready(world, name, 2)
    world.client.delete_function(FunctionName=name, Qualifier="1")
    wait_for(lambda: not processes_of(name), "the environments have ended")
    answer = world.client.list_provisioned_concurrency_configs(FunctionName=name)
    assert answer["ProvisionedConcurrencyConfigs"] == []
