"""Overrides and anchors on the customer's head: in force at the next decision everywhere, by the ledger's clock."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from metergate.app import clock
from metergate.app.customer.terms import CustomerUpdate
from metergate.app.quota.check import Amount, Question
from metergate.domain.answer import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import Decision
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.override import MAX_OVERRIDES, Override
from metergate.domain.period import DAY, HOUR, SECOND, Window, from_datetime
from metergate.domain.quota import Kind, Limit
from metergate.domain.work import Want
from tests.integration.clock import make_shiftable, shift
from tests.integration.processes import PRINCIPAL, TENANT, Process, Start, event, settle
from tests.integration.test_partitions import make_partitions

CALLS = Meter("calls", "calls", dimensions=("region",))
MONTH = Limit("calls/month", "calls", Decimal(10))
BIG = replace(MONTH, max=Decimal(100))


async def begin(one: Process, *limits: Limit) -> None:
    await one.apply(Catalog((CALLS,), (Plan("default", limits), Plan("big", (BIG,)))))
    await one.customer("acme")


@pytest.fixture
async def two(start: Start, one: Process) -> Process:
    return await start()


def state(answer: Answer | Decision) -> tuple[bool, Decimal | None, bool, Decimal]:
    """Allowed, the limit's max, whether it is the customer's own, and what is used."""
    decision = answer.decision if isinstance(answer, Answer) else answer
    assert decision is not None
    [one] = decision.states
    return decision.allowed, one.limit.max, one.limit.overridden, one.figures.used


async def test_p2_an_override_holds_at_the_next_decision_in_another_process(one: Process, two: Process) -> None:
    await begin(one, MONTH)
    assert state(await two.consume(event("1", amount="10"))) == (True, 10, False, 10)
    for again in range(2):
        assert state(await two.consume(event(f"2-{again}"))) == (False, 10, False, 10)
    await one.override("calls/month", "12")
    assert state(await two.consume(event("3", amount="2"))) == (True, 12, True, 12)
    assert state(await two.consume(event("4"))) == (False, 12, True, 12)
    await one.override("calls/month", "3")  # began later than the other
    lowered = await two.consume(event("5"))
    assert state(lowered) == (False, 3, True, 12)
    assert lowered.decision is not None
    assert lowered.decision.states[0].overrun == 9
    await one.override("calls/month", None)
    assert state(await two.consume(event("6", amount="88"))) == (True, None, True, 100)
    await one.assign("acme", "big")  # its limit of the same name is overridden too
    assert state(await two.consume(event("7"))) == (True, None, True, 101)
    await one.terms.delete_override(PRINCIPAL, "acme", "calls/month", None)
    assert state(await two.consume(event("8"))) == (False, 100, False, 101)
    assert await one.differences() == []


async def test_p2_all_ways_to_ask_see_the_override(one: Process, two: Process) -> None:
    await begin(one, MONTH)
    await one.override("calls/month", "100")
    await settle([two])
    assert state(await two.check("calls", "90")) == (True, 100, True, 0)
    [listed] = (await two.limits.list(PRINCIPAL, "acme", [])).states
    assert (listed.limit.max, listed.limit.overridden) == (100, True)
    held = await two.reserve(Want("calls", Decimal(60), {}), request_id="r")
    assert state(held) == (True, 100, True, 0)
    leased = await two.acquire("calls", "20")
    assert leased.allowed
    assert state(await two.consume(event("1", amount="5"))) == (True, 100, True, 5)
    await one.override("calls/month", "60")
    assert state(await two.consume(event("2"))) == (False, 60, True, 5)
    # What was admitted before is answered by the limit of then.
    assert state(await two.consume(event("1", amount="5"))) == (True, 100, True, 5)
    again = await two.reserve(Want("calls", Decimal(60), {}), request_id="r")
    assert (again.repeated, again.hold and again.hold.id) == (True, held.hold and held.hold.id)
    assert await one.differences() == []


async def test_an_override_of_a_limit_that_the_plan_lacks_has_no_effect(one: Process) -> None:
    await begin(one, MONTH, replace(MONTH, name="other", max=Decimal(5)))
    await one.override("other", "7")
    answer = await one.consume(event("1", amount="6"))
    assert answer.decision is not None
    assert {state.limit.name: state.limit.max for state in answer.decision.states} == {"calls/month": 10, "other": 7}
    await one.assign("acme", "big")
    assert state(await one.consume(event("2"))) == (True, 100, False, 7)
    for name in ("nobody's", "", "x" * 5_000):
        with pytest.raises(MetergateError) as refused:
            await one.override(name, "1")
        assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "limit")


async def test_p2_an_override_starts_and_ends_by_itself(postgres_url: str, start: Start) -> None:
    """Each process's ledger has another clock, hours apart."""
    await make_shiftable(postgres_url)
    one = await start()
    await begin(one, replace(MONTH, kind=Kind.LIFETIME))
    now = await one.now()
    hours = {hour: await start(session=shift(hour * HOUR)) for hour in (0, 2, 4, 6, 8)}
    for hour, most in ((1, "20"), (3, "30")):
        await one.override("calls/month", most, now + hour * HOUR, now + (7 if hour == 1 else 5) * HOUR)
    await one.add(event("0", amount="10"))
    for hour, most in ((0, 10), (2, 20), (4, 30), (6, 20), (8, 10), (2, 20)):
        amount = max(most - 9, 1)
        assert state(await hours[hour].consume(event(f"a{hour}", amount=str(amount)))) == (False, most, most != 10, 10)
    assert (await hours[4].consume(event("b", amount="20"))).allowed
    assert not (await hours[6].consume(event("c"))).allowed
    assert await one.differences() == []


