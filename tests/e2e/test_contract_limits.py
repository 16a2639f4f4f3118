"""Limits of every kind, and how good an answer about them says that it is (promise P5)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis.asyncio

from metergate.v1.catalog_pb2 import POLICY_HARD, POLICY_SOFT
from metergate.v1.decision_pb2 import ANSWERED_BY_LEDGER, ANSWERED_BY_VIEW
from metergate.v1.usage_event_pb2 import OUTCOME_DUPLICATE
from tests.e2e.calls import Caller, total, used
from tests.server import Server


async def _apply(api: Caller, *limits: dict[str, Any], **meter: Any) -> None:
    meters = [{"name": "calls", "dimensions": ["region", "tier"], **meter}, {"name": "bytes"}]
    limited = [{"meter": "calls", **limit} for limit in limits]
    await api("ApplyCatalog", catalog={"meters": meters, "plans": [{"name": "default", "limits": limited}]})


async def _use(api: Caller, amount: str = "1", subject: str = "acme", **fields: Any) -> str:
    event = {"id": f"e-{time.monotonic_ns()}", "type": "calls", "subject": subject, "amount": amount, **fields}
    return str((await api("RecordUsage", event=event)).token)


async def _check(api: Caller, amount: str = "1", subject: str = "acme", **labels: str) -> Any:
    amounts = [{"meter": "calls", "amount": amount, "labels": labels}]
    return (await api("CheckQuota", subject=subject, amounts=amounts)).decision


def _by_name(decision: Any) -> dict[str, Any]:
    return {limit.name: limit for limit in decision.limits}


# --- kinds of limits ----------------------------------------------------------------------------------------------


async def test_p3_several_limits_on_one_meter(api: Caller) -> None:
    await _apply(
        api,
        {"name": "day", "max": "5", "period": "PERIOD_DAY"},
        {"name": "month", "max": "8", "period": "PERIOD_MONTH"},
        {"name": "year", "max": "100", "period": "PERIOD_YEAR"},
    )
    await _use(api, "4")
    decision = await _check(api, "1")
    assert (decision.allowed, decision.binding_limit, decision.reason) == (True, "", "")
    assert not decision.HasField("retry_after")
    assert {name: (one.used, one.remaining) for name, one in _by_name(decision).items()} == {
        "day": ("4", "1"), "month": ("4", "4"), "year": ("4", "96"),
    }  # fmt: skip
    decision = await _check(api, "2")
    assert (decision.allowed, decision.binding_limit) == (False, "day")
    assert _by_name(decision)["day"].would_fit == "1"
    assert 0 < decision.retry_after.seconds <= 86_400
    decision = await _check(api, "5")  # of those that refuse, the one binds that is whole again last
    assert (decision.allowed, decision.binding_limit) == (False, "month")
    assert "month" in decision.reason
    assert await total(api, "calls") == "4"  # asking changes nothing


async def test_a_limit_for_each_value_of_a_label(api: Caller) -> None:
    await _apply(api, {"name": "each", "max": "5", "per_labels": ["region"]}, {"name": "all", "max": "9"})
    await _use(api, "5", labels={"region": "eu", "tier": "gold"})
    await _use(api, "2", labels={"region": "us"})
    await _use(api, "1")
    for region, fits, figure in (("eu", False, "5"), ("us", True, "2"), ("", True, "1"), ("asia", True, "0")):
        decision = await _check(api, "1", region=region)
        assert (decision.allowed, decision.binding_limit) == (fits, "" if fits else "each")
        each = _by_name(decision)["each"]
        assert (each.used, dict(each.labels)) == (figure, {"region": region})
    listed = (await api("ListLimits", subject="acme")).limits
    assert {(one.name, one.labels.get("region"), one.used) for one in listed} == {
        ("all", None, "8"), ("each", "eu", "5"), ("each", "us", "2"), ("each", "", "1"),
    }  # fmt: skip


async def test_a_limit_on_one_value_of_a_label(api: Caller) -> None:
    await _apply(api, {"name": "gold", "max": "5", "labels": {"tier": "gold"}})
    await _use(api, "5", labels={"tier": "gold", "region": "eu"})
    await _use(api, "9", labels={"tier": "iron"})
    assert not (await _check(api, tier="gold")).allowed
    other = await _check(api, tier="iron")
    assert (other.allowed, len(other.limits)) == (True, 0)
    assert (await _check(api)).allowed


async def test_a_limit_for_each_subject(api: Caller) -> None:
    await _apply(api, {"name": "own", "max": "5", "scope": "SCOPE_SUBJECT"}, {"name": "all", "max": "100"})
    await api("CreateCustomer", customer={"id": "acme"})
    for name in ("one", "two"):
        await api("CreateSubject", subject={"id": name, "customer": "acme"})
    await _use(api, "5", subject="one")
    await _use(api, "2", subject="two")
    for subject, allowed, own in (("one", False, "5"), ("two", True, "2"), ("acme", True, "0")):
        decision = await _check(api, "3", subject=subject)
        assert decision.allowed is allowed
        assert {name: one.used for name, one in _by_name(decision).items()} == {"own": own, "all": "7"}


async def test_soft_allows_and_shows_the_overrun(api: Caller) -> None:
    await _apply(api, {"name": "soft", "max": "10", "policy": "POLICY_SOFT"})
    await _use(api, "12.5")
    decision = await _check(api, "100")
    [limit] = decision.limits
    assert (decision.allowed, limit.policy) == (True, POLICY_SOFT)
    assert (limit.used, limit.remaining, limit.overrun, limit.would_fit) == ("12.5", "0", "2.5", "100")


async def test_hard_refuses_and_facts_may_lift_usage_above_it(api: Caller) -> None:
    await _apply(api, {"name": "hard", "max": "10"})
    await _use(api, "12.5")  # what happened, happened
    decision = await _check(api, "0.000000000001")
    [limit] = decision.limits
    assert (decision.allowed, decision.binding_limit, limit.policy) == (False, "hard", POLICY_HARD)
    assert (limit.used, limit.remaining, limit.overrun, limit.would_fit) == ("12.5", "0", "2.5", "0")
    assert (await _check(api, "0")).allowed  # nothing more is asked of it


async def test_unlimited_and_nothing_at_all(api: Caller) -> None:
    await _apply(api, {"name": "free", "max": "unlimited"})
    await _use(api, "999999999999999999")
    decision = await _check(api, "999999999999999999")
    [limit] = decision.limits
    assert (decision.allowed, limit.max, limit.used) == (True, "unlimited", "999999999999999999")
    assert (limit.remaining, limit.would_fit) == ("", "")
    await _apply(api, {"name": "none", "max": "0"})
    decision = await _check(api, "1", subject="acme")
    assert (decision.allowed, decision.binding_limit, decision.limits[0].would_fit) == (False, "none", "0")
    await _apply(api)
    decision = await _check(api)
    assert (decision.allowed, len(decision.limits), decision.plan) == (True, 0, "default")


async def test_p3_amounts_of_one_question_fit_together_or_not_at_all(api: Caller) -> None:
    await _apply(api, {"name": "calls", "max": "5"}, {"name": "bytes", "meter": "bytes", "max": "100"})
    await api("CreateCustomer", customer={"id": "acme"})

    async def allowed(*amounts: tuple[str, str]) -> tuple[bool, str]:
        asked = [{"meter": meter, "amount": amount} for meter, amount in amounts]
        decision = (await api("CheckQuota", subject="acme", amounts=asked)).decision
        return decision.allowed, decision.binding_limit

    assert await allowed(("calls", "5"), ("bytes", "100")) == (True, "")
    assert await allowed(("calls", "5"), ("bytes", "101")) == (False, "bytes")
    assert await allowed(("calls", "3"), ("calls", "3")) == (False, "calls")  # of one counter, they add up
    assert await allowed(("calls", "3"), ("calls", "2")) == (True, "")


async def test_a_refusal_as_a_status(api: Caller) -> None:
    await _apply(api, {"name": "hard", "max": "1"})
    await _use(api)
    ask = {"subject": "acme", "amounts": [{"meter": "calls"}], "refuse_as_status": True}
    answer = await api.refused("CheckQuota", **ask)
    assert answer.short == ("RESOURCE_EXHAUSTED", "LIMIT_REACHED")
    assert (answer.metadata["limit"], answer.metadata["meter"], answer.metadata["plan"]) == ("hard", "calls", "default")
    [violation] = answer.details["QuotaFailure"].violations
    assert violation.subject == "acme"
    assert "hard" in violation.description
    assert (await api("CheckQuota", **{**ask, "refuse_as_status": False})).decision.allowed is False
    [result] = (await api("BatchCheckQuota", checks=[ask])).results  # in a batch, a refusal is an answer
    assert result.decision.binding_limit == "hard"


KATHMANDU = ZoneInfo("Asia/Kathmandu")  # 5 hours and 45 minutes ahead of UTC
PERIODS = ("MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR")


def _starts(now: datetime) -> dict[str, tuple[datetime, datetime]]:
    """The windows that hold the moment, by the calendar on the wall."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    monday = day - timedelta(days=day.weekday())
    hour = now.replace(minute=0, second=0, microsecond=0)
    minute = now.replace(second=0, microsecond=0)
    return {
        "MINUTE": (minute, minute + timedelta(minutes=1)),
        "HOUR": (hour, hour + timedelta(hours=1)),
        "DAY": (day, day + timedelta(days=1)),
        "WEEK": (monday, monday + timedelta(days=7)),
        "MONTH": (month, (month + timedelta(days=31)).replace(day=1)),
        "YEAR": (month.replace(month=1), month.replace(month=1, year=month.year + 1)),
    }


