"""Holds: capacity that was handed out and is not used yet, as a reservation or as a lease.

What a hold keeps from others is always `granted - returned - settled`. Its kind and state only say in which column
of the counters that stands: `reserved`, `leased` or `forfeited`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from metergate.domain.meter import Meter
from metergate.domain.quantity import ZERO, add, subtract
from metergate.domain.quota import Figures


class Kind(StrEnum):
    """A reservation is for one piece of work and gives back by itself; a lease is spent by a holder without a call."""

    RESERVATION = "reservation"
    LEASE = "lease"


class State(StrEnum):
    """What became of a hold. Reservations: OPEN, then COMMITTED, RELEASED or EXPIRED. Leases: OPEN, then RETURNED by
    their holder or FORFEITED by their silence, from which an operator makes RELEASED."""

    OPEN = "open"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"
    RETURNED = "returned"
    FORFEITED = "forfeited"


class Column(StrEnum):
    """A counter's columns besides `used`, by the names of their fields in `Figures`."""

    RESERVED = "reserved"
    LEASED = "leased"
    FORFEITED = "forfeited"


class Part(NamedTuple):
    """What a hold has of one meter. All figures only grow: handed out, given back, reported as spent, and settled by
    events."""

    meter: str
    labels: Mapping[str, str]
    granted: Decimal
    returned: Decimal = ZERO
    spent: Decimal = ZERO
    settled: Decimal = ZERO

    @property
    def outstanding(self) -> Decimal:
        """What it keeps from others."""
        return subtract(subtract(self.granted, self.returned), self.settled)


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation or a lease. It counts in the windows of `counted_at`, and ends at `end_at`.

    `seq` is the customer's order of facts when it was made; `digest` stands for the request that made it. It keeps
    capacity of the customer's limits, and of its `pool`'s.
    """

    id: str
    kind: Kind
    customer: str
    subject: str
    holder: str
    seq: int
    counted_at: int
    end_at: int
    state: State
    parts: tuple[Part, ...]
    digest: bytes
    pool: str = ""

    @property
    def column(self) -> Column:
        """Where what it keeps stands."""
        if self.kind is Kind.RESERVATION:
            return Column.RESERVED
        return Column.FORFEITED if self.state is State.FORFEITED else Column.LEASED

    @property
    def open(self) -> bool:
        """Whether it still may be used as it was meant."""
        return self.state is State.OPEN

    def figures(self, part: Part) -> Figures:
        """What a part adds to the counters."""
        return Figures().having(self.column, part.outstanding)

    def window_time(self, time: int | None, now: int) -> int:
        """The instant by which usage that settles it counts: a lease's within its life, a reservation's when it was
        made."""
        if self.kind is Kind.RESERVATION:
            return self.counted_at
        return min(max(now if time is None else time, self.counted_at), self.end_at - 1)


class Shift(NamedTuple):
    """What a change of a hold adds to one column of the counters of its meter, subject and labels."""

    hold: str
    customer: str
    meter: str
    subject: str
    labels: Mapping[str, str]
    counted_at: int
    column: Column
    amount: Decimal


def settle(hold: Hold, meter: Meter, subject: str, labels: Mapping[str, str], value: Decimal) -> tuple[Hold, str]:
    """The hold after usage that names it, and why nothing was taken: "" when something was.

    What goes beyond the hold counts all the same, as a fact.
    """
    if subject != hold.subject:
        return hold, "other"
    reason = "other"
    for place, part in enumerate(hold.parts):
        if part.meter == meter.name and same_dimensions(meter, part.labels, labels):
            taken = min(value, part.outstanding)
            if taken > ZERO or value == ZERO:
                return _with_part(hold, place, part._replace(settled=add(part.settled, taken))), ""
            reason = "nothing left"
    return hold, reason


def settled_between(before: Hold, after: Hold) -> Decimal:
    """What usage took out of the hold."""
    taken = ZERO
    for old, new in zip(before.parts, after.parts, strict=True):
        taken = add(taken, subtract(new.settled, old.settled))
    return taken


def same_dimensions(meter: Meter, first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """Whether both label sets are one to the meter and so count in the same counters."""
    return all(first.get(name, "") == second.get(name, "") for name in meter.dimensions)


def end(hold: Hold, state: State) -> Hold:
    """The hold ended with all that is left of it given back."""
    parts = [part._replace(returned=subtract(part.granted, part.settled)) for part in hold.parts]
    return replace(hold, state=state, parts=tuple(parts))


def forfeit(hold: Hold) -> Hold:
    """A lease whose end passed in silence: what it has not settled may have been spent."""
    return replace(hold, state=State.FORFEITED)


def _with_part(hold: Hold, place: int, part: Part) -> Hold:
    return replace(hold, parts=(*hold.parts[:place], part, *hold.parts[place + 1 :]))


def shifts(before: Hold | None, after: Hold) -> Iterable[Shift]:
    """What has to be added to the counters when a hold changes, or is made (`before` None)."""
    for place, part in enumerate(after.parts):
        old = before.figures(before.parts[place]) if before else Figures()
        new = after.figures(part)
        for column in Column:
            amount = subtract(getattr(new, column), getattr(old, column))
            if amount:
                for owner in (after.customer, after.pool) if after.pool else (after.customer,):
                    yield Shift(
                        after.id, owner, part.meter, after.subject, part.labels, after.counted_at, column, amount
                    )
