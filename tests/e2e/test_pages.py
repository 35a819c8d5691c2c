"""Every list, page by page: pages of any size hold every item once, whatever comes and goes meanwhile, and a marker is
good for the list that gave it and for no other."""

import dataclasses
from collections.abc import Callable

import pytest

from support import packages
from support.operations import IMPLEMENTED, OPERATIONS
from support.server import ACCOUNT, REGION
from support.world import ROLE, World, refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")
# Nothing here invokes it.
BOOTSTRAP = packages.package({"bootstrap": "#!/bin/sh\nexec sleep 1000\n"})
PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/profile/0123456789"
INVALID = "InvalidParameterValueException"


@dataclasses.dataclass(frozen=True)
class List:
    """A list: how it is read, and how what it holds is made and deleted."""

    operation: str
    method: str
    items: str
    """The member of the answer that holds the items."""
    key: str
    """The member of an item that tells it from the others."""
    add: Callable
    """Makes an item, of whose number two have none; gives its key."""
    remove: Callable
    begin: Callable = lambda world: {}
    """Makes what the list is of; gives the arguments of each request."""
    there: int = 0
    """Items that `begin` leaves in the list."""
    fixed: int = 0
    """So many items that cannot be removed stand first."""


def signing(world):
    created = world.client.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [PROFILE]})
    return created["CodeSigningConfig"]["CodeSigningConfigArn"]


def publish(world, scope, number):
    name = scope["FunctionName"]
    world.client.update_function_configuration(FunctionName=name, MemorySize=128 + number)
    world.await_updated(name)
    return world.client.publish_version(FunctionName=name)["Version"]


def add_layer_version(world, scope, number):
    content = {"ZipFile": packages.package({"a.txt": str(number)})}
    return world.client.publish_layer_version(LayerName=scope["LayerName"], Content=content)["Version"]


def add_layer(world, scope, number):
    name = f"layer-{number:02}"
    world.client.publish_layer_version(LayerName=name, Content={"ZipFile": packages.package({"a.txt": "a"})})
    return name


def add_mapping(world, scope, number):
    created = world.client.create_event_source_mapping(
        FunctionName=scope["FunctionName"],
        EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue-{number}",
        Enabled=False,
    )
    return created["UUID"]


def add_alias(world, scope, number):
    name = f"alias-{number:02}"
    world.client.create_alias(FunctionName=scope["FunctionName"], Name=name, FunctionVersion="$LATEST")
    return name


def arn_of_alias(world, scope, number):
    return world.configuration(scope["FunctionName"])["FunctionArn"] + ":" + add_alias(world, scope, number)


def add_event_invoke_config(world, scope, number):
    arn = arn_of_alias(world, scope, number)
    world.client.put_function_event_invoke_config(FunctionName=arn, MaximumRetryAttempts=1)
    return arn


def add_url(world, scope, number):
    arn = arn_of_alias(world, scope, number)
    world.client.create_function_url_config(FunctionName=arn, AuthType="NONE")
    return arn


def add_provisioned(world, scope, number):
    version = publish(world, scope, number)
    world.client.put_provisioned_concurrency_config(**scope, Qualifier=version, ProvisionedConcurrentExecutions=1)
    return world.configuration(scope["FunctionName"])["FunctionArn"] + ":" + version


def make_capacity_provider(world, name):
    created = world.client.create_capacity_provider(
        CapacityProviderName=name,
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE},
    )
    return created["CapacityProvider"]["CapacityProviderArn"]


def add_on_capacity_provider(world, scope, number):
    capacity = {"CapacityProviderArn": scope["CapacityProviderName"]}
    settings = {"CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": capacity}}
    name, runtime = f"function-{number:02}", "provided.al2023"
    created = world.create(BOOTSTRAP, name=name, runtime=runtime, Publish=True, **settings)
    return created["FunctionArn"] + ":1"


def add_signed(world, scope, number):
    created = world.create(HELLO, name=f"function-{number:02}", **scope)
    return created["FunctionArn"]


def of_function(world):
    return {"FunctionName": world.deploy(HELLO)}


def of_layer(world):
    return {"LayerName": world.name("layer")}


