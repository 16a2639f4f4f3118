"""Limits by kind and policy, as clients meet them: windows of all sorts, rates, what is held at once, grace, shadow."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from metergate.v1 import catalog_pb2 as pb
from tests.e2e.calls import Caller, eventually

HOUR = timedelta(hours=1)
_ids = itertools.count()


@pytest.fixture(autouse=True)
async def _acme(api: Caller) -> None:
    await api("CreateCustomer", customer={"id": "acme", "time_zone": "Asia/Kathmandu"})


async def _apply(api: Caller, *limits: dict[str, Any]) -> None:
    meters = [{"name": "calls", "dimensions": ["region"]}, {"name": "balance", "allow_negative": True}]
    limited = [{"meter": "calls", **limit} for limit in limits]
    await api("ApplyCatalog", catalog={"meters": meters, "plans": [{"name": "default", "limits": limited}]})


def _event(amount: str, **fields: Any) -> dict[str, Any]:
    return {"id": f"e-{next(_ids)}", "type": "calls", "subject": "acme", "amount": amount, **fields}


async def _use(api: Caller, amount: str, **fields: Any) -> None:
    await api("RecordUsage", event=_event(amount, **fields))


async def _consume(api: Caller, amount: str) -> Any:
    return (await api("ConsumeQuota", events=[_event(amount)])).decision


async def _check(api: Caller, amount: str = "1", **labels: str) -> Any:
    amounts = [{"meter": "calls", "amount": amount, "labels": labels}]
    return (await api("CheckQuota", subject="acme", amounts=amounts)).decision


def _ago(length: timedelta) -> datetime:
    return datetime.now(UTC) - length


# --- windows ------------------------------------------------------------------------------------------------------


async def test_p2_a_rolling_window_holds_what_was_used_within_its_length(api: Caller) -> None:
    await _apply(api, {"name": "rolling", "max": "10", "kind": "LIMIT_KIND_ROLLING", "length": {"seconds": 36_000}})
    await _use(api, "4", time=_ago(timedelta(minutes=1)))
    await _use(api, "3", time=_ago(9 * HOUR))
    await _use(api, "90", time=_ago(12 * HOUR))
    decision = await _check(api, "4")
    [limit] = decision.limits
    assert (decision.allowed, limit.used, limit.remaining, limit.kind) == (False, "7", "3", pb.LIMIT_KIND_ROLLING)
    window = limit.window.end_time.seconds - limit.window.start_time.seconds
    assert window == 11 * 3600
    # What was used nine hours ago is free when its hour leaves the window, ten hours after it ended.
    freed = limit.reset_time.seconds - time.time()
    assert 0 < freed <= 2 * 3600
    assert decision.retry_after.seconds == pytest.approx(freed, abs=30)
    assert decision.reason == "rolling allows 10 in any 10h; 3 left"
    [listed] = (await api("ListLimits", subject="acme")).limits
    assert (listed.used, listed.remaining) == ("7", "3")


async def test_p2_a_rolling_window_admits_up_to_its_maximum(api: Caller) -> None:
    await _apply(api, {"name": "rolling", "max": "10", "kind": "LIMIT_KIND_ROLLING", "length": {"seconds": 36_000}})
    await _use(api, "4", time=_ago(9 * HOUR))
    assert (await _consume(api, "5")).limits[0].used == "9"
    await _use(api, "0.5", time=_ago(9 * HOUR))  # which the older part of the window learns of
    assert (await _check(api, "0.5")).allowed
    refused = await _consume(api, "1")
    assert (refused.allowed, refused.limits[0].used, refused.limits[0].would_fit) == (False, "9.5", "0.5")
    assert (await _consume(api, "0.5")).limits[0].remaining == "0"
    assert not (await _check(api, "0.1")).allowed


async def test_a_rolling_window_for_each_value_of_a_label(api: Caller) -> None:
    """A value that was used only in an older part of the window is listed too."""
    length = {"seconds": 36_000}
    each = {"name": "each", "max": "10", "kind": "LIMIT_KIND_ROLLING", "length": length, "per_labels": ["region"]}
    await _apply(api, each)
    await _use(api, "4", time=_ago(9 * HOUR), labels={"region": "eu"})
    await _use(api, "1", labels={"region": "us"})
    assert (await _check(api, region="eu")).limits[0].used == "4"
    listed = (await api("ListLimits", subject="acme")).limits
    assert {one.labels["region"]: one.used for one in listed if one.used != "0"} == {"eu": "4", "us": "1"}


async def test_windows_of_fixed_length_and_of_all_time(api: Caller) -> None:
    await _apply(
        api,
        {"name": "fixed", "max": "10", "kind": "LIMIT_KIND_FIXED", "length": {"seconds": 100 * 86_400}},
        {"name": "ever", "max": "10", "kind": "LIMIT_KIND_LIFETIME"},
    )
    await _use(api, "10", time=_ago(timedelta(days=20)))
    decision = await _check(api)
    limits = {one.name: one for one in decision.limits}
    assert limits["fixed"].window.start_time.seconds % (100 * 86_400) == 0
    assert limits["fixed"].reset_time == limits["fixed"].window.end_time
    assert (limits["ever"].used, limits["ever"].remaining) == ("10", "0")
    assert not limits["ever"].HasField("window")
    assert not limits["ever"].HasField("reset_time")
    assert (decision.allowed, decision.binding_limit, decision.HasField("retry_after")) == (False, "ever", False)


async def test_p8_a_week_begins_with_the_day_that_the_limit_says(api: Caller) -> None:
    days = list(pb.Weekday.keys())[1:]
    limits = [{"name": day, "max": "10", "period": "PERIOD_WEEK", "week_start": day} for day in days]
    await _apply(api, *limits)
    for limit in (await _check(api)).limits:
        start = limit.window.start_time.ToDatetime(UTC) + timedelta(hours=5, minutes=45)
        assert (start.weekday(), start.hour, start.minute) == (days.index(limit.name), 0, 0)


# --- rates, and what is held at once --------------------------------------------------------------------------------


async def test_p2_a_rate_admits_its_burst_and_then_goes_at_its_pace(api: Caller) -> None:
    hourly = {"max": "1", "kind": "LIMIT_KIND_RATE", "length": {"seconds": 3600}, "burst": "3"}
    await _apply(api, hourly)
    for left in ("2", "1", "0"):
        decision = await _consume(api, "1")
        [limit] = decision.limits
        assert (decision.allowed, limit.name, limit.remaining[:1]) == (True, "calls/rate-1h", left)
        assert not limit.HasField("window")
    for decision in (await _consume(api, "1"), await _check(api)):
        [limit] = decision.limits
        assert (decision.allowed, limit.remaining[:2], limit.would_fit) == (False, "0.", limit.remaining)
        assert Decimal(limit.used) + Decimal(limit.remaining) == 3
        assert 3000 < decision.retry_after.seconds <= 3600
        assert limit.reset_time.seconds == pytest.approx(time.time() + decision.retry_after.seconds, abs=30)
    assert "with bursts of 3" in decision.reason
    await _apply(api, {**hourly, "burst": "5"})  # what is owed is owed under the new burst too
    assert (await _consume(api, "2")).allowed
    assert not (await _consume(api, "1")).allowed


async def test_p2_a_rate_of_an_awkward_number_admits_its_burst_to_the_last_unit(api: Caller) -> None:
    await _apply(api, {"max": "7", "kind": "LIMIT_KIND_RATE", "length": {"seconds": 86_400 * 30}, "burst": "7"})
    assert [(await _consume(api, "0.7")).allowed for _ in range(11)] == [True] * 10 + [False]


async def test_p2_at_most_so_many_are_reserved_at_once(api: Caller) -> None:
    await _apply(api, {"max": "3", "kind": "LIMIT_KIND_CONCURRENCY"})

    async def reserve(amount: str) -> Any:
        return await api("ReserveQuota", subject="acme", amounts=[{"meter": "calls", "amount": amount}])

    first, second = await reserve("2"), await reserve("1")
    third = await reserve("1")
    [limit] = third.decision.limits
    assert (third.decision.allowed, limit.name, limit.reserved, limit.used, limit.remaining) == (
        False, "calls/concurrency", "3", "0", "0",
    )  # fmt: skip
    assert not third.decision.HasField("retry_after")
    assert not (await _consume(api, "1")).allowed
    await api("CommitReservation", reservation_id=second.reservation.id, events=[_event("1")])
    assert (await _consume(api, "1")).allowed  # which holds nothing
    assert (await reserve("1")).decision.allowed
    await api("ReleaseReservation", reservation_id=first.reservation.id)
    assert (await _check(api, "2")).allowed
    assert not (await _check(api, "3")).allowed


# --- policies -------------------------------------------------------------------------------------------------------


async def test_p2_grace_allows_a_stated_overrun(api: Caller) -> None:
    await _apply(api, {"name": "grace", "max": "10", "policy": "POLICY_GRACE", "grace": "2"})
    assert (await _consume(api, "11")).allowed
    decision = await _check(api, "2")
    [limit] = decision.limits
    assert (decision.allowed, limit.policy, limit.overrun, limit.remaining, limit.would_fit) == (
        False, pb.POLICY_GRACE, "1", "0", "1",
    )  # fmt: skip
    assert (await _consume(api, "1")).allowed
    assert not (await _consume(api, "0.000000000001")).allowed


async def test_p2_grace_allows_any_overrun_for_a_stated_time(api: Caller) -> None:
    hour = {"policy": "POLICY_GRACE", "grace_period": {"seconds": 3600}}
    await _apply(api, {"name": "ever", "max": "10", "kind": "LIMIT_KIND_LIFETIME", **hour})
    [before] = (await _consume(api, "9")).limits
    assert not before.HasField("grace_end_time")
    decision = await _consume(api, "51")
    [limit] = decision.limits
    assert (decision.allowed, limit.policy, limit.overrun, limit.remaining) == (True, pb.POLICY_GRACE, "50", "0")
    ahead = limit.grace_end_time.ToMicroseconds() - decision.as_of.ToMicroseconds()
    assert ahead == 3600 * 1_000_000
    checked = await _check(api, "1000")
    assert (checked.allowed, checked.limits[0].grace_end_time) == (True, limit.grace_end_time)
    [listed] = (await api("ListLimits", subject="acme")).limits
    assert listed.grace_end_time == limit.grace_end_time
    [fired] = (await api("ListLimitEvents", customer="acme")).events
    assert (fired.limit, fired.threshold, fired.create_time) == ("ever", 100, decision.as_of)


async def test_p2_grace_refuses_when_its_time_is_over(api: Caller) -> None:
    second = {"policy": "POLICY_GRACE", "grace": "20", "grace_period": {"seconds": 1}}
    await _apply(api, {"name": "ever", "max": "10", "kind": "LIMIT_KIND_LIFETIME", **second})
    [limit] = (await _consume(api, "12")).limits

    async def over() -> bool:
        return not (await _check(api, "1")).allowed

    await eventually(over, within=30)
    refused = await _consume(api, "1")
    assert (refused.allowed, refused.binding_limit) == (False, "ever")
    assert refused.limits[0].grace_end_time == limit.grace_end_time
    assert refused.as_of.ToMicroseconds() >= limit.grace_end_time.ToMicroseconds()
    explained = await api("ExplainDecision", decision_id=refused.decision_id)
    assert (explained.confirmed, explained.decision) == (True, refused)


async def test_p2_what_is_recorded_takes_from_a_rate(api: Caller) -> None:
    await _apply(
        api, {"name": "rate", "max": "1", "kind": "LIMIT_KIND_RATE", "length": {"seconds": 3600}, "burst": "5"}
    )
    await _use(api, "4")
    refused = await _consume(api, "2")
    assert (refused.allowed, refused.limits[0].would_fit[:1], refused.limits[0].used[:1]) == (False, "1", "3")
    await _use(api, "10")
    [limit] = (await _check(api)).limits
    assert (limit.remaining, limit.overrun[:1]) == ("0", "8")


async def test_a_shadow_rate_says_that_it_would_have_refused(api: Caller) -> None:
    rate = {"name": "rate", "max": "1", "kind": "LIMIT_KIND_RATE", "length": {"seconds": 3600}, "burst": "5"}
    await _apply(api, {**rate, "shadow": True})
    decisions = [await _consume(api, amount) for amount in ("4", "2", "1")]
    assert [decision.allowed for decision in decisions] == [True] * 3
    assert [decision.limits[0].would_refuse for decision in decisions] == [False, True, False]


async def test_a_shadow_limit_says_what_it_would_have_refused(api: Caller) -> None:
    await _apply(api, {"name": "shadow", "max": "10", "shadow": True}, {"name": "real", "max": "20"})

    async def shadow(amount: str) -> tuple[bool, bool]:
        decision = await _check(api, amount)
        [limit] = [one for one in decision.limits if one.name == "shadow"]
        assert limit.shadow
        return decision.allowed, limit.would_refuse

    await _use(api, "8")
    assert await shadow("2") == (True, False)
    assert await shadow("3") == (True, True)
    assert await shadow("13") == (False, True)
    assert (await _consume(api, "12")).allowed


async def test_p2_a_rate_and_a_window_are_decided_together(api: Caller) -> None:
    """P3: what the window refuses costs the rate nothing."""
    await _apply(
        api,
        {"name": "rate", "max": "1", "kind": "LIMIT_KIND_RATE", "length": {"seconds": 3600}, "burst": "5"},
        {"name": "month", "max": "3"},
    )
    assert (await _consume(api, "2")).allowed
    refused = await _consume(api, "2")
    assert (refused.allowed, refused.binding_limit) == (False, "month")
    decision = await _consume(api, "1")
    assert decision.allowed
    assert {one.name: one.remaining[:1] for one in decision.limits} == {"rate": "2", "month": "0"}


# --- the catalog ----------------------------------------------------------------------------------------------------

LENGTH = {"seconds": 3600}
KINDS: list[dict[str, Any]] = [
    {"period": "PERIOD_WEEK", "week_start": "WEEKDAY_SUNDAY", "thresholds": [50, 80, 100]},
    {"kind": "LIMIT_KIND_ANCHORED", "period": "PERIOD_YEAR"},
    {"kind": "LIMIT_KIND_FIXED", "length": LENGTH, "when_view_gone": "WHEN_VIEW_GONE_DENY"},
    {"kind": "LIMIT_KIND_ROLLING", "length": LENGTH, "sub_windows": 60, "shadow": True},
    {"kind": "LIMIT_KIND_LIFETIME", "policy": "POLICY_GRACE", "grace": "0.5", "grace_period": {"seconds": 86_400}},
    {"kind": "LIMIT_KIND_RATE", "length": LENGTH, "burst": "2.5", "when_view_gone": "WHEN_VIEW_GONE_ALLOW"},
    {"kind": "LIMIT_KIND_RATE", "length": {"seconds": 1}, "policy": "POLICY_SOFT"},
    {"kind": "LIMIT_KIND_CONCURRENCY", "thresholds": [1000]},
]
NAMES = [
    "calls/1h", "calls/anchored-year", "calls/concurrency", "calls/lifetime", "calls/rate-1h", "calls/rate-1s",
    "calls/rolling-1h", "calls/week",
]  # fmt: skip


async def test_a_catalog_that_was_got_changes_nothing_when_applied(api: Caller) -> None:
    await _apply(api, *[{"max": "10", **kind} for kind in KINDS])
    catalog = (await api("GetCatalog")).catalog
    assert sorted(limit.name for limit in catalog.plans[0].limits) == NAMES
    again = await api("ApplyCatalog", catalog=catalog)
    assert not again.changes
    for limit in catalog.plans[0].limits:
        assert not (await api("SetLimit", limit=limit)).changes


async def test_a_changed_limit_says_what_changed(api: Caller) -> None:
    await _apply(api, {"name": "l", "max": "10"})
    answer = await api(
        "SetLimit",
        limit={"name": "l", "meter": "calls", "max": "10", "kind": "LIMIT_KIND_ROLLING", "length": LENGTH},
    )
    assert [list(change.differences) for change in answer.changes] == [
        ["kind: calendar -> rolling", "length: none -> 1h"],
    ]


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        ({"kind": 99}, "kind"),
        ({"week_start": 99}, "week_start"),
        ({"when_view_gone": 99}, "when_view_gone"),
        ({"burst": "-1"}, "burst"),
        ({"burst": "NaN", "kind": "LIMIT_KIND_RATE", "length": LENGTH}, "burst"),
        ({"burst": "1"}, "burst"),
        ({"grace": "1"}, "grace"),
        ({"grace": "1e3", "policy": "POLICY_GRACE"}, "grace"),
        ({"policy": "POLICY_GRACE"}, "grace"),
        ({"grace_period": LENGTH}, "grace_period"),
        ({"grace_period": {}, "policy": "POLICY_GRACE"}, "grace_period"),
        ({"grace_period": {"seconds": -1}, "policy": "POLICY_GRACE"}, "grace_period"),
        ({"grace_period": {"seconds": 1, "nanos": 1000}, "policy": "POLICY_GRACE"}, "grace_period"),
        ({"grace_period": LENGTH, "policy": "POLICY_GRACE", "max": "unlimited"}, "grace_period"),
        ({"grace_period": LENGTH, "policy": "POLICY_GRACE", "kind": "LIMIT_KIND_CONCURRENCY"}, "grace_period"),
        ({"kind": "LIMIT_KIND_ROLLING"}, "length"),
        ({"kind": "LIMIT_KIND_ROLLING", "length": {"seconds": -60}}, "length"),
        ({"kind": "LIMIT_KIND_ROLLING", "length": {"seconds": 10**15}}, "length"),
        ({"kind": "LIMIT_KIND_ROLLING", "length": {"seconds": 60, "nanos": 1}}, "length"),
        ({"kind": "LIMIT_KIND_ROLLING", "length": LENGTH, "sub_windows": -1}, "sub_windows"),
        ({"kind": "LIMIT_KIND_ROLLING", "length": LENGTH, "sub_windows": 61}, "sub_windows"),
        ({"kind": "LIMIT_KIND_ROLLING", "length": LENGTH, "period": "PERIOD_MONTH"}, "period"),
        ({"kind": "LIMIT_KIND_ANCHORED", "period": "PERIOD_MINUTE"}, "period"),
        ({"length": LENGTH}, "length"),
        ({"thresholds": [0]}, "thresholds"),
        ({"thresholds": [2**31 - 1]}, "thresholds"),
        ({"thresholds": [50, 50]}, "thresholds"),
        ({"kind": "LIMIT_KIND_RATE", "length": LENGTH, "meter": "balance", "policy": "POLICY_SOFT"}, "kind"),
    ],
)
async def test_p12_a_limit_that_contradicts_itself(api: Caller, limit: dict[str, Any], field: str) -> None:
    await _apply(api)
    answer = await api.refused("SetLimit", limit={"name": "l", "meter": "calls", "max": "1", **limit})
    assert answer.code.name in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
    assert any(name.endswith(f".{field}") for name in answer.violations), answer.violations
    assert not (await api("GetCatalog")).catalog.plans[0].limits
