"""Corrections: what was recorded is taken back by new facts; counters, rollups and thresholds follow at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from metergate.adapters.postgres.corrections import PostgresCorrections
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.app.customer.grants import Asked, GrantQuery
from metergate.app.ports.ledger import OutcomeUnknownError
from metergate.app.usage.correct import Correction
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, Period
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Kind, Limit, Policy
from metergate.domain.work import Want
from metergate.rpc.quota.verdict import _content, decision_of
from tests.integration.conftest import Start
from tests.integration.processes import PRINCIPAL, TENANT, Process, event, heard, settle

METERS = (
    Meter("calls", "calls", dimensions=("model",)),
    Meter("number", "calls", aggregation="count"),
    Meter("peak", "calls", aggregation="max"),
    Meter("users", "calls", aggregation="unique", value="user"),
)
LIMITS = (
    Limit("calls/month", "calls", Decimal(1000), thresholds=(50,)),
    Limit("calls/model", "calls", Decimal(100), Period.DAY, per_labels=("model",)),
    Limit("number/day", "number", Decimal(100), Period.DAY),
    Limit("peak/month", "peak", Decimal(100), policy=Policy.SOFT),
    Limit("users/month", "users", Decimal(10), policy=Policy.SOFT),
)
CATALOG = Catalog(METERS, (Plan("default", LIMITS),))


@pytest.fixture
async def ready(one: Process) -> Process:
    await one.apply(CATALOG)
    await one.customer("acme")
    return one


async def refused(action: object) -> Reason:
    with pytest.raises(MetergateError) as error:
        await action  # type: ignore[misc]
    return error.value.reason


async def test_p4_an_amendment_moves_everything_that_the_event_counts_in(ready: Process) -> None:
    now = await ready.now()
    earlier = max(now - HOUR, now // DAY * DAY)  # today, for the limit by day
    await ready.add(event("1", amount=5, time=earlier, labels={"model": "a", "user": "u"}))
    await ready.add(event("2", amount=7, labels={"model": "b", "user": "u"}))
    done = await ready.amend("1", event("1", amount=6, time=earlier, labels={"model": "b", "user": "v"}))
    assert (done.corrected.version, done.corrected.kind) == (2, "amend")
    assert await ready.differences() == []
    await heard()
    assert await ready.used("calls", labels={"model": "b"}) == [13, 13]
    assert await ready.used("calls", labels={"model": "a"}) == [0, 13]
    assert await ready.used("number") == [2]
    assert await ready.used("peak") == [7]
    assert await ready.used("users") == [2]
    await ready.void("2")
    assert await ready.differences() == []
    await heard()
    assert await ready.used("calls", labels={"model": "b"}) == [6, 6]
    assert await ready.used("peak") == [6]
    assert await ready.used("users") == [1]


async def test_an_amendment_moves_usage_to_another_customer_and_back(start: Start) -> None:
    one, two = await start(), await start()
    await one.apply(CATALOG)
    await one.add(event("1", amount=5), event("2", amount=1, subject="beta"))
    done = await two.amend("1", event("1", amount=4, subject="beta"))
    assert done.corrected.taken is not None
    assert done.corrected.put is not None
    assert (done.corrected.taken.customer, done.corrected.put.customer) == ("acme", "beta")
    assert set(done.seqs) == {"acme", "beta"}
    # The other process thinks that it is acme's still, or is told on the way.
    await one.amend("1", event("1", amount=3, subject="acme"))
    assert await one.differences() == []
    await heard()
    assert (await one.used("number"), await one.used("number", "beta")) == ([1], [1])
    assert [version.version for version in await one.histories.get(PRINCIPAL, "api", "1", 0, 10)] == [1, 2, 3]


async def test_p12_what_cannot_be_corrected(ready: Process) -> None:
    now = await ready.now()
    await ready.add(event("1", time=now - HOUR, amount=5))
    assert await refused(ready.amend("2", event("2"))) is Reason.EVENT_NOT_FOUND
    assert await refused(ready.void("1", source="else")) is Reason.EVENT_NOT_FOUND
    assert await refused(ready.histories.get(PRINCIPAL, "api", "2", 0, 1)) is Reason.EVENT_NOT_FOUND
    assert await refused(ready.amend("1", event("1", time=now - 40 * DAY))) is Reason.TIME_TOO_OLD
    assert await refused(ready.amend("1", event("1", time=now + DAY))) is Reason.TIME_IN_FUTURE
    assert await refused(ready.amend("1", event("1", amount=-1))) is Reason.QUANTITY_NEGATIVE
    assert await refused(ready.amend("1", event("1", settles="r_1"))) is Reason.FIELD_INVALID
    assert await refused(ready.amend("1", event("1"), expected=2)) is Reason.EVENT_CHANGED
    assert (await ready.summarize("calls", start=now - 50 * DAY)).series[0].total == 5
    await ready.amend("1", event("1", time=now - 40 * DAY), backfill=True)
    await ready.void("1", expected=2)
    assert await refused(ready.void("1")) is Reason.EVENT_VOIDED
    assert await refused(ready.amend("1", event("1"))) is Reason.EVENT_VOIDED
    assert await ready.outcomes(event("1", time=now - HOUR, amount=5)) == ["duplicate"]
    assert await ready.outcomes(event("1", time=now - HOUR, amount=6)) == ["conflict amount"]
    assert await ready.differences() == []


async def test_a_repeat_answers_as_the_first(start: Start) -> None:
    one, two = await start(), await start()
    await one.apply(CATALOG)
    await one.add(event("1", amount=5), event("2"))
    first = await one.amend("1", event("1", amount=6), "r")
    await one.amend("1", event("1", amount=7))
    again = await two.amend("1", event("1", amount=6), "r")
    assert (again.corrected, again.corrected.version) == (first.corrected, 2)
    assert again.seqs == first.seqs
    assert await refused(two.amend("1", event("1", amount=8), "r")) is Reason.REQUEST_ID_REUSED
    assert await refused(two.amend("2", event("2"), "r")) is Reason.REQUEST_ID_REUSED
    assert await refused(two.amend("3", event("3"), "r")) is Reason.REQUEST_ID_REUSED
    voided = await one.void("1", "v")
    assert (await two.void("1", "v")).corrected == voided.corrected
    at_once = await asyncio.gather(*[process.amend("2", event("2", amount=2), "s") for process in (one, two) * 3])
    assert {done.corrected.version for done in at_once} == {2}
    assert await one.differences() == []


async def test_p1_a_commit_whose_answer_is_lost_is_corrected_once(
    ready: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready.add(event("1", amount=5))
    commit, lost = PostgresLedger._commit, []

    @asynccontextmanager
    async def losing(self: Any, tenant: str) -> Any:
        async with commit(self, tenant) as transaction:
            yield transaction
        if not lost:
            lost.append(True)
            raise OutcomeUnknownError("cut")

    monkeypatch.setattr(PostgresLedger, "_commit", losing)
    done = await ready.void("1")
    assert lost
    assert done.corrected.version == 2
    assert await ready.differences() == []


async def test_what_was_settled_stays_settled(ready: Process) -> None:
    held = (await ready.reserve(Want("calls", Decimal(10), {}))).hold
    assert held is not None
    await ready.add(event("1", amount=4, settles=held.id))
    await ready.amend("1", event("1", amount=6))
    hold = next(iter(await ready.fetch("SELECT granted, settled, reserved FROM hold")))
    assert hold == (10, 4, 6)
    await ready.void("1")
    assert next(iter(await ready.fetch("SELECT settled FROM hold"))) == (4,)
    assert (await ready.fetch("SELECT DISTINCT settles FROM usage_event")) == [(held.id,)]
    assert await ready.differences() == []


async def test_what_was_told_stays_told(ready: Process) -> None:
    await ready.add(event("1", amount=500))
    await ready.amend("1", event("1", amount=400))
    await ready.amend("1", event("1", amount=600))
    told = [(one.limit, one.threshold, one.taken) for one in await ready.fired()]
    assert told.count(("calls/month", 50, Decimal(500))) == 1
    assert len([one for one in told if one[0] == "calls/month"]) == 1
    await ready.add(event("2", amount=1, subject="beta"))
    await ready.amend("2", event("2", amount=700, subject="beta"))
    assert [(one.threshold, one.taken) for one in await ready.fired("beta")] == [(50, 700)]


async def test_what_comes_back_to_grants_is_used_first(one: Process) -> None:
    grants = Limit("calls/grants", "calls", None, kind=Kind.GRANTS)
    await one.apply(Catalog((Meter("calls", "calls"),), (Plan("default", (grants,)),)))
    await one.customer("acme")
    asked = Asked("acme", "calls", Decimal(10), 0, None, None, None, ZERO, ZERO)
    grant = (await one.grants.create(PRINCIPAL, asked, "g"))[0].grant.id
    assert (await one.consume(event("1", amount=8))).allowed
    await one.amend("1", event("1", amount=3))
    assert await one.differences() == []

    async def left() -> Decimal:
        (found,) = await one.grants.list(PRINCIPAL, GrantQuery("acme", "calls", True, None, 10))
        assert found.id == grant
        return found.left

    assert await left() == 2  # what burned stays burned, until the use has caught up
    assert (await one.consume(event("2", amount=5))).allowed
    assert await left() == 2
    assert not (await one.consume(event("3", amount=3))).allowed
    assert (await one.consume(event("4", amount=2))).allowed
    assert await left() == 0
    await one.amend("4", event("4", amount=9))
    assert await one.differences() == []
    await one.void("1")
    await one.amend("2", event("2", amount=5, subject="beta"))
    assert await one.differences() == []


async def test_a_decision_from_before_a_correction_is_explained_as_it_was(ready: Process) -> None:
    answer = await ready.consume(event("1", amount=5))
    await ready.amend("1", event("1", amount=7))
    later = await ready.consume(event("2", amount=1))
    for one, used in ((answer, 5), (later, 8)):
        explained = await ready.explain.explain(PRINCIPAL, _content(one, decision_of(one)), 10)
        assert explained.confirmed
        (month,) = [state for state in explained.decision.states if state.limit.name == "calls/month"]
        assert month.figures.used == used
    behind = explained.behind[[state.limit.name for state in explained.decision.states].index("calls/month")]
    assert sorted(counted.value for counted in behind.events) == [-5, 1, 5, 7]


async def test_an_event_whose_id_is_forgotten_is_named_by_where_it_counts(ready: Process) -> None:
    time = await ready.now() - HOUR
    await ready.add(event("1", amount=5, time=time), event("2", amount=5, time=time))
    await ready.amend("2", event("2", amount=6))
    await ready.fetch("TRUNCATE usage_id")
    assert await refused(ready.void("1")) is Reason.EVENT_NOT_FOUND
    asked = Correction("api", "1", None, "", "", b"", hint=("acme", time + 1))
    assert await refused(ready.corrections.correct(PRINCIPAL, asked)) is Reason.EVENT_NOT_FOUND
    done = await ready.corrections.correct(PRINCIPAL, asked._replace(hint=("acme", time)))
    assert done.corrected.version == 2
    assert (await ready.void("2")).corrected.version == 3  # corrected before, it is remembered for good
    assert await refused(ready.void("1")) is Reason.EVENT_VOIDED
    assert (await ready.summarize("calls")).series[0].total == 0


async def test_an_event_that_waits_is_corrected_and_counts_once_its_subject_is_known(start: Start) -> None:
    one = await start(dev=False)
    await one.apply(CATALOG)
    await one.customer("beta")
    await one.add(event("1", amount=5, subject="later"), event("2", amount=6, subject="later"), event("3", subject="x"))
    done = await one.amend("1", event("1", amount=4, subject="later"))
    assert done.corrected.unmatched == "subject"
    await one.void("2")
    await one.amend("3", event("3", amount=2, subject="beta"))
    await one.amend("3", event("3", amount=3, subject="x"))
    await one.customer("later")
    await one.customer("x")
    assert await one.differences() == []
    assert (await one.summarize("calls", customer="later")).series[0].total == 4
    assert (await one.summarize("calls", customer="x")).series[0].total == 3
    await one.amend("1", event("1", amount=9, subject="beta"))
    assert await refused(one.void("2")) is Reason.EVENT_VOIDED
    assert await one.differences() == []
    assert (await one.summarize("calls", customer="beta")).series[0].total == 9
    history = await one.histories.get(PRINCIPAL, "api", "1", 0, 10)
    assert [(one.put and one.put.customer, one.event and one.event.amount) for one in history] == [
        ("later", 5), ("later", 4), ("beta", 9),
    ]  # fmt: skip


async def test_meters_that_came_since_count_what_stands(ready: Process) -> None:
    await ready.add(event("1", amount=5), event("2", amount=50))
    await ready.amend("1", event("1", amount=6))
    await ready.void("2")
    await ready.apply(
        Catalog((*METERS, Meter("most", "calls", aggregation="max", dimensions=("model",))), CATALOG.plans)
    )
    await ready.amend("1", event("1", amount=4))
    assert await ready.differences() == []
    assert (await ready.summarize("most")).series[0].total == 4


async def test_one_that_stands_elsewhere_by_now_goes_round_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = await start(), await start()
    await one.apply(CATALOG)
    for customer in ("acme", "beta", "gamma", "group"):
        await one.customer(customer)
    await settle([one, two])
    await one.terms.assign_pool(PRINCIPAL, "beta", "group")
    await one.add(event("1", amount=5))
    stale = await PostgresCorrections(one.engine).standing(TENANT, ("api", "1"), None)
    await one.amend("1", event("1", amount=4, subject="beta"))
    await one.terms.assign_pool(PRINCIPAL, "beta", "")  # what counted in the pool goes on to count there

    async def standing(*_: Any) -> Any:
        return stale

    monkeypatch.setattr(two.corrections._reader, "standing", standing)
    done = await two.amend("1", event("1", amount=3, subject="gamma"))
    assert done.corrected.taken is not None
    assert (done.corrected.version, done.corrected.taken.customer, done.corrected.taken.pool) == (3, "beta", "group")
    await two.amend("1", event("1", amount=2, subject="beta"))
    # Many at once, who move it to and fro: each makes a version of its own.
    subjects = ("acme", "beta", "gamma") * 3
    at_once = [process.amend("1", event("1", subject=name)) for name in subjects for process in (one, two)]
    versions = sorted(done.corrected.version for done in await asyncio.gather(*at_once))
    assert versions == list(range(5, 23))
    assert await one.differences() == []
    assert len(await one.histories.get(PRINCIPAL, "api", "1", 0, 100)) == 22
