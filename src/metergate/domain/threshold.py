"""Thresholds: which parts of a limit were taken, as events that fire once per window.

What was reached is looked at, and not what a commit passed: a limit that was lowered, or an override that ended, is
told by the next commit. `Told` keeps what was told from being looked at again; whoever writes the events keeps those
away that are there already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from metergate.domain.decision import total
from metergate.domain.period import span
from metergate.domain.posting import Head, Ledger
from metergate.domain.quantity import CONTEXT
from metergate.domain.quota import CounterKey, Figures, Limit, crossed, read_filter, taken

# In the place of a threshold: what was taken passed `max`, and an overrun began.
EXCEEDED = 0

# The thresholds that were told of a window and the limit of that name.
Told = Callable[[CounterKey, str], Collection[int]]
_NOTHING = Figures()


class LimitEvent(NamedTuple):
    """A threshold, in percent of `max`, that what was `taken` reached, or `EXCEEDED`. `key` names whose and which
    window it is, and `place` its place in its commit."""

    key: CounterKey
    limit: str
    threshold: int
    taken: Decimal
    max: Decimal
    seq: int
    recorded_at: int
    place: int = 0


class Reached(NamedTuple):
    """When a limit was first reached in a window, and under which `seq`."""

    at: int
    seq: int


def with_reached(
    counters: dict[CounterKey, Figures], found: Mapping[tuple[CounterKey, str], Reached]
) -> dict[CounterKey, Figures]:
    """The counters with when limits that have a grace of time were first reached in their windows."""
    for (key, name), one in found.items():
        figures = counters[key]
        counters[key] = figures._replace(reached=(*figures.reached, (name, one.at)))
    return counters


def reached(
    ledger: Ledger, counters: Mapping[CounterKey, Figures], changed: Iterable[CounterKey], told: Told
) -> list[LimitEvent]:
    """The thresholds that are reached and not told, by limits in force, in windows of the changed counters that still
    count; and the overruns that began, where somebody is told. `counters` holds the figures after the commit, of all
    counters that it knows."""
    overruns = ledger.catalog.tells_overruns
    found: dict[tuple[CounterKey, str, int], LimitEvent] = {}
    for key in changed:
        head = ledger.heads[key.customer]
        for limit in ledger.catalog.limits_for(head, key.meter, ledger.now):
            passes = overruns and limit.can_overrun
            if not (limit.fires or passes):
                continue
            if not limit.looks_back and _nothing_new(limit, passes, key, counters[key], told):
                continue
            for event in _events(limit, passes, key, head, ledger.now, counters):
                if event.threshold not in told(event.key, event.limit):
                    found[event.key, event.limit, event.threshold] = event
    return [event._replace(place=place) for place, event in enumerate(found.values())]


def _nothing_new(limit: Limit, passes: bool, key: CounterKey, figures: Figures, told: Told) -> bool:
    """Whether the lowest threshold that was not told lies above: what most counters are asked with each commit.
    `passes` = whether passing `max` is told too."""
    if limit.max is None:
        return True
    amount = taken(limit, figures)
    if passes and amount > limit.max and EXCEEDED not in told(key, limit.name):
        return False
    if not limit.max or not limit.fires:
        return True
    hundredfold = CONTEXT.multiply(amount, 100)
    if hundredfold < CONTEXT.multiply(limit.max, min(limit.fires)):
        return True
    before = told(key, limit.name)
    lowest = min([percent for percent in limit.fires if percent not in before], default=0)
    return not lowest or hundredfold < CONTEXT.multiply(limit.max, lowest)


def _events(
    limit: Limit, passes: bool, key: CounterKey, head: Head, now: int, counters: Mapping[CounterKey, Figures]
) -> list[LimitEvent]:
    """All thresholds that are reached in the limit's window that the counter lies in, where there is one; then the
    overrun."""
    if bool(key.subject) != bool(limit.subject_of("x")) or limit.filter_of(read_filter(key.filter)) != key.filter:
        return []
    windows = limit.windows(head.time_zone, max(now, key.start), head.anchor)
    keys = [key._replace(start=window.start, end=window.end) for window in windows]
    if key not in keys or limit.max is None:
        return []
    whole, figures = span(windows), total([counters.get(one, _NOTHING) for one in keys])
    key, most, amount = key._replace(start=whole.start, end=whole.end), limit.max, taken(limit, figures)
    marks = [*crossed(limit, _NOTHING, figures), *([EXCEEDED] if passes and amount > most else [])]
    return [LimitEvent(key, limit.name, mark, amount, most, head.seq + 1, now) for mark in marks]
