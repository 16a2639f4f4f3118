"""Budgets: each threshold is told once of each period."""

from __future__ import annotations

from decimal import Decimal

from metergate.adapters.postgres.billing_usage import PostgresBilling
from metergate.adapters.postgres.budgets import PostgresBudgets
from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.app.billing.budget import Budgets
from metergate.app.billing.preview import PreviewInvoice
from metergate.app.billing.subscribe import Wanted
from metergate.domain.budget import Budget
from metergate.domain.period import DAY, Window
from metergate.domain.price import Model, Price
from tests.integration.biller import Biller
from tests.integration.processes import PRINCIPAL, TENANT, Process, event


async def test_what_was_told_of_a_period_stays_told_when_it_comes_to_end_earlier(one: Process) -> None:
    sub, store = (await (await Biller.of(one)).subscribed()).id, PostgresBudgets(one.engine)
    await store.put(TENANT, Budget(sub, "acme", "USD", 1000, (80, 100)))

    async def told(spent: int, start: int, end: int) -> tuple[bool, tuple[int, ...]]:
        news = await store.looked_at(TENANT, sub, 1, spent, Window(start * DAY, end * DAY))
        budget = await store.get(TENANT, sub)
        assert budget is not None
        assert budget.spent == spent
        return news, budget.told

    assert await told(799, 0, 30) == (False, ())
    assert await told(800, 0, 30) == (True, (80,))
    assert await told(900, 0, 20) == (False, (80,))
    assert await told(1000, 0, 31) == (True, (80, 100))
    assert await told(850, 31, 60) == (True, (80,))


async def test_what_was_told_stays_told_when_a_look_fails(one: Process) -> None:
    sub, store = (await (await Biller.of(one)).subscribed()).id, PostgresBudgets(one.engine)
    now = await one.now()
    running = Window(now - DAY, now + DAY)
    await store.put(TENANT, Budget(sub, "acme", "USD", 1000, (80, 100)))
    assert await store.looked_at(TENANT, sub, 1, 900, running)
    assert not await store.looked_at(TENANT, sub, -1, 0, None)
    assert not await store.looked_at(TENANT, sub, 2, 900, running)
    assert await store.looked_at(TENANT, sub, 3, 1000, running)


async def test_a_cost_beyond_all_bounds_stops_no_other_budget(one: Process) -> None:
    biller, store = await Biller.of(one), PostgresSubscriptions(one.engine)
    calls = Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=Decimal(10**17))
    for customer, custom in ("beyond", (calls,)), ("other", ()):
        await one.customer(customer)
        await biller.subscriptions.create(PRINCIPAL, Wanted(customer, [("pro", 0, Decimal(1))], custom=custom))
        await one.add(event(customer, subject=customer, amount=10**9))
    await biller.closer.close()
    preview = PreviewInvoice(store, PostgresBilling(one.engine), one.directory, one.catch_up)
    budgets = Budgets(PostgresBudgets(one.engine), store, preview)
    for each in await store.list(TENANT, "", "", 2):
        await budgets.set(PRINCIPAL, each.id, "1", [])
    await budgets.work()
    found = await one.fetch("SELECT customer, told FROM budget ORDER BY customer")
    assert found == [("beyond", []), ("other", [80, 100])]
