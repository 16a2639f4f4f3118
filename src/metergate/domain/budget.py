"""Budgets: how much money the usage of a subscription's period should cost, and which parts of that it has reached.

A budget warns and never refuses: what was used was used. Each threshold is told once per period.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from metergate.domain import money
from metergate.domain.errors import invalid
from metergate.domain.invoice import Line, LineKind
from metergate.domain.news import NewsKind
from metergate.domain.outbox import News, envelope
from metergate.domain.period import Window, to_text

THRESHOLDS_MOST = 20
_PERCENT_MOST = 1_000
_DEFAULT_THRESHOLDS = (80, 100)
_OF_USAGE = frozenset({LineKind.USAGE, LineKind.MINIMUM, LineKind.MAXIMUM, LineKind.LATE})


@dataclass(frozen=True, slots=True)
class Budget:
    """`amount` in minor units of `currency`, per period of the subscription; `thresholds` in per cent of it.

    `spent` is what the usage of the period up to `period_end` came to when it was last looked at, and `told` the
    thresholds that it had reached; None and empty until then.
    """

    subscription: str
    customer: str
    currency: str
    amount: int
    thresholds: tuple[int, ...]
    spent: int | None = None
    period_end: int | None = None
    told: tuple[int, ...] = ()


def check_thresholds(thresholds: Iterable[int], field: str) -> tuple[int, ...]:
    """The thresholds in order, each once; 80 and 100 where none is given.

    Raises:
        MetergateError: FIELD_INVALID.
    """
    found = tuple(sorted(set(thresholds))) or _DEFAULT_THRESHOLDS
    if len(found) > THRESHOLDS_MOST or not 1 <= found[0] <= found[-1] <= _PERCENT_MOST:
        raise invalid(field, f"must be at most {THRESHOLDS_MOST} per cents from 1 to {_PERCENT_MOST:,}")
    return found


def cost_of_usage(lines: Iterable[Line]) -> int:
    """What usage comes to on an invoice, before coupons and taxes, in minor units."""
    return sum(line.amount for line in lines if line.kind in _OF_USAGE)


def reached(budget: Budget, spent: int, told: Collection[int]) -> tuple[int, ...]:
    """The thresholds that so much reaches, without those that were told."""
    return tuple([one for one in budget.thresholds if spent * 100 >= one * budget.amount and one not in told])


def budget_news(
    budget: Budget, thresholds: Iterable[int], spent: int, period: Window, seq: int, now: int
) -> list[News]:
    """One piece of news for each threshold, in their order, in the commit with that `seq`."""
    body: dict[str, Any] = {
        "customer": budget.customer,
        "seq": seq,
        "subscription": budget.subscription,
        "budget": {budget.currency: money.to_text(budget.amount, budget.currency)},
        "estimated_cost": {budget.currency: money.to_text(spent, budget.currency)},
        "window": {"start_time": to_text(period.start), "end_time": to_text(period.end)},
    }
    kind = NewsKind.THRESHOLD.value
    return [
        News(budget.customer, seq, place, kind, now, envelope(kind, now, {**body, "threshold": threshold}))
        for place, threshold in enumerate(thresholds)
    ]
