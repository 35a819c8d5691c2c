"""What an account may use in a Region, as the operator says."""

import pytest

from support.packages import python
from support.server import run_firelet
from support.world import World, refusal

CODE = python("def handler(event, context): pass")


@pytest.fixture(scope="module")
def server_options():
    return ("--quota", "functions=2", "--quota", "memory-megabytes=512,timeout-seconds=10")


def test_functions_are_counted_by_account_and_region(server, account):
    kept = [account.create(CODE, Timeout=3)["FunctionName"] for _ in range(2)]
    error = refusal(account.create, CODE, Timeout=3)
    assert (error.status, error.code) == (402, "ServiceQuotaExceededException")
    assert error.message == (
        "Function count limit exceeded. The quota of functions in this account and Region is 2."
    )
    World(server, "200000000001").create(CODE, Timeout=3)
    account.client.delete_function(FunctionName=kept[0])
    account.create(CODE, Timeout=3)
    limit = account.client.get_account_settings()["AccountUsage"]
    assert limit["FunctionCount"] == 2


@pytest.mark.parametrize(
    "setting, most",
    [("MemorySize", 512), ("Timeout", 10)],
)
def test_limits_of_a_function_are_quotas(account, setting, most):
    settings = {"Timeout": 3, setting: most + 1}
    assert refusal(account.create, CODE, **settings).status == 400
    account.create(CODE, **(settings | {setting: most}))


@pytest.mark.parametrize(
    "text, reason",
    [
        ("functions", "write it as NAME=VALUE"),
        ("storage=1", "the quotas are functions, concurrent-executions,"),
        ("functions=many", "give a whole number up to"),
    ],
)
def test_a_setting_that_is_none_ends_the_command(tmp_path, text, reason):
    ended = run_firelet("serve", "--data-dir", tmp_path / "data", "--quota", text)
    assert ended.returncode == 2
    assert reason in ended.stderr, ended.stderr