LISTS = [
    List(
        operation="ListAliases",
        method="list_aliases",
        items="Aliases",
        key="Name",
        begin=of_function,
        add=add_alias,
        remove=lambda world, scope, key: world.client.delete_alias(**scope, Name=key),
    ),
    List(
        operation="ListCapacityProviders",
        method="list_capacity_providers",
        items="CapacityProviders",
        key="CapacityProviderArn",
        add=lambda world, scope, number: make_capacity_provider(world, f"provider-{number:02}"),
        remove=lambda world, scope, key: world.client.delete_capacity_provider(CapacityProviderName=key),
    ),
    List(
        operation="ListCodeSigningConfigs",
        method="list_code_signing_configs",
        items="CodeSigningConfigs",
        key="CodeSigningConfigArn",
        add=lambda world, scope, number: signing(world),
        remove=lambda world, scope, key: world.client.delete_code_signing_config(CodeSigningConfigArn=key),
    ),
    List(
        operation="ListEventSourceMappings",
        method="list_event_source_mappings",
        items="EventSourceMappings",
        key="UUID",
        begin=of_function,
        add=add_mapping,
        remove=lambda world, scope, key: world.client.delete_event_source_mapping(UUID=key),
    ),
    List(
        operation="ListFunctionEventInvokeConfigs",
        method="list_function_event_invoke_configs",
        items="FunctionEventInvokeConfigs",
        key="FunctionArn",
        begin=of_function,
        add=add_event_invoke_config,
        remove=lambda world, scope, key: world.client.delete_function_event_invoke_config(FunctionName=key),
    ),
    List(
        operation="ListFunctionUrlConfigs",
        method="list_function_url_configs",
        items="FunctionUrlConfigs",
        key="FunctionArn",
        begin=of_function,
        add=add_url,
        remove=lambda world, scope, key: world.client.delete_function_url_config(FunctionName=key),
    ),
    List(
        operation="ListFunctionVersionsByCapacityProvider",
        method="list_function_versions_by_capacity_provider",
        items="FunctionVersions",
        key="FunctionArn",
        begin=lambda world: {"CapacityProviderName": make_capacity_provider(world, world.name("owner"))},
        add=add_on_capacity_provider,
        remove=lambda world, scope, key: world.client.delete_function(FunctionName=key),
    ),
    List(
        operation="ListFunctions",
        method="list_functions",
        items="Functions",
        key="FunctionName",
        add=lambda world, scope, number: world.create(HELLO, name=f"function-{number:02}")["FunctionName"],
        remove=lambda world, scope, key: world.client.delete_function(FunctionName=key),
    ),
    List(
        operation="ListFunctions",
        method="list_functions",
        items="Functions",
        key="FunctionArn",
        begin=lambda world: {"FunctionVersion": "ALL"},
        add=lambda world, scope, number: world.create(HELLO, name=f"function-{number:02}")["FunctionArn"] + ":$LATEST",
        remove=lambda world, scope, key: world.client.delete_function(FunctionName=key.removesuffix(":$LATEST")),
    ),
    List(
        operation="ListFunctionsByCodeSigningConfig",
        method="list_functions_by_code_signing_config",
        items="FunctionArns",
        key="",
        begin=lambda world: {"CodeSigningConfigArn": signing(world)},
        add=add_signed,
        remove=lambda world, scope, key: world.client.delete_function(FunctionName=key),
    ),
    List(
        operation="ListLayerVersions",
        method="list_layer_versions",
        items="LayerVersions",
        key="Version",
        begin=of_layer,
        add=add_layer_version,
        remove=lambda world, scope, key: world.client.delete_layer_version(**scope, VersionNumber=key),
    ),
    List(
        operation="ListLayers",
        method="list_layers",
        items="Layers",
        key="LayerName",
        add=add_layer,
        remove=lambda world, scope, key: world.client.delete_layer_version(LayerName=key, VersionNumber=1),
    ),
    List(
        operation="ListProvisionedConcurrencyConfigs",
        method="list_provisioned_concurrency_configs",
        items="ProvisionedConcurrencyConfigs",
        key="FunctionArn",
        begin=of_function,
        add=add_provisioned,
        remove=lambda world, scope, key: world.client.delete_provisioned_concurrency_config(
            FunctionName=scope["FunctionName"], Qualifier=key.rpartition(":")[2]
        ),
    ),
    List(
        operation="ListVersionsByFunction",
        method="list_versions_by_function",
        items="Versions",
        key="Version",
        begin=of_function,
        there=1,
        fixed=1,
        add=publish,
        remove=lambda world, scope, key: world.client.delete_function(**scope, Qualifier=key),
    ),
]
SERVED = [one for one in LISTS if one.operation in IMPLEMENTED]


@pytest.fixture(params=SERVED, ids=lambda one: f"{one.operation}-{one.key}")
def paged(request, account):
    return Paged(request.param, account)


