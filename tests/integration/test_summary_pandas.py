"""Every aggregation over inputs that nobody made up, against pandas: small copies always, and `../shared/data` where it
is beside the checkout."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metergate.domain.aggregation import PLACES, LevelUnit
from metergate.domain.catalog import Catalog
from metergate.domain.meter import LabelFilter, Meter, Op
from metergate.domain.period import DAY, HOUR, Period
from tests.integration.processes import Process, event

REPOSITORY = Path(__file__).parents[2]
HERE, SHARED = REPOSITORY / "tests" / "data", REPOSITORY.parent / "shared" / "data"
# Common and combined log format; a size of "-" is none.
_LINE = r'^(?P<host>\S+) \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+)[^"]*" (?P<status>\d+) (?P<size>\S+)'
_TRACES = [HERE / "llm.csv", SHARED / "azure_llm_code_2023.csv"]
_LOGS = [HERE / "access.log", SHARED / "apache_access_2015.log"]

_KINDS: dict[str, dict[str, Any]] = {
    "sum": {}, "count": {}, "avg": {}, "min": {}, "max": {}, "latest": {},
    "percentile": {"percentile": Decimal(95)}, "level": {"level_unit": LevelUnit.HOUR},
}  # fmt: skip


def meters(dimension: str, unique: str, **more: Any) -> Catalog:
    """A meter of each aggregation."""
    made = [Meter(kind, "row", kind, "v", (dimension,), **extra, **more) for kind, extra in _KINDS.items()]
    return Catalog((*made, Meter("unique", "row", "unique", unique, (dimension,), **more)))


def trace(path: Path) -> pd.DataFrame:
    """Requests to a language model."""
    names = {"TIMESTAMP": "at", "ContextTokens": "v", "GeneratedTokens": "out", "Model": "model"}
    rows = pd.read_csv(path, dtype=str).rename(columns=names).reindex(columns=list(names.values())).astype(object)
    rows["at"] = pd.to_datetime(rows["at"].str[:26], format="ISO8601", utc=True)
    rows["model"] = rows["model"].fillna("").str.replace("\n", " ")  # labels hold no control characters
    rows["user"] = "u" + rows["out"].fillna("none")
    return rows


def log(path: Path) -> pd.DataFrame:
    """Requests to a web server."""
    rows = pd.Series(path.read_text(errors="replace").splitlines()).str.extract(_LINE)
    rows["at"] = pd.to_datetime(rows["at"], format="%d/%b/%Y:%H:%M:%S %z", utc=True, errors="coerce")
    rows = rows.dropna(subset=["at"])
    rows["v"] = rows["size"].where(rows["size"] != "-", "0")
    return rows.reset_index(drop=True)


async def load(one: Process, rows: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Records the rows; returns those with a value, in the order of their time and id."""
    rows = rows.assign(id=[f"{number:06}" for number in range(len(rows))])
    rows["micros"] = rows["at"].astype("datetime64[us, UTC]").astype("int64")
    events = [
        event(
            row.id, "row", time=row.micros, values={} if pd.isna(row.v) else {"v": row.v},
            labels={label: getattr(row, label) for label in labels if getattr(row, label)},
        )
        for row in rows.itertuples()
    ]  # fmt: skip
    for first in range(0, len(events), 4_000):
        await one.add(*events[first : first + 4_000], backfill=True)
    rows = rows.dropna(subset=["v"]).assign(v=lambda frame: frame["v"].astype("int64"))
    return rows.sort_values(["micros", "id"])


def _exact(value: Any) -> Decimal:
    return Decimal(int(value))


def _mean(values: pd.Series) -> Decimal:
    return (_exact(values.sum()) / len(values)).quantize(PLACES, ROUND_HALF_UP)


PANDAS: dict[str, Callable[[pd.Series], Decimal]] = {
    "sum": lambda values: _exact(values.sum()),
    "count": lambda values: _exact(values.count()),
    "avg": _mean,
    "min": lambda values: _exact(values.min()),
    "max": lambda values: _exact(values.max()),
    "latest": lambda values: _exact(values.iloc[-1]),
    "percentile": lambda values: _exact(np.percentile(values, 95, method="inverted_cdf")),
}
_OF_NOTHING = {"sum", "count", "unique", "level"}


def level_of(rows: pd.DataFrame, start: int, end: int) -> Decimal:
    """The time-weighted level in hours: each value times how long it lasted, by dimension."""
    area = 0
    for _, series in rows.groupby("series"):
        lasts = series["micros"].shift(-1, fill_value=2**62)
        lasts = np.minimum(lasts, series["micros"] + 40 * DAY).clip(start, end) - series["micros"].clip(start, end)
        area += sum(int(value) * int(length) for value, length in zip(series["v"], lasts, strict=True))
    return (Decimal(area) / HOUR).quantize(PLACES, ROUND_HALF_UP)


async def compare(one: Process, rows: pd.DataFrame, dimension: str, unique: str, everyone: pd.DataFrame) -> None:
    """Each meter by day in a zone of half an hour, whole and by the dimension."""
    zone = "Asia/Kolkata"
    start, end = int(rows["micros"].min()) // DAY * DAY - DAY, int(rows["micros"].max()) + 2 * DAY
    rows = rows.assign(series=rows[dimension])
    for group_by in ((), (dimension,)):
        for name in [*_KINDS, "unique"]:
            answer = await one.summarize(
                name, start=start, end=end, granularity=Period.DAY, time_zone=zone, group_by=group_by
            )
            source = everyone if name == "unique" else rows
            groups = set(source[dimension]) if group_by else {""}
            assert {series.group.get(dimension, "") for series in answer.series} == groups, name
            for series in answer.series:
                mine = source[source[dimension] == series.group[dimension]] if group_by else source

                def told(low: int, high: int, mine: pd.DataFrame = mine, name: str = name) -> Decimal | None:
                    if name == "level":
                        return level_of(mine, low, high)
                    inside = mine[(mine["micros"] >= low) & (mine["micros"] < high)]
                    if name == "unique":
                        return _exact(inside[unique].nunique())
                    return PANDAS[name](inside["v"]) if len(inside) else Decimal(0) if name in _OF_NOTHING else None

                assert series.total == told(start, end), (name, series.group)
                assert series.points == [told(piece.start, piece.end) for piece in answer.pieces], (name, series.group)


def _there(paths: list[Path]) -> list[Any]:
    return [pytest.param(path, marks=pytest.mark.skipif(not path.exists(), reason="it is not here")) for path in paths]


@pytest.mark.parametrize("path", _there(_TRACES), ids=lambda path: path.stem)
async def test_a_language_models_trace_by_every_aggregation(one: Process, path: Path) -> None:
    await one.apply(meters("model", "user"))
    everyone = trace(path)
    rows = await load(one, everyone, ["model", "user"])
    everyone = everyone.assign(micros=everyone["at"].astype("datetime64[us, UTC]").astype("int64"))
    await compare(one, rows, "model", "user", everyone)
    assert await one.differences() == []


@pytest.mark.parametrize("path", _there(_LOGS), ids=lambda path: path.stem)
async def test_a_web_servers_log_by_every_aggregation(one: Process, path: Path) -> None:
    # Only what was there, and was not an error of the server.
    filters = (LabelFilter("status", Op.NOT, ("404",)), LabelFilter("status", Op.PREFIX, ("2", "3", "4")))
    await one.apply(meters("method", "host", filters=filters))
    rows = await load(one, log(path), ["method", "host", "status"])
    rows = rows[(rows["status"] != "404") & rows["status"].str.match("[234]")]
    await compare(one, rows, "method", "host", rows)
    assert await one.differences() == []
