"""Event source mappings: their life, their lists and every refusal, through boto3."""

import contextlib

import pytest

from support import packages, raw
from support.waiting import wait_for
from support.world import World, refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")
MISSING = "00000000-0000-4000-8000-000000000000"
GONE = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
ACCESS = [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s"}]
SERVERS = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}}


def arn(service, resource):
    return f"arn:aws:{service}:us-east-1:000000000000:{resource}"


QUEUE = arn("sqs", "queue")
FIFO = arn("sqs", "queue.fifo")
KINESIS = arn("kinesis", "stream/events")
DYNAMODB = arn("dynamodb", "table/t/stream/2025-02-17T16:33:01.784")
MSK = arn("kafka", "cluster/c/11111111-2222-3333-4444-555555555555-1")
BROKER = arn("mq", "broker:b:b-11111111-2222-3333-4444-555555555555")
DOCUMENTS = arn("rds", "cluster:documents")
SOURCES = {
    "queue": {"EventSourceArn": QUEUE},
    "fifo queue": {"EventSourceArn": FIFO},
    "kinesis": {"EventSourceArn": KINESIS, "StartingPosition": "LATEST"},
    "dynamodb": {"EventSourceArn": DYNAMODB, "StartingPosition": "TRIM_HORIZON"},
    "msk": {"EventSourceArn": MSK, "Topics": ["topic"], "StartingPosition": "LATEST"},
    "kafka": {"SelfManagedEventSource": SERVERS, "Topics": ["topic"], "SourceAccessConfigurations": ACCESS},
    "broker": {"EventSourceArn": BROKER, "Queues": ["orders"], "SourceAccessConfigurations": ACCESS},
    "documents": {
        "EventSourceArn": DOCUMENTS,
        "StartingPosition": "LATEST",
        "SourceAccessConfigurations": ACCESS,
        "DocumentDBEventSourceConfig": {"DatabaseName": "shop"},
    },
}


@pytest.fixture(scope="module")
def function(world):
    return world.deploy(HELLO)


def map_to(world, function, **members):
    return world.client.create_event_source_mapping(FunctionName=function, **members)


def mapping(world, uuid):
    answer = world.client.get_event_source_mapping(UUID=uuid)
    answer.pop("ResponseMetadata")
    return answer


def await_state(world, uuid, state):
    return wait_for(
        lambda: (found := mapping(world, uuid))["State"] == state and found, f"the mapping is {state}"
    )


def await_gone(world, uuid):
    def gone():
        with contextlib.suppress(world.client.exceptions.ResourceNotFoundException):
            world.client.get_event_source_mapping(UUID=uuid)
            return False
        return True

    wait_for(gone, "the mapping is gone")


def remove(world, uuid):
    world.client.delete_event_source_mapping(UUID=uuid)
    await_gone(world, uuid)


def check(error, status, code, message):
    assert (error.status, error.code, error.message) == (status, code, message)


@pytest.mark.parametrize("source", SOURCES)
def test_a_mapping_lives_its_life(world, source):
    function = world.deploy(HELLO)
    created = map_to(world, function, Tags={"team": "red"}, **SOURCES[source])
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert created["State"] == "Creating"
    uuid = created["UUID"]
    assert created["EventSourceMappingArn"] == arn("lambda", f"event-source-mapping:{uuid}")
    assert created["FunctionArn"] == arn("lambda", f"function:{function}")
    for name, value in SOURCES[source].items():
        if name != "DocumentDBEventSourceConfig":
            assert created[name] == value, name
    enabled = await_state(world, uuid, "Enabled")
    assert enabled["LastProcessingResult"] == "PROBLEM: firelet does not poll event sources yet."
    assert enabled["LastModified"] >= created["LastModified"]

    updated = world.client.update_event_source_mapping(UUID=uuid, Enabled=False, BatchSize=7)
    assert (updated["ResponseMetadata"]["HTTPStatusCode"], updated["State"]) == (202, "Disabling")
    assert await_state(world, uuid, "Disabled")["BatchSize"] == 7
    updated = world.client.update_event_source_mapping(UUID=uuid, BatchSize=8)
    assert updated["State"] == "Updating"
    await_state(world, uuid, "Disabled")
    assert world.client.update_event_source_mapping(UUID=uuid, Enabled=True)["State"] == "Enabling"
    await_state(world, uuid, "Enabled")

    resource = created["EventSourceMappingArn"]
    world.client.tag_resource(Resource=resource, Tags={"stage": "test"})
    world.client.untag_resource(Resource=resource, TagKeys=["team"])
    assert world.client.list_tags(Resource=resource)["Tags"] == {"stage": "test"}

    deleted = world.client.delete_event_source_mapping(UUID=uuid)
    assert (deleted["ResponseMetadata"]["HTTPStatusCode"], deleted["State"]) == (202, "Deleting")
    await_gone(world, uuid)
    error = refusal(world.client.list_tags, Resource=resource)
    check(error, 404, "ResourceNotFoundException", f"Event source mapping not found: {resource}")


