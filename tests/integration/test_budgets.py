"""Budgets: each threshold is told once of each period."""

from __future__ import annotations

from metergate.adapters.postgres.budgets import PostgresBudgets
from metergate.domain.budget import Budget
from metergate.domain.period import DAY, Window
from tests.integration.biller import Biller
from tests.integration.processes import TENANT, Process


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
