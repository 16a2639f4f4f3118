"""What invoices are made of: `app.billing.close_ports.BillingReader` on PostgreSQL.

The quantities of many customers come with one statement for each meter and combination of labels that prices ask for:
whole quarter hours from the rollups, the edges of windows from the events (and from closing balances, where events were
dropped). Meters whose parts cannot be added up are asked for one customer at a time, as a summary is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.columns import inner_part
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.drafts import load_invoices
from metergate.adapters.postgres.earlier import load_earlier
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.holds import literal
from metergate.adapters.postgres.offers import details_from_json
from metergate.adapters.postgres.statements import INSTANT, lists
from metergate.adapters.postgres.summaries import PostgresUsageSnapshot
from metergate.app.billing.close_ports import BillingSnapshot, Cut, UsageAsked
from metergate.app.ports.readers import EVERYTHING, Known, TooManyEventsError
from metergate.app.usage.asked import Asked, SummaryRequest
from metergate.app.usage.look_up import look_up
from metergate.domain.draft import Earlier, Labels, Quantities
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import Invoice
from metergate.domain.meter import PERCENTILE
from metergate.domain.offer import BillingDetails
from metergate.domain.period import LATEST, Window
from metergate.domain.quantity import ZERO, add
from metergate.domain.retention import ClosedMonth, check_kept
from metergate.domain.summary import Part, quantity

EVENTS_MOST = 20_000_000  # that are read for one quantity, where sums are not kept
_ADD_UP = frozenset({"sum", "count", "avg"})
_SEPARATOR = "\x1f"  # no label holds a control character

# The plans of this transaction go by indexes, however small a table was when it was looked at last.
_CUTS = """
SELECT now(), set_config('enable_seqscan', 'off', true), h.customer, h.seq, h.late_from, h.late_seq,
    h.metering_version, h.is_pool
FROM unnest($2::text[]) AS q(customer)
CROSS JOIN LATERAL (SELECT * FROM customer_head WHERE tenant = $1 AND customer = q.customer OFFSET 0) h"""

# Lists go as one array literal each: see `statements.py`. `what` is a measure; of edges it is nothing.
_KEYS = f"""(
    SELECT q.place::int AS place, q.customer, q.what, {INSTANT.format("q.since")} AS since,
        {INSTANT.format("q.until")} AS until
    FROM unnest({lists(2, 3, 4, 5, 6)}) AS q(place, customer, what, since, until)
) k"""

_ROLLED = """
SELECT k.place, k.what, r.* FROM {keys}
CROSS JOIN LATERAL (
    SELECT {group} AS g, sum(r.count)::bigint AS count, sum(r.sum) AS value FROM usage_rollup r
    WHERE r.tenant = $1 AND r.customer = k.customer AND r.measure = k.what
        AND r.quarter >= k.since AND r.quarter < k.until {only}
    GROUP BY 1 OFFSET 0
) r"""

# The edges of one window are read once for all meters, $7.
_EVENTS = """
SELECT k.place, e.* FROM {keys}
CROSS JOIN LATERAL (
    SELECT m.name, {group} AS g, sum({sign})::bigint AS count, sum({contribution} * {sign}) AS value
    FROM (
        SELECT * FROM usage_event WHERE tenant = $1 AND {who} = k.customer
            AND counted_at >= k.since AND counted_at < k.until
    ) e JOIN meter m ON m.tenant = $1 AND m.event_type = e.type AND m.name = ANY($7::text[])
    WHERE {contribution} IS NOT NULL {only}
    GROUP BY 1, 2 OFFSET 0
) e"""
_CLOSED = f"""
SELECT k.place, r.* FROM {{keys}}
CROSS JOIN LATERAL (
    SELECT m.name, {{group}} AS g, sum(r.count)::bigint AS count, sum(r.sum) AS value
    FROM usage_closed r JOIN meter m ON m.tenant = $1 AND m.measure = r.measure AND m.name = ANY($7::text[])
    WHERE r.tenant = $1 AND r.customer = k.customer AND r.quarter >= k.since AND r.quarter < k.until
        AND r.month IN {sql.DROPPED} {{only}}
    GROUP BY 1, 2 OFFSET 0
) r"""

_LATE_FROM = "SELECT late_from FROM subscription WHERE tenant = $1 AND id = $2"
_DRAFTS = """
SELECT i.id FROM unnest($2::text[]) AS q(subscription)
CROSS JOIN LATERAL (
    SELECT id, state FROM invoice WHERE tenant = $1 AND invoice.subscription = q.subscription
    ORDER BY period_end DESC, period_start DESC LIMIT 1
) i WHERE i.state = 'draft'"""
_DETAILS = "SELECT customer, body::text FROM billing_details WHERE tenant = $1 AND customer = ANY($2::text[])"


class PostgresBilling:
    """Reads in snapshots."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._snapshots = snapshots(engine)

    def snapshot(self, tenant: str, customers: Sequence[str]) -> AbstractAsyncContextManager[BillingSnapshot]:
        """See `app.billing.close_ports.BillingReader`."""
        return self._snapshot(tenant, customers)

    @asynccontextmanager
    async def _snapshot(self, tenant: str, customers: Sequence[str]) -> AsyncGenerator[PostgresBillingSnapshot]:
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                rows = await connection.fetch(_CUTS, tenant, sorted(set(customers)))
                cuts = {row["customer"]: Cut(*tuple(row)[3:7]) for row in rows}
                pools = {row["customer"] for row in rows if row["is_pool"]}
                yield PostgresBillingSnapshot(connection, tenant, rows[0][0] if rows else 0, cuts, pools)


