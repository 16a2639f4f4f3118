"""UNIQUE counters: what a commit has to know to count the different values in a window as events come and go.

A counter remembers how many events of each value stand in its window. The first one of a value adds 1, further ones add
nothing, and where a correction takes the last one away, 1 goes with it. Only the values that a batch brings are looked
up. What admissions would add depends on those before them: see `admission.Running`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from metergate.domain.counting import lying_in
from metergate.domain.meter import Meter
from metergate.domain.posting import Use
from metergate.domain.quantity import add
from metergate.domain.quota import CounterKey, Figures

# How many events of each value stand in each counter's window, or by how much that changes. What is not there is 0.
Numbers = Mapping[CounterKey, Mapping[str, int]]


def values_of(
    counters: Iterable[CounterKey], uses: Mapping[tuple[str, str], Sequence[Use]], meter_of: Mapping[str, Meter]
) -> dict[CounterKey, set[str]]:
    """The values that the uses bring, by the counters in which they count."""
    return {
        key: {meter_of[key.meter].item(use.subject, use.labels) for use in mine}
        for key, mine in lying_in(counters, uses)
    }


def moves_of(
    counters: Iterable[CounterKey], uses: Mapping[tuple[str, str], Sequence[Use]], meter_of: Mapping[str, Meter]
) -> dict[CounterKey, dict[str, int]]:
    """By how much the number of events of each value changes: a use that takes something back has the value -1."""
    moves: dict[CounterKey, dict[str, int]] = {}
    for key, mine in lying_in(counters, uses):
        item, numbers = meter_of[key.meter].item, moves.setdefault(key, {})
        for use in mine:
            value = item(use.subject, use.labels)
            numbers[value] = numbers.get(value, 0) + int(use.value)
    return moves


def told_apart(
    counters: Mapping[CounterKey, Figures], standing: Numbers, moves: Numbers
) -> tuple[dict[CounterKey, Figures], dict[CounterKey, dict[str, int]]]:
    """The counters that change, as they are afterwards, and the numbers then. `standing` holds all values that move."""
    changed: dict[CounterKey, Figures] = {}
    after = {key: dict(numbers) for key, numbers in standing.items()}
    for key, numbers in moves.items():
        mine, more = after[key], 0
        for value, number in numbers.items():
            before = mine.get(value, 0)
            mine[value] = before + number
            more += (before + number > 0) - (before > 0)
        if more:
            changed[key] = counters[key]._replace(used=add(counters[key].used, Decimal(more)))
    return changed, after


def new_ones(known: Mapping[str, int], asked: Mapping[str, int]) -> Decimal:
    """How many of the values asked for are not known."""
    return Decimal(sum([known.get(value, 0) <= 0 for value in asked]))
