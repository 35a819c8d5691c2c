"""Functions on capacity providers, as they run, and how they scale."""

import pytest

from support import packages
from support.waiting import wait_for
from support.world import refusal

ANSWERS = packages.package(
    {
        "bootstrap": """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  id=$(curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  curl -sS -o /dev/null --data-binary "\\"$AWS_LAMBDA_FUNCTION_VERSION\\"" "$api/invocation/$id/response"
done
"""
    }
)
LATEST = "$LATEST.PUBLISHED"


@pytest.fixture
def managed(account):
    """The name of a function on a capacity provider, published without a number and as version 1."""
    client = account.client
    provider = client.create_capacity_provider(
        CapacityProviderName="pool",
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
        PermissionsConfig={"CapacityProviderOperatorRoleArn": "arn:aws:iam::000000000000:role/operator"},
    )
    arn = provider["CapacityProvider"]["CapacityProviderArn"]
    capacity = {"LambdaManagedInstancesCapacityProviderConfig": {"CapacityProviderArn": arn}}
    name = account.create(ANSWERS, runtime="provided.al2023", CapacityProviderConfig=capacity)["FunctionName"]
    wait_state(account, name, "$LATEST", "ActiveNonInvocable")
    client.publish_version(FunctionName=name, PublishTo="LATEST_PUBLISHED")
    client.publish_version(FunctionName=name)
    wait_state(account, name, LATEST, "Active")
    wait_state(account, name, "1", "Active")
    return name


def wait_state(account, name, qualifier, state):
    def is_there():
        found = account.client.get_function_configuration(FunctionName=name, Qualifier=qualifier)
        return found["State"] == state and found.get("LastUpdateStatus") != "InProgress"

    wait_for(is_there, f"{name}:{qualifier} to be {state}")


def invoke(account, name, **settings):
    answer = account.client.invoke(FunctionName=name, **settings)
    return answer["ExecutedVersion"], answer["Payload"].read().decode()


def test_published_versions_run_and_latest_does_not(account, managed):
    assert invoke(account, managed) == (LATEST, f'"{LATEST}"')
    assert invoke(account, managed, Qualifier=LATEST) == (LATEST, f'"{LATEST}"')
    assert invoke(account, managed, Qualifier="1") == ("1", '"1"')
    refused = refusal(account.client.invoke, FunctionName=managed, Qualifier="$LATEST")
    assert (refused.status, refused.code) == (400, "InvalidParameterValueException")


def test_a_version_scaled_to_nothing_runs_again_when_it_is_scaled_up(account, managed):
    client = account.client

    def scale(least, most):
        bounds = {"MinExecutionEnvironments": least, "MaxExecutionEnvironments": most}
        return client.put_function_scaling_config(
            FunctionName=managed, Qualifier=LATEST, FunctionScalingConfig=bounds
        )["FunctionState"]

    assert invoke(account, managed) == (LATEST, f'"{LATEST}"')
    assert scale(0, 0) == "Deactivating"
    wait_state(account, managed, LATEST, "Deactivated")
    refused = refusal(client.invoke, FunctionName=managed)
    assert (refused.status, refused.code) == (409, "ResourceConflictException")
    assert refused.message.endswith("The function is currently in the following state: Deactivated")
    assert scale(1, 2) == "Pending"
    wait_state(account, managed, LATEST, "Active")
    assert invoke(account, managed) == (LATEST, f'"{LATEST}"')
    found = client.get_function_scaling_config(FunctionName=managed, Qualifier=LATEST)
    assert found["RequestedFunctionScalingConfig"] == {"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 2}


def test_a_provider_in_use_is_not_deleted(account, managed):
    refused = refusal(account.client.delete_capacity_provider, CapacityProviderName="pool")
    assert (refused.status, refused.code) == (409, "ResourceConflictException")
    account.client.delete_function(FunctionName=managed)
    account.client.delete_capacity_provider(CapacityProviderName="pool")
