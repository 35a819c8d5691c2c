"""Accounts and Regions are worlds of their own: nothing of one can be seen or changed from another."""

import pytest

from support import packages
from support.operations import IMPLEMENTED, METHODS, OPERATIONS, sample
from support.server import ACCOUNT, REGION
from support.waiting import wait_for
from support.world import ROLE, World, refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")
OTHER_ACCOUNT = "999999999999"
OTHER_REGION = "ap-southeast-1"
PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/profile/0123456789"
GONE = "The resource you requested does not exist."

# Values by which requests are in order, but for the name that is tested.
VALUES = {
    "Action": "lambda:InvokeFunction",
    "AuthType": "NONE",
    "CodeSigningConfigArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:csc-00000000000000000",
    "FunctionVersion": "1",
    "LayerName": "layer",
    "Name": "alias",
    "Principal": "s3.amazonaws.com",
    "Qualifier": "1",
    "Role": ROLE,
}
# Members that are not required, without which an operation refuses a request before it looks at the name.
FURTHER = {
    "AddLayerVersionPermission": {"Action": "lambda:GetLayerVersion", "Principal": "*"},
    "CreateEventSourceMapping": {"EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"},
    "CreateFunction": {"Code": {"ZipFile": HELLO}, "Runtime": "python3.11", "Handler": "app.handler"},
    "PutFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
    "UpdateFunctionCode": {"ZipFile": HELLO},
    "UpdateFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
}
# These need a resource that they change; the test below this one has it.
CHANGES_ANOTHER = {"UpdateEventSourceMapping"}

OF_FUNCTIONS = [
    operation
    for operation in OPERATIONS
    if operation.name in IMPLEMENTED - CHANGES_ANOTHER
    and operation.input_shape
    and "FunctionName" in operation.input_shape.members
]


def arguments_of(operation):
    members = operation.input_shape.members
    known = {name: value for name, value in VALUES.items() if name in operation.input_shape.required_members}
    assert set(FURTHER.get(operation.name, {})) <= set(members)
    return sample(operation.input_shape) | known | FURTHER.get(operation.name, {})


def check_refusal(call, status, code, message, **arguments):
    error = refusal(call, **arguments)
    assert (error.status, error.code) == (status, code), error
    # A null message comes as none at all through boto3.
    assert error.message == message, error