class PostgresBillingSnapshot:
    """See `app.billing.close_ports.BillingSnapshot`."""

    def __init__(self, connection: Any, tenant: str, now: int, cuts: Mapping[str, Cut], pools: set[str]) -> None:
        self._connection = connection
        self._tenant = tenant
        self._pools = pools
        self.now = now
        self.cuts = cuts

    async def earlier(self, since: Mapping[str, int], until: int = LATEST) -> dict[str, list[Earlier]]:
        """See `app.billing.close_ports.BillingSnapshot`."""
        return await load_earlier(self._connection, self._tenant, since, until)

    async def late_from(self, subscription: str) -> int | None:
        """See `app.billing.close_ports.BillingSnapshot`."""
        instant: int | None = await self._connection.fetchval(_LATE_FROM, self._tenant, subscription)
        return instant

    async def drafts(self, subscriptions: Sequence[str]) -> dict[str, Invoice]:
        """See `app.billing.close_ports.BillingSnapshot`."""
        rows = await self._connection.fetch(_DRAFTS, self._tenant, list(subscriptions))
        found = await load_invoices(self._connection, self._tenant, [row[0] for row in rows])
        return {one.subscription: one for one in found}

    async def details(self, customers: Sequence[str]) -> dict[str, BillingDetails]:
        """See `app.billing.close_ports.BillingSnapshot`."""
        rows = await self._connection.fetch(_DETAILS, self._tenant, list(customers))
        return {row[0]: details_from_json(orjson.loads(row[1])) for row in rows}

    async def quantities(self, asked: Sequence[UsageAsked], closed: tuple[ClosedMonth, ...]) -> list[Quantities | None]:
        """See `app.billing.close_ports.BillingSnapshot`."""
        found: list[Quantities | None] = [None] * len(asked)
        together: dict[tuple[Labels, tuple[str, ...]], list[int]] = defaultdict(list)
        for place, one in enumerate(asked):
            if _adds_up(one):
                together[one.labels, one.per_labels].append(place)
            else:
                found[place] = await self._alone(one, closed)
        for places in together.values():
            reading = _Reading(self._connection, self._tenant, asked, places)
            for place, counted in (await reading.read(self._pools, bool(closed))).items():
                found[place] = counted
        return found

    async def _alone(self, one: UsageAsked, closed: tuple[ClosedMonth, ...]) -> Quantities | None:
        """A quantity whose parts do not add up, or of labels that rollups do not know."""
        try:
            for window in one.windows if closed else ():
                check_kept(closed, one.meter, [window.start, window.end], "")
            return await quantities_of(self._connection, self._tenant, one, self.now)
        except MetergateError as error:
            if one.late and error.reason is Reason.EVENTS_DROPPED:
                return None
            raise


