"""Thresholds that were reached, as a pure function."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.override import Override
from metergate.domain.period import DAY, HOUR, MINUTE, Period, Window, span
from metergate.domain.posting import Head, Ledger
from metergate.domain.quota import CounterKey, Figures, Kind, Limit, Scope
from metergate.domain.threshold import LimitEvent, reached
from metergate.domain.usage import AcceptWindow

NOW = 1_795_000_000_000_000
LIMIT = Limit("calls", "calls", Decimal(100), Period.DAY, thresholds=(50, 100))


def none(key: CounterKey, limit: str) -> tuple[int, ...]:
    """Nothing was told."""
    return ()


HEAD = Head("acme", 7, "", "UTC", 0)


def ledger(*limits: Limit, head: Head = HEAD) -> Ledger:
    catalog = Catalog((Meter("calls", "calls", dimensions=("region",)),), (Plan("default", limits),))
    return Ledger({"acme": head}, {}, catalog, NOW, AcceptWindow(), {})


def key(window: Window, subject: str = "", filter: str = "") -> CounterKey:
    return CounterKey("acme", "calls", subject, filter, window.start, window.end)


TODAY = key(LIMIT.windows("UTC", NOW)[0])


def told(read: Ledger, **figures: int) -> list[int]:
    counters = {TODAY: Figures(**{name: Decimal(figure) for name, figure in figures.items()})}
    return [event.threshold for event in reached(read, counters, counters, none)]


def test_what_is_taken_counts() -> None:
    assert told(ledger(LIMIT), used=49) == []
    assert told(ledger(LIMIT), used=50) == [50]
    assert told(ledger(LIMIT), used=20, reserved=10, leased=10, forfeited=10) == [50]
    assert told(ledger(LIMIT), used=1000) == [50, 100]
    counters = {TODAY: Figures(Decimal(60))}
    assert reached(ledger(LIMIT), counters, counters, none) == [
        LimitEvent(TODAY, "calls", 50, Decimal(60), Decimal(100), 8, NOW, 0)
    ]


def test_by_the_limits_in_force() -> None:
    head = Head("acme", 7, "", "UTC", 0, None, (Override("calls", Decimal(50), NOW - 1),))
    assert told(ledger(LIMIT, head=head), used=49) == [50]
    assert told(ledger(LIMIT, head=replace(head, overrides=(Override("calls", None, 0),))), used=1000) == []
    assert told(ledger(replace(LIMIT, max=Decimal(0))), used=1) == []
    assert told(ledger(replace(LIMIT, thresholds=())), used=100) == []


@pytest.mark.parametrize(
    ("limit", "subject", "filter", "fires"),
    [
        (LIMIT, "", "", True),
        (LIMIT, "alice", "", False),
        (LIMIT, "", '{"region":"eu"}', False),
        (replace(LIMIT, scope=Scope.SUBJECT), "alice", "", True),
        (replace(LIMIT, scope=Scope.SUBJECT), "", "", False),
        (replace(LIMIT, labels=(("region", "eu"),)), "", '{"region":"eu"}', True),
        (replace(LIMIT, labels=(("region", "eu"),)), "", '{"region":"us"}', False),
        (replace(LIMIT, labels=(("region", "eu"),)), "", "", False),
        (replace(LIMIT, per_labels=("region",)), "", '{"region":""}', True),
        (replace(LIMIT, per_labels=("region",)), "", "", False),
        (replace(LIMIT, period=Period.MONTH), "", "", False),
        (replace(LIMIT, kind=Kind.LIFETIME), "", "", False),
    ],
)
def test_a_counter_belongs_to_the_limits_that_count_in_it(limit: Limit, subject: str, filter: str, fires: bool) -> None:
    counters = {TODAY._replace(subject=subject, filter=filter): Figures(Decimal(70))}
    assert bool(reached(ledger(limit), counters, counters, none)) == fires


def test_windows_that_are_over_fire_nothing_and_coming_ones_do() -> None:
    for at, fires in ((NOW - DAY, False), (NOW, True), (NOW + DAY, True)):
        counters = {key(LIMIT.windows("UTC", at)[0]): Figures(Decimal(70))}
        assert bool(reached(ledger(LIMIT), counters, counters, none)) == fires


def test_a_rolling_window_is_added_up() -> None:
    rolling = replace(LIMIT, kind=Kind.ROLLING, length=HOUR, sub_windows=4)
    windows = rolling.windows("UTC", NOW)
    counters = {key(window): Figures(Decimal(20)) for window in windows}
    counters[key(rolling.windows("UTC", NOW - 3 * HOUR)[0])] = Figures(Decimal(500))
    for changed in counters:
        events = reached(ledger(rolling), counters, [changed], none)
        inside = changed.start >= windows[0].start
        assert [(event.threshold, event.taken) for event in events] == [(50, 100), (100, 100)] * inside
        assert {event.key for event in events} == ({key(span(windows))} if inside else set())
    assert [event.place for event in reached(ledger(rolling), counters, counters, none)] == [0, 1]


def test_an_anchored_window() -> None:
    anchored = replace(LIMIT, kind=Kind.ANCHORED)
    head = Head("acme", 7, "", "UTC", 0, NOW - 3 * DAY - MINUTE)
    counters = {key(Window(NOW - MINUTE, NOW - MINUTE + DAY)): Figures(Decimal(50))}
    assert len(reached(ledger(anchored, head=head), counters, counters, none)) == 1
    assert not reached(ledger(anchored), counters, counters, none)


def test_what_was_told_is_not_told_again() -> None:
    counters = {TODAY: Figures(Decimal(100))}
    read = ledger(LIMIT, replace(LIMIT, name="other", thresholds=(100, 75)))
    before = {(TODAY, "calls"): (50,), (TODAY, "other"): (100,)}
    events = reached(read, counters, counters, lambda key, limit: before[key, limit])
    assert [(event.limit, event.threshold, event.place) for event in events] == [("calls", 100, 0), ("other", 75, 1)]
    before = {(TODAY, "calls"): (50, 100), (TODAY, "other"): (75, 100)}
    assert not reached(read, counters, counters, lambda key, limit: before[key, limit])
    rolling = replace(LIMIT, kind=Kind.ROLLING, length=HOUR, sub_windows=4)
    windows = rolling.windows("UTC", NOW)
    counters = {key(windows[-1]): Figures(Decimal(60))}
    assert not reached(ledger(rolling), counters, counters, lambda place, _: (50,) * (place == key(span(windows))))
