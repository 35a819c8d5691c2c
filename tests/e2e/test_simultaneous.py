"""Sixteen callers at one moment: one after the other wins, the rest are told why, and nothing is lost."""

import base64
import concurrent.futures
import hashlib
import threading

import pytest
from botocore.exceptions import ClientError

from support import packages
from support.server import ACCOUNT, REGION
from support.waiting import wait_for
from support.world import refusal

CALLERS = 16
PATIENCE = 60
HELLO = packages.python("def handler(event, context):\n    return 1\n")


def together(call):
    """What `call` gave to each caller: its number goes in, an answer or an error comes out."""
    barrier = threading.Barrier(CALLERS)

    def one(number):
        barrier.wait(timeout=PATIENCE)
        try:
            return call(number)
        except ClientError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(one, range(CALLERS)))


def accepted(answers):
    return [answer for answer in answers if not isinstance(answer, ClientError)]


def refused(answers):
    """Status, code and message of each error."""
    errors = [answer.response for answer in answers if isinstance(answer, ClientError)]
    return [
        (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"])
        for error in errors
    ]


def in_progress(world, name):
    text = f"The operation cannot be performed at this time. An update is in progress for resource: {arn(world, name)}"
    return (409, "ResourceConflictException", text)


def arn(world, name):
    return f"arn:aws:lambda:{REGION}:{world.account}:function:{name}"


def digest(zip_bytes):
    return base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()


def test_one_name_is_created_once(world):
    name = world.name()
    answers = together(lambda number: world.create(HELLO, name=name, Description=str(number)))
    [created] = accepted(answers)
    text = f"Function already exist: {name}"
    assert refused(answers) == [(409, "ResourceConflictException", text)] * (CALLERS - 1)
    assert world.configuration(name)["Description"] == created["Description"]


def test_an_update_during_another_is_refused(world):
    name = world.deploy(HELLO)
    call = world.client.update_function_configuration
    rounds = []
    for _ in range(5):
        rounds.append(together(lambda number: call(FunctionName=name, MemorySize=128 + number)))
        world.await_updated(name)
    for answers in rounds:
        assert accepted(answers)
        assert set(refused(answers)) <= {in_progress(world, name)}
    updated = [answer for answers in rounds for answer in accepted(answers)]
    assert len({answer["RevisionId"] for answer in updated}) == len(updated)
    # What is there is what the last accepted update said.
    assert world.configuration(name)["MemorySize"] in {answer["MemorySize"] for answer in accepted(rounds[-1])}


def test_no_update_that_saw_the_latest_revision_is_lost(world):
    name = world.deploy(HELLO)
    client = world.client
    stale = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
    stale = (412, "PreconditionFailedException", stale + "retrieve the latest Revision Id")

    def add(number):
        def once():
            seen = client.get_function_configuration(FunctionName=name)
            variables = seen.get("Environment", {}).get("Variables", {}) | {f"CALLER_{number}": str(number)}
            try:
                return client.update_function_configuration(
                    FunctionName=name, Environment={"Variables": variables}, RevisionId=seen["RevisionId"]
                )
            except ClientError as error:
                assert set(refused([error])) <= {stale, in_progress(world, name)}
                return None

        return wait_for(once, f"the update of caller {number} is accepted", PATIENCE)

    assert len(accepted(together(add))) == CALLERS
    world.await_updated(name)
    expected = {f"CALLER_{number}": str(number) for number in range(CALLERS)}
    assert world.configuration(name)["Environment"]["Variables"] == expected


def test_every_accepted_code_has_the_version_it_was_told(world):
    name = world.deploy(HELLO)
    code = [packages.python(f"def handler(event, context):\n    return {number}\n") for number in range(CALLERS)]

    def publish(number):
        def once():
            try:
                return world.client.update_function_code(FunctionName=name, ZipFile=code[number], Publish=True)
            except ClientError as error:
                assert refused([error]) == [in_progress(world, name)]
                return None

        return wait_for(once, f"the code of caller {number} is accepted", PATIENCE)

    answers = together(publish)
    assert sorted(int(answer["Version"]) for answer in answers) == list(range(1, CALLERS + 1))
    told = {answer["Version"]: answer["CodeSha256"] for answer in answers}
    assert told == {answer["Version"]: digest(code[number]) for number, answer in enumerate(answers)}
    listed = world.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert {one["Version"]: one["CodeSha256"] for one in listed if one["Version"] != "$LATEST"} == told
    world.await_updated(name)
    for number, answer in enumerate(answers[:3]):
        world.client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=answer["Version"])
        assert world.invoke(name, Qualifier=answer["Version"]).payload == number


