"""ListUsageEvents: the events themselves, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metergate.app import clock
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.readers import EventQuery, EventReader, RecordedEvent
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.posting import NOBODY

# Without a customer the tenant's newest arrivals are listed, from a day ago unless told otherwise.
_ARRIVALS_FROM = period.DAY


@dataclass(frozen=True, slots=True)
class Listed:
    """An event, the meters that it counts in, and why it counts in none."""

    recorded: RecordedEvent
    meters: list[str]
    unmatched: str


def listed(catalog: Catalog, recorded: RecordedEvent) -> Listed:
    """The event with the meters that it counts in by this catalog."""
    event, nobody = recorded.event, recorded.customer == NOBODY
    meters = [
        meter.name
        for meter in catalog.meters_of_type.get(event.type, ())
        if not nobody and meter.contribution(event) is not None
    ]
    return Listed(recorded, meters, "" if meters else "subject" if nobody else "meter")


@dataclass(frozen=True, slots=True)
class EventsRequest:
    """Which events to list; times are instants, None = open."""

    customer: str
    subject: str
    type: str
    start: int | None
    end: int | None
    unmatched_only: bool
    size: int
    after: tuple[int, str, str] | None


class ListEvents:
    """The verb."""

    def __init__(self, directory: Directory, reader: EventReader) -> None:
        self._directory = directory
        self._reader = reader

    async def list(
        self, principal: Principal, request: EventsRequest
    ) -> tuple[list[Listed], tuple[int, str, str] | None]:
        """A page of events and the place behind it, None at the end.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, FIELD_INVALID, LEDGER_UNAVAILABLE.
        """
        tenant = principal.tenant
        catalog = await self._directory.catalog(tenant)
        query = await self._query(tenant, request)
        try:
            found = await self._reader.events(tenant, replace(query, most=request.size + 1))
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        page = found[: request.size]
        events = [listed(catalog, one) for one in page]
        if len(found) <= request.size:
            return events, None
        last = page[-1]
        instant = last.recorded_at if query.customer is None else last.counted_at
        return events, (instant, last.event.source, last.event.id)

    async def _query(self, tenant: str, request: EventsRequest) -> EventQuery:
        customer: str | None = request.customer or None
        if request.subject:
            owner = (await self._directory.owners(tenant, [request.subject])).get(request.subject, NOBODY)
            if customer is not None and customer != owner:
                raise invalid("subject", f"does not belong to customer {customer!r}")
            customer = owner
        elif customer is not None and await self._directory.customer(tenant, customer) is None:
            message = f"no customer is called {customer!r}"
            raise MetergateError(Reason.CUSTOMER_NOT_FOUND, message, {"customer": customer})
        start = request.start
        if start is None:
            start = clock.now() - _ARRIVALS_FROM if customer is None else period.EARLIEST
        end = request.end if request.end is not None else period.LATEST
        for field, instant in (("start_time", start), ("end_time", end)):
            if not period.EARLIEST <= instant <= period.LATEST:
                raise invalid(field, "must lie between 1970 and 2200")
        if end <= start:
            raise invalid("end_time", "must be later than start_time")
        return EventQuery(
            customer, request.subject, request.type, start, end, request.unmatched_only, request.after, request.size
        )
