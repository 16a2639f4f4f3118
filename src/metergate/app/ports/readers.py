"""Readers of the ledger: sums, events, and what stood behind a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from metergate.domain.meter import Meter
from metergate.domain.period import Window
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.summary import Part
from metergate.domain.threshold import Reached
from metergate.domain.usage import Event


class Known(NamedTuple):
    """What an answer knows: rows up to a `seq`, or recorded up to a moment; both None = all there is."""

    seq: int | None = None
    at: int | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self.seq is None and self.at is None


EVERYTHING = Known()


class Found(NamedTuple):
    """What was found of one group (None = all groups that were not chosen) in one piece, by its number.

    Number -1 is the whole range, of meters whose parts cannot be put together; of a LEVEL it is what was before.
    """

    piece: int
    group: tuple[str, ...] | None
    part: Part


@dataclass(frozen=True, slots=True)
class SummaryQuery:
    """What to sum up of one meter: `pieces` are adjoining windows, `subject` "" = all, `filters` the values of labels
    that are taken. A LEVEL counts up to `until`, and `weights` are what a change of it adds to the whole, by the number
    of its piece from -1 on: change x first - moment x second.

    With `within`, of the pieces only what lies in these windows counts; not of a LEVEL.

    Of the groups only the `top` greatest (0 = all), or those that are named by `keep`, come one by one; the others come
    together, where the meter adds up. At most `most` rows come.
    """

    customer: str
    subject: str
    meter: Meter
    pieces: Sequence[Window]
    group_by: tuple[str, ...]
    filters: Mapping[str, Sequence[str]]
    known: Known
    until: int
    most: int
    top: int = 0
    keep: Sequence[tuple[str, ...]] | None = None
    weights: Sequence[tuple[Decimal, Decimal]] = ()
    within: Sequence[Window] = ()


class TooManyEventsError(Exception):
    """The answer would have to be read from more events than one answer may read, or took too long to read."""


class UsageSnapshot(Protocol):
    """The ledger of one customer at one instant. `seq` is None for a pool, whose rows have orders of their own."""

    @property
    def now(self) -> int: ...
    @property
    def seq(self) -> int | None: ...

    async def find(self, query: SummaryQuery) -> list[Found]:
        """What there is, in no order.

        Raises:
            TooManyEventsError, LedgerUnavailableError
        """
        ...

    async def held(self, query: SummaryQuery) -> Figures:
        """What holds keep in the query's range.

        Raises:
            LedgerUnavailableError
        """
        ...


class UsageReader(Protocol):
    """Sums over the ledger."""

    def snapshot(self, tenant: str, customer: str, events_most: int) -> AbstractAsyncContextManager[UsageSnapshot]:
        """One snapshot, from which at most so many events are read where sums are not kept, all queries together.

        Raises:
            LedgerUnavailableError
        """
        ...


class RecordedEvent(NamedTuple):
    """An event as the ledger holds it."""

    event: Event
    customer: str
    counted_at: int
    recorded_at: int
    seq: int
    sign: int = 1
    version: int = 1


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


class Heads(NamedTuple):
    """Customers' `seq` at an instant. All rows up to it were visible, and those of later commits were recorded, or will
    be, at `since` or later."""

    as_of: int
    since: int
    seqs: dict[tuple[str, str], int]


class WatchReader(Protocol):
    """What was recorded, by `seq`. Of a customer's rows, those of a later commit were recorded later."""

    async def heads(self, places: Sequence[tuple[str, str]]) -> Heads:
        """The `seq` of these customers of tenants.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def keep_fresh(self) -> None:
        """Keeps what is new cheap to find; to be called now and then while anybody watches.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def recorded_after(self, tenant: str, customer: str, seq: int) -> tuple[int, int | None]:
        """An instant before which nothing of a later commit was recorded, the latest that is found cheaply; and since
        when rows are kept, where some of those may have been dropped.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def rows(
        self, tenant: str, customer: str, seq: int, skip: int, window: Window, most: int
    ) -> list[RecordedEvent]:
        """The customer's rows of later commits that were recorded in the window, by `seq` and else always in the same
        order, without the first `skip`.

        Raises:
            LedgerUnavailableError
        """
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
