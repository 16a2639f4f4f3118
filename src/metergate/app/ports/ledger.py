"""The ledger of record: commits, and counters in one snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from metergate.domain.backfill import StagedMark
from metergate.domain.catalog import Catalog
from metergate.domain.correction import Corrected, Standing
from metergate.domain.counting import Place
from metergate.domain.distinct import Numbers
from metergate.domain.grant import Account
from metergate.domain.hold import Hold
from metergate.domain.outbox import News
from metergate.domain.posting import Head, Known, Posting
from metergate.domain.posting import Ledger as Read
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.routing import Route, RouteQuestion
from metergate.domain.threshold import LimitEvent, Reached
from metergate.domain.usage import Event
from metergate.domain.work import Correct


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

    async def routes(self, questions: Sequence[RouteQuestion]) -> list[Route]:
        """Whose these subjects and holds are, in order."""
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

    async def values(self, sought: Mapping[CounterKey, Collection[str]]) -> dict[CounterKey, dict[str, int]]:
        """How many events of each of these values stand in the windows of these counters of UNIQUE meters, where there
        are any."""
        ...

    async def write_values(self, born: Sequence[CounterKey], moves: Numbers) -> None:
        """Once the rows are written: keeps all values of the counters that are `born`, and moves those of others."""
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

    async def standing(
        self, works: Sequence[Correct]
    ) -> tuple[dict[tuple[str, str], Standing], dict[tuple[str, str], Corrected]]:
        """What stands of the events that the works are to correct, by (source, id), and what requests of the same
        (service, request id) corrected before."""
        ...

    async def mark_staged(self, marks: Sequence[StagedMark]) -> None:
        """Keeps what became of events of backfills, in the commit that it became of them."""
        ...

    async def write(
        self,
        posting: Posting,
        ledger: Read,
        counters: Mapping[CounterKey, Figures],
        stored: Mapping[CounterKey, Figures],
        customers: Sequence[str],
    ) -> None:
        """Appends the rows, writes holds and grants, moves rollups and counters, raises `seq` of the customers' heads.
        `ledger` is what the posting was made from, `stored` are the counters as they were read.

        Raises:
            RaceLostError: an id was taken meanwhile.
        """
        ...

    async def reached(self, pairs: Sequence[tuple[CounterKey, str]]) -> dict[tuple[CounterKey, str], Reached]:
        """When the limits of these names were first reached in the windows of these counters, where they were."""
        ...

    async def recount(
        self, keys: Sequence[CounterKey], counters: Mapping[CounterKey, Figures]
    ) -> dict[CounterKey, Figures]:
        """Counts these counters anew from the rows, which are written, and returns them as they are then."""
        ...

    async def write_limit_events(self, events: Sequence[LimitEvent]) -> list[LimitEvent]:
        """Keeps the events, but for those that fired already; returns those that it keeps."""
        ...

    async def write_outbox(self, news: Sequence[News]) -> None:
        """Keeps the news, to be delivered once this commits."""
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


class Due(NamedTuple):
    """Something of a customer whose time has come, by its name."""

    tenant: str
    customer: str
    name: str


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

    async def values(
        self, tenant: str, sought: Mapping[CounterKey, Collection[str]]
    ) -> dict[CounterKey, dict[str, int]]:
        """As `Commit.values`, in one snapshot.

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

    async def reached(
        self, tenant: str, pairs: Sequence[tuple[CounterKey, str]]
    ) -> dict[tuple[CounterKey, str], Reached]:
        """When the limits of these names were first reached in the windows of these counters, where they were.

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

    async def due_holds(self, most: int, tenants: Sequence[str], customers: Sequence[str]) -> list[Due]:
        """Holds (by id) whose time ran out, the oldest first. Those of these customers (by tenant and customer) are
        left out.

        Raises:
            LedgerUnavailableError
        """
        ...

    async def due_grants(self, most: int, tenants: Sequence[str], customers: Sequence[str]) -> list[Due]:
        """Meters on which grants have to begin or end. Those of these customers (by tenant and customer) are left out.

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
