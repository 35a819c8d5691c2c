"""Lists and their pages."""

from support import packages
from support.world import refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")
TRANSIENT = {"State", "StateReason", "StateReasonCode", "LastUpdateStatus", "RuntimeVersionConfig"}


def test_an_account_without_functions_lists_none(account):
    answer = account.client.list_functions()
    assert answer["Functions"] == []
    assert "NextMarker" not in answer


def test_pages_hold_every_function_once(account):
    names = {account.create(HELLO)["FunctionName"] for _ in range(7)}
    pages = list(account.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Functions"]) for page in pages] == [3, 3, 1]
    listed = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert sorted(listed) == sorted(names)
    assert not TRANSIENT & {key for page in pages for function in page["Functions"] for key in function}


def test_a_page_has_at_most_fifty(account):
    for _ in range(51):
        account.create(HELLO)
    first = account.client.list_functions(MaxItems=10_000)
    assert len(first["Functions"]) == 50
    rest = account.client.list_functions(Marker=first["NextMarker"])
    assert len(rest["Functions"]) == 1
    assert "NextMarker" not in rest


def test_all_versions_are_listed_with_qualified_arns(account):
    created = account.create(HELLO, Publish=True)
    listed = account.client.list_functions(FunctionVersion="ALL")["Functions"]
    assert [function["FunctionArn"] for function in listed] == [
        created["FunctionArn"] + ":$LATEST",
        created["FunctionArn"] + ":1",
    ]


def test_a_foreign_marker_is_refused(account):
    error = refusal(account.client.list_functions, Marker="not a marker")
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
