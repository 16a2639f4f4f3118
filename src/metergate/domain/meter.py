"""Meters: how events become a quantity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from metergate.domain.quantity import ONE

if TYPE_CHECKING:
    from metergate.domain.usage import Event


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One way of turning values into a quantity.

    `contribution` is what one event's value adds to the rollup's sum. `grows` says that values which
    are not negative can only raise the quantity, so that a HARD limit on it makes sense.
    """

    name: str
    contribution: Callable[[Decimal], Decimal]
    grows: bool


AGGREGATIONS: dict[str, Aggregation] = {
    "sum": Aggregation("sum", lambda value: value, grows=True),
    "count": Aggregation("count", lambda value: ONE, grows=True),
}


class Shape(NamedTuple):
    """What a counter tells apart: whether each subject has one of its own, and the labels that its filter names."""

    per_subject: bool
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meter:
    """What is measured: which events (`event_type`), which of their values (`value`; "" = the amount), and how.

    `since` is the catalog version in which what it counts last changed: ledgers that were written under
    an earlier one are brought up to date before they are used. `shapes` are those of its counters, of limits that were
    in force since then too: a commit looks only for counters that its usage can count in.
    """

    name: str
    event_type: str
    aggregation: str = "sum"
    value: str = ""
    dimensions: tuple[str, ...] = ()
    allow_negative: bool = False
    unit: str = ""
    description: str = ""
    since: int = 0
    shapes: tuple[Shape, ...] = field(default=(), compare=False)

    @property
    def only_grows(self) -> bool:
        """Whether its quantity can never fall, so that a limit on it can refuse and capacity of it can be held."""
        return AGGREGATIONS[self.aggregation].grows and not self.allow_negative

    def contribution(self, event: Event) -> Decimal | None:
        """What the event adds to this meter; None when it has no such value, or one that the meter forbids."""
        value = self.read(event)
        if value is None or (value.is_signed() and value < 0 and not self.allow_negative):
            return None
        return AGGREGATIONS[self.aggregation].contribution(value)

    def read(self, event: Event) -> Decimal | None:
        """The event's value for this meter; an event without an amount is 1."""
        if self.value:
            return event.values.get(self.value)
        return ONE if event.amount is None else event.amount

    def counts_like(self, other: Meter) -> bool:
        """Whether both make the same rollups of the same events."""
        return (self.event_type, self.aggregation, self.value, self.dimensions, self.allow_negative) == (
            other.event_type,
            other.aggregation,
            other.value,
            other.dimensions,
            other.allow_negative,
        )
