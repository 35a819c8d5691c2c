"""Capacity providers, and the functions on them."""

import pytest

from support.waiting import wait_for
from support.world import refusal

OPERATOR = "arn:aws:iam::000000000000:role/operator"


def arn(account, name="pool"):
    return f"arn:aws:lambda:us-east-1:{account.account}:capacity-provider:{name}"


def make(account, name="pool", **settings):
    return account.client.create_capacity_provider(
        CapacityProviderName=name,
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        PermissionsConfig={"CapacityProviderOperatorRoleArn": OPERATOR},
        **settings,
    )


def state(account, name="pool"):
    return account.client.get_capacity_provider(CapacityProviderName=name)["CapacityProvider"]["State"]


def wait_active(account, name="pool"):
    wait_for(lambda: state(account, name) == "Active", "the provider to be active")


def is_gone(account, name="pool"):
    providers = account.client.list_capacity_providers()["CapacityProviders"]
    return arn(account, name) not in [provider["CapacityProviderArn"] for provider in providers]


def test_a_provider_is_made_read_changed_and_deleted(account):
    client = account.client
    answer = make(account, CapacityProviderScalingConfig={"MaxVCpuCount": 30})
    provider = answer["CapacityProvider"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert provider["CapacityProviderArn"] == arn(account)
    assert provider["State"] == "Pending"
    assert provider["CapacityProviderScalingConfig"] == {"MaxVCpuCount": 30, "ScalingMode": "Auto"}
    assert provider["LastModified"].endswith("+0000")
    wait_active(account)
    answer = client.get_capacity_provider(CapacityProviderName=arn(account))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["CapacityProvider"] == {**provider, "State": "Active"}
    answer = client.update_capacity_provider(
        CapacityProviderName="pool", CapacityProviderScalingConfig={"MaxVCpuCount": 60}
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["CapacityProvider"]["CapacityProviderScalingConfig"]["MaxVCpuCount"] == 60
    wait_active(account)
    answer = client.delete_capacity_provider(CapacityProviderName="pool")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["CapacityProvider"]["State"] == "Deleting"
    wait_for(lambda: is_gone(account), "the provider to be gone")


@pytest.mark.parametrize(
    "call",
    [
        "get_capacity_provider",
        "update_capacity_provider",
        "delete_capacity_provider",
        "list_function_versions_by_capacity_provider",
    ],
)
def test_a_missing_provider_is_named(account, call):
    refused = refusal(getattr(account.client, call), CapacityProviderName="none")
    assert (refused.status, refused.code) == (404, "ResourceNotFoundException")
    assert refused.message == "Capacity provider not found: " + arn(account, "none")


def test_a_second_provider_of_a_name_is_refused(account):
    make(account)
    refused = refusal(make, account)
    assert (refused.status, refused.code) == (409, "ResourceConflictException")
    assert refused.message == "Capacity provider already exists: " + arn(account)


def test_scaling_policies_need_the_manual_mode(account):
    policy = {"PredefinedMetricType": "LambdaCapacityProviderAverageCPUUtilization", "TargetValue": 70.0}
    scaling = {"ScalingMode": "Auto", "ScalingPolicies": [policy]}
    refused = refusal(make, account, CapacityProviderScalingConfig=scaling)
    assert (refused.status, refused.code) == (400, "InvalidParameterValueException")
    assert refused.message == "A scaling policy can't be specified when the scalingMode is set to Auto"
    provider = make(account, CapacityProviderScalingConfig={**scaling, "ScalingMode": "Manual"})["CapacityProvider"]
    assert provider["CapacityProviderScalingConfig"]["ScalingPolicies"] == [policy]


def test_providers_are_listed_page_by_page(account):
    for name in ["c", "a", "b"]:
        make(account, name)
    pages = account.client.get_paginator("list_capacity_providers").paginate(PaginationConfig={"PageSize": 2})
    pages = [[provider["CapacityProviderArn"] for provider in page["CapacityProviders"]] for page in pages]
    assert pages == [[arn(account, "a"), arn(account, "b")], [arn(account, "c")]]
    assert account.client.list_capacity_providers(State="Failed")["CapacityProviders"] == []


def test_providers_have_tags(account):
    client = account.client
    make(account, Tags={"team": "blue"})
    client.tag_resource(Resource=arn(account), Tags={"stage": "test"})
    client.untag_resource(Resource=arn(account), TagKeys=["team"])
    assert client.list_tags(Resource=arn(account))["Tags"] == {"stage": "test"}
    refused = refusal(client.list_tags, Resource=arn(account, "none"))
    assert (refused.status, refused.code) == (404, "ResourceNotFoundException")
    assert refused.message == "Capacity provider not found: " + arn(account, "none")
