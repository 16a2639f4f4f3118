"""Rows that count in a period that was invoiced are marked on the head, however they come; others are not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.domain.catalog import Catalog
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE
from metergate.domain.plan import Plan
from metergate.domain.quota import Limit
from metergate.domain.work import Want
from tests.integration.processes import PRINCIPAL, Process, Start, event

CATALOG = Catalog(
    (Meter("calls", "calls"),), (Plan("default", (Limit("calls", "calls", Decimal(1000)),)),)
)  # fmt: skip


async def marked(one: Process, customer: str = "acme") -> int | None:
    """Since when rows are late; it is forgotten then, and so is that nothing was."""
    rows = await one.fetch("SELECT late_from, late_seq, seq FROM customer_head WHERE customer = $1", customer)
    late_from, late_seq, seq = rows[0]
    assert late_from is None or seq - 1 <= late_seq <= seq  # one more where rollups were made anew since
    await one.fetch("UPDATE customer_head SET late_from = NULL")
    found: int | None = late_from
    return found


async def billed(one: Process, days: float) -> int:
    """All customers were invoiced up to so many days ago; when that is."""
    until = await one.now() - int(days * DAY)
    await one.fetch("UPDATE customer_head SET billed_until = $1", until)
    return until


@pytest.fixture
async def ledger(start: Start) -> Process:
    one = await start(dev=False)
    await one.apply(CATALOG)
    await one.customer("acme")
    return one


async def test_p6_facts_before_the_border_are_late(ledger: Process) -> None:
    now = await ledger.now()
    await ledger.add(event("before", time=now - 20 * DAY))
    assert await marked(ledger) is None  # nobody was invoiced
    until = await billed(ledger, 10)
    await ledger.add(event("now"), event("after", time=until), event("young", time=now - DAY))
    assert await marked(ledger) is None
    await ledger.add(event("a", time=until - HOUR), event("b", time=until - DAY), event("c"))
    assert await marked(ledger) == until - DAY
    await ledger.add(event("a", time=until - HOUR))  # a repeat writes nothing
    assert await marked(ledger) is None
    await ledger.add(event("old", time=now - 200 * DAY), backfill=True)
    assert await marked(ledger) == now - 200 * DAY


async def test_p6_corrections_into_out_of_and_within_it_are_late(ledger: Process) -> None:
    until = await billed(ledger, 10)
    await ledger.add(event("x", time=until + HOUR), event("y", time=until - HOUR))
    await marked(ledger)
    await ledger.amend("x", event("x", amount=5, time=until - 2 * HOUR))
    assert await marked(ledger) == until - 2 * HOUR
    await ledger.amend("x", event("x", amount=5, time=until + 2 * HOUR))
    assert await marked(ledger) == until - 2 * HOUR
    await ledger.amend("x", event("x", amount=6, time=until + 3 * HOUR))
    assert await marked(ledger) is None
    await ledger.void("y")
    assert await marked(ledger) == until - HOUR


async def test_p6_what_settles_a_reservation_of_before_is_late(ledger: Process) -> None:
    held = await ledger.reserve(Want("calls", Decimal(5), {}), ttl=HOUR)
    assert held.hold is not None
    until = await ledger.now() + MINUTE // 1000
    await ledger.fetch("UPDATE customer_head SET billed_until = $1", until)
    await ledger.fetch("SELECT pg_sleep(0.1)")
    await ledger.consume(event("free", amount=1))
    assert await marked(ledger) is None
    await ledger.reservations.commit(PRINCIPAL, held.hold.id, [event("work", amount=3, settles=held.hold.id)])
    assert await marked(ledger) == held.hold.counted_at


async def test_p6_events_that_waited_are_late_when_they_are_adopted(ledger: Process) -> None:
    until = await billed(ledger, 10)
    await ledger.add(event("w", subject="ann", time=until - HOUR), event("v", subject="bob", time=until + HOUR))
    assert await marked(ledger) is None
    assert await marked(ledger, "") in (None, until - HOUR)
    await ledger.subject("bob", "acme")
    assert await marked(ledger) is None
    await ledger.subject("ann", "acme")
    assert await marked(ledger) == until - HOUR


async def test_p6_what_is_late_for_a_pool_is_marked_there(ledger: Process) -> None:
    await ledger.customer("pool")
    await ledger.terms.assign_pool(PRINCIPAL, "acme", "pool")
    until = await ledger.now() - 10 * DAY
    await ledger.fetch("UPDATE customer_head SET billed_until = $1 WHERE customer = 'pool'", until)
    await ledger.add(event("x", time=until - HOUR))
    assert await marked(ledger, "pool") == until - HOUR
    assert await marked(ledger) is None
