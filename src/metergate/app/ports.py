"""What the verbs need from the outside, as small Protocols. Adapters implement them; `wiring` joins the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from metergate.domain.catalog import Catalog
from metergate.domain.counting import Place
from metergate.domain.grant import Account
from metergate.domain.hold import Hold
from metergate.domain.period import Window
from metergate.domain.posting import Head, Known, Posting
from metergate.domain.posting import Ledger as Read
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.threshold import LimitEvent
from metergate.domain.usage import Event


class LedgerUnavailableError(Exception):
    """The ledger cannot be reached, or gave up waiting; nothing was written."""


class OutcomeUnknownError(Exception):
    """The ledger went away while it was asked to commit."""


class RaceLostError(Exception):
    """Another commit wrote one of the same ids first; nothing was written."""


class DataRefusedError(Exception):
    """The ledger refused what was to be written; nothing was written."""


class Look(NamedTuple):
    """What was found under the locks: the ledger's clock, the tenant's catalog version, and the known ids."""

    now: int
    catalog_version: int
    known: dict[tuple[str, str], Known]


@dataclass(frozen=True, slots=True)
class HeadView:
    """A counter as one snapshot of the ledger held it, with the head's `seq` in the same snapshot."""

    head: Head
    figures: Figures


class Commit(Protocol):
    """One open transaction on one tenant's ledger. Leaving it without an exception commits."""

    async def lock(self, customers: Sequence[str], wait: bool) -> dict[str, Head]:
        """Locks heads in the order given (sorted by the caller); without `wait`, busy ones are left out."""
        ...

    async def look(self, events: Sequence[Event]) -> Look:
        """Looks the events' ids up, in a statement that began after the locks were held."""
        ...

    async def catalog(self) -> Catalog:
        """The catalog in force."""
        ...

    async def owners(self, subjects: Sequence[str]) -> dict[str, str]:
        """The customers of the subjects that are known."""
        ...

    async def catch_up(self, customers: Sequence[str], meters: Sequence[str]) -> None:
        """Makes the rollups of these meters anew from the events, and forgets their counters."""
        ...

    async def counters(self, places: Sequence[Place], oldest: int) -> dict[CounterKey, Figures]:
        """The counters at these places whose windows end after `oldest`."""
        ...

    async def sums(self, keys: Sequence[CounterKey]) -> dict[CounterKey, Figures]:
        """What the ledger's events and holds sum up to in each counter's window."""
        ...

    async def holds(self, ids: Sequence[str]) -> list[Hold]:
        """The holds of these ids, as far as there are any."""
        ...

    async def holders(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """How many open leases these (customer, meter) pairs have."""
        ...

    async def grants(self, pairs: Sequence[tuple[str, str]], ids: Sequence[str]) -> dict[tuple[str, str], Account]:
        """The accounts of these (customer, meter) pairs, with the grants that are not over and those of these ids.
        Pairs that never had a grant are left out."""
        ...

    async def write(
        self, posting: Posting, ledger: Read, counters: Mapping[CounterKey, Figures], customers: Sequence[str]
    ) -> None:
        """Appends the rows, writes holds and grants, moves rollups and counters, raises `seq` of the customers' heads.
        `ledger` is what the posting was made from.

        Raises:
            RaceLostError: an id was taken meanwhile.
        """
        ...

    async def write_limit_events(self, events: Sequence[LimitEvent]) -> None:
        """Keeps the events, but for those that fired already."""
        ...


class HoldOwner(NamedTuple):
    """Whose a hold is, and of which kind it is."""

    customer: str
    kind: str
    subject: str


class Moment(NamedTuple):
    """A customer's `seq`, which was written about `at`, and the counters to know of then. Those of its pool, which has
    an order of its own, are meant as of that instant."""

    customer: str
    seq: int
    at: int
    keys: Sequence[CounterKey]


class Peek(NamedTuple):
    """What was found without a lock: the ledger's clock, the catalog's version, a customer's `seq`, and whether any of
    the ids is known."""

    now: int
    catalog_version: int
    seq: int
    known: bool


class Ledger(Protocol):
    """The ledger of record."""

    def commit(self, tenant: str) -> AbstractAsyncContextManager[Commit]:
        """Opens a transaction.

        Raises:
            LedgerUnavailableError, OutcomeUnknownError, RaceLostError, DataRefusedError: on leaving it or within.
        """
        ...

    async def figures(self, tenant: str, keys: Sequence[CounterKey]) -> tuple[int, dict[CounterKey, HeadView]]:
        """The counters in one snapshot, and its instant; those that have no row are summed up from the events.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def figures_at(self, tenant: str, moments: Sequence[Moment]) -> list[dict[CounterKey, Figures]]:
        """The counters as they were at each moment; without the state of rates.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def peek(self, tenant: str, units: Sequence[tuple[str, Sequence[Event]]]) -> list[Peek]:
        """What there is of each customer and of his unit's ids, in order.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def hold_owners(self, tenant: str, ids: Sequence[str]) -> dict[str, HoldOwner]:
        """Whose the holds of these ids are, as far as there are any."""
        ...

    async def due_holds(
        self, most: int, tenants: Sequence[str], customers: Sequence[str]
    ) -> list[tuple[str, str, str]]:
        """Holds whose time ran out, the oldest first: tenant, id and customer. Those of these customers (by tenant and
        customer) are left out.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def due_grants(
        self, most: int, tenants: Sequence[str], customers: Sequence[str]
    ) -> list[tuple[str, str, str]]:
        """Where grants have to begin or end: tenant, customer and meter. Those of these customers (by tenant and
        customer) are left out.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def metering_version(self, tenant: str, customer: str) -> int:
        """Up to which `metering_version` the customer's rollups are complete."""
        ...

    async def live_counters(
        self, tenant: str, customer: str, meters: Sequence[str], subjects: Sequence[str], since: int, now: int
    ) -> list[CounterKey]:
        """The customer's counters whose windows hold an instant between `since` and `now`."""
        ...


class Publication(NamedTuple):
    """What one commit makes known of one customer: counters as they were at `seq`, and those to forget.

    `whole` says that the customer's view has to begin anew with it.
    """

    customer: str
    before: int
    seq: int
    figures: Mapping[CounterKey, Figures]
    forget: Sequence[CounterKey]
    whole: bool = False


class Seen(NamedTuple):
    """A counter as the fast view holds it, and the instant of the ledger at which it was that."""

    figures: Figures
    as_of: int


class ViewUnavailableError(Exception):
    """The fast view cannot be reached or is not to be trusted now."""


class SweepSource(Protocol):
    """Where recent commits are found."""

    async def recent_heads(
        self, since: int | None, look_back: int
    ) -> tuple[int, dict[tuple[str, int], list[tuple[str, int]]]]:
        """The ledger's instant, and by tenant and its `catalog_version` the customers with facts recorded since, and
        their `seq`; None = for as long as `look_back`."""
        ...


class View(Protocol):
    """The fast view of counters. It may forget anything at any time."""

    @property
    def up(self) -> bool:
        """Whether it can be reached."""
        ...

    def held(self, tenant: str, catalog_version: int) -> Mapping[CounterKey, Seen]:
        """What is known without asking; empty while it is not to be read."""
        ...

    async def read(
        self, tenant: str, catalog_version: int, keys: Sequence[CounterKey], at_least: Mapping[str, int]
    ) -> list[Seen | None]:
        """The counters that it holds, None for those it does not, or holds at a `seq` under `at_least`.

        Raises:
            ViewUnavailableError
        """
        ...

    async def publish(self, tenant: str, catalog_version: int, now: int, publications: Sequence[Publication]) -> bool:
        """Makes a commit known. Never raises and never waits long: what is lost is read through or swept later.

        Returns whether it is known now. When it isn't, the view is not read until `trust`.
        """
        ...

    @property
    def trusted(self) -> bool:
        """Whether it is read: not after commits may have been lost to it, until `trust`."""
        ...

    def trust(self) -> None:
        """All that was recorded is known to the view or was dropped from it."""
        ...


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