async def test_p8_windows_are_those_of_the_customers_zone(api: Caller) -> None:
    limits = [{"name": name, "max": "100", "period": f"PERIOD_{name}"} for name in PERIODS]
    await _apply(api, *limits)
    await api("CreateCustomer", customer={"id": "acme", "time_zone": "Asia/Kathmandu"})
    before = datetime.now(KATHMANDU)
    midnight = before.replace(hour=0, minute=0, second=0, microsecond=0)
    await _use(api, "1", time=midnight.astimezone(UTC))
    await _use(api, "10", time=(midnight - timedelta(microseconds=1)).astimezone(UTC))
    decision = await _check(api)
    if _starts(before)["MINUTE"] != _starts(datetime.now(KATHMANDU))["MINUTE"]:
        pytest.skip("a minute ended meanwhile")
    for name, (start, end) in _starts(before).items():
        limit = _by_name(decision)[name]
        window = limit.window.start_time.ToDatetime(UTC), limit.window.end_time.ToDatetime(UTC)
        assert window == (start, end), name
        assert limit.reset_time == limit.window.end_time
        expected = sum(amount for amount, at in ((1, midnight), (10, midnight - timedelta(seconds=1))) if at >= start)
        assert limit.used == str(expected), name
    listed = {one.name: one for one in (await api("ListLimits", subject="acme")).limits}
    assert listed["DAY"].window.start_time.ToDatetime(UTC) == midnight
    assert listed["DAY"].used == "1"


