"""GetUsageSummary: usage over any range, from the rollups, with the range's edges from the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from metergate.app import clock
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.ports.ledger import Ledger, LedgerUnavailableError, OutcomeUnknownError
from metergate.app.ports.readers import Point, SummaryQuery, UsageReader
from metergate.app.stores import Customer
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.meter import Meter
from metergate.domain.period import Period, Window
from metergate.domain.quantity import ZERO, add
from metergate.domain.quota import Figures
from metergate.domain.usage import MAX_LABEL_VALUE, check_text

POINTS_MOST = 10_000  # in one series
CELLS_MOST = 100_000  # points of all series of one answer together
METERS_MOST = 20


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """What to sum up; times are instants, None = the default. `granularity` None = one point."""

    customer: str
    subject: str
    meters: Sequence[str]
    start: int | None
    end: int | None
    granularity: Period | None
    time_zone: str
    group_by: tuple[str, ...]
    filters: Mapping[str, str]


@dataclass(slots=True)
class Series:
    """One meter in one group; `points` has a value for each piece, in order."""

    meter: str
    group: dict[str, str]
    total: Decimal
    count: int
    points: list[Decimal]


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums as they were at `as_of`; `held` is what holds keep in the range, by meter, where they do."""

    series: list[Series]
    pieces: list[Window]
    window: Window
    as_of: int
    held: list[tuple[str, Figures]]


class SummarizeUsage:
    """The verb."""

    def __init__(self, directory: Directory, reader: UsageReader, ledger: Ledger, catch_up: CatchUp) -> None:
        self._directory = directory
        self._reader = reader
        self._ledger = ledger
        self._catch_up = catch_up

    async def summarize(self, principal: Principal, request: SummaryRequest) -> Summary:
        """The sums.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, CUSTOMER_NOT_FOUND, METER_NOT_FOUND, FIELD_INVALID,
                TOO_MANY_POINTS, LEDGER_UNAVAILABLE.
        """
        tenant = principal.tenant
        customer = await self._customer(tenant, request)
        catalog = await self._directory.catalog(tenant)
        meters = _meters(catalog, request)
        window = _window(request, request.time_zone or customer.time_zone)
        pieces = _pieces(window, request.granularity, request.time_zone or customer.time_zone)
        queries = [
            SummaryQuery(
                customer.id, request.subject, meter.name, pieces, request.group_by, request.filters, CELLS_MOST + 1
            )
            for meter in meters
        ]
        try:
            await self._bring_up(tenant, customer.id, catalog)
            as_of, points, held = await self._reader.summarize(tenant, queries)
        except (LedgerUnavailableError, OutcomeUnknownError):
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        _refuse_too_many(points, len(pieces))
        series = [
            one
            for meter, found in zip(meters, points, strict=True)
            for one in _series(meter.name, request.group_by, found, len(pieces))
        ]
        kept = [(meter.name, one) for meter, one in zip(meters, held, strict=True) if any(one)]
        return Summary(series, pieces if request.granularity else [], window, as_of, kept)

    async def _customer(self, tenant: str, request: SummaryRequest) -> Customer:
        if bool(request.customer) == bool(request.subject):
            raise invalid("customer", "give a customer or a subject")
        owner: str | None = request.customer
        if request.subject:
            owner = (await self._directory.owners(tenant, [request.subject])).get(request.subject)
        customer = await self._directory.customer(tenant, owner) if owner is not None else None
        if customer is not None:
            return customer
        kind, name = ("subject", request.subject) if request.subject else ("customer", request.customer)
        reason = Reason.SUBJECT_NOT_FOUND if request.subject else Reason.CUSTOMER_NOT_FOUND
        raise MetergateError(reason, f"no {kind} is called {name!r}", {kind: name})

    async def _bring_up(self, tenant: str, customer: str, catalog: Catalog) -> None:
        if await self._ledger.metering_version(tenant, customer) < catalog.metering_version:
            await self._catch_up.bring_up(tenant, [customer])


def _meters(catalog: Catalog, request: SummaryRequest) -> list[Meter]:
    if len(request.meters) > METERS_MOST:
        raise invalid("meters", f"at most {METERS_MOST} are allowed")
    for value in request.filters.values():
        if value:
            check_text(value, "filters", MAX_LABEL_VALUE)
    names = list(dict.fromkeys(request.meters)) or list(catalog.meter_of)[:METERS_MOST]
    meters = []
    for name in names:
        meter = catalog.meter_of.get(name)
        if meter is None:
            raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {name!r}", {"meter": name})
        for field, asked in (("group_by", request.group_by), ("filters", request.filters)):
            for label in asked:
                if label not in meter.dimensions and not (label == "subject" and field == "group_by"):
                    raise invalid(field, f"{label!r} is not a dimension of meter {name!r}")
        meters.append(meter)
    return meters


def _window(request: SummaryRequest, time_zone: str) -> Window:
    period.zone(time_zone)
    now = clock.now()
    end = request.end if request.end is not None else now
    start = request.start
    if start is None:
        start = period.window_at(Period.MONTH, time_zone, min(max(end - 1, period.EARLIEST), period.LATEST - 1)).start
    for field, instant in (("start_time", start), ("end_time", end)):
        if not period.EARLIEST <= instant <= period.LATEST:
            raise invalid(field, "must lie between 1970 and 2200")
    if end <= start:
        raise invalid("end_time", "must be later than start_time")
    return Window(start, end)


def _pieces(window: Window, granularity: Period | None, time_zone: str) -> list[Window]:
    if granularity is None:
        return [window]
    lengths = {Period.MINUTE: period.MINUTE, Period.HOUR: period.HOUR, Period.DAY: period.DAY}
    about = -(-(window.end - window.start) // lengths.get(granularity, 7 * period.DAY))
    pieces = period.split(window, granularity, time_zone, POINTS_MOST) if about <= 2 * POINTS_MOST else []
    if not pieces:
        raise MetergateError(
            Reason.TOO_MANY_POINTS,
            f"the range has about {about} points by {granularity}; at most {POINTS_MOST} are answered",
            {"points": str(about), "maximum": str(POINTS_MOST), "field": "granularity"},
        )
    return pieces


def _refuse_too_many(points: Sequence[Sequence[Point]], pieces: int) -> None:
    """A series is as long as the range has pieces, however few of them are used."""
    groups = sum(len({point.group for point in found}) for found in points)
    if groups * pieces > CELLS_MOST:
        raise MetergateError(
            Reason.TOO_MANY_POINTS,
            f"the answer would have at least {groups * pieces} points in {groups} series; at most {CELLS_MOST} are "
            "answered, so filter more, or ask for a shorter range or longer points",
            {"points": str(groups * pieces), "maximum": str(CELLS_MOST), "field": "group_by"},
        )


def _series(meter: str, group_by: tuple[str, ...], points: Sequence[Point], pieces: int) -> list[Series]:
    """The points by group, largest total first. Without groups there is always one series, be it empty."""
    groups: dict[tuple[str, ...], Series] = {}
    if not group_by:
        groups[()] = Series(meter, {}, ZERO, 0, [ZERO] * pieces)
    for piece, group, count, total in points:
        series = groups.get(group)
        if series is None:
            labels = dict(zip(group_by, group, strict=True))
            series = groups[group] = Series(meter, labels, ZERO, 0, [ZERO] * pieces)
        series.points[piece] = total
        series.total = add(series.total, total)
        series.count += count
    return sorted(groups.values(), key=lambda series: (series.total.copy_negate(), tuple(series.group.values())))