def test_an_unchanged_function_is_published_once(world):
    name = world.deploy(HELLO)
    answers = accepted(together(lambda number: world.client.publish_version(FunctionName=name)))
    assert len(answers) == CALLERS
    assert {(answer["Version"], answer["CodeSha256"]) for answer in answers} == {("1", digest(HELLO))}
    assert len(world.client.list_versions_by_function(FunctionName=name)["Versions"]) == 2


def test_tags_permissions_and_aliases_of_all_callers_stay(world):
    name = world.deploy(HELLO)
    client, tags = world.client, {f"key-{number}": str(number) for number in range(CALLERS)}

    def change(number):
        key = f"key-{number}"
        client.tag_resource(Resource=arn(world, name), Tags={key: tags[key]})
        client.add_permission(
            FunctionName=name, StatementId=key, Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        )
        client.create_alias(FunctionName=name, Name=key, FunctionVersion="$LATEST")
        return client.put_function_event_invoke_config(FunctionName=name, Qualifier=key, MaximumRetryAttempts=1)

    assert len(accepted(together(change))) == CALLERS
    assert client.list_tags(Resource=arn(world, name))["Tags"] == tags
    policy = client.get_policy(FunctionName=name)["Policy"]
    assert all(f'"Sid":"{key}"' in policy for key in tags)
    assert {alias["Name"] for alias in client.list_aliases(FunctionName=name)["Aliases"]} == set(tags)
    configs = client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert len(configs) == CALLERS


def test_of_what_can_be_there_once_one_caller_makes_it(world):
    name = world.deploy(HELLO)
    client, queue = world.client, f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"
    calls = [
        lambda number: client.create_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST"),
        lambda number: client.add_permission(
            FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        ),
        lambda number: client.create_event_source_mapping(FunctionName=name, EventSourceArn=queue, Enabled=False),
    ]
    for call in calls:
        answers = together(call)
        assert len(accepted(answers)) == 1
        [error] = set(refused(answers))
        assert error[:2] == (409, "ResourceConflictException")


def test_concurrency_is_reserved_no_further_than_there_is(account):
    names = [account.deploy(HELLO) for _ in range(CALLERS)]
    put = account.client.put_function_concurrency
    answers = together(lambda number: put(FunctionName=names[number], ReservedConcurrentExecutions=100))
    # 1,000 for the account, of which 100 always stay with those that reserve none.
    assert len(accepted(answers)) == 9
    text = (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100]."
    )
    assert set(refused(answers)) == {(400, "InvalidParameterValueException", text)}
    limits = account.client.get_account_settings()["AccountLimit"]
    assert limits["UnreservedConcurrentExecutions"] == 100


def test_layer_versions_are_numbered_one_after_the_other(account):
    def publish(number):
        content = {"ZipFile": packages.package({"number.txt": str(number)})}
        return account.client.publish_layer_version(LayerName="layer", Content=content)

    answers = accepted(together(publish))
    assert sorted(answer["Version"] for answer in answers) == list(range(1, CALLERS + 1))
    listed = account.client.list_layer_versions(LayerName="layer")["LayerVersions"]
    assert [one["Version"] for one in listed] == list(range(CALLERS, 0, -1))
    size = sum(answer["Content"]["CodeSize"] for answer in answers)
    assert account.client.get_account_settings()["AccountUsage"]["TotalCodeSize"] == size


def test_one_caller_deletes_and_the_others_find_nothing(account):
    name = account.deploy(HELLO, Publish=True)
    answers = together(lambda number: account.client.delete_function(FunctionName=name))
    assert len(accepted(answers)) == 1
    text = f"Function not found: {arn(account, name)}"
    assert set(refused(answers)) == {(404, "ResourceNotFoundException", text)}
    assert account.client.get_account_settings()["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 0}


@pytest.mark.parametrize("publish", [False, True])
def test_updates_and_deletions_at_one_moment_leave_a_function_or_none(account, publish):
    name = account.deploy(HELLO)

    def change(number):
        if number % 4 == 0:
            return account.client.delete_function(FunctionName=name)
        if number % 4 == 1:
            return account.create(HELLO, name=name, Publish=publish)
        code = packages.python(f"def handler(event, context):\n    return {number}\n")
        return account.client.update_function_code(FunctionName=name, ZipFile=code, Publish=publish)

    for _ in range(5):
        for status, _, _ in refused(together(change)):
            assert status in (404, 409)
    functions = account.client.list_functions(FunctionVersion="ALL")["Functions"]
    usage = account.client.get_account_settings()["AccountUsage"]
    assert usage["TotalCodeSize"] == sum(function["CodeSize"] for function in functions)
    assert usage["FunctionCount"] == len({function["FunctionName"] for function in functions})
    if functions:
        wait_for(lambda: account.configuration(name).get("LastUpdateStatus") == "Successful", "all is settled")
        assert account.invoke(name).status == 200
    else:
        assert refusal(account.client.get_function, FunctionName=name).status == 404
