"""Over all invoices, what was billed and what is declared not to be is what the ledger counts, whatever comes when."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal

import pytest

from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.app.billing.ports import Standing
from metergate.app.billing.subscribe import Changed
from metergate.domain import billing_period, subscription
from metergate.domain.invoice import LineKind
from metergate.domain.period import DAY
from metergate.domain.subscription import Item, Subscription
from tests.integration.biller import BILLED, CATALOG, Biller
from tests.integration.processes import PRINCIPAL, TENANT, Process, event

METERS = ("calls", "jobs", "files")
PRICES = {(plan.name, plan.version): plan.all_prices for plan in CATALOG.plans}


async def _past(biller: Biller, rng: random.Random, one: Subscription) -> Subscription:
    """The subscription with changes, a pause and a coupon of earlier days, as if they had been made then."""
    day = 95.0
    mode = "active"
    for _ in range(rng.randrange(5)):
        day -= rng.uniform(1, 18)
        at = biller.now - int(day * DAY)
        if mode == "paused" or rng.random() < 0.3:
            one = subscription.resume(one, at) if mode == "paused" else subscription.pause(one, at)
            mode = "active" if mode == "paused" else "paused"
        else:
            one = subscription.change(one, at, (Item(rng.choice(("pro", "team")), 1),), ())
    if mode == "paused":
        one = subscription.resume(one, biller.now - int(max(day - 5, 1) * DAY))
    first = billing_period.next_period(one, lambda plan, version: PRICES[plan, version])
    async with PostgresSubscriptions(biller.one.engine).change(TENANT, one.customer) as change:
        await change.save(Standing(one, None, first.end if first else None))
    return one


async def _sums(biller: Biller) -> dict[str, Decimal]:
    """By meter, what all invoices say was billed, by the last line of each window that says it, and what they declare
    not to be."""
    billed: dict[tuple[object, ...], Decimal] = {}
    told: dict[str, Decimal] = defaultdict(Decimal)
    for invoice in await biller.invoices():
        for line in invoice.lines:
            if line.kind in BILLED and line.billed is not None:
                billed[line.meter, line.plan, line.version, line.price, line.window] = line.billed
            if line.kind is LineKind.UNBILLED:
                told[line.meter] += line.quantity or 0
    for (name, *_), quantity in billed.items():
        told[str(name)] += quantity
    return {name: told[name] for name in METERS}


@pytest.mark.parametrize("number", range(3))
async def test_p6_billed_and_declared_is_what_the_ledger_counts(one: Process, rng: random.Random, number: int) -> None:
    biller = await Biller.of(one)
    made = await _past(biller, rng, await biller.subscribed(days=95))
    begin, ids = made.segments[0].start, []
    for step in range(36):
        doing = rng.random()
        if doing < 0.6 or not ids:
            name = rng.choice(METERS)
            ids.append(
                (await biller.use(name, rng.randrange(1, 60), rng.uniform(0.1, 94), id=f"{number}-{step}"), name)
            )
        elif doing < 0.7:
            id_, name = rng.choice(ids)
            moved = biller.now - int(rng.uniform(0.1, 94) * DAY) if rng.random() < 0.5 else None
            await one.amend(id_, event(id_, name, amount=rng.randrange(1, 60), time=moved), backfill=True)
        elif doing < 0.78:
            id_, name = ids.pop(rng.randrange(len(ids)))
            await one.void(id_)
        elif doing < 0.93:
            await biller.closer.close(now=biller.now - int(rng.uniform(0, 70) * DAY))
        elif doing < 0.97:
            await biller.finalize()
        else:
            plan = rng.choice(("pro", "team"))
            await biller.subscriptions.change(PRINCIPAL, made.id, Changed([(plan, 0, Decimal(1))]))
    # The next period's invoice has all that came late. The one that is closed last knows of everything.
    closed = await biller.closer.close(now=biller.now + 40 * DAY)
    assert not closed.failed
    (now,) = await PostgresSubscriptions(one.engine).list(TENANT, "acme", "", 2)
    until = now.billed_until or 0
    assert until > biller.now
    counted = {name: await biller.counted(name, begin, until) for name in METERS}
    assert await _sums(biller) == counted
    for invoice in await biller.invoices():
        assert invoice.subtotal == sum(line.amount for line in invoice.lines)
    assert not await one.differences()
