"""ReconcileUsage: proves that what is kept is what the events say, a range of customers at a time.

Each range is looked at in one snapshot of its own, which covers the whole ledger of these customers. Where the fast
view says something else than the ledger at the same `seq`, it can be made anew.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from metergate.app import clock
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.view import Publication, View, ViewUnavailableError
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.quota import CounterKey, Figures

log = logging.getLogger(__name__)

DIFFERENCES_MOST = 100  # of a kind that are told one by one; all are counted
EVENTS_AT_ONCE = 2_000_000  # of the customers of one range, about, unless one of them has more
VIEW = "view"
DERIVED = ("rollup", "counter", "value")  # what can be made anew from the events
_COUNTERS_AT_ONCE = 2_000


class Difference(NamedTuple):
    """What is kept of something and what the events say it should be."""

    kind: str
    tenant: str
    customer: str
    what: str
    told: str
    kept: str

    def __str__(self) -> str:
        where = f"{self.kind} {self.tenant}/{self.customer} {self.what}"
        return f"{where}: events say {self.told}, kept is {self.kept}"


class Range(NamedTuple):
    """Customers that follow one another, from the first to the last."""

    tenant: str
    first: str
    last: str
    customers: int


@dataclass(slots=True)
class Found:
    """What was found, with the number of differences of each kind, as of an instant."""

    as_of: int
    range: Range
    differences: list[Difference] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class ReconcileReader(Protocol):
    """The ledger, asked whether it agrees with itself."""

    async def next(self, tenant: str, after: str, events: int) -> tuple[Found, str | None]:
        """What differs in the next range of customers, of about so many events, after that customer, and the customer
        to go on after; None at the end. With the last range the tenant's ids are compared with its events."""
        ...

    async def one(self, tenant: str, customer: str) -> Found:
        """What differs of one customer."""
        ...

    async def counters(self, within: Range, after: CounterKey | None, most: int) -> Snapshot:
        """Counters of a range in one snapshot, in order; None after the last ones."""
        ...

    async def make_anew(self, tenant: str, customers: Sequence[str]) -> None:
        """Has rollups and counters of these customers made anew from the events, with their next use."""
        ...


class Snapshot(NamedTuple):
    """The `seq` of heads in a snapshot and counters in it."""

    catalog_version: int
    seqs: Mapping[str, int]
    counters: Mapping[CounterKey, Figures]


class ViewReader(Protocol):
    """The fast view, as it stands in Redis."""

    async def stored(
        self, tenant: str, catalog_version: int, keys: Sequence[CounterKey]
    ) -> tuple[dict[str, int], dict[CounterKey, Figures]]:
        """The `seq` of each customer's hash, and those of the counters that it holds.

        Raises:
            ViewUnavailableError
        """
        ...


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found in a range and done about it. `next` is the customer to go on after, None at the end; `repaired`
    counters of the fast view, and `rebuilt` are customers whose rollups and counters are made anew with their next
    use. Without `view_compared` the fast view could not be asked."""

    found: Found
    next: str | None
    view_compared: bool
    repaired: int
    rebuilt: list[str]


class ReconcileUsage:
    """The verb."""

    def __init__(self, directory: Directory, reader: ReconcileReader, stored: ViewReader, view: View) -> None:
        self._directory = directory
        self._reader = reader
        self._stored = stored
        self._view = view

    async def reconcile(
        self, principal: Principal, customer: str, after: str, repair_view: bool, rebuild: bool
    ) -> Reconciled:
        """Compares one customer ("" = the next range of them, after that one).

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        tenant = principal.tenant
        if customer and await self._directory.customer(tenant, customer) is None:
            message = f"no customer is called {customer!r}"
            raise MetergateError(Reason.CUSTOMER_NOT_FOUND, message, {"customer": customer})
        try:
            if customer:
                found, place = await self._reader.one(tenant, customer), None
            else:
                found, place = await self._reader.next(tenant, after, EVENTS_AT_ONCE)
            compared, repaired = await self._compare_view(found, repair_view)
            rebuilt = sorted({one.customer for one in found.differences if one.kind in DERIVED}) if rebuild else []
            if rebuilt:
                await self._reader.make_anew(tenant, rebuilt)
                log.warning("%s (key %s) has usage of %s made anew", principal.service, principal.key_id, rebuilt)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        if repaired:
            log.warning(
                "%s (key %s) had %d counters of the view repaired", principal.service, principal.key_id, repaired
            )
        return Reconciled(found, place, compared, repaired, rebuilt)

    async def _compare_view(self, found: Found, repair: bool) -> tuple[bool, int]:
        """Compares the view with the counters, so many at a time; whether it could be asked, and how many it mended."""
        after, repaired = None, 0
        while True:
            snapshot = await self._reader.counters(found.range, after, _COUNTERS_AT_ONCE)
            try:
                stored = await self._stored.stored(
                    found.range.tenant, snapshot.catalog_version, list(snapshot.counters)
                )
            except ViewUnavailableError:
                return False, repaired
            wrong = self._wrong(found, snapshot, *stored)
            if wrong and repair:
                news = [
                    Publication(name, snapshot.seqs[name], snapshot.seqs[name], one, ()) for name, one in wrong.items()
                ]
                now = clock.now()
                if await self._view.publish(found.range.tenant, snapshot.catalog_version, now, news):
                    repaired += sum(map(len, wrong.values()))
            if len(snapshot.counters) < _COUNTERS_AT_ONCE:
                return True, repaired
            after = list(snapshot.counters)[-1]

    def _wrong(
        self, found: Found, snapshot: Snapshot, seqs: Mapping[str, int], stored: Mapping[CounterKey, Figures]
    ) -> dict[str, dict[CounterKey, Figures]]:
        """The counters that the view holds otherwise at the same `seq`, by customer, as the ledger has them. At another
        `seq` it is on its way, or will be swept."""
        wrong: dict[str, dict[CounterKey, Figures]] = {}
        for key, figures in stored.items():
            kept = snapshot.counters[key]
            if seqs[key.customer] != snapshot.seqs[key.customer] or figures[:4] == kept[:4]:
                continue
            wrong.setdefault(key.customer, {})[key] = kept
            found.counts[VIEW] += 1
            if found.counts[VIEW] <= DIFFERENCES_MOST:
                what = f"{key.meter} {key.filter} from {key.start}"
                told, shown = (str(tuple(map(str, one[:4]))) for one in (kept, figures))
                found.differences.append(Difference(VIEW, found.range.tenant, key.customer, what, told, shown))
        return wrong