async def test_p5_advice_sees_an_override_start_and_end(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a question touched is remembered; it is not when another limit is in force."""
    await begin(one, MONTH)
    await one.add(event("1", amount="10"))
    now = clock.now()
    await one.override("calls/month", "20", now + 10 * SECOND, now + 20 * SECOND)
    question = Question("acme", [Amount("calls", Decimal(1), {})])
    for ahead, most in ((0, 10), (9, 10), (10, 20), (19, 20), (20, 10), (21, 10)):
        monkeypatch.setattr(clock, "now", lambda ahead=ahead: now + ahead * SECOND)
        for _ in range(2):
            answer = one.checks.again(PRINCIPAL, question) or (await one.checks.check(PRINCIPAL, [question]))[0]
            assert isinstance(answer, Decision)
            assert state(answer)[:3] == (most > 10, most, most > 10)
        [listed] = (await one.limits.list(PRINCIPAL, "acme", [])).states
        assert listed.limit.max == most


async def test_overrides_are_kept_in_order_and_bounded(one: Process) -> None:
    await begin(one, MONTH)
    now = await one.now()
    for start_ in (5, 3, 4, 3):
        kept = await one.override("calls/month", str(start_), now + start_ * DAY, now + 50 * DAY)
    assert [(kept_.start - now) // DAY for kept_ in kept.overrides] == [3, 4, 5]
    await settle([one])
    assert await one.directory.customer(TENANT, "acme") == kept
    assert await one.customers.list(PRINCIPAL, "", 10) == [kept]
    less = await one.terms.delete_override(PRINCIPAL, "acme", "calls/month", now + 4 * DAY)
    assert [(kept_.start - now) // DAY for kept_ in less.overrides] == [3, 5]
    assert await one.terms.delete_override(PRINCIPAL, "acme", "calls/month", now) == less
    for number in range(MAX_OVERRIDES - 2):
        await one.override("calls/month", "1", now + 10 * DAY + number)
    with pytest.raises(MetergateError, match="at most 100 overrides"):
        await one.override("calls/month", "1", now + 20 * DAY)
    assert (await one.terms.delete_override(PRINCIPAL, "acme", "calls/month", None)).overrides == ()
    assert await one.fetch("SELECT overrides FROM customer_head WHERE customer = 'acme'") == [(None,)]


async def test_p12_overrides_that_make_no_sense(one: Process) -> None:
    await begin(one, MONTH)
    now = await one.now()
    for start_, end, field in (
        (now, now, "end_time"),
        (now + 2, now + 1, "end_time"),
        (now - DAY, now - HOUR, "end_time"),
        (-1, None, "start_time"),
        (None, 10**17, "end_time"),
    ):
        with pytest.raises(MetergateError) as refused:
            await one.override("calls/month", "1", start_, end)
        assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)
    for call in (one.override("calls/month", "1", customer="nobody"), one.terms.assign_plan(PRINCIPAL, "nobody", "")):
        with pytest.raises(MetergateError) as refused:
            await call
        assert refused.value.reason is Reason.CUSTOMER_NOT_FOUND
    found = await one.customers.get(PRINCIPAL, "acme")
    assert found.overrides == ()


async def test_what_changes_nothing_raises_no_seq(one: Process) -> None:
    await begin(one, MONTH)
    await one.override("calls/month", "5", 0)
    before = await one.fetch("SELECT seq FROM customer_head WHERE customer = 'acme'")
    await one.override("calls/month", "5", 0)
    await one.assign("acme", "")
    await one.terms.update(PRINCIPAL, "acme", CustomerUpdate(time_zone="UTC"))
    assert await one.fetch("SELECT seq FROM customer_head WHERE customer = 'acme'") == before
    assert (await one.customers.get(PRINCIPAL, "acme")).overrides == (Override("calls/month", Decimal(5), 0),)


# --- anchors ------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
ANCHORED = replace(MONTH, kind=Kind.ANCHORED)


def berlin(month: int, day: int, hour: int = 9, minute: int = 30) -> int:
    return from_datetime(datetime(2031, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC))


async def test_p8_anchored_months_through_the_whole_stack(postgres_url: str, start: Start) -> None:
    """31 January, 28 February, 31 March (a day after the clocks went forward), 30 April: by ledgers whose clocks stand
    close to these moments."""
    await make_shiftable(postgres_url)
    one = await start()
    for month in (1, 2, 3, 4):
        for table in ("usage_id", "usage_event"):
            await make_partitions(one, date(2031, month, 1), table)
    await begin(one, ANCHORED)
    anchor = berlin(1, 31)
    await one.terms.update(PRINCIPAL, "acme", CustomerUpdate(time_zone="Europe/Berlin", anchor=anchor))
    borders = [berlin(1, 31), berlin(2, 28), berlin(3, 31), berlin(4, 30)]
    for begins, ends in itertools.pairwise(borders):
        early, late = [await start(session=shift(at - await one.now())) for at in (begins + 2 * HOUR, ends - 2 * HOUR)]
        assert usage_of(await early.consume(event(f"a{begins}", amount="4"))) == (True, 4, Window(begins, ends))
        assert await late.outcomes(event(f"b{begins}"), event(f"c{begins}", time=begins - HOUR)) == ["accepted"] * 2
        assert usage_of(await late.consume(event(f"d{begins}", amount="5"))) == (True, 10, Window(begins, ends))
        refused = await late.consume(event(f"e{begins}"))
        assert usage_of(refused) == (False, 10, Window(begins, ends))
        assert refused.decision is not None
        assert refused.decision.states[0].resets_at == ends
    assert await one.differences() == []


def usage_of(answer: Answer) -> tuple[bool, Decimal, Window]:
    """Whether it was allowed, what is used, and of which window."""
    assert answer.decision is not None
    [one] = answer.decision.states
    return answer.allowed, one.figures.used, one.window


async def test_p4_a_changed_anchor_moves_the_windows_at_once(one: Process, two: Process) -> None:
    await begin(one, ANCHORED, replace(MONTH, name="fixed", kind=Kind.FIXED, length=7 * DAY))
    now = await one.now()
    await one.add(event("1", amount="4", time=now - 5 * DAY), event("2", amount="3", time=now - 3 * DAY))
    await one.check("calls")  # the view knows the windows of before
    for back, used in ((4, 3), (6, 7), (1, 0)):
        await one.terms.update(PRINCIPAL, "acme", CustomerUpdate(anchor=now - back * DAY))
        answer = await two.consume(event(f"e{back}", amount="11"))
        assert answer.decision is not None
        assert [state.figures.used for state in answer.decision.states] == [used, used]
        assert {state.window.start for state in answer.decision.states} == {
            now - back * DAY, (now - back * DAY) // SECOND * SECOND
        }  # fmt: skip
        await settle([two])
        for process in (one, two):
            assert [state.figures.used for state in (await process.check("calls")).states] == [used, used]
        assert [state.figures.used for state in (await one.limits.list(PRINCIPAL, "acme", [])).states] == [used, used]
    await one.terms.update(PRINCIPAL, "acme", CustomerUpdate(no_anchor=True))
    assert (await one.customers.get(PRINCIPAL, "acme")).anchor is None
    assert await one.differences() == []
