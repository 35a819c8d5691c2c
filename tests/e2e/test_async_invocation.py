"""Invocations that nobody waits for: accepted, tried again, ended, and told of."""

import concurrent.futures
import json
import re

import pytest

from support import packages, raw
from support.server import run_firelet
from support.waiting import wait_for
from support.witness import witness
from support.world import World, refusal

LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:queue"
# Fails as often as the event says, and prints what it gets.
STUBBORN = packages.python(
    """
import json
tries = {}
def handler(event, context):
    request = context.aws_request_id
    tries[request] = tries.get(request, 0) + 1
    print("GOT", json.dumps({"event": event, "request": request, "version": context.function_version}))
    if tries[request] <= event.get("fail", 0):
        raise ValueError("not yet")
    return {"tries": tries[request]}
"""
)
SECOND = packages.python(
    """
import json
def handler(event, context):
    print("GOT", json.dumps({"event": event, "request": context.aws_request_id, "version": "second code"}))
"""
)
REPORTER = packages.python(
    """
import json, os, time, urllib.request
def handler(event, context):
    def tell(what):
        content = json.dumps({"event": event, "request": context.aws_request_id, "what": what}).encode()
        urllib.request.urlopen(urllib.request.Request(os.environ["WITNESS"], content)).read()
    tell("begin")
    time.sleep(event.get("seconds", 0))
    tell("end")
"""
)
EVENT_LIMIT = 1_048_576
ASYNC_LIMIT = 262_144


@pytest.fixture(scope="module")
def server_options():
    return ("--async-retry-seconds", "1")


@pytest.fixture(scope="module")
def stubborn(world):
    return world.deploy(STUBBORN)


def send(world, name, payload=None, **settings):
    """Invokes asynchronously; gives the request id."""
    body = json.dumps(payload if payload is not None else {}).encode()
    answer = world.client.invoke(FunctionName=name, InvocationType="Event", Payload=body, **settings)
    assert answer["StatusCode"] == 202
    return answer["ResponseMetadata"]["RequestId"]


def got(world, name, request=None):
    """What a function printed that it got, in order."""
    ended = run_firelet("logs", name, endpoint=world.server.endpoint)
    all_of_it = [json.loads(line) for line in re.findall(r"GOT (.*)", ended.stdout)]
    return [one for one in all_of_it if request in (None, one["request"])]


def await_got(world, name, request=None, count=1):
    return wait_for(
        lambda: (seen := got(world, name, request)) and len(seen) >= count and seen, f"{name} got {count} events"
    )


def configure(world, name, qualifier=None, on_success=None, on_failure=None, **settings):
    ends = {"OnSuccess": on_success, "OnFailure": on_failure}
    destinations = {end: {"Destination": target} for end, target in ends.items() if target}
    if destinations:
        settings["DestinationConfig"] = destinations
    if qualifier:
        settings["Qualifier"] = qualifier
    world.client.put_function_event_invoke_config(FunctionName=name, **settings)


def test_an_event_is_accepted_and_runs_with_the_id_of_its_request(server, world, stubborn):
    body = b'{"some": "thing"}'
    path = f"/2015-03-31/functions/{stubborn}/invocations"
    answer = raw.request(server, "POST", path, body, {"X-Amz-Invocation-Type": "Event"})
    assert (answer.status, answer.body) == (202, b"")
    assert "x-amz-executed-version" not in answer.headers
    assert answer.headers["x-amzn-trace-id"].startswith("Root=1-")
    request = answer.headers["x-amzn-requestid"]
    seen = await_got(world, stubborn, request)
    assert seen == [{"event": {"some": "thing"}, "request": request, "version": "$LATEST"}]


