"""Closing periods: drafts of what the ledger counted, each once, and late usage by its meter's policy."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import InvoiceState, LineKind
from tests.integration.biller import Biller, of_kind, short
from tests.integration.processes import Process


@pytest.fixture
async def biller(one: Process) -> Biller:
    return await Biller.of(one)


async def test_p6_each_period_that_is_over_becomes_one_draft(biller: Biller) -> None:
    subscription = await biller.subscribed()
    await biller.use("calls", 130, 30)
    await biller.use("calls", 7, 2)  # in the period that runs
    await biller.use("files", 11, 44.9)
    closed = await biller.closer.close()
    assert (closed.periods, closed.invoices, closed.failed) == (2, 2, [])
    first, second = await biller.invoices()
    assert short(first) == [("flat", "base", Decimal(1), 2000)]
    assert first.period.start == first.period.end == subscription.segments[0].start
    assert second.state is InvoiceState.DRAFT
    assert [line.amount for line in second.lines if line.price == "calls"] == [1000, 150]
    assert [(line.billed, line.amount) for line in second.lines if line.price == "files"] == [(Decimal(11), 200)]
    assert second.total == 1000 + 150 + 200 + 2000
    with pytest.raises(MetergateError) as refused:
        await biller.closer.close(subscriptions=[subscription.id])
    assert refused.value.reason is Reason.PERIOD_OPEN
    assert len(await biller.invoices()) == 2


async def test_p6_late_usage_is_on_the_next_invoice_or_declared(biller: Biller) -> None:
    await biller.subscribed(days=75)
    await biller.use("calls", 90, 60)
    await biller.use("jobs", 4, 60)
    await biller.closer.close(now=biller.now - 40 * 86_400_000_000)
    await biller.finalize()
    assert len(await biller.invoices()) == 2
    await biller.use("calls", 30, 61)
    await biller.use("jobs", 2, 61)
    await biller.closer.close()
    *_, last = await biller.invoices()
    late = of_kind(last.lines, LineKind.LATE, LineKind.UNBILLED)
    assert [(line.kind, line.price, line.quantity, line.amount) for line in late] == [
        (LineKind.LATE, "calls", Decimal(30), 200), (LineKind.UNBILLED, "jobs", Decimal(2), 0),
    ]  # fmt: skip
    assert not await biller.untrue()
    assert await biller.one.fetch("SELECT late_from FROM customer_head WHERE customer = 'acme'") == [(None,)]
