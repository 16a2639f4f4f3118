"""A customer's own terms over the wire: anchors, overrides of limits, and the thresholds that were reached."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from tests.e2e.calls import Caller, stamp

_ids = itertools.count()
MONTH = {"name": "calls/month", "meter": "calls", "max": "10", "thresholds": [50, 100]}
ANCHORED = {"name": "anchored", "meter": "calls", "max": "unlimited", "kind": "LIMIT_KIND_ANCHORED"}


@pytest.fixture(autouse=True)
async def _acme(api: Caller) -> None:
    plans = [{"name": "default", "limits": [MONTH]}, {"name": "pro", "limits": [ANCHORED]}]
    await api("ApplyCatalog", catalog={"meters": [{"name": "calls", "dimensions": ["region"]}], "plans": plans})
    await api("CreateCustomer", customer={"id": "acme"})


async def _consume(api: Caller, amount: str) -> Any:
    event = {"id": f"e-{next(_ids)}", "type": "calls", "subject": "acme", "amount": amount}
    return (await api("ConsumeQuota", events=[event])).decision


def _shown(decision: Any) -> tuple[bool, str, bool, str]:
    [limit] = decision.limits
    return decision.allowed, limit.max, limit.overridden, limit.used


async def test_p2_an_override_is_set_shown_and_taken_away(api: Caller) -> None:
    assert _shown(await _consume(api, "10")) == (True, "10", False, "10")
    end = stamp(3_600)
    made = await api("SetLimitOverride", customer="acme", limit="calls/month", max="12.5", end_time=end)
    [override] = made.customer.limit_overrides
    assert (override.limit, override.max, override.end_time.seconds) == ("calls/month", "12.5", end["seconds"])
    assert abs(override.start_time.seconds - stamp(0)["seconds"]) < 60
    decision = await _consume(api, "2.5")
    assert _shown(decision) == (True, "12.5", True, "12.5")
    explained = await api("ExplainDecision", decision_id=decision.decision_id)
    assert (_shown(explained.decision), explained.confirmed) == (_shown(decision), True)
    refused = await _consume(api, "1")
    assert refused.reason == "calls/month allows 12.5 per month; 0 left"
    [listed] = (await api("ListLimits", subject="acme")).limits
    assert (listed.max, listed.overridden) == ("12.5", True)
    assert (await api("GetCustomer", id="acme")).customer == made.customer
    assert list((await api("ListCustomers")).customers) == [made.customer]

    start = {"seconds": override.start_time.seconds, "nanos": override.start_time.nanos}
    left = await api("DeleteLimitOverride", customer="acme", limit="calls/month", start_time=start)
    assert not left.customer.limit_overrides
    assert _shown(await _consume(api, "1")) == (False, "10", False, "12.5")
    assert _shown((await api("ExplainDecision", decision_id=decision.decision_id)).decision) == _shown(decision)
    await api("SetLimitOverride", customer="acme", limit="calls/month", max="unlimited")
    assert _shown(await _consume(api, "1000")) == (True, "unlimited", True, "1012.5")


async def test_a_repeat_under_a_request_id_sets_it_once(api: Caller) -> None:
    body = {"customer": "acme", "limit": "calls/month", "max": "20", "request_id": "first"}
    first = await api("SetLimitOverride", **body)
    assert await api("SetLimitOverride", **body) == first
    refused = await api.refused("SetLimitOverride", **body | {"max": "21"})
    assert refused.short == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    gone = {"customer": "acme", "limit": "calls/month", "request_id": "second"}
    assert not (await api("DeleteLimitOverride", **gone)).customer.limit_overrides
    await api("SetLimitOverride", **body | {"request_id": "third"})
    assert not (await api("DeleteLimitOverride", **gone)).customer.limit_overrides
    assert len((await api("GetCustomer", id="acme")).customer.limit_overrides) == 1


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"customer": "nobody"}, "CUSTOMER_NOT_FOUND", ""),
        ({"customer": ""}, "FIELD_INVALID", "customer"),
        ({"limit": ""}, "FIELD_INVALID", "limit"),
        ({"limit": "calls/year"}, "FIELD_INVALID", "limit"),
        ({"max": ""}, "FIELD_INVALID", "max"),
        ({"max": "-1"}, "FIELD_INVALID", "max"),
        ({"max": "1e3"}, "QUANTITY_INVALID", "max"),
        ({"max": "endless"}, "QUANTITY_INVALID", "max"),
        ({"start_time": stamp(20), "end_time": stamp(10)}, "FIELD_INVALID", "end_time"),
        ({"end_time": stamp(-10)}, "FIELD_INVALID", "end_time"),
        ({"start_time": {"nanos": -1}}, "FIELD_INVALID", "start_time"),
        ({"start_time": {"seconds": -1}}, "FIELD_INVALID", "start_time"),
        ({"end_time": {"seconds": 10**11}}, "FIELD_INVALID", "end_time"),
    ],
)
async def test_p12_overrides_that_make_no_sense(api: Caller, changed: dict[str, Any], reason: str, field: str) -> None:
    body = {"customer": "acme", "limit": "calls/month", "max": "20"} | changed
    refused = await api.refused("SetLimitOverride", **body)
    assert (refused.reason, refused.field) == (reason, field)
    assert refused.code is (
        grpc.StatusCode.NOT_FOUND if reason == "CUSTOMER_NOT_FOUND" else grpc.StatusCode.INVALID_ARGUMENT
    )
    assert not (await api("GetCustomer", id="acme")).customer.limit_overrides


async def test_p8_anchored_months_begin_on_the_anchors_day(api: Caller) -> None:
    anchor = datetime(2024, 1, 31, 9, 30, tzinfo=UTC)
    await api("AssignPlan", customer="acme", plan="pro")
    updated = await api("UpdateCustomer", customer={"id": "acme", "anchor_time": anchor, "time_zone": "Africa/Lagos"})
    assert (updated.customer.time_zone, updated.customer.plan) == ("Africa/Lagos", "pro")
    again = await api("CreateCustomer", customer={
        "id": "acme", "anchor_time": anchor, "time_zone": "Africa/Lagos", "plan": "pro",
    })  # fmt: skip
    assert again.customer == updated.customer
    refused = await api.refused("CreateCustomer", customer={"id": "acme", "time_zone": "Africa/Lagos", "plan": "pro"})
    assert refused.reason == "CUSTOMER_EXISTS"
    decision = await _consume(api, "1")
    [limit] = decision.limits
    start, end = (moment.ToDatetime(UTC) for moment in (limit.window.start_time, limit.window.end_time))
    for moment in (start, end):
        # The 31st, or the last day of a shorter month; Lagos is an hour ahead of UTC the year round.
        assert (moment.hour, moment.minute) == (9, 30)
        assert moment.day == 31 or (moment + timedelta(days=1)).month != moment.month
    assert start <= datetime.now(UTC) < end

    masked = {"customer": {"id": "acme", "name": "Acme", "time_zone": "UTC"}, "update_mask": {"paths": ["anchor_time"]}}
    left = (await api("UpdateCustomer", **masked)).customer
    assert (left.HasField("anchor_time"), left.name, left.time_zone) == (False, "", "Africa/Lagos")
    assert (await _consume(api, "1")).limits[0].window.start_time.ToDatetime(UTC).day in (28, 29, 30, 31, 1)


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({"customer": {"id": "nobody", "name": "x"}}, "CUSTOMER_NOT_FOUND", ""),
        ({}, "FIELD_INVALID", "customer"),
        ({"customer": {"name": "x"}}, "FIELD_INVALID", "customer.id"),
        ({"customer": {"id": "acme", "name": "x" * 257}}, "FIELD_INVALID", "customer.name"),
        ({"customer": {"id": "acme", "time_zone": "Mars/Olympus"}}, "FIELD_INVALID", "time_zone"),
        ({"customer": {"id": "acme", "anchor_time": {"seconds": -1}}}, "FIELD_INVALID", "anchor_time"),
        ({"customer": {"id": "acme", "anchor_time": {"nanos": -1}}}, "FIELD_INVALID", "anchor_time"),
        ({"customer": {"id": "acme"}, "update_mask": {"paths": ["plan"]}}, "FIELD_INVALID", "update_mask"),
        ({"customer": {"id": "acme"}, "update_mask": {"paths": ["*"]}}, "FIELD_INVALID", "update_mask"),
    ],
)
async def test_p12_updates_that_make_no_sense(api: Caller, body: dict[str, Any], reason: str, field: str) -> None:
    refused = await api.refused("UpdateCustomer", **body)
    assert (refused.reason, refused.field) == (reason, field)


async def test_a_customer_is_made_with_an_anchor(api: Caller) -> None:
    made = await api("CreateCustomer", customer={"id": "beta", "anchor_time": stamp(-9_000)})
    assert made.customer.HasField("anchor_time")
    refused = await api.refused("CreateCustomer", customer={"id": "gamma", "anchor_time": {"seconds": 10**11}})
    assert (refused.reason, refused.field) == ("FIELD_INVALID", "anchor_time")


async def test_thresholds_that_were_reached(api: Caller) -> None:
    await api("SetLimitOverride", customer="acme", limit="calls/month", max="20")
    assert (await _consume(api, "9")).allowed
    assert not (await api("ListLimitEvents")).events
    assert (await _consume(api, "2")).allowed
    await api("RecordUsage", event={"id": "fact", "type": "calls", "subject": "acme", "amount": "30"})
    await api("RecordUsage", event={"id": "beta", "type": "calls", "subject": "beta", "amount": "5"})
    assert not (await _consume(api, "1")).allowed
    events = list((await api("ListLimitEvents")).events)
    assert [(one.customer, one.threshold, one.taken, one.max) for one in events] == [
        ("beta", 50, "5", "10"), ("acme", 100, "41", "20"), ("acme", 50, "11", "20"),
    ]  # fmt: skip
    assert {(one.limit, one.meter, one.subject) for one in events} == {("calls/month", "calls", "")}
    [limit] = (await api("ListLimits", subject="acme")).limits
    assert all(one.window == limit.window for one in events)
    assert events[1].seq == events[2].seq + 1

    first = await api("ListLimitEvents", customer="acme", page_size=1)
    assert list(first.events) == [events[1]]
    last = await api("ListLimitEvents", customer="acme", page_size=1, page_token=first.next_page_token)
    assert (list(last.events), last.next_page_token) == ([events[2]], "")
    refused = await api.refused("ListLimitEvents", customer="beta", page_token=first.next_page_token)
    assert refused.reason == "TOKEN_INVALID"
    assert (await api.refused("ListLimitEvents", customer="nobody")).reason == "CUSTOMER_NOT_FOUND"
    assert (await api.refused("ListLimitEvents", page_size=-1)).field == "page_size"