async def quantities_of(
    connection: Any, tenant: str, one: UsageAsked, now: int, known: Known = EVERYTHING
) -> Quantities:
    """What one customer used, now or as it was known.

    Raises:
        MetergateError: TOO_EXPENSIVE.
    """
    found: dict[tuple[str, ...], list[Decimal]] = defaultdict(list)
    for window in one.windows:
        for group, counted in (await _of_window(connection, tenant, one, window, now, known)).items():
            found[group].append(counted)
    return _named(one, {group: _TOGETHER.get(one.meter.aggregation, _total)(all_) for group, all_ in found.items()})


def _total(counted: Iterable[Decimal]) -> Decimal:
    whole = ZERO
    for one in counted:
        whole = add(whole, one)
    return whole


# How the quantities of windows that do not adjoin are one. Others are added up.
_TOGETHER: dict[str, Callable[[list[Decimal]], Decimal]] = {
    "min": min, "max": max, PERCENTILE: max, "latest": lambda counted: counted[-1],
}  # fmt: skip


async def _of_window(
    connection: Any, tenant: str, one: UsageAsked, window: Window, now: int, known: Known
) -> dict[tuple[str, ...], Decimal]:
    filters = {label: (value,) for label, value in one.labels}
    request = SummaryRequest(
        one.customer, "", (one.meter.name,), window.start, window.end, None, one.time_zone, one.per_labels, filters,
        known=known,
    )  # fmt: skip
    question = Asked(request, one.customer, [one.meter], one.time_zone, window, [window], None)
    look = look_up(question, one.meter, [window], now)
    snapshot = PostgresUsageSnapshot(connection, tenant, now, None, EVENTS_MOST)
    try:
        groups = look.groups(await snapshot.find(look.query))
    except TooManyEventsError as error:
        message = f"meter {one.meter.name!r} of customer {one.customer!r}: {error}"
        raise MetergateError(Reason.TOO_EXPENSIVE, message, {"meter": one.meter.name}) from None
    return {group or (): each.total or ZERO for group, each in groups.items() if each.count or each.total}


def _named(one: UsageAsked, found: Mapping[tuple[str, ...], Decimal]) -> Quantities:
    """By the labels as lines name them. Without labels to tell apart there is one quantity, if only of nothing."""
    if not one.per_labels:
        return [((), found.get((), ZERO))]
    return [
        (tuple(zip(one.per_labels, values, strict=True)), counted)
        for values, counted in sorted(found.items())
        if counted
    ]


def _adds_up(one: UsageAsked) -> bool:
    labels = {*one.per_labels, *[label for label, _ in one.labels]}
    return one.meter.aggregation in _ADD_UP and labels <= set(one.meter.dimensions)


