"""ListLimitEvents: the thresholds that were reached, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.threshold import LimitEvent


class Place(NamedTuple):
    """Where a limit event stands in the order of all."""

    recorded_at: int
    customer: str
    seq: int
    place: int


@dataclass(frozen=True, slots=True)
class LimitEventQuery:
    """Which limit events to list; `customer` "" = all. `after` is the place of the last one of the page before."""

    customer: str
    after: Place | None
    most: int


class LimitEventReader(Protocol):
    """Where limit events are kept."""

    async def limit_events(self, tenant: str, query: LimitEventQuery) -> list[LimitEvent]:
        """A page of limit events, newest first.

        Raises:
            LedgerUnavailableError
        """
        ...


class ListLimitEvents:
    """The verb."""

    def __init__(self, directory: Directory, reader: LimitEventReader) -> None:
        self._directory = directory
        self._reader = reader

    async def list(
        self, principal: Principal, customer: str, size: int, after: Place | None
    ) -> tuple[Sequence[LimitEvent], Place | None]:
        """A page of limit events of a customer ("" = of all), and the place behind it, None at the end.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        tenant = principal.tenant
        try:
            if customer and await self._directory.customer(tenant, customer) is None:
                message = f"no customer is called {customer!r}"
                raise MetergateError(Reason.CUSTOMER_NOT_FOUND, message, {"customer": customer})
            found = await self._reader.limit_events(tenant, LimitEventQuery(customer, after, size + 1))
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        if len(found) <= size:
            return found, None
        last = found[size - 1]
        return found[:size], Place(last.recorded_at, last.key.customer, last.seq, last.place)