# --- how good an answer is ----------------------------------------------------------------------------------------


async def test_p5_every_answer_says_when_and_who(api: Caller) -> None:
    await _apply(api, {"name": "hard", "max": "10"})
    await _use(api)
    for _ in range(3):
        began = time.time()
        decision = await _check(api)
        assert decision.answered_by in (ANSWERED_BY_VIEW, ANSWERED_BY_LEDGER)
        assert not decision.degraded
        assert decision.as_of.ToNanoseconds() / 1e9 == pytest.approx(began, abs=2)
    assert decision.answered_by == ANSWERED_BY_VIEW  # known by now
    summary = await api("GetUsageSummary", customer="acme")
    assert summary.as_of.ToNanoseconds() / 1e9 == pytest.approx(time.time(), abs=2)
    assert (await api("ListLimits", subject="acme")).as_of.seconds >= int(began)


async def test_p5_a_token_makes_later_reads_see_the_write(api: Caller) -> None:
    await _apply(api, {"name": "hard", "max": "1000"})
    for number in range(1, 51):
        token = await _use(api)
        assert token
        assert await used(api, "calls", token=token) == str(number)
        if number % 10 == 0:
            assert await total(api, "calls", token=token) == str(number)
    checks = [{"subject": "acme", "amounts": [{"meter": "calls"}], "token": await _use(api)}]
    [result] = (await api("BatchCheckQuota", checks=checks)).results
    assert result.decision.limits[0].used == "51"


