"""Grants as clients meet them: given, used up, shown with their history, explained, and taken back."""

from __future__ import annotations

from typing import Any

import pytest

from metergate.v1 import grant_pb2 as pb
from tests.e2e.calls import Caller, stamp
from tests.e2e.quota import consume, furnish, limit, record

GRANTS = {"name": "granted", "kind": "LIMIT_KIND_GRANTS"}


@pytest.fixture(autouse=True)
async def _acme(api: Caller) -> None:
    await furnish(api, GRANTS)


async def give(api: Caller, amount: str, **fields: Any) -> Any:
    """Gives acme calls; the grant."""
    return (await api("CreateGrant", **{"customer": "acme", "meter": "calls", "amount": amount, **fields})).grant


async def test_the_catalog_keeps_a_limit_of_grants(api: Caller) -> None:
    [plan] = (await api("GetCatalog")).catalog.plans
    [kept] = plan.limits
    assert (kept.name, kept.kind, kept.max) == ("granted", 8, "")
    again = await api("ApplyCatalog", catalog=(await api("GetCatalog")).catalog)
    assert not again.changes
    await limit(api, {"kind": "LIMIT_KIND_GRANTS"}, {**GRANTS, "policy": "POLICY_SOFT"}, {"max": "5"})
    names = [one.name for one in (await api("GetCatalog")).catalog.plans[0].limits]
    assert names == ["calls/grants", "calls/month", "granted"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max": "5"}, "max"),
        ({"scope": "SCOPE_SUBJECT"}, "scope"),
        ({"labels": {"region": "eu"}}, "scope"),
        ({"per_labels": ["region"]}, "scope"),
        ({"policy": "POLICY_GRACE", "grace": "1"}, "policy"),
        ({"thresholds": [80]}, "thresholds"),
        ({"meter": "balance", "policy": "POLICY_SOFT"}, "kind"),
    ],
)
async def test_p12_a_limit_of_grants_that_means_nothing(api: Caller, wrong: dict[str, Any], field: str) -> None:
    limited = {"meter": "calls", **GRANTS, **wrong}
    refused = await api.refused("SetLimit", limit=limited)
    assert refused.reason == "CATALOG_INVALID"
    assert any(name.endswith(f".{field}") for name in refused.violations), refused.violations
    assert (await api.refused("SetLimit", limit={"meter": "calls", "max": ""})).reason == "QUANTITY_INVALID"


async def test_p2_p4_grants_are_used_up_and_explained(api: Caller) -> None:
    assert not (await consume(api)).allowed
    first = await give(api, "10", end_time=stamp(3_600))
    second = await give(api, "5.5", priority=1)
    assert (first.state, first.left, second.left) == (pb.Grant.STATE_ACTIVE, "10", "5.5")
    allowed = await consume(api, "12")
    [state] = allowed.limits
    assert (state.max, state.used, state.remaining) == ("15.5", "12", "3.5")
    assert not state.HasField("window")
    assert not state.HasField("reset_time")
    refused = await consume(api, "4")
    assert (refused.allowed, refused.binding_limit, refused.limits[0].would_fit) == (False, "granted", "3.5")
    await give(api, "100")
    for decision in (allowed, refused):
        explained = await api("ExplainDecision", decision_id=decision.decision_id)
        assert explained.confirmed
        assert explained.decision.limits[0].max == "15.5"
        found = {one.id: (one.brought, one.burned, one.lost) for one in explained.limits[0].grants}
        assert found == {first.id: ("10", "10", "0"), second.id: ("5.5", "2", "0")}
    [listed] = (await api("ListLimits", subject="acme")).limits
    assert (listed.max, listed.remaining) == ("115.5", "103.5")
    token = (await api("CreateGrant", customer="acme", meter="calls", amount="1")).token
    checked = await api("CheckQuota", subject="acme", amounts=[{"meter": "calls"}], token=token)
    assert checked.decision.limits[0].remaining == "104.5"


