"""Request ids: a repeat gets the first answer, another body under the same id is refused, and nothing is done twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metergate.v1.customer_pb2 import CreateCustomerResponse
from tests.e2e.calls import Caller

PLANS = [{"name": "default"}, {"name": "pro"}, {"name": "free"}]
# Each call with its body, and another body.
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ApplyCatalog": (
        {"catalog": {"meters": [{"name": "calls"}], "plans": PLANS}},
        {"catalog": {"meters": [{"name": "bytes"}], "plans": PLANS}},
    ),
    "SetLimit": ({"limit": {"meter": "calls", "max": "1"}}, {"limit": {"meter": "calls", "max": "2"}}),
    "CreateCustomer": ({"customer": {"id": "new"}}, {"customer": {"id": "new", "name": "New"}}),
    "CreateSubject": (
        {"subject": {"id": "key", "customer": "acme"}}, {"subject": {"id": "key-2", "customer": "acme"}},
    ),
    "AssignPlan": ({"customer": "acme", "plan": "pro"}, {"customer": "acme", "plan": "free"}),
}  # fmt: skip


@pytest.fixture
async def furnished(api: Caller) -> Caller:
    """A tenant with three plans and a customer."""
    await api("ApplyCatalog", catalog={"plans": PLANS})
    await api("CreateCustomer", customer={"id": "acme"})
    return api


async def _state(api: Caller) -> tuple[bytes, bytes, bytes]:
    catalog = await api("GetCatalog")
    customers = await api("ListCustomers")
    subjects = await api("ListSubjects", customer="acme")
    return tuple(one.SerializeToString(deterministic=True) for one in (catalog, customers, subjects))  # type: ignore[return-value]


@pytest.mark.parametrize("method", CALLS)
async def test_a_repeat_gets_the_first_answer(furnished: Caller, method: str) -> None:
    body, other = CALLS[method]
    first = await furnished(method, **body, request_id="r-1")
    after = await _state(furnished)
    assert await furnished(method, **body, request_id="r-1") == first
    refusal = await furnished.refused(method, **other, request_id="r-1")
    assert refusal.short == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    assert refusal.metadata == {"request_id": "r-1"}
    assert await _state(furnished) == after


@pytest.mark.parametrize("method", CALLS)
async def test_a_repeat_after_further_changes_undoes_none(furnished: Caller, method: str) -> None:
    body, other = CALLS[method]
    first = await furnished(method, **body, request_id="r-1")
    if method != "CreateCustomer":
        await furnished(method, **other, request_id="r-2")
    after = await _state(furnished)
    assert await furnished(method, **body, request_id="r-1") == first
    assert await _state(furnished) == after


@pytest.mark.parametrize("method", CALLS)
async def test_repeats_at_once_do_it_once(furnished: Caller, method: str) -> None:
    body, _ = CALLS[method]
    answers = await asyncio.gather(*(furnished(method, **body, request_id="r-1") for _ in range(6)))
    assert len({one.SerializeToString(deterministic=True) for one in answers}) == 1


async def test_an_id_belongs_to_one_method(furnished: Caller) -> None:
    await furnished("AssignPlan", customer="acme", plan="pro", request_id="r-1")
    for method, (body, _) in CALLS.items():
        if method != "AssignPlan":
            answer = await furnished.refused(method, **body, request_id="r-1")
            assert answer.reason == "REQUEST_ID_REUSED", method


@pytest.mark.parametrize("method", CALLS)
async def test_p12_ids_of_requests_have_bounds(furnished: Caller, method: str) -> None:
    body, _ = CALLS[method]
    for request_id in ("x" * 65, "é" * 33, "a\x00"):
        answer = await furnished.refused(method, **body, request_id=request_id)
        assert (answer.reason, answer.field) == ("FIELD_INVALID", "request_id")
    await furnished(method, **body, request_id="é" * 32)


async def test_a_dry_run_leaves_its_id_free(furnished: Caller) -> None:
    body, other = CALLS["ApplyCatalog"]
    planned = await furnished("ApplyCatalog", **other, dry_run=True, request_id="r-1")
    assert [change.name for change in planned.changes] == ["bytes"]
    applied = await furnished("ApplyCatalog", **body, request_id="r-1")
    assert [change.name for change in applied.changes] == ["calls"]


async def test_a_refusal_is_not_remembered(furnished: Caller) -> None:
    refused = await furnished.refused("AssignPlan", customer="later", plan="pro", request_id="r-1")
    assert refused.reason == "CUSTOMER_NOT_FOUND"
    await furnished("CreateCustomer", customer={"id": "later"})
    assert (await furnished("AssignPlan", customer="later", plan="pro", request_id="r-1")).customer.plan == "pro"


async def test_the_first_answer_outlives_what_it_speaks_of(furnished: Caller) -> None:
    """The plan that was given is gone by the time that the call is repeated."""
    customer = {"id": "new", "plan": "pro"}
    first = await furnished("CreateCustomer", customer=customer, request_id="r-1")
    given = await furnished("AssignPlan", customer="acme", plan="pro", request_id="r-2")
    for name in ("new", "acme"):
        await furnished("AssignPlan", customer=name, plan="free")
    await furnished("ApplyCatalog", catalog={"plans": [{"name": "default"}, {"name": "free"}]})
    assert await furnished("CreateCustomer", customer=customer, request_id="r-1") == first
    assert await furnished("AssignPlan", customer="acme", plan="pro", request_id="r-2") == given
    assert isinstance(first, CreateCustomerResponse)