class Paged:
    """A list in a world of its own."""

    def __init__(self, row, world):
        self.row = row
        self.world = world
        self.scope = row.begin(world)
        self.numbers = iter(range(10, 100))

    def add(self, count):
        return [self.row.add(self.world, self.scope, next(self.numbers)) for _ in range(count)]

    def remove(self, key):
        self.row.remove(self.world, self.scope, key)

    def page(self, **settings):
        """The keys on a page, and the marker of the next."""
        answer = getattr(self.world.client, self.row.method)(**self.scope, **settings)
        keys = [item[self.row.key] if self.row.key else item for item in answer[self.row.items]]
        return keys, answer.get("NextMarker")

    def pages(self, size):
        keys, marker = self.page(MaxItems=size)
        pages = [keys]
        while marker:
            keys, marker = self.page(MaxItems=size, Marker=marker)
            pages.append(keys)
        return pages


def test_every_list_has_a_row():
    lists = {one.name for one in OPERATIONS if one.input_shape and "Marker" in one.input_shape.members}
    assert lists & IMPLEMENTED == {one.operation for one in SERVED}


def test_pages_of_any_size_hold_every_item_once(paged):
    added = set(paged.add(5))
    [whole] = paged.pages(50)
    assert added <= set(whole)
    assert len(whole) == len(set(whole)) == 5 + paged.row.there
    for size in (1, 2, len(whole) - 1, len(whole)):
        pages = paged.pages(size)
        assert [key for page in pages for key in page] == whole
        assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert 0 < len(pages[-1]) <= size


def test_what_comes_and_goes_meanwhile_moves_nothing_else(paged):
    paged.add(6)
    [whole] = paged.pages(50)
    first, marker = paged.page(MaxItems=3)
    assert first == whole[:3]
    # The item that the marker names, one that was shown and one that was not; and two that may come anywhere.
    gone = {whole[max(1, paged.row.fixed)], whole[2], whole[4]}
    for key in gone:
        paged.remove(key)
    added = set(paged.add(2))
    rest = []
    while marker:
        keys, marker = paged.page(MaxItems=2, Marker=marker)
        rest.extend(keys)
    stayed = [key for key in whole[3:] if key not in gone]
    unsettled = [key for key in rest if key in gone]
    # These are listed while they are being deleted.
    assert not unsettled or paged.row.operation in ("ListCapacityProviders", "ListEventSourceMappings")
    assert [key for key in rest if key not in added | gone] == stayed
    assert len(rest) == len(set(rest))


@pytest.fixture(scope="module")
def all_lists(server):
    """Every list twice, in one account: of one owner and, where lists have owners, of another."""
    world = World(server, "100000000000")
    lists = []
    for row in SERVED:
        lists.append(Paged(row, world))
        # Numbers of their own, since lists of the account hold what others made.
        lists[-1].numbers = iter(range(10 * len(lists), 10 * len(lists) + 10))
        lists[-1].add(3)
        if lists[-1].scope:
            lists.append(Paged(row, world))
    return lists


@pytest.mark.parametrize("row", SERVED, ids=lambda one: f"{one.operation}-{one.key}")
def test_a_marker_is_of_one_list(server, all_lists, row):
    one = next(one for one in all_lists if one.row == row)
    _, marker = one.page(MaxItems=1)
    assert marker
    for other in all_lists:
        if (other.row, other.scope) != (one.row, one.scope):
            error = refusal(other.page, Marker=marker)
            assert (error.status, error.code, error.message) == (400, INVALID, "Invalid Marker"), other.row
    for wrong in (marker + "x", marker[:-1], "x", marker.swapcase()):
        error = refusal(one.page, Marker=wrong)
        assert (error.status, error.code, error.message) == (400, INVALID, "Invalid Marker"), wrong
    elsewhere = server.client(one.world.account, region="eu-west-1")
    error = refusal(getattr(elsewhere, row.method), **one.scope, Marker=marker)
    # A function, which is not there either, may be looked for first.
    assert error.status in (400, 404)
    assert one.page(Marker=marker)[0]


@pytest.mark.parametrize("row", SERVED, ids=lambda one: f"{one.operation}-{one.key}")
@pytest.mark.parametrize("size", [0, -1])
def test_a_page_has_at_least_one_item(account, row, size):
    error = refusal(getattr(account.client, row.method), **row.begin(account), MaxItems=size)
    assert (error.status, error.code) == (400, "ValidationException")
    assert error.message == (
        f"1 validation error detected: Value '{size}' at 'maxItems' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"
    )