def test_invoke_async_is_served_too(world, stubborn):
    answer = world.client.invoke_async(FunctionName=stubborn, InvokeArgs=b'{"old": "way"}')
    assert answer["Status"] == answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    request = answer["ResponseMetadata"]["RequestId"]
    assert await_got(world, stubborn, request)[0]["event"] == {"old": "way"}
    error = refusal(world.client.invoke_async, FunctionName=stubborn, InvokeArgs=b"1" * (ASYNC_LIMIT + 1))
    assert (error.status, error.code) == (413, "RequestEntityTooLargeException")
    assert error.message == f"Request must be smaller than {ASYNC_LIMIT} bytes for the InvokeAsync operation"


@pytest.mark.parametrize("size", [EVENT_LIMIT + 1, 7 * EVENT_LIMIT])
def test_events_are_up_to_a_megabyte(world, stubborn, size):
    body = b'"' + b"x" * (size - 2) + b'"'
    error = refusal(world.client.invoke, FunctionName=stubborn, InvocationType="Event", Payload=body)
    assert (error.status, error.code) == (413, "RequestTooLargeException")
    assert error.message == (
        f"{size} byte payload is too large for the Event invocation type (limit {EVENT_LIMIT} bytes)"
    )


def test_a_client_hears_that_its_connection_ends_with_what_was_not_read(server, stubborn):
    path = f"/2015-03-31/functions/{stubborn}/invocations"
    body = b'"' + b"x" * (7 * EVENT_LIMIT) + b'"'
    answer = raw.request(server, "POST", path, body, {"X-Amz-Invocation-Type": "Event"})
    assert (answer.status, answer.headers.get("connection")) == (413, "close")


def test_the_largest_event_arrives(world):
    name = world.deploy(packages.python("def handler(event, context):\n    print('SIZE', len(event))\n"))
    body = b'"' + b"x" * (EVENT_LIMIT - 2) + b'"'
    world.client.invoke(FunctionName=name, InvocationType="Event", Payload=body)
    line = f"SIZE {EVENT_LIMIT - 2}"
    wait_for(
        lambda: line in run_firelet("logs", name, endpoint=world.server.endpoint).stdout, "the event arrives whole"
    )


def test_no_payload_is_an_empty_object(world, stubborn):
    request = world.client.invoke(FunctionName=stubborn, InvocationType="Event")["ResponseMetadata"]["RequestId"]
    assert await_got(world, stubborn, request)[0]["event"] == {}


def test_what_is_wrong_is_refused_at_once(world, stubborn):
    error = refusal(world.client.invoke, FunctionName=stubborn, InvocationType="Event", Payload=b"not JSON")
    assert (error.status, error.code) == (400, "InvalidRequestContentException")
    assert error.message.startswith("Could not parse request body into json: Could not parse payload into json: ")
    for name, qualifier in (("missing", None), (stubborn, "7"), (stubborn, "nobody")):
        settings = {"Qualifier": qualifier} if qualifier else {}
        error = refusal(world.client.invoke, FunctionName=name, InvocationType="Event", **settings)
        assert (error.status, error.code) == (404, "ResourceNotFoundException")
        assert error.message == f"Function not found: {LAMBDA}{name}:{qualifier or '$LATEST'}"
    error = refusal(world.client.invoke_async, FunctionName="missing", InvokeArgs=b"{}")
    assert (error.status, error.code) == (404, "ResourceNotFoundException")


def test_what_failed_is_tried_twice_more_with_the_same_id(world, stubborn):
    request = send(world, stubborn, {"fail": 9})
    wait_for(lambda: f"{request} condition=" in plain(world.server.log()), "the event is given up")
    assert len(got(world, stubborn, request)) == 3
    assert re.search(f"discarded.*{request}.*RetriesExhausted", plain(world.server.log()))


