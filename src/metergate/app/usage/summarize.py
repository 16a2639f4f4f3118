"""GetUsageSummary: usage over any range, as it is or as it was known, by group, compared and projected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.ports.ledger import Ledger, LedgerUnavailableError, OutcomeUnknownError
from metergate.app.ports.readers import Found, Known, SummaryQuery, TooManyEventsError, UsageReader, UsageSnapshot
from metergate.app.stores import Customer
from metergate.app.usage.asked import CELLS_MOST, Asked, SummaryRequest, asked
from metergate.app.usage.look_up import Group, GroupKey, Look, is_empty, look_up, nothing
from metergate.domain import period, summary
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.cost import cost
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.meter import Meter
from metergate.domain.period import Window
from metergate.domain.price import Price
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Figures
from metergate.domain.retention import check_kept
from metergate.domain.summary import Projecting

SUBJECT = "subject"  # to group and filter by, as if it were a dimension
EVENTS_MOST = 1_000_000  # that are read for one answer, where sums are not kept


@dataclass(slots=True)
class Series:
    """One meter in one group, or in all `other` ones; `points` has a value for each piece, in order. None = there is no
    number. `previous`, `change` (per cent), `projected` and the costs (minor units) where they were asked for."""

    meter: str
    group: dict[str, str]
    total: Decimal | None
    count: int
    points: list[Decimal | None]
    other: bool = False
    previous: Decimal | None = None
    change: Decimal | None = None
    projected: Decimal | None = None
    cost: int | None = None
    projected_cost: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums as they were at `as_of`; `held` is what holds keep in the range, by meter, where they do. `seq` is the
    last one that the answer knows, None for a pool."""

    series: list[Series]
    pieces: list[Window]
    window: Window
    as_of: int
    held: list[tuple[str, Figures]]
    seq: int | None
    previous: Window | None
    projected: Window | None


class SummarizeUsage:
    """The verb."""

    def __init__(
        self,
        directory: Directory,
        reader: UsageReader,
        ledger: Ledger,
        catch_up: CatchUp,
        events_most: int = EVENTS_MOST,
    ) -> None:
        self._directory = directory
        self._reader = reader
        self._ledger = ledger
        self._catch_up = catch_up
        self._events_most = events_most

    async def summarize(self, principal: Principal, request: SummaryRequest) -> Summary:
        """The sums.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, CUSTOMER_NOT_FOUND, METER_NOT_FOUND, FIELD_INVALID,
                TOO_MANY_POINTS, TOO_EXPENSIVE, EVENTS_DROPPED, LEDGER_UNAVAILABLE.
        """
        tenant = principal.tenant
        customer = await self._customer(tenant, request)
        catalog = await self._directory.catalog(tenant)
        question = asked(request, customer, catalog)
        try:
            await self._bring_up(tenant, customer.id, catalog)
            async with self._reader.snapshot(tenant, customer.id, self._events_most) as snapshot:
                answer = await self._answer(snapshot, question)
        except (LedgerUnavailableError, OutcomeUnknownError):
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        if request.cost_currency and not request.subject and not request.filters:
            _add_costs(answer.series, request, catalog.prices_under(customer.plan))
        return answer

    async def _answer(self, snapshot: UsageSnapshot, question: Asked) -> Summary:
        request = question.request
        _check_known(request.known, snapshot)
        answering = _Answering(snapshot, question, self._events_most)
        before = _before(question)
        series, held = [], []
        for meter in question.meters:
            found = await answering.series(meter)
            if before is not None:
                await answering.compare(meter, found, before)
            if question.projected is not None and summary.adds_up(meter):
                await answering.project(meter, found, question.projected)
            series += [one for _, one in found]
            if request.known.everything:
                kept = await answering.held(meter)
                held += [(meter.name, kept)] if any(kept) else []
        seq = snapshot.seq if request.known.seq is None else request.known.seq
        pieces = question.pieces if request.granularity else []
        return Summary(series, pieces, question.window, snapshot.now, held, seq, before, question.projected)

    async def _customer(self, tenant: str, request: SummaryRequest) -> Customer:
        if bool(request.customer) == bool(request.subject):
            raise invalid("customer", "give a customer or a subject")
        return await owner(self._directory, tenant, request.customer, request.subject)

    async def _bring_up(self, tenant: str, customer: str, catalog: Catalog) -> None:
        if await self._ledger.metering_version(tenant, customer) < catalog.metering_version:
            await self._catch_up.bring_up(tenant, [customer])


async def owner(directory: Directory, tenant: str, customer: str, subject: str) -> Customer:
    """The customer of that id, or whose the subject is.

    Raises:
        MetergateError: SUBJECT_NOT_FOUND, CUSTOMER_NOT_FOUND.
    """
    name: str | None = customer
    if subject:
        name = (await directory.owners(tenant, [subject])).get(subject)
    found = await directory.customer(tenant, name) if name is not None else None
    if found is not None:
        return found
    kind, shown = ("subject", subject) if subject else ("customer", customer)
    reason = Reason.SUBJECT_NOT_FOUND if subject else Reason.CUSTOMER_NOT_FOUND
    raise MetergateError(reason, f"no {kind} is called {shown!r}", {kind: shown})


def _before(question: Asked) -> Window | None:
    """The period before, where there is time before the range."""
    if not question.request.compare or question.window.start == period.EARLIEST:
        return None
    return summary.previous(question.window, question.time_zone)


