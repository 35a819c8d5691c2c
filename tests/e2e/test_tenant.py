"""Functions that keep tenants apart: every invocation names its tenant, and no tenant meets another."""

import pytest

from support import packages
from support.waiting import wait_for
from support.world import refusal

TENANCY = {"TenantIsolationMode": "PER_TENANT"}
# Answers with whom its environment has worked for, itself included.
SEEN = packages.python(
    """
seen = []
def handler(event, context):
    seen.append(context.tenant_id)
    return seen
"""
)
SEEN_BY_NODE = packages.node(
    """
const seen = [];
export const handler = async (event, context) => { seen.push(context.tenantId); return seen; };
"""
)


@pytest.mark.parametrize(("code", "runtime"), [(SEEN, "python3.11"), (SEEN_BY_NODE, "nodejs20.x")])
def test_no_environment_works_for_two_tenants(world, code, runtime):
    name = world.deploy(code, runtime=runtime, TenancyConfig=TENANCY)
    tenants = ["blue", "green", "a b.c_d:e/f=g+h-i@j"]
    for _ in range(3):
        for tenant in tenants:
            assert set(world.invoke(name, TenantId=tenant).payload) == {tenant}


def test_environments_are_used_again_for_their_tenant(world):
    name = world.deploy(SEEN, TenancyConfig=TENANCY)
    for tenant in ("blue", "green"):
        # An environment is idle only a moment after its answer.
        wait_for(lambda tenant=tenant: world.invoke(name, TenantId=tenant).payload == [tenant] * 3, "the third use")


def test_new_code_serves_every_tenant(world):
    name = world.deploy(SEEN, TenancyConfig=TENANCY)
    for tenant in ("blue", "green"):
        world.invoke(name, TenantId=tenant)
    code = packages.python("def handler(event, context):\n    return 'new'\n")
    world.client.update_function_code(FunctionName=name, ZipFile=code)
    world.await_updated(name)
    for tenant in ("blue", "green"):
        assert world.invoke(name, TenantId=tenant).payload == "new"


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "DryRun", "Event"])
def test_a_tenant_is_named_where_it_counts_and_nowhere_else(world, invocation_type):
    apart = world.deploy(SEEN, TenancyConfig=TENANCY)
    shared = world.deploy(SEEN)
    error = refusal(world.client.invoke, FunctionName=apart, InvocationType=invocation_type)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == (
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try "
        "again."
    )
    error = refusal(world.client.invoke, FunctionName=shared, TenantId="blue", InvocationType=invocation_type)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert world.invoke(shared).payload == [None]


def test_what_is_no_tenant_id_is_refused(world):
    name = world.deploy(SEEN, TenancyConfig=TENANCY)
    for tenant in ("a\tb", "a;b", "a" * 257):
        error = refusal(world.client.invoke, FunctionName=name, TenantId=tenant)
        assert (error.status, error.code) == (400, "ValidationException")
        assert "at 'tenantId' failed to satisfy constraint" in error.message


def test_tenancy_is_part_of_every_description(world):
    answer = world.create(SEEN, TenancyConfig=TENANCY, Publish=True)
    name = answer["FunctionName"]
    assert answer["TenancyConfig"] == TENANCY
    world.await_active(name)
    assert world.configuration(name)["TenancyConfig"] == TENANCY
    assert world.configuration(f"{name}:1")["TenancyConfig"] == TENANCY
    assert world.invoke(f"{name}:1", TenantId="blue").payload == ["blue"]