def plain(text):
    """A log without colours, and each line's fields as `name=value`."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace('"', "")


def test_what_succeeded_is_not_tried_again(world, stubborn):
    witness_of_end = world.deploy(STUBBORN)
    name = world.deploy(STUBBORN)
    configure(world, name, on_success=LAMBDA + witness_of_end)
    request = send(world, name, {"fail": 1})
    (record,) = await_got(world, witness_of_end)
    assert record["event"]["requestContext"]["approximateInvokeCount"] == 2
    assert record["event"]["responsePayload"] == {"tries": 2}
    assert len(got(world, name, request)) == 2


def test_a_configuration_bounds_retries(world):
    name = world.deploy(STUBBORN)
    configure(world, name, MaximumRetryAttempts=0)
    request = send(world, name, {"fail": 9})
    wait_for(lambda: f"{request} condition=" in plain(world.server.log()), "the event is given up")
    assert len(got(world, name, request)) == 1


def test_functions_are_told_of_the_end(world):
    name, told = world.deploy(STUBBORN), world.deploy(STUBBORN)
    configure(world, name, on_success=LAMBDA + told, on_failure=LAMBDA + told, MaximumRetryAttempts=1)
    for fail, condition, count, error in ((0, "Success", 1, None), (9, "RetriesExhausted", 2, "Unhandled")):
        request = send(world, name, {"fail": fail})
        of_this = lambda: [
            one
            for one in got(world, told)
            if one["event"]["requestContext"]["requestId"] == request  # noqa: B023
        ]
        (one,) = wait_for(of_this, "the record arrives")
        record = one["event"]
        assert one["request"] != request
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("timestamp"))
        answer = record.pop("responsePayload")
        assert answer["errorMessage"] == "not yet" if fail else answer == {"tries": 1}
        context = {"statusCode": 200, "executedVersion": "$LATEST"} | ({"functionError": error} if error else {})
        assert record == {
            "version": "1.0",
            "requestContext": {
                "requestId": request,
                "functionArn": f"{LAMBDA}{name}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": count,
            },
            "requestPayload": {"fail": fail},
            "responseContext": context,
        }


def test_no_reserved_concurrency_ends_an_event_at_once(world):
    name, told = world.deploy(STUBBORN), world.deploy(STUBBORN)
    configure(world, name, on_failure=LAMBDA + told)
    world.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    request = send(world, name, {"a": 1})
    record = await_got(world, told)[0]["event"]
    assert record["requestContext"] == {
        "requestId": request,
        "functionArn": f"{LAMBDA}{name}:$LATEST",
        "condition": "ZeroReservedConcurrency",
        "approximateInvokeCount": 0,
    }
    assert record["requestPayload"] == {"a": 1}
    assert "responseContext" not in record and "responsePayload" not in record
    assert got(world, name) == []


def test_a_wait_that_would_make_the_event_too_old_ends_it(make_server):
    """The first wait is a minute, as on AWS."""
    world = World(make_server().start())
    name, told = world.deploy(STUBBORN), world.deploy(STUBBORN)
    configure(world, name, on_failure=LAMBDA + told, MaximumEventAgeInSeconds=60)
    send(world, name, {"fail": 9})
    record = await_got(world, told)[0]["event"]
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"]["errorMessage"] == "not yet"


def test_a_retry_runs_the_code_of_now(world):
    name = world.deploy(STUBBORN)
    request = send(world, name, {"fail": 9})
    await_got(world, name, request)
    world.client.update_function_code(FunctionName=name, ZipFile=SECOND)
    versions = [one["version"] for one in await_second_code(world, name, request)]
    assert versions[0] == "$LATEST" and versions[-1] == "second code"


def await_second_code(world, name, request):
    def of_second():
        seen = got(world, name, request)
        return seen[-1]["version"] == "second code" and seen

    return wait_for(of_second, "the second code runs")


def test_a_retry_goes_where_the_alias_leads_now(world):
    name, told = world.deploy(STUBBORN, Publish=True), world.deploy(STUBBORN)
    world.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    configure(world, name, "live", on_success=LAMBDA + told)
    request = send(world, name, {"fail": 9}, Qualifier="live")
    await_got(world, name, request)
    world.client.update_function_code(FunctionName=name, ZipFile=SECOND)
    world.await_updated(name)
    world.client.publish_version(FunctionName=name)
    world.client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    await_second_code(world, name, request)
    record = await_got(world, told)[0]["event"]
    assert record["requestContext"]["functionArn"] == f"{LAMBDA}{name}:live"
    assert record["responseContext"]["executedVersion"] == "2"


def test_whom_firelet_cannot_tell_is_named_in_the_log(world):
    name = world.deploy(STUBBORN, DeadLetterConfig={"TargetArn": QUEUE + "-of-dead-letters"})
    configure(world, name, on_success=QUEUE, on_failure=QUEUE, MaximumRetryAttempts=0)
    ends = ((0, "Success", [QUEUE]), (1, "RetriesExhausted", [QUEUE, QUEUE + "-of-dead-letters"]))
    for fail, condition, targets in ends:
        request = send(world, name, {"fail": fail})
        for target in targets:
            line = (
                f"a record of an asynchronous invocation is lost: firelet does not deliver to this service yet "
                f"function={name} request_id={request} condition={condition} target={target}\n"
            )
            wait_for(lambda: line in plain(world.server.log()), line)  # noqa: B023


def test_a_destination_that_is_gone_is_named_in_the_log(world):
    name, told = world.deploy(STUBBORN), world.deploy(STUBBORN)
    configure(world, name, on_success=LAMBDA + told)
    world.client.delete_function(FunctionName=told)
    request = send(world, name)
    line = (
        f"a record of an asynchronous invocation is lost: there is no such function function={name} "
        f"request_id={request} condition=Success target={told}\n"
    )
    wait_for(lambda: line in plain(world.server.log()), line)


def test_a_destination_may_be_an_alias(world):
    name, told = world.deploy(STUBBORN), world.deploy(STUBBORN, Publish=True)
    world.client.create_alias(FunctionName=told, Name="live", FunctionVersion="1")
    configure(world, name, on_success=f"{LAMBDA}{told}:live")
    send(world, name)
    assert await_got(world, told)[0]["version"] == "1"


def test_a_throttled_function_gets_every_event_in_the_end(world):
    name, told = world.deploy(STUBBORN), world.deploy(STUBBORN)
    configure(world, name, on_success=LAMBDA + told)
    world.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    sent = {send(world, name, {"number": number}) for number in range(30)}
    ended = await_got(world, told, count=30)
    assert {one["event"]["requestContext"]["requestId"] for one in ended} == sent
    assert len(got(world, name)) == 30


def test_a_flood_does_not_hold_up_others(make_server):
    with witness() as (address, heard):
        world = World(make_server("--network", "host").start())
        settings = {"Environment": {"Variables": {"WITNESS": address}}}
        busy, other = world.deploy(REPORTER, **settings), world.deploy(REPORTER, **settings)
        world.client.put_function_concurrency(FunctionName=busy, ReservedConcurrentExecutions=2)
        for number in range(100):
            send(world, busy, {"number": number, "seconds": 1})
        request = send(world, other)
        wait_for(lambda: any(one["request"] == request for one in heard), "the other function runs")
        assert sum(one["what"] == "end" for one in heard) < 50


def test_events_go_with_their_function(make_server):
    world = World(make_server().start())
    name = world.deploy(STUBBORN)
    request = send(world, name, {"fail": 9})
    await_got(world, name, request)
    # Whether it still ends or waits already: it has not ended for good.
    world.client.delete_function(FunctionName=name)
    log = plain(world.server.log())
    assert f"asynchronous invocations are dropped with their function function={name} events=1\n" in log
    world.deploy(SECOND, name=name)
    again = send(world, name)
    assert await_got(world, name, again)
    assert len(got(world, name, request)) == 1


def test_an_event_keeps_its_tenant(world):
    source = "def handler(event, context):\n    print(f'FOR {context.tenant_id}')\n    assert event\n"
    name = world.deploy(packages.python(source), TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    send(world, name, TenantId="blue")
    log = lambda: run_firelet("logs", name, endpoint=world.server.endpoint).stdout
    wait_for(lambda: log().count("FOR blue") == 3, "every try is for the tenant")


def test_the_command_queues_events(server, world, stubborn):
    ended = run_firelet("invoke", stubborn, "--async", "--payload", '{"by": "command"}', endpoint=server.endpoint)
    assert ended.returncode == 0
    assert await_got(world, stubborn, ended.stdout.strip())[0]["event"] == {"by": "command"}
    ended = run_firelet("invoke", "missing", "--async", endpoint=server.endpoint)
    assert ended.returncode == 1 and "Function not found" in ended.stderr


def test_what_was_accepted_before_a_kill_is_delivered_after_it(make_server):
    with witness() as (address, heard):
        server = make_server("--network", "host", "--quota", "concurrent-executions=1").start()
        world = World(server)
        name = world.deploy(REPORTER, Environment={"Variables": {"WITNESS": address}}, Timeout=900)
        with concurrent.futures.ThreadPoolExecutor(1) as caller:
            # Takes the only place, so that nothing else runs.
            running = caller.submit(world.invoke, name, {"seconds": 600})
            wait_for(lambda: heard, "the place is taken")
            sent = [send(world, name, {"number": number}) for number in range(20)]
            server.kill()
            assert running.exception()
        assert len(heard) == 1
        world = World(server.start())
        ended = lambda: {one["request"] for one in heard if one["what"] == "end"}
        wait_for(lambda: set(sent) <= ended(), "every event is delivered")


def test_what_ran_when_the_server_was_killed_runs_again(make_server):
    with witness() as (address, heard):
        server = make_server("--network", "host").start()
        world = World(server)
        name = world.deploy(REPORTER, Environment={"Variables": {"WITNESS": address}})
        request = send(world, name, {"seconds": 2})
        wait_for(lambda: heard, "the function runs")
        server.kill()
        assert [one["what"] for one in heard] == ["begin"]
        server.start()
        wait_for(lambda: heard[-1]["what"] == "end", "the function runs to its end")
        assert [one["what"] for one in heard] == ["begin", "begin", "end"]
        assert {one["request"] for one in heard} == {request}
        assert server.stop() == 0


def test_an_orderly_end_loses_no_event(make_server):
    with witness() as (address, heard):
        server = make_server("--network", "host").start()
        world = World(server)
        settings = {"Environment": {"Variables": {"WITNESS": address}}}
        short, long = world.deploy(REPORTER, **settings), world.deploy(REPORTER, **settings)
        finished, broken = send(world, short, {"seconds": 1}), send(world, long, {"seconds": 12})
        wait_for(lambda: len(heard) >= 2, "both functions run")
        assert server.stop() == 0
        assert "asynchronous invocations were under way when the server stopped" in server.log()
        what = lambda request: [one["what"] for one in heard if one["request"] == request]
        assert (what(finished), what(broken)) == (["begin", "end"], ["begin"])
        server.start()
        wait_for(lambda: what(broken) == ["begin", "begin", "end"], "what was broken off runs again")
        assert what(finished) == ["begin", "end"]


def test_kills_under_load_lose_nothing_that_was_accepted(make_server):
    with witness() as (address, heard):
        server = make_server("--network", "host", "--async-retry-seconds", "1").start()
        world = World(server)
        name = world.deploy(REPORTER, Environment={"Variables": {"WITNESS": address}})
        world.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=4)
        accepted = []
        for _ in range(3):
            world = World(server)
            with concurrent.futures.ThreadPoolExecutor(4) as callers:
                running = [callers.submit(send, world, name, {"number": number}) for number in range(200)]
                wait_for(lambda: sum(one.done() for one in running) >= 60, "some events are accepted")  # noqa: B023
                server.kill()
                accepted += [one.result() for one in running if one.exception() is None]
            server.start()
        ended = lambda: {one["request"] for one in heard if one["what"] == "end"}
        wait_for(lambda: set(accepted) <= ended(), "every accepted event is delivered", patience=90)
        assert len(accepted) >= 180
