"""Readers of the ledger: sums, events, and what stood behind a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from metergate.domain.period import Window
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.threshold import Reached
from metergate.domain.usage import Event


class Point(NamedTuple):
    """A quantity of one group in one piece of a range."""

    piece: int
    group: tuple[str, ...]
    events: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class SummaryQuery:
    """What to sum up of one meter: `pieces` are adjoining windows, `subject` "" = all. At most `most` points come."""

    customer: str
    subject: str
    meter: str
    pieces: Sequence[Window]
    group_by: tuple[str, ...]
    filters: Mapping[str, str]
    most: int


class UsageReader(Protocol):
    """Sums over the ledger."""

    async def summarize(
        self, tenant: str, queries: Sequence[SummaryQuery]
    ) -> tuple[int, list[list[Point]], list[Figures]]:
        """In one snapshot: its instant, the points of each query, and what holds keep in its range."""
        ...


class RecordedEvent(NamedTuple):
    """An event as the ledger holds it."""

    event: Event
    customer: str
    counted_at: int
    recorded_at: int
    seq: int


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to list. With a customer: in order of `counted_at`; without: in order of arrival.

    `after` is the place of the last event of the page before: (instant, source, id).
    """

    customer: str | None
    subject: str
    type: str
    start: int
    end: int
    unmatched_only: bool
    after: tuple[int, str, str] | None
    most: int


class EventReader(Protocol):
    """The events themselves."""

    async def events(self, tenant: str, query: EventQuery) -> list[RecordedEvent]:
        """A page of events."""
        ...


class CountedEvent(NamedTuple):
    """An event that counts in a limit, and what it counts."""

    id: str
    source: str
    seq: int
    value: Decimal


class HeldPart(NamedTuple):
    """A reservation or a lease that kept capacity of a limit."""

    id: str
    figures: Figures


class GrantPart(NamedTuple):
    """A grant as it stood then: what it had brought, what of it was used, and what was lost when it was over."""

    id: str
    brought: Decimal
    burned: Decimal
    lost: Decimal


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a limit's counters: their figures, worked out from events and from the history of holds and
    grants, the newest events, how many there are, the holds and, with a counter of grants, the newest grants."""

    figures: list[Figures]
    events: list[CountedEvent]
    count: int
    holds: list[HeldPart]
    grants: list[GrantPart]


class ExplainReader(Protocol):
    """The ledger as it was."""

    async def behind(self, tenant: str, seq: int | None, at: int, keys: Sequence[CounterKey], most: int) -> Behind:
        """What stood behind these counters of one limit, in order of their windows, after the commit with that `seq`,
        or, where None is known, of that instant; at most `most` events and grants.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def reached(
        self, tenant: str, pairs: Sequence[tuple[CounterKey, str]]
    ) -> dict[tuple[CounterKey, str], Reached]:
        """When the limits of these names were first reached in the windows of these counters, where they were.

        Raises:
            LedgerUnavailableError
        """
        ...
