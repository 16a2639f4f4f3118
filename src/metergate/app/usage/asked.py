"""What a summary is asked for, checked: whose usage, of which meters, over which pieces of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metergate.app import clock
from metergate.app.ports.readers import EVERYTHING, Known
from metergate.app.stores import Customer
from metergate.domain import period
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.meter import Meter
from metergate.domain.money import check_currency
from metergate.domain.period import Period, Window
from metergate.domain.retention import ClosedMonth
from metergate.domain.summary import Projecting
from metergate.domain.usage import MAX_LABEL_VALUE, check_text

POINTS_MOST = 10_000  # in one series
CELLS_MOST = 100_000  # points of all series of one answer together
METERS_MOST = 20
TOP_MOST = 1_000
GROUPS_MOST = 10  # labels to group by, and labels to filter by
VALUES_MOST = 100  # of one filter
_LABEL_MOST = 64  # bytes of a label's name


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """What to sum up; times are instants, None = the default. `granularity` None = one point. `top` 0 = all groups."""

    customer: str
    subject: str
    meters: Sequence[str]
    start: int | None
    end: int | None
    granularity: Period | None
    time_zone: str
    group_by: tuple[str, ...]
    filters: Mapping[str, Sequence[str]]
    top: int = 0
    compare: bool = False
    projection: Projecting | None = None
    known: Known = EVERYTHING
    cost_currency: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its defaults: `projected` is the range to look ahead to the end of, where that is asked for, and
    `closed` are months of which there are no events any more."""

    request: SummaryRequest
    customer: str
    meters: list[Meter]
    time_zone: str
    window: Window
    pieces: list[Window]
    projected: Window | None
    closed: tuple[ClosedMonth, ...] = ()


def asked(request: SummaryRequest, customer: Customer, catalog: Catalog) -> Asked:
    """The request, checked against the catalog.

    Raises:
        MetergateError: METER_NOT_FOUND, FIELD_INVALID, TOO_MANY_POINTS.
    """
    time_zone = request.time_zone or customer.time_zone
    period.zone(time_zone)
    _check_labels(request)
    if not 0 <= request.top <= TOP_MOST:
        raise invalid("top", f"must be 0 to {TOP_MOST:,}", maximum=str(TOP_MOST))
    if request.top and not request.group_by:
        raise invalid("top", "needs groups: give group_by")
    _check_known(request)
    if request.cost_currency:
        check_currency(request.cost_currency, "cost_currency")
    now = clock.now()
    window = _window(request, time_zone, now)
    pieces = _pieces(window, request.granularity, time_zone)
    projected = _projected(request, window, time_zone, now) if request.projection else None
    return Asked(request, customer.id, _meters(catalog, request), time_zone, window, pieces, projected, catalog.closed)


def _meters(catalog: Catalog, request: SummaryRequest) -> list[Meter]:
    if len(request.meters) > METERS_MOST:
        raise invalid("meters", f"at most {METERS_MOST} are allowed")
    names = list(dict.fromkeys(request.meters)) or list(catalog.meter_of)[:METERS_MOST]
    meters = []
    for name in names:
        meter = catalog.meter_of.get(name)
        if meter is None:
            raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {name!r}", {"meter": name})
        meters.append(meter)
    return meters


def _check_labels(request: SummaryRequest) -> None:
    for field, labels in (("group_by", request.group_by), ("filters", request.filters)):
        if len(labels) > GROUPS_MOST:
            raise invalid(field, f"at most {GROUPS_MOST} labels are allowed")
        for label in labels:
            check_text(label, field, _LABEL_MOST)
    for label, values in request.filters.items():
        if not 1 <= len(values) <= VALUES_MOST:
            raise invalid("filters", f"of {label!r}, give 1 to {VALUES_MOST} values")
        for value in values:
            if value:
                check_text(value, "filters", MAX_LABEL_VALUE)


def _check_known(request: SummaryRequest) -> None:
    known = request.known
    if known.everything:
        return
    if known.seq is not None and known.at is not None:
        raise invalid("known_at_time", "give known_at_seq or known_at_time, not both")
    if known.seq is not None and known.seq < 1:
        raise invalid("known_at_seq", "must be the seq of an earlier answer")
    if known.at is not None and not period.EARLIEST <= known.at <= period.LATEST:
        raise invalid("known_at_time", "must lie between 1970 and 2200")
    if request.projection is not None:
        raise invalid("projection", "looks ahead from now, and not from what was known before")


def _window(request: SummaryRequest, time_zone: str, now: int) -> Window:
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


def _projected(request: SummaryRequest, window: Window, time_zone: str, now: int) -> Window:
    """To the end that was asked for, else to that of the month of the range's last moment."""
    if request.end is not None:
        return window
    return Window(window.start, period.window_at(Period.MONTH, time_zone, max(window.end - 1, now - 1)).end)


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
