"""What closing periods reads and writes, as small Protocols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from metergate.app.ports.readers import RecordedEvent
from metergate.domain.draft import Earlier, Labels, Quantities
from metergate.domain.invoice import Invoice
from metergate.domain.meter import Meter
from metergate.domain.offer import BillingDetails
from metergate.domain.period import LATEST, Window
from metergate.domain.retention import ClosedMonth
from metergate.domain.subscription import Subscription


class UsageAsked(NamedTuple):
    """What is to be counted of a customer: a meter in windows, together, of events with these values of `labels`, each
    combination of values of `per_labels` by itself. A LEVEL's months are those of `time_zone`."""

    customer: str
    meter: Meter
    windows: Sequence[Window]
    labels: Labels
    per_labels: tuple[str, ...]
    time_zone: str
    late: bool = False


class Cut(NamedTuple):
    """A customer's head as a snapshot sees it: rows up to `seq` are in. Rows that count from `late_from` on came after
    the period in which they count was invoiced, the last of them with `late_seq`."""

    seq: int
    late_from: int | None
    late_seq: int
    metering_version: int


class BillingSnapshot(Protocol):
    """The ledger and the invoices of some customers at one instant. `cuts` are their heads; a LEVEL counts up to
    `now`."""

    @property
    def now(self) -> int: ...
    @property
    def cuts(self) -> Mapping[str, Cut]: ...

    async def earlier(self, since: Mapping[str, int], until: int = LATEST) -> dict[str, list[Earlier]]:
        """The invoices of these subscriptions by period, with their lines of windows that end after the given instant,
        and those that carry something over; all as it was made before `until`."""
        ...

    async def late_from(self, subscription: str) -> int | None:
        """Since when rows count that came late and that this subscription's invoices do not know of, apart from what
        its customer's head says."""
        ...

    async def drafts(self, subscriptions: Sequence[str]) -> dict[str, Invoice]:
        """The last invoices of these subscriptions, where they are drafts."""
        ...

    async def details(self, customers: Sequence[str]) -> dict[str, BillingDetails]:
        """To whom their invoices go."""
        ...

    async def quantities(self, asked: Sequence[UsageAsked], closed: tuple[ClosedMonth, ...]) -> list[Quantities | None]:
        """What was counted, in order of the questions; None of an earlier (`late`) window that can no longer be
        counted, since its events were dropped.

        Raises:
            MetergateError: TOO_EXPENSIVE, EVENTS_DROPPED.
        """
        ...


class BillingReader(Protocol):
    """Reads what invoices are made of, for many customers at once."""

    def snapshot(self, tenant: str, customers: Sequence[str]) -> AbstractAsyncContextManager[BillingSnapshot]:
        """One snapshot.

        Raises:
            LedgerUnavailableError
        """
        ...


class EventPlace(NamedTuple):
    """Where a row stands in the list of those behind a line: in order of when they count. One that takes a version back
    stands behind it."""

    counted_at: int
    source: str
    id: str
    version: int
    sign: int


class LineReader(Protocol):
    """The ledger as an invoice knew it: up to its `seq`, or, of a pool, whose members have orders of their own, up to
    when it was made."""

    async def counted(self, tenant: str, asked: UsageAsked, invoice: Invoice, now: int) -> Quantities:
        """What was counted, from the events themselves.

        Raises:
            MetergateError: TOO_EXPENSIVE. LedgerUnavailableError
        """
        ...

    async def events(
        self, tenant: str, asked: UsageAsked, invoice: Invoice, after: EventPlace | None, most: int
    ) -> tuple[list[RecordedEvent], int]:
        """A page of the rows that count in it, those that take others back too, and how many there are in all.

        Raises:
            LedgerUnavailableError
        """
        ...


class Claim(NamedTuple):
    """Which subscriptions to close, at most so many: those whose period is over at `now`, or, with `late`, those with
    late rows that need not wait for the next period to end, since it has ended or its last invoice is a draft. `wanted`
    names those that are meant (None = all), `passed` those that are not."""

    tenant: str | None
    now: int
    most: int
    wanted: Collection[str] | None = None
    passed: Collection[str] = ()
    late: bool = False


class Claimed(NamedTuple):
    """A subscription that this process alone closes for a moment. `late_from` is since when rows count that came late
    and that its invoices do not know of, apart from what its customer's head says. `version` is another one after each
    change; `catalog_version` is that of its tenant's catalog by now."""

    tenant: str
    subscription: Subscription
    late_from: int | None
    version: str
    catalog_version: int


class Closing(NamedTuple):
    """What closes a period: the subscription as it was read (with its version) and as it is afterwards, the draft
    (None = there is nothing to charge), and up to which `seq` it was read. `again` is the draft that this one takes the
    place of."""

    before: Subscription
    version: str
    after: Subscription
    closes_at: int | None
    invoice: Invoice | None
    seq: int
    draft_hours: int
    settles_late: bool = True
    again: str = ""


class Failure(NamedTuple):
    """Why a period could not be invoiced."""

    tenant: str
    subscription: str
    period_end: int
    reason: str
    message: str
    tries: int = 1
    at: int = 0


class FailureStore(Protocol):
    """Where it is noted what could not be invoiced."""

    async def failed(self, failure: Failure) -> None:
        """Notes a failure, one more try of it."""
        ...

    async def failures(self, tenant: str) -> list[Failure]:
        """Those that were not made good yet, the latest first."""
        ...


class CloseStore(FailureStore, Protocol):
    """Where periods are closed."""

    async def now(self) -> int:
        """The database's clock."""
        ...

    async def due(self, claim: Claim) -> int:
        """How many there are of such subscriptions whose period is over, whoever closes them."""
        ...

    def claim(self, claim: Claim) -> AbstractAsyncContextManager[list[Claimed]]:
        """Subscriptions that this process alone closes for as long as the block lasts. A process that dies holds
        nothing."""
        ...

    async def read(self, tenant: str, subscriptions: Sequence[str]) -> list[Claimed]:
        """Claimed ones as they are by now."""
        ...

    async def cut(self, tenant: str, until: Mapping[str, int]) -> None:
        """From now on, rows of these customers that count before the given instant are late.

        Raises:
            LedgerUnavailableError, RaceLostError
        """
        ...

    async def save(self, tenant: str, closings: Sequence[Closing]) -> list[str]:
        """Saves the drafts of those that still are as they were read; the subscriptions of the others.

        Raises:
            LedgerUnavailableError, RaceLostError, DataRefusedError
        """
        ...