class _Reading:
    """The quantities of one combination of labels, of many customers and meters."""

    def __init__(self, connection: Any, tenant: str, asked: Sequence[UsageAsked], places: Sequence[int]) -> None:
        self._connection = connection
        self._tenant = tenant
        self._asked = asked
        self._places = places
        self._one = asked[places[0]]
        self._parts: dict[int, dict[tuple[str, ...], Part]] = {place: {} for place in places}

    async def read(self, pools: set[str], closed: bool) -> dict[int, Quantities]:
        """By the places of the questions."""
        whole: list[tuple[str, str, int, int]] = []
        whose: list[int] = []
        edges: dict[tuple[str, str, int, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for place in self._places:
            one = self._asked[place]
            for window in one.windows:
                since, until = inner_part(window.start, window.end)
                if since < until:
                    whole.append((one.customer, one.meter.measure, since, until))
                    whose.append(place)
                for start, end in ((window.start, since), (until, window.end)):
                    if start < end:
                        edges[one.customer, "", start, end][one.meter.name].append(place)
        if whole:
            for number, _, *row in await self._fetch(_ROLLED, whole):
                self._take(whose[number], *row)
        if edges:
            names = [sorted({self._asked[place].meter.name for place in self._places})]
            await self._at_edges(_EVENTS, edges, names, who="customer")
            shared = {key: places for key, places in edges.items() if key[0] in pools}
            if shared:
                await self._at_edges(_EVENTS, shared, names, who="pool")
            if closed:
                await self._at_edges(_CLOSED, edges, names, labels="r.dimensions")
        return {place: _named(self._asked[place], self._quantities(place)) for place in self._places}

    async def _at_edges(
        self, statement: str, edges: Mapping[tuple[str, str, int, int], Mapping[str, Sequence[int]]],
        names: list[list[str]], labels: str = "e.labels", who: str = "",
    ) -> None:  # fmt: skip
        meters = list(edges.values())
        for number, name, *row in await self._fetch(statement, list(edges), names, labels, who):
            for place in meters[number].get(name, ()):
                self._take(place, *row)

    async def _fetch(
        self, statement: str, keys: Sequence[tuple[str, str, int, int]], more: Sequence[Any] = (),
        labels: str = "r.dimensions", who: str = "",
    ) -> list[Any]:  # fmt: skip
        """What there is of each key, by its number."""
        columns = [[str(number) for number in range(len(keys))], *zip(*keys, strict=True)]
        lists = [literal([str(one) for one in column]) for column in columns]
        group, only = self._terms(labels, 7 + len(more))
        text = statement.format(
            keys=_KEYS, group=group, only=only, who=who, sign=sql.SIGN, contribution=sql.CONTRIBUTION
        )
        rows: list[Any] = await self._connection.fetch(text, self._tenant, *lists, *more, *self._labels())
        return rows

    def _take(self, place: int, key: str, count: int, value: Decimal | None) -> None:
        group = tuple(key.split(_SEPARATOR)) if self._one.per_labels else ()
        parts, whole = self._parts[place], value or ZERO
        before = parts.get(group)
        parts[group] = Part(count, whole) if before is None else _both(before, count, whole)

    def _quantities(self, place: int) -> dict[tuple[str, ...], Decimal]:
        """An average of nothing is nothing."""
        meter, parts = self._asked[place].meter, self._parts[place]
        if meter.aggregation == "count":
            return {group: Decimal(part.events) for group, part in parts.items()}
        return {group: quantity(meter, part) or ZERO for group, part in parts.items() if part.events or part.value}

    def _labels(self) -> list[str]:
        """The parameters of the labels: names to group by, then names and values that are taken."""
        return [*self._one.per_labels, *[text for pair in self._one.labels for text in pair]]

    def _terms(self, labels: str, first: int) -> tuple[str, str]:
        """What groups, and what is taken, by the labels in that column; `first` is the number of the first parameter
        for them."""
        count = len(self._one.per_labels)
        parts = [f"coalesce({labels} ->> ${first + number}::text, '')" for number in range(count)]
        first += count
        only = "".join(
            f" AND coalesce({labels} ->> ${first + 2 * number}::text, '') = ${first + 1 + 2 * number}::text"
            for number in range(len(self._one.labels))
        )
        return " || E'\\x1f' || ".join(parts) or "''::text", only


def _both(one: Part, count: int, value: Decimal) -> Part:
    assert one.value is not None, "what adds up has a sum"
    return Part(one.events + count, add(one.value, value))
