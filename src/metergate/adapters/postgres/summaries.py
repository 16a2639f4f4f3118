"""Sums over any range: `app.ports.readers.UsageReader` on PostgreSQL.

A statement is put together for each question from what it asks: which columns tell the aggregation, which labels group
and filter. What it is made of are our own constants; every value is a parameter.

Whole quarter hours come from the rollups, the rest of the range from the events. Where rollups cannot tell (their
dimensions lack a label, points are shorter than they are, or the past is asked for), all comes from the events, which
are counted first: by the index, up to what may still be read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.columns import inner_part
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.app.ports.readers import Found, SummaryQuery, TooManyEventsError, UsageSnapshot
from metergate.domain.aggregation import HOLDS, Rolls
from metergate.domain.meter import LEVEL, PERCENTILE, UNIQUE
from metergate.domain.period import QUARTER
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Figures
from metergate.domain.summary import Part, adds_up

_SEPARATOR = "\x1f"  # no label holds a control character
_SUBJECT = "subject"

# The plans of this transaction go by indexes, however small a table was when it was looked at last.
_HEAD = """
SELECT now(), seq, is_pool, set_config('enable_seqscan', 'off', true) FROM customer_head
WHERE tenant = $1 AND customer = $2"""
_EVENTS = """
SELECT (SELECT count(*) FROM (
        SELECT FROM usage_event WHERE tenant = $1 AND customer = $2 AND counted_at >= $3 AND counted_at < $4 LIMIT $5
    ) e) + (SELECT count(*) FROM (
        SELECT FROM usage_event WHERE tenant = $1 AND pool = $2 AND counted_at >= $3 AND counted_at < $4 LIMIT $5
    ) e)"""
_HELD = """
SELECT coalesce(sum(e.reserved), 0), coalesce(sum(e.leased), 0), coalesce(sum(e.forfeited), 0) FROM hold e
WHERE e.tenant = $1 AND (e.customer = $2 OR e.pool = $2 AND e.pool <> '') AND e.meter = {meter}
    AND e.counted_at >= {start} AND e.counted_at < {end} AND e.reserved + e.leased + e.forfeited > 0 {only}"""

# Events that waited for their customer were not known as its own before they were adopted.
_RECORDED = """AND recorded_at <= {at} AND NOT EXISTS (
            SELECT FROM usage_adoption a WHERE a.tenant = $1 AND a.customer = usage_event.customer
                AND a.seq = usage_event.seq AND a.adopted_at > {at})"""

# What is kept of a row of the answer beside its number of events: value, instant, tie key, moment.
_NONE = "NULL::timestamptz AS at, NULL::text AS key, NULL::numeric AS moment"
_LAST = """(array_agg({0} ORDER BY {1} DESC, {2} DESC) FILTER (WHERE {1} IS NOT NULL))[1]"""


def _last(value: str, at: str, key: str) -> str:
    return (
        f"{_LAST.format(value, at, key)} AS value, max({at}) AS at, {_LAST.format(key, at, key)} AS key, "
        "NULL::numeric AS moment"
    )


# By aggregation: what rollups r tell, what samples (value, at, key and their number) tell, how parts are put together,
# and by what groups are ranked.
_SUM = f"sum(value) AS value, {_NONE}"
_ROLLED = {
    "sum": f"sum(r.sum) AS value, {_NONE}",
    "count": f"sum(r.count) AS value, {_NONE}",
    "avg": f"sum(r.sum) AS value, {_NONE}",
    "min": f"min(r.min) AS value, {_NONE}",
    "max": f"max(r.max) AS value, {_NONE}",
    "latest": _last("r.last", "r.last_at", "r.last_key"),
}
_PUT = {
    "sum": _SUM,
    "count": _SUM,
    "avg": _SUM,
    "min": f"min(value) AS value, {_NONE}",
    "max": f"max(value) AS value, {_NONE}",
    "latest": _last("value", "at", "key"),
    UNIQUE: f"max(value) AS value, {_NONE}",
    PERCENTILE: f"max(value) AS value, {_NONE}",
    LEVEL: "sum(value) AS value, NULL::timestamptz AS at, NULL::text AS key, sum(moment) AS moment",
}
_RANK = {
    "sum": "sum(value)",
    "count": "sum(value)",
    "avg": "sum(value) / nullif(sum(count), 0)",
    "min": "min(value)",
    "max": "max(value)",
    "latest": _LAST.format("value", "at", "key"),
    UNIQUE: "max(value) FILTER (WHERE piece = {whole})",
    PERCENTILE: "max(value) FILTER (WHERE piece = {whole})",
    LEVEL: "sum(value * ({first}::numeric[])[piece + 2] - moment * ({second}::numeric[])[piece + 2])",
}
# What tells two samples apart, as far as the aggregation does.
_APART = {"min": "value", "max": "value", "latest": "value, at, key", UNIQUE: "item", PERCENTILE: "value"}


class PostgresSummaries:
    """Reads in snapshots."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._snapshots = snapshots(engine)

    def snapshot(self, tenant: str, customer: str, events_most: int) -> AbstractAsyncContextManager[UsageSnapshot]:
        """See `app.ports.readers.UsageReader`."""
        return self._snapshot(tenant, customer, events_most)

    @asynccontextmanager
    async def _snapshot(self, tenant: str, customer: str, events_most: int) -> AsyncGenerator[PostgresUsageSnapshot]:
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                now, seq, is_pool, _ = await connection.fetchrow(_HEAD, tenant, customer)
                yield PostgresUsageSnapshot(connection, tenant, now, None if is_pool else seq, events_most)


