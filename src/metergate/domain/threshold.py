"""Thresholds: which parts of a limit were taken, as events that fire once per window.

What was reached is looked at, and not what a commit passed: a limit that was lowered, or an override that ended, is
told by the next commit. Whoever writes the events keeps those away that are there already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from metergate.domain.decision import total
from metergate.domain.period import span
from metergate.domain.posting import Ledger
from metergate.domain.quota import CounterKey, Figures, Limit, crossed, read_filter, taken

_NOTHING = Figures()


class LimitEvent(NamedTuple):
    """A threshold, in percent of `max`, that what was `taken` reached. `key` names whose and which window it is; `place`
    is its place among the events of its commit."""

    key: CounterKey
    limit: str
    threshold: int
    taken: Decimal
    max: Decimal
    seq: int
    recorded_at: int
    place: int = 0

    @property
    def once(self) -> tuple[CounterKey, str, int]:
        """What it is known by: it fires once."""
        return self.key, self.limit, self.threshold


def reached(ledger: Ledger, counters: Mapping[CounterKey, Figures], changed: Iterable[CounterKey]) -> list[LimitEvent]:
    """The thresholds that are reached, by limits in force, in windows of the changed counters that still count.

    `counters` holds the figures after the commit, of all counters that it knows.
    """
    found: dict[tuple[CounterKey, str, int], LimitEvent] = {}
    for key in changed:
        head = ledger.heads[key.customer]
        for limit in ledger.catalog.limits_for(head, key.meter, ledger.now):
            if limit.thresholds and _counts_in(limit, key):
                windows = limit.windows(head.time_zone, max(ledger.now, key.start), head.anchor)
                keys = [key._replace(start=window.start, end=window.end) for window in windows]
                if key in keys:
                    whole = span(windows)
                    figures = total([counters.get(one, _NOTHING) for one in keys])
                    place = key._replace(start=whole.start, end=whole.end)
                    events = _events(limit, place, figures, head.seq + 1, ledger.now)
                    found |= {event.once: event for event in events}
    return [event._replace(place=place) for place, event in enumerate(found.values())]


def _counts_in(limit: Limit, key: CounterKey) -> bool:
    """Whether the counter is one of the limit's, whatever its window is."""
    return bool(key.subject) == bool(limit.subject_of("x")) and limit.filter_of(read_filter(key.filter)) == key.filter


def _events(limit: Limit, key: CounterKey, figures: Figures, seq: int, now: int) -> list[LimitEvent]:
    return [
        LimitEvent(key, limit.name, threshold, taken(limit, figures), limit.max, seq, now)
        for threshold in crossed(limit, _NOTHING, figures)
        if limit.max is not None
    ]