def test_a_queue_that_is_not_polled_is_disabled_at_once(world, function):
    created = map_to(world, function, EventSourceArn=arn("sqs", "idle"), Enabled=False)
    assert (created["State"], created["StateTransitionReason"]) == ("Disabled", "USER_INITIATED")
    assert created["BatchSize"] == 10
    assert created["FunctionResponseTypes"] == []
    remove(world, created["UUID"])


def test_a_stream_has_settings_of_its_own(world, function):
    created = map_to(
        world,
        function,
        EventSourceArn=arn("kinesis", "stream/own"),
        StartingPosition="AT_TIMESTAMP",
        StartingPositionTimestamp=1_700_000_000,
        FilterCriteria={"Filters": [{"Pattern": '{"data":{"kind":[{"prefix":"a"}]}}'}]},
        DestinationConfig={"OnFailure": {"Destination": arn("sns", "failed")}},
        MaximumRetryAttempts=3,
    )
    assert created["StartingPositionTimestamp"].timestamp() == 1_700_000_000
    assert created["StateTransitionReason"] == "User action"
    assert created["MaximumRecordAgeInSeconds"] == -1
    assert created["DestinationConfig"] == {"OnFailure": {"Destination": arn("sns", "failed")}}
    found = await_state(world, created["UUID"], "Enabled")
    assert found["FilterCriteria"] == {"Filters": [{"Pattern": '{"data":{"kind":[{"prefix":"a"}]}}'}]}
    assert found["MaximumRetryAttempts"] == 3
    remove(world, created["UUID"])


UNSUPPORTED = "Unsupported '{}' parameter for given event source mapping type."
REQUIRED = "Required '{}' parameter is missing."
WINDOW = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
DESTINATION = "Unsupported DestinationConfig parameter for given event source mapping type."
START = (
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
    "Member must not be null."
)
NEGATIVE = (
    "Received Exception while reading from provided stream. class java.lang.Long can not be converted to a Timestamp"
)


