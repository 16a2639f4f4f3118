"""What a commit writes, as the columns of its statements: lists of texts, in order of the rows' keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from metergate.adapters.postgres.holds import as_json
from metergate.domain.catalog import Catalog
from metergate.domain.period import MINUTE, QUARTER
from metergate.domain.posting import Extremes, Posting, RollupKey, Row
from metergate.domain.quota import CounterKey, Figures

if TYPE_CHECKING:
    pass

_ACQUIRE_SECONDS = 5.0
_NEW = Figures()
_FIGURES = ("used", "reserved", "leased", "forfeited", "tat", "granted", "pace")
_CATCH_UP_SECONDS = 1800

# By how much a fact's own time, by which it counts, may lie ahead of when it was recorded, and more.
_CLOCKS_DIFFER = 10 * MINUTE


def by_id(row: Row) -> tuple[str, str]:
    return row.event.source, row.event.id


def id_columns(rows: Sequence[Row]) -> list[list[str]]:
    events = [row.event for row in rows]
    return [
        [event.source for event in events],
        [event.id for event in events],
        [event.digest.hex() for event in events],
        [row.customer for row in rows],
        [str(row.seq) for row in rows],
        ["" if event.time is None else str(event.time) for event in events],
    ]


def rollup_columns(posting: Posting, catalog: Catalog) -> list[Sequence[str | None]]:
    rollups = sorted(posting.rollups.items())
    texts: dict[tuple[str, tuple[str, ...]], str] = {}
    for key, _ in rollups:
        combination = (key.measure, key.dimensions)
        if combination not in texts:
            texts[combination] = dimensions_text(key, catalog)
    columns: list[Sequence[str | None]] = [
        [key.customer for key, _ in rollups],
        [key.measure for key, _ in rollups],
        [str(key.quarter) for key, _ in rollups],
        [key.subject for key, _ in rollups],
        [texts[key.measure, key.dimensions] for key, _ in rollups],
        [str(count) for _, (count, _) in rollups],
        [str(total) for _, (_, total) in rollups],
    ]
    if not posting.extremes:
        return [*columns, *[[] for _ in Extremes._fields]]
    extremes = [posting.extremes.get(key) for key, _ in rollups]
    texts_of = [
        [None if one is None else str(one[place]) for one in extremes] for place in range(len(Extremes._fields))
    ]
    return [*columns, *texts_of]


def dimensions_text(key: RollupKey, catalog: Catalog) -> str:
    return as_json(dict(zip(catalog.measure_of[key.measure].dimensions, key.dimensions, strict=True)))


def shrunk_columns(posting: Posting, catalog: Catalog) -> list[list[str]]:
    keys = sorted(posting.shrunk)
    return [
        [key.customer for key in keys],
        [key.measure for key in keys],
        [catalog.measure_of[key.measure].name for key in keys],
        [str(key.quarter) for key in keys],
        [key.subject for key in keys],
        [dimensions_text(key, catalog) for key in keys],
    ]


def counter_columns(counters: Mapping[CounterKey, Figures]) -> list[list[str]]:
    keys = sorted(counters)
    return [
        [key.customer for key in keys],
        [key.meter for key in keys],
        [key.subject for key in keys],
        [key.filter for key in keys],
        [str(key.start) for key in keys],
        [str(key.end) for key in keys],
        [str(counters[key].used) for key in keys],
    ]


def besides(figures: Figures) -> tuple[Decimal, ...]:
    return (*figures[1:5], figures.pace)


def more_columns(counters: Mapping[CounterKey, Figures]) -> list[list[str]]:
    """The keys of the counters, and all that they hold besides what is used."""
    keys = sorted(counters)
    texts = [[str(part) for part in column] for column in zip(*keys, strict=True)] if keys else [[] for _ in range(6)]
    more = [
        [str(figure) for figure in column] for column in zip(*[besides(counters[key]) for key in keys], strict=True)
    ]
    return [*texts, *(more or [[] for _ in range(5)])]


def key_columns(keys: Sequence[CounterKey]) -> list[list[Any]]:
    """The keys by column, with the part of each window that whole quarter hours cover."""
    columns: list[list[Any]] = [list(column) for column in zip(*keys, strict=True)] if keys else [[] for _ in range(6)]
    inner = [inner_part(key.start, key.end) for key in keys]
    return [*columns, [start for start, _ in inner], [end for _, end in inner]]


def inner_part(start: int, end: int) -> tuple[int, int]:
    """The whole quarter hours within a window; where there is none, its end twice, so that all of it is edge."""
    inner_start, inner_end = -(-start // QUARTER) * QUARTER, end // QUARTER * QUARTER
    return (inner_start, inner_end) if inner_start < inner_end else (end, end)