@pytest.mark.parametrize("operation", OF_FUNCTIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("form", ["arn:aws:lambda:{region}:{account}:function:{name}", "{account}:function:{name}"])
def test_functions_of_other_accounts_are_denied(world, operation, form):
    name = form.format(region=REGION, account=OTHER_ACCOUNT, name="function")
    call = getattr(world.client, METHODS[operation.name])
    arguments = arguments_of(operation) | {"FunctionName": name}
    error = refusal(call, **arguments)
    assert (error.status, error.code) == (403, "AccessDeniedException")
    assert error.body["Error"].get("Message") in (None, ""), error


@pytest.mark.parametrize("operation", OF_FUNCTIONS, ids=lambda operation: operation.name)
def test_functions_of_other_regions_are_out_of_reach(world, operation):
    name = f"arn:aws:lambda:{OTHER_REGION}:{ACCOUNT}:function:function"
    check_refusal(
        getattr(world.client, METHODS[operation.name]),
        404,
        "ResourceNotFoundException",
        f"Functions from '{OTHER_REGION}' are not reachable in this region ('{REGION}')",
        **arguments_of(operation) | {"FunctionName": name},
    )


class Resources:
    """One of everything, in one account and Region."""

    def __init__(self, world):
        self.world = world
        client = world.client
        self.name = world.deploy(HELLO, Publish=True, Tags={"a": "b"})
        self.arn = world.configuration(self.name)["FunctionArn"]
        client.create_alias(FunctionName=self.name, Name="live", FunctionVersion="1")
        client.add_permission(
            FunctionName=self.name, StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        )
        client.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=3)
        client.put_function_event_invoke_config(FunctionName=self.name, MaximumRetryAttempts=1)
        layer = client.publish_layer_version(
            LayerName=world.name("layer"), Content={"ZipFile": packages.package({"a.txt": "a"})}
        )
        self.layer, self.layer_version = layer["LayerArn"], layer["LayerVersionArn"]
        self.mapping = client.create_event_source_mapping(
            FunctionName=self.name, EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue", Enabled=False
        )
        config = client.create_code_signing_config(
            AllowedPublishers={"SigningProfileVersionArns": [PROFILE]}, Tags={"a": "b"}
        )
        self.signing = config["CodeSigningConfig"]["CodeSigningConfigArn"]
        client.put_function_code_signing_config(FunctionName=self.name, CodeSigningConfigArn=self.signing)
        client.create_function_url_config(FunctionName=self.name, AuthType="NONE")
        self.capacity = client.create_capacity_provider(
            CapacityProviderName=world.name("provider"),
            VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
            PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE},
            Tags={"a": "b"},
        )["CapacityProvider"]["CapacityProviderArn"]
        wait_for(lambda: self.capacity_provider()["State"] == "Active", "the capacity provider is active")

    def capacity_provider(self):
        return self.world.client.get_capacity_provider(CapacityProviderName=self.capacity)["CapacityProvider"]

    @property
    def layer_name(self):
        return self.layer.rpartition(":")[2]

    def arguments(self, operation):
        """A request of `operation` that means what is here, by names that carry no account and no Region."""
        known = {
            "Arn": self.layer_version,
            "CapacityProviderName": self.capacity.rpartition(":")[2],
            "CodeSigningConfigArn": self.signing,
            "FunctionName": self.name,
            "LayerName": self.layer_name,
            "Name": "live",
            "Resource": self.arn,
            "ResourceArn": self.arn,
            "StatementId": "s",
            "TagKeys": ["a"],
            "Tags": {"c": "d"},
            "UUID": self.mapping["UUID"],
            "VersionNumber": 1,
        }
        required = operation.input_shape.required_members if operation.input_shape else []
        return arguments_of(operation) | {name: value for name, value in known.items() if name in required}

    def seen(self):
        """All that can be read of it."""
        client = self.world.client
        function = client.get_function(FunctionName=self.name)
        del function["Code"]["Location"]
        layer = client.get_layer_version_by_arn(Arn=self.layer_version)
        del layer["Content"]["Location"]
        answers = [
            function,
            layer,
            client.list_versions_by_function(FunctionName=self.name),
            client.list_aliases(FunctionName=self.name),
            client.get_policy(FunctionName=self.name),
            client.get_function_event_invoke_config(FunctionName=self.name),
            client.get_function_recursion_config(FunctionName=self.name),
            client.get_runtime_management_config(FunctionName=self.name),
            client.get_event_source_mapping(UUID=self.mapping["UUID"]),
            client.get_code_signing_config(CodeSigningConfigArn=self.signing),
            client.get_function_code_signing_config(FunctionName=self.name),
            client.list_tags(Resource=self.arn),
            client.list_tags(Resource=self.mapping["EventSourceMappingArn"]),
            client.list_tags(Resource=self.signing),
            client.list_tags(Resource=self.capacity),
            self.capacity_provider(),
            client.get_function_url_config(FunctionName=self.name),
            client.get_account_settings(),
        ]
        return [{key: value for key, value in answer.items() if key != "ResponseMetadata"} for answer in answers]


@pytest.fixture(scope="module")
def resources(server):
    return Resources(World(server, "100000000000"))


@pytest.fixture(scope="module", params=["another account", "another Region"])
def stranger(request, server):
    """A client that the resources are nothing to."""
    if request.param == "another account":
        return server.client("100000000009")
    return server.client("100000000000", region="eu-west-1")


