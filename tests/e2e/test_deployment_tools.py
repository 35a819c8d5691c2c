"""What deployment tools call, in their order: create, read, plan without a difference, update in place, destroy.

Terraform's calls are in `support/terraform.py`. SAM's are those of `samcli/lib/sync/flows/*.py` of
https://github.com/aws/aws-sam-cli. CDK deploys through CloudFormation, whose handlers' calls are those that the schemas
of `AWS::Lambda::*` list as their permissions; its hotswap is that of `packages/@aws-cdk/toolkit-lib/lib/api/hotswap` of
https://github.com/aws/aws-cdk-cli."""

import base64
import hashlib
import json

import pytest

from support import packages, terraform
from support.operations import IMPLEMENTED
from support.terraform import digest
from support.waiting import wait_for
from support.world import ROLE, refusal

ONE = packages.python("import os\n\ndef handler(event, context):\n    return ['one', os.environ.get('WORD')]\n")
TWO = packages.python("import os\n\ndef handler(event, context):\n    return ['two', os.environ.get('WORD')]\n")
LAYER = packages.package({"python/greeting.py": "WORD = 'hello'\n"})
OTHER_LAYER = packages.package({"python/greeting.py": "WORD = 'bye'\n"})
PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/profile/0123456789"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:queue"
SOON = {"Delay": 0.01, "MaxAttempts": 1_000}


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


class Stack:
    """Terraform's resources of one configuration, in the order of their dependencies."""

    def __init__(self, world):
        self.client, self.name = world.client, world.name()
        self.resources = []
        self.signing = self.create(
            terraform.CodeSigningConfig(self.client, {"allowed_publishers": [PROFILE], "tags": {"team": "a"}})
        )
        self.layer = self.create(
            terraform.LayerVersion(self.client, f"{self.name}-layer", LAYER, {"compatible_runtimes": ["python3.11"]})
        )
        self.base = {"handler": "app.handler", "role": ROLE, "runtime": "python3.11"}
        full = self.base | {
            "code_signing_config_arn": self.signing.arn,
            "environment": {"WORD": "first"},
            "layers": [self.layer.arn],
            "reserved_concurrent_executions": 5,
            "tags": {"team": "a", "stage": "test"},
        }
        self.function = self.create(terraform.Function(self.client, self.name, ONE, full))
        self.arn = self.function.read()["arn"]
        name = {"function_name": self.name}
        self.alias = self.create(
            terraform.Alias(self.client, name | {"name": "live", "function_version": self.function.read()["version"]})
        )
        live = name | {"qualifier": "live"}
        self.permission = self.create(
            terraform.Permission(
                self.client,
                live
                | {
                    "action": "lambda:InvokeFunction",
                    "principal": "events.amazonaws.com",
                    "source_arn": "arn:aws:events:us-east-1:000000000000:rule/r",
                    "statement_id": "AllowExecutionFromEvents",
                },
            )
        )
        self.events = self.create(terraform.EventInvokeConfig(self.client, live | {"maximum_retry_attempts": 1}))
        self.mapping = self.create(
            terraform.EventSourceMapping(
                self.client,
                {"event_source_arn": QUEUE, "function_name": self.alias.arn, "tags": {"team": "a"}},
            )
        )
        self.add_newer(live)

    def add_newer(self, live):
        if "CreateFunctionUrlConfig" in IMPLEMENTED:
            cors = {"AllowCredentials": False, "AllowOrigins": ["*"], "MaxAge": 10}
            self.url = self.create(
                terraform.FunctionUrl(self.client, live | {"authorization_type": "NONE", "cors": cors})
            )
        if "PutProvisionedConcurrencyConfig" in IMPLEMENTED:
            self.provisioned = self.create(
                terraform.ProvisionedConcurrency(self.client, live | {"provisioned_concurrent_executions": 1})
            )

    def create(self, resource):
        resource.create()
        self.resources.append(resource)
        return resource

    def await_environments(self):
        """Environments that are made ahead follow an alias to its other version, which takes time on AWS as well."""
        if "PutProvisionedConcurrencyConfig" in IMPLEMENTED:
            self.provisioned.await_ready()

    def plan(self):
        plans = {type(resource).__name__: resource.plan() for resource in self.resources}
        return {name: plan for name, plan in plans.items() if plan}

    def state(self):
        return [resource.read() for resource in self.resources]

    def destroy(self):
        for resource in reversed(self.resources):
            resource.delete()


