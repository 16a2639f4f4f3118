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

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.view import Publication, View, ViewUnavailableError
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.quota import CounterKey, Figures

log = logging.getLogger(__name__)

DIFFERENCES_MOST = 100  # of a kind that are told one by one; all are counted
EVENTS_AT_ONCE = 2_000_000  # of the customers of one range, about, unless one of them has more
VIEW = "view"


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
    """Customers that follow one another, from the first to the last, and about how many events they have."""

    tenant: str
    first: str
    last: str
    customers: int
    events: int


@dataclass(slots=True)
class Found:
    """What was found, with the number of differences of each kind, as of an instant."""

    as_of: int
    differences: list[Difference] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class ReconcileReader(Protocol):
    """The ledger, asked whether it agrees with itself."""

    async def after(self, tenant: str, customer: str, events: int) -> Range | None:
        """The next range of customers, after that one, of about so many events; None at the end."""
        ...

    async def range(self, one: Range, ids: bool) -> Found:
        """What differs in a range; with `ids`, whether each event's id is remembered too."""
        ...

    async def ids(self, tenant: str) -> Found:
        """Whether the ids that are remembered are those of the tenant's events."""
        ...

    async def counters(self, one: Range, after: CounterKey | None, most: int) -> Snapshot:
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