class PostgresUsageSnapshot:
    """See `app.ports.readers.UsageSnapshot`."""

    def __init__(self, connection: Any, tenant: str, now: int, seq: int | None, events_left: int) -> None:
        self._connection = connection
        self._tenant = tenant
        self._events_left = events_left
        self.now = now
        self.seq = seq

    async def find(self, query: SummaryQuery) -> list[Found]:
        """See `app.ports.readers.UsageSnapshot`."""
        rolled = _rollups_tell(query)
        if not rolled:
            await self._spend(query)
        statement = _Statement(self._tenant, query)
        text = statement.of(rolled)
        try:
            rows = await self._connection.fetch(text, *statement.parameters)
        except asyncpg.QueryCanceledError as error:
            raise TooManyEventsError("it takes too long") from error
        return [_to_found(row, query) for row in rows]

    async def held(self, query: SummaryQuery) -> Figures:
        """See `app.ports.readers.UsageSnapshot`."""
        statement = _Statement(self._tenant, query)
        row = await self._connection.fetchrow(statement.held(), *statement.parameters)
        return Figures(ZERO, *row)

    async def _spend(self, query: SummaryQuery) -> None:
        """Takes the events that the query reads from what may still be read. They are counted, not guessed."""
        start, end = _range(query)
        most = self._events_left + 1
        count = await self._connection.fetchval(_EVENTS, self._tenant, query.customer, start, end, most)
        if count > self._events_left:
            raise TooManyEventsError("too many events")
        self._events_left -= count


def _rollups_tell(query: SummaryQuery) -> bool:
    """Whether whole quarter hours can be read from rollups."""
    meter = query.meter
    labels = {*query.group_by, *query.filters} - {_SUBJECT}
    aligned = all(piece.start % QUARTER == 0 for piece in query.pieces[1:])
    kept = meter.how.rolls is not Rolls.NOTHING and labels <= set(meter.dimensions)
    return kept and aligned and query.known.everything and not query.within


def _range(query: SummaryQuery) -> tuple[int, int]:
    """From when on events are read: of a LEVEL as long before as one lasts."""
    start, end = query.pieces[0].start, query.pieces[-1].end
    return (max(start - HOLDS, 0) if query.meter.aggregation == LEVEL else start), end


def _to_found(row: Any, query: SummaryQuery) -> Found:
    piece, key, count, value, at, tie, moment = row
    group = None if key is None else tuple(key.split(_SEPARATOR)) if query.group_by else ()
    return Found(piece, group, Part(count, value, at or 0, tie or "", moment or ZERO))