@pytest.fixture
def stack(account):
    return Stack(account)


def test_terraform_plans_nothing_after_it_applied(stack):
    assert stack.plan() == {}
    assert stack.state() == stack.state()


def test_terraform_updates_in_place(account, stack):
    version = stack.function.read()["version"]
    assert account.invoke(stack.name, Qualifier="live").payload == ["one", "first"]
    changes = {"environment": {"WORD": "second"}, "timeout": 10, "tags": {"a": "b"}}
    stack.function.replace_code(TWO, stack.base | changes)
    assert stack.plan() == {}
    newer = stack.function.read()["version"]
    assert int(newer) == int(version) + 1
    # Half of the calls first, and then all.
    half = stack.alias.config | {"function_version": version, "routing_config": {newer: 0.5}}
    stack.alias.apply(half)
    stack.await_environments()
    assert stack.plan() == {}
    stack.alias.apply(stack.alias.config | {"function_version": newer, "routing_config": {}})
    stack.mapping.apply(
        stack.mapping.config
        | {"batch_size": 5, "enabled": False, "filter_criteria": ['{"body": ["a"]}'], "scaling_config": 2, "tags": {}}
    )
    stack.events.apply(stack.events.config | {"maximum_event_age_in_seconds": 60, "maximum_retry_attempts": 0})
    stack.signing.apply(stack.signing.config | {"description": "ours", "policies": "Enforce", "tags": {"team": "b"}})
    if "CreateFunctionUrlConfig" in IMPLEMENTED:
        closed = stack.url.config | {"authorization_type": "AWS_IAM"}
        del closed["cors"]
        stack.url.apply(closed)
    stack.await_environments()
    assert stack.plan() == {}
    assert account.invoke(stack.name, Qualifier="live").payload == ["two", "second"]
    # What was taken out of the configuration reads as the default again.
    stack.mapping.apply({key: stack.mapping.config[key] for key in ("event_source_arn", "function_name")})
    assert stack.plan() == {}


def test_terraform_replaces_a_layer(account, stack):
    other = stack.create(terraform.LayerVersion(stack.client, f"{stack.name}-layer", OTHER_LAYER, {}))
    assert other.number == stack.layer.number + 1
    stack.function.apply(stack.function.config | {"layers": [other.arn]})
    stack.layer.delete()
    stack.resources.remove(stack.layer)
    assert stack.plan() == {}
    assert stack.layer.read() is None