async def test_p5_a_token_of_a_wide_write_is_honoured(api: Caller) -> None:
    await _apply(api, {"name": "hard", "max": "1000"})
    events = [{"id": f"e{number}", "type": "calls", "subject": f"customer-{number}"} for number in range(40)]
    token = (await api("BatchRecordUsage", events=events)).token
    found = await asyncio.gather(*(used(api, "calls", f"customer-{number}", token=token) for number in range(40)))
    assert set(found) == {"1"}


async def test_p5_a_token_is_honoured_when_the_publication_was_lost(api: Caller, server: Server) -> None:
    """The view is set back to before the write, as if Redis had never heard of it."""
    await _apply(api, {"name": "hard", "max": "1000"})
    await _use(api, "5")
    await _check(api)
    async with redis.asyncio.Redis.from_url(server.redis_url) as view:
        names = [name async for name in view.scan_iter(match=f"*{server.tenant}*")]
        before = {name: await view.dump(name) for name in names}
        assert before
        token = await _use(api, "2")
        for name, content in before.items():
            await view.restore(name, 60_000, content, replace=True)
    ask = {"subject": "acme", "amounts": [{"meter": "calls"}]}
    decision = (await api("CheckQuota", **ask, token=token)).decision
    assert (decision.limits[0].used, decision.answered_by) == ("7", ANSWERED_BY_LEDGER)
    assert await used(api, "calls") == "7"  # and the view has learned of it


async def test_p5_the_repeat_of_a_write_gives_a_token_as_well(api: Caller) -> None:
    """Whose first answer was lost has only the second, and wants to see his write like everyone."""
    await _apply(api, {"name": "hard", "max": "1000"})
    event = {"id": "e", "type": "calls", "subject": "acme"}
    assert (await api("RecordUsage", event=event)).token
    again = await api("RecordUsage", event=event)
    assert again.receipt.outcome == OUTCOME_DUPLICATE
    assert again.token


async def test_p5_limits_come_back_with_the_write(api: Caller) -> None:
    await _apply(api, {"name": "day", "max": "10", "period": "PERIOD_DAY"}, {"name": "month", "max": "100"})
    event = {"id": "e", "type": "calls", "subject": "acme", "amount": "4"}
    for _ in range(2):  # with the first answer and with the repeat
        answer = await api("RecordUsage", event=event, include_limits=True)
        assert {one.name: (one.used, one.remaining) for one in answer.limits} == {
            "day": ("4", "6"), "month": ("4", "96"),
        }  # fmt: skip
    assert not (await api("RecordUsage", event={**event, "id": "other", "type": "nope"}, include_limits=True)).limits


async def test_what_was_used_stays_used_under_another_plan(api: Caller) -> None:
    plans = [
        {"name": name, "limits": [{"name": "calls", "meter": "calls", "max": most}]}
        for name, most in (("default", "10"), ("pro", "50"))
    ]
    await api("ApplyCatalog", catalog={"meters": [{"name": "calls"}], "plans": plans})
    await _use(api, "10")
    assert not (await _check(api)).allowed
    await api("AssignPlan", customer="acme", plan="pro")
    decision = await _check(api)
    assert (decision.allowed, decision.plan, decision.limits[0].used, decision.limits[0].max) == (
        True, "pro", "10", "50",
    )  # fmt: skip
    await api("AssignPlan", customer="acme")
    assert not (await _check(api)).allowed
