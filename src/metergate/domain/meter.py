"""Meters: how events become a quantity.

What is read from an event is a *measure*: the value, of which events, by which dimensions. Meters over one measure
share its rollups, and differ in how they aggregate it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from metergate.domain.aggregation import AGGREGATIONS, Aggregation, LevelUnit
from metergate.domain.quantity import CONTEXT, ONE, to_text

if TYPE_CHECKING:
    from metergate.domain.usage import Event

UNIQUE = "unique"
PERCENTILE = "percentile"
LEVEL = "level"
_SEPARATOR = "\x1f"  # no name holds a control character


class Op(StrEnum):
    """How a label filter compares: with one value, with several, with the begin of the value, or all but these."""

    EQUALS = "equals"
    IN = "in"
    PREFIX = "prefix"
    NOT = "not"


class LabelFilter(NamedTuple):
    """Which events count, by one label. An event without the label has the empty value of it."""

    label: str
    op: Op
    values: tuple[str, ...]

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether usage with these labels passes."""
        value = labels.get(self.label, "")
        if self.op is Op.PREFIX:
            return value.startswith(self.values)
        return (value in self.values) is not (self.op is Op.NOT)


class LatePolicy(StrEnum):
    """What becomes of usage that comes after its period was invoiced."""

    NEXT_INVOICE = "next_invoice"
    REOPEN_DRAFT = "reopen_draft"
    DO_NOT_BILL = "do_not_bill"


class Shape(NamedTuple):
    """What a counter tells apart: whether each subject has one of its own, and the labels that its filter names."""

    per_subject: bool
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meter:
    """What is measured: which events (`event_type`, `filters`), which of their values (`value`; "" = the amount, and
    for UNIQUE the label whose values are told apart; "" = the subject), times `scale`, and how.

    `percentile` is of PERCENTILE meters, `level_unit` of LEVEL ones. Events are taken up to `accept_window`
    microseconds after their time (None = as long as any are); `late` says what becomes of those that an invoice missed.

    `since` is the catalog version in which what it counts last changed: ledgers that were written under
    an earlier one are brought up to date before they are used. `shapes` are those of its counters, of limits that were
    in force since then too: a commit looks only for counters that its usage can count in. `measure` names what it
    reads, `leads` says that it is the meter of its measure that moves the rollups, with their `extremes` or without.
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
    filters: tuple[LabelFilter, ...] = ()
    scale: Decimal = ONE
    percentile: Decimal | None = None
    level_unit: LevelUnit | None = None
    accept_window: int | None = None
    late: LatePolicy = LatePolicy.NEXT_INVOICE
    leads: bool = field(default=True, compare=False)
    extremes: bool = field(default=False, compare=False)
    measure: str = field(init=False, compare=False, default="")
    how: Aggregation = field(init=False, compare=False, repr=False, default=AGGREGATIONS["sum"])

    def __post_init__(self) -> None:
        # Looked up once, since each event asks; an unknown aggregation is refused by the catalog's check.
        object.__setattr__(self, "how", AGGREGATIONS.get(self.aggregation, AGGREGATIONS["sum"]))
        object.__setattr__(self, "scale", ONE if self.scale == 1 else self.scale)
        object.__setattr__(self, "measure", self._measure())

    @property
    def only_grows(self) -> bool:
        """Whether its quantity can never fall, so that a limit on it can refuse."""
        return self.how.grows and not self.allow_negative

    @property
    def can_be_held(self) -> bool:
        """Whether capacity of it can be reserved and leased: what an event will add is known before it happens."""
        return self.only_grows and self.how.additive

    def contribution(self, event: Event) -> Decimal | None:
        """What the event adds to this meter; None when it does not count: it has no such value, one that the meter
        forbids, or labels that the meter does not take."""
        value = self.read(event)
        if value is None or (value.is_signed() and value < 0 and not self.allow_negative):
            return None
        return ONE if self.how.counts else value

    def read(self, event: Event) -> Decimal | None:
        """The event's value for this meter, scaled; an event without an amount is 1."""
        if self.filters:
            for filter_ in self.filters:
                if not filter_.takes(event.labels):
                    return None
        if self.aggregation == UNIQUE:
            return ONE if not self.value or event.labels.get(self.value) else None
        amount = ONE if event.amount is None else event.amount
        value = event.values.get(self.value) if self.value else amount
        return value if value is None or self.scale is ONE else CONTEXT.multiply(value, self.scale)

    def item(self, subject: str, labels: Mapping[str, str]) -> str:
        """What a UNIQUE meter tells apart."""
        return labels.get(self.value, "") if self.value else subject

    def counts_like(self, other: Meter) -> bool:
        """Whether both make the same quantities of the same events."""
        mine = (self.measure, self.aggregation, self.percentile, self.level_unit)
        return mine == (other.measure, other.aggregation, other.percentile, other.level_unit)

    def charges_like(self, other: Meter) -> bool:
        """Whether prices find the same quantities at both. Dimensions may come and go, but for a LEVEL, whose series
        they tell apart."""
        if self.aggregation == LEVEL:
            return self.counts_like(other)
        return self.counts_like(replace(other, dimensions=self.dimensions))

    def _measure(self) -> str:
        """A name for what is read: a digest, since it stands in the key of each rollup."""
        kind = UNIQUE if self.aggregation == UNIQUE else ""
        flat = [kind, self.event_type, self.value, str(self.allow_negative), to_text(self.scale)]
        lists = [self.dimensions, *[(label, op, *values) for label, op, values in self.filters]]
        parts = [*flat, *[_SEPARATOR.join(one) for one in lists]]
        return blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