def test_terraform_destroys_all_of_it(account, stack):
    stack.destroy()
    assert stack.state() == [None] * len(stack.resources)
    client = account.client
    lists = {
        "Functions": client.list_functions(),
        "Layers": client.list_layers(),
        "EventSourceMappings": client.list_event_source_mappings(),
        "CodeSigningConfigs": client.list_code_signing_configs(),
    }
    assert {name: answer[name] for name, answer in lists.items()} == dict.fromkeys(lists, [])
    assert client.get_account_settings()["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 0}
    # A second apply finds the names free.
    assert Stack(account).plan() == {}


class Sam:
    """`sam sync`: code goes past CloudFormation, straight to the function."""

    def __init__(self, client, name):
        self.client, self.name = client, name

    def is_same(self, zip_bytes):
        """`ZipFunctionSyncFlow.compare_remote`."""
        remote = self.client.get_function(FunctionName=self.name)["Configuration"]["CodeSha256"]
        return base64.b64decode(remote).hex() == hashlib.sha256(zip_bytes).hexdigest()

    def sync_function(self, zip_bytes, alias):
        """`ZipFunctionSyncFlow`, then `AliasVersionSyncFlow` for `AutoPublishAlias`."""
        self.client.update_function_code(FunctionName=self.name, ZipFile=zip_bytes)
        self.client.get_waiter("function_updated").wait(FunctionName=self.name, WaiterConfig=SOON)
        version = self.client.publish_version(FunctionName=self.name)["Version"]
        self.client.update_alias(FunctionName=self.name, Name=alias, FunctionVersion=version)
        return version

    def sync_layer(self, arn, zip_bytes):
        """`LayerSyncFlow`, then `FunctionLayerReferenceSync` for the function."""
        old = self.client.list_layer_versions(LayerName=arn)["LayerVersions"][0]["Version"]
        remote = self.client.get_layer_version(LayerName=arn, VersionNumber=old)["Content"]["CodeSha256"]
        if base64.b64decode(remote).hex() == hashlib.sha256(zip_bytes).hexdigest():
            return old
        new = self.client.publish_layer_version(
            LayerName=arn, Content={"ZipFile": zip_bytes}, CompatibleRuntimes=["python3.11"]
        )["Version"]
        self.client.delete_layer_version(LayerName=arn, VersionNumber=old)
        layers = self.client.get_function(FunctionName=self.name)["Configuration"]["Layers"]
        arns = [layer["Arn"] for layer in layers if not layer["Arn"].startswith(arn)]
        self.client.update_function_configuration(FunctionName=self.name, Layers=[*arns, f"{arn}:{new}"])
        self.await_update()
        return new

    def await_update(self):
        """`wait_for_function_update_complete`."""
        get = self.client.get_function
        wait_for(
            lambda: get(FunctionName=self.name)["Configuration"].get("LastUpdateStatus") != "InProgress", "updated"
        )


def test_sam_syncs_code_and_layers(account):
    client = account.client
    layer = client.publish_layer_version(LayerName="layer", Content={"ZipFile": LAYER})["LayerArn"]
    using = packages.python("import greeting\n\ndef handler(event, context):\n    return greeting.WORD\n")
    name = account.deploy(using, Publish=True, Layers=[f"{layer}:1"])
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert account.invoke(name, Qualifier="live").payload == "hello"
    sam = Sam(client, name)
    assert sam.is_same(using)
    assert sam.sync_layer(layer, LAYER) == 1
    assert sam.sync_layer(layer, OTHER_LAYER) == 2
    assert [one["Version"] for one in client.list_layer_versions(LayerName=layer)["LayerVersions"]] == [2]
    # The version that the alias names keeps the layer that it was published with.
    assert account.invoke(name, Qualifier="live").payload == "hello"
    assert account.invoke(name).payload == "bye"
    assert not sam.is_same(TWO)
    assert sam.sync_function(TWO, "live") == "2"
    assert sam.is_same(TWO)
    assert account.invoke(name, Qualifier="live").payload == ["two", None]
    assert sam.sync_function(TWO, "live") == "2", "what is unchanged is not published again"


class CloudFormation:
    """The handlers of the resource types of a function with an alias for its current version."""

    def __init__(self, client, name):
        self.client, self.name = client, name

    def create_function(self, zip_bytes, **settings):
        self.client.create_function(
            FunctionName=self.name,
            Code={"ZipFile": zip_bytes},
            Handler="app.handler",
            Role=ROLE,
            Runtime="python3.11",
            Tags={"aws-cdk": "stack"},
            **settings,
        )
        get = self.client.get_function
        wait_for(lambda: get(FunctionName=self.name)["Configuration"]["State"] == "Active", "created")

    def read_function(self):
        function = self.client.get_function(FunctionName=self.name)
        del function["Code"]["Location"]
        name = {"FunctionName": self.name}
        answers = [
            function,
            self.client.get_function_code_signing_config(**name),
            self.client.get_function_recursion_config(**name),
            self.client.get_runtime_management_config(**name),
        ]
        return [without_metadata(answer) for answer in answers]

    def update_function(self, zip_bytes, **settings):
        self.client.update_function_configuration(FunctionName=self.name, **settings)
        self.client.get_waiter("function_updated_v2").wait(FunctionName=self.name, WaiterConfig=SOON)
        self.client.update_function_code(FunctionName=self.name, ZipFile=zip_bytes)
        self.client.get_waiter("function_updated_v2").wait(FunctionName=self.name, WaiterConfig=SOON)

    def create_version(self, zip_bytes):
        published = self.client.publish_version(FunctionName=self.name, CodeSha256=digest(zip_bytes))
        self.client.get_waiter("published_version_active").wait(
            FunctionName=self.name, Qualifier=published["Version"], WaiterConfig=SOON
        )
        return published["Version"]

    def read_version(self, version):
        return without_metadata(self.client.get_function_configuration(FunctionName=f"{self.name}:{version}"))

    def delete_version(self, version):
        self.client.delete_function(FunctionName=self.name, Qualifier=version)

    def permit(self, statement, **settings):
        self.client.add_permission(
            FunctionName=self.name, StatementId=statement, Action="lambda:InvokeFunction", **settings
        )

    def statements(self, **settings):
        policy = self.client.get_policy(FunctionName=self.name, **settings)["Policy"]
        return [statement["Sid"] for statement in json.loads(policy)["Statement"]]


def test_cdk_deploys_a_new_current_version(account):
    client = account.client
    stack = CloudFormation(client, account.name())
    stack.create_function(ONE, Environment={"Variables": {"WORD": "a"}}, MemorySize=256)
    first = stack.create_version(ONE)
    client.create_alias(FunctionName=stack.name, Name="live", FunctionVersion=first)
    stack.permit("api", Principal="apigateway.amazonaws.com", Qualifier="live")
    client.put_function_event_invoke_config(FunctionName=stack.name, Qualifier="live", MaximumRetryAttempts=0)
    assert stack.read_function() == stack.read_function()
    assert stack.read_version(first) == stack.read_version(first)
    assert stack.read_function()[0]["Tags"] == {"aws-cdk": "stack"}

    # The new version and the alias first; the old version in the clean-up after it.
    stack.update_function(TWO, Environment={"Variables": {"WORD": "b"}}, MemorySize=512)
    second = stack.create_version(TWO)
    error = refusal(client.delete_function, FunctionName=stack.name, Qualifier=first)
    assert (error.status, error.code) == (409, "ResourceConflictException")
    client.update_alias(FunctionName=stack.name, Name="live", FunctionVersion=second)
    stack.delete_version(first)
    assert (first, second) == ("1", "2")
    assert refusal(client.get_function, FunctionName=stack.name, Qualifier=first).status == 404
    assert account.invoke(stack.name, Qualifier="live").payload == ["two", "b"]
    # What hangs on the alias stayed.
    assert stack.statements(Qualifier="live") == ["api"]
    config = client.get_function_event_invoke_config(FunctionName=stack.name, Qualifier="live")
    assert config["MaximumRetryAttempts"] == 0

    # A deployment that fails is rolled back the same way; its version's number is not used again.
    stack.update_function(ONE, Environment={"Variables": {"WORD": "a"}}, MemorySize=256)
    assert stack.create_version(ONE) == "3"
    stack.delete_version("3")
    stack.update_function(TWO, Environment={"Variables": {"WORD": "b"}}, MemorySize=512)
    assert stack.create_version(TWO) == "4"

    client.remove_permission(FunctionName=stack.name, StatementId="api", Qualifier="live")
    client.delete_function_event_invoke_config(FunctionName=stack.name, Qualifier="live")
    client.delete_alias(FunctionName=stack.name, Name="live")
    stack.delete_version(second)
    client.delete_function(FunctionName=stack.name)
    assert client.get_account_settings()["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 0}


def test_cdk_refuses_to_publish_other_code_than_its_own(account):
    stack = CloudFormation(account.client, account.name())
    stack.create_function(ONE)
    error = refusal(account.client.publish_version, FunctionName=stack.name, CodeSha256=digest(TWO))
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert "is different from current CodeSHA256 in $LATEST" in error.message


def test_cdk_swaps_code_past_cloudformation(account):
    client = account.client
    name = account.deploy(ONE, Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.update_function_code(FunctionName=name, ZipFile=TWO)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=SOON)
    client.update_function_configuration(
        FunctionName=name, Description="swapped", Environment={"Variables": {"WORD": "new"}}
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=SOON)
    version = client.publish_version(FunctionName=name)["Version"]
    # At once, while the version is still Pending.
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    assert account.invoke(name, Qualifier="live").payload == ["two", "new"]