# These make things under the names that they are given, which are free in another world.
MAKE = {"CreateCapacityProvider", "CreateCodeSigningConfig", "CreateFunction", "PublishLayerVersion"}
# A function that is to get records is looked up with another status than one that is asked for.
STATUSES = {"CreateEventSourceMapping": (400,)}
# These succeed where there is nothing to be done, or tell of the caller's own world.
HARMLESS = {
    "DeleteLayerVersion",
    "GetAccountSettings",
    "ListCapacityProviders",
    "ListCodeSigningConfigs",
    "ListEventSourceMappings",
    "ListFunctions",
    "ListLayerVersions",
    "ListLayers",
}


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one.name in IMPLEMENTED - MAKE],
    ids=lambda operation: operation.name,
)
def test_no_operation_reaches_into_another_world(resources, stranger, operation):
    before = resources.seen()
    call, arguments = getattr(stranger, METHODS[operation.name]), resources.arguments(operation)
    if operation.name in HARMLESS:
        answer = call(**arguments)
        listed = [value for value in answer.values() if isinstance(value, list)]
        assert all(value == [] for value in listed), answer
    else:
        error = refusal(call, **arguments)
        assert error.status in STATUSES.get(operation.name, (403, 404)), error
    assert resources.seen() == before


OTHERS = [
    (
        "layer of another account",
        "get_layer_version",
        {"LayerName": f"arn:aws:lambda:{REGION}:{OTHER_ACCOUNT}:layer:x", "VersionNumber": 1},
        403,
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: lambda:GetLayerVersion on resource: "
        f"arn:aws:lambda:{REGION}:{OTHER_ACCOUNT}:layer:x:1 because no resource-based policy allows the "
        "lambda:GetLayerVersion action",
    ),
    (
        "layer of another Region",
        "get_layer_version",
        {"LayerName": f"arn:aws:lambda:{OTHER_REGION}:{ACCOUNT}:layer:x", "VersionNumber": 1},
        404,
        "ResourceNotFoundException",
        GONE,
    ),
    (
        "code signing configuration of another account",
        "get_code_signing_config",
        {"CodeSigningConfigArn": f"arn:aws:lambda:{REGION}:{OTHER_ACCOUNT}:code-signing-config:csc-{'0' * 17}"},
        404,
        "ResourceNotFoundException",
        f"The Lambda code signing configuration arn:aws:lambda:{REGION}:{OTHER_ACCOUNT}:code-signing-config:"
        f"csc-{'0' * 17} can not be found.",
    ),
    (
        "tags of a function of another account",
        "list_tags",
        {"Resource": f"arn:aws:lambda:{REGION}:{OTHER_ACCOUNT}:function:x"},
        403,
        "AccessDeniedException",
        None,
    ),
    (
        "tags of a function of another Region",
        "list_tags",
        {"Resource": f"arn:aws:lambda:{OTHER_REGION}:{ACCOUNT}:function:x"},
        404,
        "ResourceNotFoundException",
        f"Functions from '{OTHER_REGION}' are not reachable in this region ('{REGION}')",
    ),
    (
        "mapping for a function of another account",
        "update_event_source_mapping",
        {"FunctionName": f"arn:aws:lambda:{REGION}:{OTHER_ACCOUNT}:function:x"},
        403,
        "AccessDeniedException",
        None,
    ),
    (
        "mapping for a function of another Region",
        "update_event_source_mapping",
        {"FunctionName": f"arn:aws:lambda:{OTHER_REGION}:{ACCOUNT}:function:x"},
        404,
        "ResourceNotFoundException",
        f"Functions from '{OTHER_REGION}' are not reachable in this region ('{REGION}')",
    ),
]


@pytest.mark.parametrize(
    ("call", "arguments", "status", "code", "message"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS]
)
def test_what_else_is_of_another_world(world, call, arguments, status, code, message):
    if call == "update_event_source_mapping":
        created = world.client.create_event_source_mapping(
            FunctionName=world.deploy(HELLO), EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", Enabled=False
        )
        arguments = arguments | {"UUID": created["UUID"]}
    error = refusal(getattr(world.client, call), **arguments)
    assert (error.status, error.code) == (status, code)
    assert (error.body["Error"].get("Message") or None) == message