def _check_known(known: Known, snapshot: UsageSnapshot) -> None:
    """Only what has happened can be known."""
    if known.seq is not None and snapshot.seq is None:
        raise invalid("known_at_seq", "the members of a pool have orders of their own: give known_at_time")
    if known.seq is not None and snapshot.seq is not None and known.seq > snapshot.seq:
        raise invalid("known_at_seq", f"the customer is at {snapshot.seq}", seq=str(snapshot.seq))
    if known.at is not None and known.at > snapshot.now:
        raise invalid("known_at_time", "must not lie in the future")


def _add_costs(series: Sequence[Series], request: SummaryRequest, prices: Sequence[Price]) -> None:
    for one in series:
        if not one.other:
            one.cost = cost(prices, one.meter, request.cost_currency, one.total, request.group_by)
            one.projected_cost = cost(prices, one.meter, request.cost_currency, one.projected, request.group_by)


class _Answering:
    """The looks at one snapshot that make one answer."""

    def __init__(self, snapshot: UsageSnapshot, question: Asked, events_most: int) -> None:
        self._snapshot = snapshot
        self._question = question
        self._events_most = events_most

    async def series(self, meter: Meter) -> list[tuple[GroupKey, Series]]:
        """The series of a meter by group, largest total first, and all other groups' last."""
        request = self._question.request
        look = look_up(self._question, meter, self._question.pieces, self._snapshot.now)
        groups = look.groups(await self._find(look))
        if not request.group_by and () not in groups:
            groups[()] = nothing(look)
        _refuse_too_many(len(groups), len(self._question.pieces))
        named = {
            group: Series(meter.name, _labels(request, group), one.total, one.count, one.points, other=group is None)
            for group, one in groups.items()
            if not request.group_by or not is_empty(one)
        }
        return sorted(named.items(), key=_order)

    async def compare(self, meter: Meter, series: list[tuple[GroupKey, Series]], before: Window) -> None:
        """Adds what there was before."""
        groups, none = await self._of_each(meter, series, [before])
        for group, one in series:
            one.previous = groups.get(group, none).total
            one.change = summary.change_percent(one.total, one.previous)

    async def project(self, meter: Meter, series: list[tuple[GroupKey, Series]], window: Window) -> None:
        """Adds what is expected."""
        now, time_zone = self._snapshot.now, self._question.time_zone
        if self._question.request.projection is Projecting.LINEAR:
            for _, one in series:
                one.projected = summary.linear(one.total or ZERO, window, now)
            return
        days = summary.days_before(now, time_zone)
        groups, none = await self._of_each(meter, series, days)
        for group, one in series:
            used = [(day, point or ZERO) for day, point in zip(days, groups.get(group, none).points, strict=True)]
            one.projected = summary.same_weekday(one.total or ZERO, window, now, time_zone, used)

    async def held(self, meter: Meter) -> Figures:
        """What holds keep in the range."""
        return await self._snapshot.held(look_up(self._question, meter, [self._question.window], 0).query)

    async def _of_each(
        self, meter: Meter, series: list[tuple[GroupKey, Series]], pieces: list[Window]
    ) -> tuple[dict[GroupKey, Group], Group]:
        """The same groups in other pieces of time, and what stands for one of which nothing is found."""
        keep = [group for group, _ in series if group is not None]
        look = look_up(self._question, meter, pieces, self._snapshot.now, keep)
        return look.groups(await self._find(look)), nothing(look)

    async def _find(self, look: Look) -> list[Found]:
        if self._question.closed:
            _check_kept(self._question, look.query)
        try:
            return await self._snapshot.find(look.query)
        except TooManyEventsError as error:
            raise self._too_expensive(look.query.meter, str(error)) from None

    def _too_expensive(self, meter: Meter, why: str) -> MetergateError:
        request, most = self._question.request, self._events_most
        field, cure = "start_time", "ask for a shorter range"
        for name, labels in (("group_by", request.group_by), ("filters", request.filters)):
            missing = [one for one in labels if one not in meter.dimensions and one != SUBJECT]
            if missing:
                field, cure = name, f"declare {missing[0]!r} as a dimension of the meter, or {cure}"
                break
        message = f"meter {meter.name!r}: {why}: {most:,} events may be read for one answer; {cure}"
        return MetergateError(
            Reason.TOO_EXPENSIVE, message, {"field": field, "meter": meter.name, "maximum": str(most)}
        )


def _check_kept(question: Asked, query: SummaryQuery) -> None:
    """Closing balances stand for events that were dropped, but they do not tell everything."""
    why = "" if query.known.everything else "what was known then is told by the events"
    for label in (*query.group_by, *query.filters):
        if label not in query.meter.dimensions and label != SUBJECT:
            why = f"label {label!r} is no dimension of meter {query.meter.name!r}"
    borders = [*(piece.start for piece in query.pieces), query.pieces[-1].end]
    check_kept(question.closed, query.meter, borders, why)


def _labels(request: SummaryRequest, group: GroupKey) -> dict[str, str]:
    return {} if group is None else dict(zip(request.group_by, group, strict=True))


def _order(item: tuple[GroupKey, Series]) -> tuple[bool, bool, Decimal, tuple[str, ...]]:
    group, series = item
    return group is None, series.total is None, (series.total or ZERO).copy_negate(), group or ()


def _refuse_too_many(groups: int, pieces: int) -> None:
    """A series is as long as the range has pieces, however few of them are used."""
    if groups * pieces > CELLS_MOST:
        raise MetergateError(
            Reason.TOO_MANY_POINTS,
            f"the answer would have at least {groups * pieces} points in {groups} series; at most {CELLS_MOST} are "
            "answered, so ask for the top groups, filter more, or ask for a shorter range or longer points",
            {"points": str(groups * pieces), "maximum": str(CELLS_MOST), "field": "group_by"},
        )