@pytest.mark.parametrize(
    ("source", "members", "message"),
    [
        (None, {}, "Unrecognized event source."),
        (None, {"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source."),
        ("queue", {"FunctionName": "missing"}, "Function does not exist"),
        ("queue", {"FunctionName": "{function}:10"}, "Function does not exist"),
        ("queue", {"FunctionName": "{function}:live"}, "Function does not exist"),
        ("queue", {"BatchSize": 11}, WINDOW),
        ("fifo queue", {"BatchSize": 11}, "Maximum batch size must be between 1 and 10 inclusive"),
        (
            "fifo queue",
            {"MaximumBatchingWindowInSeconds": 1},
            "Batching window is not supported for FIFO queues",
        ),
        ("queue", {"StartingPosition": "LATEST"}, "StartingPosition is not valid for SQS event sources."),
        ("kinesis", {"StartingPosition": None}, START),
        (
            "kinesis",
            {"StartingPositionTimestamp": 1},
            "Timestamp only valid with StartingPosition AT_TIMESTAMP",
        ),
        ("kinesis", {"StartingPosition": "AT_TIMESTAMP"}, "Need to specify a timestamp"),
        ("kinesis", {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": -1}, NEGATIVE),
        (
            "dynamodb",
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1},
            f"Unsupported starting position for arn type: {DYNAMODB}",
        ),
        ("queue", {"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "Invalid filter pattern definition."),
        (
            "queue",
            {"FilterCriteria": {"Filters": [{"Pattern": '{"a":[1]}'}] * 6}},
            "Number of filters exceeds event source mapping filter limit.",
        ),
        ("kinesis", {"DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}}, DESTINATION),
        ("queue", {"DestinationConfig": {"OnFailure": {"Destination": QUEUE}}}, DESTINATION),
        (
            "kinesis",
            {"DestinationConfig": {"OnFailure": {"Destination": DYNAMODB}}},
            "The provided destination config DestinationConfig(onSuccess=null, "
            f"onFailure=OnFailure(destination={DYNAMODB})) is invalid.",
        ),
        (
            "kinesis",
            {"MaximumRecordAgeInSeconds": 0},
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)",
        ),
        ("kafka", {"SourceAccessConfigurations": None}, REQUIRED.format("sourceAccessConfigurations")),
        ("msk", {"Topics": None}, REQUIRED.format("topics")),
        ("broker", {"Queues": None}, REQUIRED.format("queues")),
        ("documents", {"DocumentDBEventSourceConfig": {}}, REQUIRED.format("databaseName")),
        ("queue", {"ParallelizationFactor": 2}, UNSUPPORTED.format("parallelizationFactor")),
        ("kinesis", {"ScalingConfig": {"MaximumConcurrency": 2}}, UNSUPPORTED.format("scalingConfig")),
        (
            "kafka",
            {"SelfManagedKafkaEventSourceConfig": {"ConsumptionMode": "Stream"}},
            UNSUPPORTED.format("ConsumptionMode"),
        ),
        ("queue", {"Tags": {str(number): "x" for number in range(51)}}, "Number of tags exceeds resource tag limit."),
    ],
)
def test_wrong_mappings_are_refused(account, source, members, message):
    function = account.deploy(HELLO)
    request = {"FunctionName": function} | SOURCES.get(source, {}) | members
    request["FunctionName"] = request["FunctionName"].format(function=function)
    request = {name: value for name, value in request.items() if value is not None}
    error = refusal(account.client.create_event_source_mapping, **request)
    check(error, 400, "InvalidParameterValueException", message)
    assert error.body["Type"] == "User"
    assert account.client.list_event_source_mappings()["EventSourceMappings"] == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"BatchSize": 0}, "Value '0' at 'batchSize' failed to satisfy constraint: "
         "Member must have value greater than or equal to 1"),
        ({"ScalingConfig": {"MaximumConcurrency": 1}}, "Value '1' at 'scalingConfig.maximumConcurrency' failed to "
         "satisfy constraint: Member must have value greater than or equal to 2"),
        ({"ProvisionedPollerConfig": {"MinimumPollers": 5, "MaximumPollers": 4}},
         "Value '4' at 'provisionedPollerConfig.maximumPollers' failed to satisfy constraint: "
         "Member must have value greater than or equal to 5"),
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused(world, function, members, message):
    error = refusal(map_to, world, function, EventSourceArn=QUEUE, **members)
    check(error, 400, "ValidationException", f"1 validation error detected: {message}")


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_mapping_twice_is_a_conflict(world, source):
    function = world.deploy(HELLO)
    members = SOURCES[source]
    uuid = map_to(world, function, **members)["UUID"]
    end = f"Please update or delete the existing mapping with UUID {uuid}"
    source_arn = members.get("EventSourceArn")
    if "queue" in source:
        message = f'An event source mapping with SQS arn (" {source_arn} ") and function (" {function} ") already exists. '
    elif "Topics" in members:
        function_arn = arn("lambda", f"function:{function}")
        message = (
            f'An event source mapping with event source ("{source_arn or "kafka:1000"}"), function ("{function_arn}"), '
            'topics ("topic") already exists. '
        )
    else:
        message = (
            f'The event source arn (" {source_arn} ") and function (" {function} ") provided mapping already exists. '
        )
    check(refusal(map_to, world, function, **members), 409, "ResourceConflictException", message + end)
    await_state(world, uuid, "Enabled")
    remove(world, uuid)


def test_what_is_not_there_is_not_found(world):
    for call in ("get", "update", "delete"):
        check(refusal(getattr(world.client, f"{call}_event_source_mapping"), UUID=MISSING), *GONE)
    error = refusal(world.client.get_event_source_mapping, UUID="short")
    assert error.code == "ValidationException"
    error = refusal(world.client.list_event_source_mappings, FunctionName="missing")
    check(error, 404, "ResourceNotFoundException", f"Function not found: {arn('lambda', 'function:missing')}")


@pytest.mark.parametrize("suffix", ["", "/"])
def test_older_clients_end_the_path_with_a_slash(server, suffix):
    path = "/2015-03-31/event-source-mappings" + suffix
    assert "EventSourceMappings" in raw.request(server, "GET", path).json
    answer = raw.request(server, "POST", path, '{"FunctionName":"missing","EventSourceArn":"%s"}' % QUEUE)
    assert (answer.status, answer.json) == (400, {"Type": "User", "message": "Function does not exist"})


def test_other_regions_are_out_of_reach(world, function):
    other = f"arn:aws:lambda:ap-southeast-1:000000000000:function:{function}"
    error = refusal(map_to, world, other, EventSourceArn=QUEUE)
    message = "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')"
    check(error, 404, "ResourceNotFoundException", message)


def test_lists_are_chosen_and_come_in_pages(account):
    one, two = account.deploy(HELLO), account.deploy(HELLO)
    made = {map_to(account, one, EventSourceArn=arn("sqs", f"q{number}"))["UUID"] for number in range(5)}
    shared = map_to(account, two, EventSourceArn=arn("sqs", "q0"))["UUID"]
    pages = list(
        account.client.get_paginator("list_event_source_mappings").paginate(PaginationConfig={"PageSize": 4})
    )
    assert [len(page["EventSourceMappings"]) for page in pages] == [4, 2]
    assert {one["UUID"] for page in pages for one in page["EventSourceMappings"]} == made | {shared}

    def listed(**selection):
        return {one["UUID"] for one in account.client.list_event_source_mappings(**selection)["EventSourceMappings"]}

    assert listed(FunctionName=one) == made
    assert listed(FunctionName=two) == {shared}
    assert len(listed(EventSourceArn=arn("sqs", "q0"))) == 2
    assert listed(EventSourceArn=arn("sqs", "q0"), FunctionName=two) == {shared}
    assert listed(EventSourceArn=arn("sqs", "other")) == set()
    marker = account.client.list_event_source_mappings(MaxItems=1)["NextMarker"]
    for selection in ({"Marker": "x"}, {"Marker": marker, "FunctionName": one}):
        error = refusal(account.client.list_event_source_mappings, **selection)
        check(error, 400, "InvalidParameterValueException", "Invalid Marker")


def test_accounts_and_regions_are_apart(server, account, world, function):
    uuid = map_to(world, function, EventSourceArn=arn("sqs", "apart"))["UUID"]
    elsewhere = server.client(region="eu-west-1")
    for client in (account.client, elsewhere):
        assert client.list_event_source_mappings()["EventSourceMappings"] == []
        for call in ("get", "update", "delete"):
            check(refusal(getattr(client, f"{call}_event_source_mapping"), UUID=uuid), *GONE)
    assert mapping(world, uuid)["UUID"] == uuid


def test_a_deleted_function_leaves_its_mapping(world):
    function = world.deploy(HELLO)
    uuid = map_to(world, function, EventSourceArn=QUEUE)["UUID"]
    world.client.delete_function(FunctionName=function)
    await_state(world, uuid, "Enabled")
    listed = world.client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert [one["UUID"] for one in listed] == [uuid]
    remove(world, uuid)


def test_a_restart_keeps_mappings(make_server):
    server = make_server().start()
    world = World(server)
    function = world.deploy(HELLO)
    kept = map_to(world, function, EventSourceArn=KINESIS, StartingPosition="LATEST", Tags={"a": "b"})
    before = await_state(world, kept["UUID"], "Enabled")
    begun = map_to(world, function, EventSourceArn=QUEUE)["UUID"]
    server.kill()
    world = World(server.start())
    assert mapping(world, kept["UUID"]) == before
    assert world.client.list_tags(Resource=kept["EventSourceMappingArn"])["Tags"] == {"a": "b"}
    await_state(world, begun, "Enabled")
