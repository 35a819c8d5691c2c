"""Functions from container images: they are managed as on AWS, and nothing runs them yet."""

import pytest

from support import packages
from support.waiting import wait_for
from support.world import ROLE, World, refusal

REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/echo"
DIGEST = "d0ec757342ba64f8f80c524431989d778c45289bfe312a58fe2dfbc0fa604c4e"
ZIP = packages.python("def handler(event, context):\n    return 1\n")


@pytest.fixture
def create(world):
    """Creates a function from an image; gives the answer."""

    def create(uri=REPOSITORY, **settings):
        code = {"ImageUri": uri}
        return world.client.create_function(
            FunctionName=world.name(), Role=ROLE, PackageType="Image", Code=code, **settings
        )

    return create


def test_an_image_function_becomes_active_and_is_described(world, create):
    uri = f"{REPOSITORY}@sha256:{DIGEST}"
    config = {"EntryPoint": ["/app"], "Command": ["serve"], "WorkingDirectory": "/srv"}
    answer = create(uri, ImageConfig=config, Architectures=["arm64"])
    name = answer["FunctionName"]
    assert answer["State"] == "Pending"
    world.await_active(name)
    found = world.client.get_function(FunctionName=name)
    assert found["Code"] == {"RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": uri}
    for shown in (answer, found["Configuration"], world.configuration(name)):
        assert (shown["PackageType"], shown["CodeSha256"], shown["CodeSize"]) == ("Image", DIGEST, 0)
        assert shown["ImageConfigResponse"] == {"ImageConfig": config}
        assert shown["Architectures"] == ["arm64"]
        assert "Runtime" not in shown and "Handler" not in shown and "RuntimeVersionConfig" not in shown


def test_image_functions_are_changed_published_and_deleted(world, create):
    name = create(f"{REPOSITORY}:1", ImageConfig={"Command": ["a"]})["FunctionName"]
    world.await_active(name)
    before = world.configuration(name)
    answer = world.client.update_function_code(FunctionName=name, ImageUri=f"{REPOSITORY}:2", Publish=True)
    assert (answer["Version"], answer["PackageType"]) == ("1", "Image")
    assert answer["CodeSha256"] != before["CodeSha256"]
    world.await_updated(name)
    answer = world.client.update_function_configuration(FunctionName=name, ImageConfig={}, MemorySize=256)
    assert answer["ImageConfigResponse"] == {}
    world.await_updated(name)
    first = world.client.get_function(FunctionName=name, Qualifier="1")
    assert first["Configuration"]["ImageConfigResponse"] == {"ImageConfig": {"Command": ["a"]}}
    assert first["Code"]["ImageUri"] == f"{REPOSITORY}:2"
    world.client.delete_function(FunctionName=name)
    assert refusal(world.client.get_function, FunctionName=name).status == 404


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "DryRun", "Event"])
def test_nothing_runs_an_image(world, create, invocation_type):
    name = create(Publish=True)["FunctionName"]
    world.await_active(name)
    for qualified in (name, f"{name}:1"):
        error = refusal(world.client.invoke, FunctionName=qualified, InvocationType=invocation_type)
        assert (error.status, error.code) == (501, "NotImplemented")
        assert error.message == "firelet does not run functions from container images yet."


def test_no_concurrency_is_provisioned_for_an_image(world, create):
    name = create(Publish=True)["FunctionName"]
    world.await_active(f"{name}:1")
    version = {"FunctionName": name, "Qualifier": "1"}
    world.client.put_provisioned_concurrency_config(**version, ProvisionedConcurrentExecutions=1)

    def failed():
        answer = world.client.get_provisioned_concurrency_config(**version)
        reason = "firelet does not run functions from container images yet."
        return (answer["Status"], answer.get("StatusReason")) == ("FAILED", reason)

    wait_for(failed, "it is known that nothing can be provisioned")


def test_images_and_zips_are_not_mixed(world, create):
    client = world.client
    image, zipped = create()["FunctionName"], world.deploy(ZIP)
    world.await_active(image)
    for call, message in (
        (
            lambda: client.update_function_code(FunctionName=image, ZipFile=ZIP),
            "Please provide ImageUri when updating a function with packageType Image.",
        ),
        (
            lambda: client.update_function_code(FunctionName=zipped, ImageUri=REPOSITORY),
            "Please don't provide ImageUri when updating a function with packageType Zip.",
        ),
        (
            lambda: client.update_function_configuration(FunctionName=image, Handler="app.handler"),
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
        ),
        (
            lambda: create(Runtime="python3.12"),
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
        ),
        (
            lambda: create("not an image"),
            "Source image not an image is not valid. Provide a valid source image.",
        ),
        (
            lambda: create(SnapStart={"ApplyOn": "PublishedVersions"}),
            "ContainerImage is not supported for SnapStart enabled functions.",
        ),
    ):
        error = refusal(call)
        assert (error.status, error.code, error.message) == (400, "InvalidParameterValueException", message)


def test_a_restart_keeps_images(make_server):
    world = World(make_server().start())
    client = world.client
    client.create_function(FunctionName="image", Role=ROLE, PackageType="Image", Code={"ImageUri": REPOSITORY})
    world.await_active("image")
    before = world.configuration("image")
    world.server.kill()
    world = World(make_server().start())
    after = world.configuration("image")
    for answer in (before, after):
        del answer["ResponseMetadata"]
    assert after == before