class _Statement:
    """The statement of one query, and its parameters: $1 the tenant, $2 the customer, and the others as they come."""

    def __init__(self, tenant: str, query: SummaryQuery) -> None:
        self.parameters: list[Any] = [tenant, query.customer]
        self._query = query
        self._how = query.meter.aggregation
        self._names: dict[str, str] = {}

    def of(self, rolled: bool) -> str:
        """What was found: piece, group, number of events, value, instant, tie key, moment."""
        query = self._query
        start, end = query.pieces[0].start, query.pieces[-1].end
        inner_start, inner_end = inner_part(start, end) if rolled else (end, end)
        parts = []
        if inner_start < inner_end:
            parts.append(self._rollups(inner_start, inner_end))
        if start < inner_start or inner_end < end:
            within = [(one.start, one.end) for one in query.within]
            parts.append(self._events(within or [(start, inner_start), (inner_end, end)]))
        chosen = self._chosen()
        g, join = (
            ("p.g", "") if chosen is None else ("c.g", f"{'LEFT ' if adds_up(query.meter) else ''}JOIN c USING (g)")
        )
        return f"""
WITH p AS ({" UNION ALL ".join(parts)}){"" if chosen is None else f", c AS ({chosen})"}
SELECT piece, {g}, sum(count)::bigint AS count, {_PUT[self._how]} FROM p {join}
GROUP BY 1, 2 LIMIT {self._add(query.most)}"""

    def held(self) -> str:
        """What holds keep in the range."""
        query = self._query
        only = self._only("e.subject", "e.labels")
        return _HELD.format(
            meter=self._add(query.meter.name), start=self._add(query.pieces[0].start),
            end=self._add(query.pieces[-1].end), only=only,
        )  # fmt: skip

    def _chosen(self) -> str | None:
        """The groups that come one by one; None = all."""
        query = self._query
        if query.keep is not None:
            return f"SELECT unnest({self._add([_SEPARATOR.join(group) for group in query.keep])}::text[]) AS g"
        if not query.top or not query.group_by:
            return None
        rank = _RANK[self._how]
        if self._how == LEVEL:
            first, second = zip(*query.weights, strict=True)
            rank = rank.format(first=self._add(list(first)), second=self._add(list(second)))
        rank = rank.replace("{whole}", "0" if len(query.pieces) == 1 else "-1")
        return f'SELECT g FROM p GROUP BY g ORDER BY {rank} DESC NULLS LAST, g COLLATE "C" LIMIT {self._add(query.top)}'

    def _rollups(self, start: int, end: int) -> str:
        only = self._only("r.subject", "r.dimensions")
        return f"""
    SELECT {self._piece("r.quarter")} AS piece, {self._key(self._query.group_by, "r.subject", "r.dimensions")} AS g,
        sum(r.count) AS count, {_ROLLED[self._how]}
    FROM usage_rollup r WHERE r.tenant = $1 AND r.customer = $2
        AND r.measure = (SELECT measure FROM meter WHERE tenant = $1 AND name = {self._name()})
        AND r.quarter >= {self._add(start)} AND r.quarter < {self._add(end)} AND r.count <> 0 {only}
    GROUP BY 1, 2"""

    def _events(self, ranges: Sequence[tuple[int, int]]) -> str:
        if self._how in ("sum", "count", "avg"):
            return self._added_up(ranges)
        if self._how == LEVEL:
            return self._levels()
        return self._compared(ranges)

    def _added_up(self, ranges: Sequence[tuple[int, int]]) -> str:
        """Sums need not tell samples apart: what was taken out counts with the opposite sign."""
        return f"""
    SELECT {self._piece("e.counted_at")} AS piece, {self._key(self._query.group_by, "e.subject", "e.labels")} AS g,
        sum({sql.SIGN}) AS count, sum({sql.CONTRIBUTION} * {sql.SIGN}) AS value, {_NONE}
    {self._counted(ranges)} AND {sql.CONTRIBUTION} IS NOT NULL {self._only("e.subject", "e.labels")}
    GROUP BY 1, 2 HAVING sum({sql.SIGN}) <> 0"""

    def _compared(self, ranges: Sequence[tuple[int, int]]) -> str:
        """Samples that stand, told apart as far as it matters."""
        apart = _APART[self._how]
        samples = f"""
    SELECT piece, g, {apart}, sum(sign) AS number FROM (
        SELECT {self._piece("e.counted_at")} AS piece, {self._key(self._query.group_by, "e.subject", "e.labels")} AS g,
            {sql.CONTRIBUTION} AS value, {sql.ITEM} AS item, e.counted_at AS at, {sql.KEY} AS key, {sql.SIGN} AS sign
        {self._counted(ranges)} {self._only("e.subject", "e.labels")}
    ) e WHERE value IS NOT NULL GROUP BY piece, g, {apart} HAVING sum(sign) <> 0"""
        if self._how not in (UNIQUE, PERCENTILE):
            return f"SELECT piece, g, sum(number) AS count, {_PUT[self._how]} FROM ({samples}) s GROUP BY piece, g"
        if len(self._query.pieces) > 1:
            samples = f"""
    WITH s AS ({samples}) SELECT * FROM s
    UNION ALL SELECT -1, g, {apart}, sum(number) FROM s GROUP BY g, {apart}"""
        if self._how == UNIQUE:
            return f"""
    SELECT piece, g, sum(number) AS count, count(*)::numeric AS value, {_NONE} FROM ({samples}) s GROUP BY piece, g"""
        percent = self._add(self._query.meter.percentile)
        return f"""
    SELECT piece, g, max(whole) AS count,
        min(value) FILTER (WHERE below >= ceil(whole * {percent} / 100)) AS value, {_NONE}
    FROM (
        SELECT piece, g, value, sum(number) OVER (PARTITION BY piece, g ORDER BY value) AS below,
            sum(number) OVER (PARTITION BY piece, g) AS whole
        FROM ({samples}) s
    ) ranked GROUP BY piece, g"""

    def _levels(self) -> str:
        """By how much the level of a group changes: up by each sample, and down again where the next one of its series
        follows, at the latest when it has lasted long enough. A series is told by subject and dimensions, and a label
        that is none picks samples out of series, so it is looked at after these are known."""
        query = self._query
        start, end = query.pieces[0].start, query.pieces[-1].end
        until = self._add(min(end, query.until))
        lasts = f"interval '{HOLDS // 3_600_000_000} hours'"
        series = self._key(query.meter.dimensions, "e.subject", "e.labels")
        return f"""
    SELECT {self._piece("t")} AS piece, g, sum(number) AS count, sum(d) AS value, NULL::timestamptz AS at,
        NULL::text AS key, sum(d * (extract(epoch FROM t) * 1000000)) AS moment
    FROM (
        SELECT s.*, lead(at) OVER (PARTITION BY series ORDER BY at, key) AS next FROM (
            SELECT e.subject || E'\\x1f' || {series} AS series,
                {self._key(query.group_by, "e.subject", "e.labels")} AS g, {sql.CONTRIBUTION} AS value,
                e.counted_at AS at, {sql.KEY} AS key,
                true {self._only("e.subject", "e.labels", but_subject=True)} AS taken
            {self._counted([(start - HOLDS, end)])} {self._of_subject("e.subject")}
            GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum({sql.SIGN}) <> 0
        ) s WHERE value IS NOT NULL
    ) s CROSS JOIN LATERAL (VALUES
        (at, value, CASE WHEN at >= {self._add(start)} THEN 1 ELSE 0 END),
        (least(next, at + {lasts}), -value, 0)
    ) v(t, d, number)
    WHERE taken AND t < {until}
    GROUP BY 1, 2"""

    def _counted(self, ranges: Sequence[tuple[int, int]]) -> str:
        """The events e of the customer, and of those who share it as a pool, that the meter m reads, in the ranges."""
        known = self._query.known
        if known.seq is not None:
            more = f"AND seq <= {self._add(known.seq)}"
        else:
            more = "" if known.at is None else _RECORDED.format(at=self._add(known.at))
        asked = [
            f"SELECT * FROM usage_event WHERE tenant = $1 AND {who} = $2 "
            f"AND counted_at >= {self._add(start)} AND counted_at < {self._add(end)} {more}"
            for start, end in ranges
            if start < end
            for who in ("customer", "pool")
        ]
        return f"""FROM meter m JOIN ({" UNION ALL ".join(asked)}) e ON e.type = m.event_type
        WHERE m.tenant = $1 AND m.name = {self._name()}"""

    def _only(self, subject: str, labels: str, but_subject: bool = False) -> str:
        """Conditions of the subject and the filters."""
        conditions = "" if but_subject else self._of_subject(subject)
        for label, values in self._query.filters.items():
            of = subject if label == _SUBJECT else f"coalesce({labels} ->> {self._label(label)}, '')"
            conditions += f" AND {of} = ANY({self._add(list(values))}::text[])"
        return conditions

    def _of_subject(self, subject: str) -> str:
        return f" AND {subject} = {self._add(self._query.subject)}" if self._query.subject else ""

    def _key(self, names: Sequence[str], subject: str, labels: str) -> str:
        """The values of labels as one text."""
        parts = [subject if one == _SUBJECT else f"coalesce({labels} ->> {self._label(one)}, '')" for one in names]
        return " || E'\\x1f' || ".join(parts) or "''::text"

    def _piece(self, instant: str) -> str:
        """The number of the piece that holds the instant; -1 = before the first."""
        if "pieces" not in self._names:
            self._names["pieces"] = self._add([piece.start for piece in self._query.pieces])
        return f"width_bucket({instant}, {self._names['pieces']}::timestamptz[]) - 1"

    def _label(self, name: str) -> str:
        if name not in self._names:
            self._names[f"label {name}"] = self._add(name)
        return f"{self._names[f'label {name}']}::text"

    def _name(self) -> str:
        if "meter" not in self._names:
            self._names["meter"] = self._add(self._query.meter.name)
        return self._names["meter"]

    def _add(self, value: Any) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}"