async def test_pages_of_grants_and_of_their_history(api: Caller) -> None:
    made = [(await give(api, str(number))).id for number in range(1, 4)]
    await record(api, "4")
    found: list[Any] = []
    token = ""
    while token or not found:
        page = await api("ListGrants", customer="acme", page_size=2, page_token=token)
        found += page.grants
        token = page.next_page_token
    assert [(one.id, one.left) for one in found] == list(zip(reversed(made), ["2", "0", "0"], strict=True))
    moves: list[Any] = []
    while token or not moves:
        asked = {"customer": "acme", "meter": "calls", "page_size": 3, "page_token": token}
        page = await api("ListGrantMoves", **asked)
        moves += page.moves
        token = page.next_page_token
    kinds = [pb.GrantMove.Kind.Name(one.kind).removeprefix("KIND_") for one in reversed(moves)]
    assert kinds == ["BASE", "START", "START", "START", "BURN", "BURN", "BURN"]
    of_one = await api("ListGrantMoves", customer="acme", grant_id=made[1])
    assert [(one.grant, one.amount) for one in of_one.moves] == [(made[1], "2"), (made[1], "2")]
    voided = (await api("VoidGrant", grant_id=made[2])).grant
    assert (voided.state, voided.lost, voided.left) == (pb.Grant.STATE_VOIDED, "2", "0")
    assert (await api("VoidGrant", grant_id=made[2])).grant == voided
    assert [one.id for one in (await api("ListGrants", customer="acme")).grants] == [made[1], made[0]]
    ended = await api("ListGrants", customer="acme", include_ended=True)
    assert len(ended.grants) == 3
    assert not (await api("ListGrants", customer="acme", meter="tokens")).grants
    assert not (await consume(api)).allowed


async def test_a_repeat_gives_once_and_its_id_is_for_one_body(api: Caller) -> None:
    first = await give(api, "10", request_id="r")
    assert await give(api, "10", request_id="r") == first
    for other in ({"amount": "11"}, {"meter": "tokens"}, {"customer": "beta"}):
        body = {"customer": "acme", "meter": "calls", "amount": "10", "request_id": "r", **other}
        refused = await api.refused("CreateGrant", **body)
        assert refused.short == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
        assert refused.metadata == {"request_id": "r"}
    assert [one.left for one in (await api("ListGrants", customer="acme")).grants] == ["10"]


@pytest.mark.parametrize(
    ("method", "fields", "short"),
    [
        ("CreateGrant", {"customer": "none"}, ("NOT_FOUND", "CUSTOMER_NOT_FOUND")),
        ("CreateGrant", {"meter": "none"}, ("NOT_FOUND", "METER_NOT_FOUND")),
        ("CreateGrant", {"meter": "balance"}, ("FAILED_PRECONDITION", "METER_CAN_SHRINK")),
        ("CreateGrant", {"amount": "1e3"}, ("INVALID_ARGUMENT", "QUANTITY_INVALID")),
        ("CreateGrant", {"amount": "-1"}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        ("CreateGrant", {"recurs": 1}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        ("CreateGrant", {"recurs": 99}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        ("CreateGrant", {"end_time": {"seconds": 10**12}}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        ("VoidGrant", {"grant_id": "g_none"}, ("NOT_FOUND", "GRANT_NOT_FOUND")),
        ("ListGrants", {"customer": "none"}, ("NOT_FOUND", "CUSTOMER_NOT_FOUND")),
        ("ListGrantMoves", {"customer": "none"}, ("NOT_FOUND", "CUSTOMER_NOT_FOUND")),
    ],
)
async def test_p12_what_cannot_be(api: Caller, method: str, fields: dict[str, Any], short: tuple[str, str]) -> None:
    if method == "CreateGrant":
        fields = {"customer": "acme", "meter": "calls", "amount": "1", **fields}
    assert (await api.refused(method, **fields)).short == short


async def test_p10_a_foreign_grant_is_nobodys(api: Caller, production: Caller) -> None:
    await furnish(production, GRANTS)
    mine = await give(api, "10")
    assert (await production.refused("VoidGrant", grant_id=mine.id)).reason == "GRANT_NOT_FOUND"
    assert not (await production("ListGrants", customer="acme")).grants
