"""Overrides: what a customer's own terms put in the place of a plan's limits, from one instant to another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, Protocol

from metergate.domain.errors import invalid
from metergate.domain.period import LATEST
from metergate.domain.quota import Kind, Limit

MAX_OVERRIDES = 100  # of one customer


class Override(NamedTuple):
    """The `max` (None = unlimited) that a limit of this name has from `start` up to `end` (None = for good)."""

    limit: str
    max: Decimal | None
    start: int
    end: int | None = None

    def holds(self, at: int) -> bool:
        """Whether it is in force at that instant."""
        return self.start <= at and (self.end is None or at < self.end)


class Terms(Protocol):
    """What governs a customer's limits. `anchor` is the instant from which anchored windows are counted."""

    @property
    def plan(self) -> str: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def anchor(self) -> int | None: ...
    @property
    def overrides(self) -> tuple[Override, ...]: ...


def overridden(limits: Sequence[Limit], overrides: Iterable[Override], at: int) -> tuple[Limit, ...]:
    """The limits as they are in force at that instant. Of several overrides of one limit that which began last wins;
    one of a limit that is not there has no effect."""
    newest: dict[str, Override] = {}
    for one in overrides:
        if one.holds(at) and (one.limit not in newest or one.start > newest[one.limit].start):
            newest[one.limit] = one
    return tuple([_with_max(limit, newest[limit.name].max) if limit.name in newest else limit for limit in limits])


@lru_cache(maxsize=8192)
def _with_max(limit: Limit, most: Decimal | None) -> Limit:
    """The same object for the same limit: what is remembered of a limit is found by it. What grants hold is the
    customer's own already."""
    if limit.kind is Kind.GRANTS:
        return limit
    return replace(limit, max=most, overridden=True)


def changes_at(overrides: Iterable[Override], at: int) -> int:
    """The first instant after that one at which an override starts or ends; `LATEST` where none does."""
    borders = [border for one in overrides for border in (one.start, one.end) if border is not None and border > at]
    return min(borders, default=LATEST)


def with_override(overrides: Iterable[Override], new: Override, now: int) -> tuple[Override, ...]:
    """The overrides with the new one, which takes the place of that with the same limit and start. Those that ended
    are left out.

    Raises:
        MetergateError: FIELD_INVALID on `end_time` or `limit`.
    """
    if new.end is not None and new.end <= max(new.start, now):
        raise invalid("end_time", "must be later than start_time, and than now")
    kept = [one for one in overrides if one[::2] != new[::2] and (one.end is None or one.end > now)]
    if len(kept) >= MAX_OVERRIDES:
        raise invalid("limit", f"a customer has at most {MAX_OVERRIDES} overrides")
    return tuple(sorted([*kept, new], key=lambda one: (one.limit, one.start)))


def without_override(overrides: Iterable[Override], limit: str, start: int | None) -> tuple[Override, ...]:
    """The overrides without those of the limit, or without the one that starts then."""
    return tuple([one for one in overrides if one.limit != limit or start not in (None, one.start)])
