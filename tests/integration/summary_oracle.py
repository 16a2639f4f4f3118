"""What summaries of every aggregation must say, told by `domain/aggregation.py` from the rows themselves."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from metergate.domain import aggregation, period
from metergate.domain.aggregation import LevelUnit, Sample
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, MINUTE, QUARTER, Window
from tests.integration.processes import TENANT, Process, event

DIMENSIONS = ("model", "region")
METERS = (
    Meter("sum", "llm", value="v", dimensions=DIMENSIONS, allow_negative=True),
    Meter("count", "llm", "count", value="v", dimensions=DIMENSIONS, allow_negative=True),
    Meter("avg", "llm", "avg", value="v", dimensions=DIMENSIONS, allow_negative=True),
    Meter("min", "llm", "min", value="v", dimensions=DIMENSIONS, allow_negative=True),
    Meter("max", "llm", "max", value="v", dimensions=DIMENSIONS, allow_negative=True),
    Meter("latest", "llm", "latest", value="v", dimensions=DIMENSIONS, allow_negative=True),
    Meter("people", "llm", "unique", value="user", dimensions=DIMENSIONS),
    Meter("p90", "llm", "percentile", value="v", dimensions=DIMENSIONS, percentile=Decimal(90), allow_negative=True),
    Meter("hours", "llm", "level", value="v", dimensions=DIMENSIONS, level_unit=LevelUnit.HOUR, allow_negative=True),
    Meter("months", "llm", "level", value="v", dimensions=DIMENSIONS, level_unit=LevelUnit.MONTH, allow_negative=True),
)
METER_OF = {meter.name: meter for meter in METERS}
# Berlin's clocks went back in it, Lord Howe's forward, Apia's day was not.
STARTS = ["2026-10-24T00:00:00+00:00", "2026-10-02T00:00:00+00:00", "2011-12-29T00:00:00+00:00"]


def instant(text: str) -> int:
    return period.from_datetime(datetime.fromisoformat(text))


@dataclass(frozen=True)
class Told:
    """A row of the ledger."""

    id: str
    time: int
    subject: str
    labels: Mapping[str, str]
    value: Decimal
    seq: int = 0
    sign: int = 1

    def label(self, name: str) -> str:
        return self.subject if name == "subject" else self.labels.get(name, "")


def make(rng: random.Random, number: int, first: int = 0) -> list[Told]:
    """Events of a few days around clock changes, many of them on borders."""
    made = []
    for place in range(first, first + number):
        time = instant(rng.choice(STARTS)) + rng.randint(0, 4 * 24 * 4) * QUARTER
        time += rng.choice([0, -1, 1, MINUTE, 7 * MINUTE + 13, rng.randint(0, QUARTER)])
        labels = {name: rng.choice("ab") for name in ("model", "region", "other", "user") if rng.random() < 0.7}
        value = Decimal(rng.randint(-5_000, 50_000)).scaleb(-3)
        made.append(Told(f"e{place}", time, rng.choice(["acme", "alice"]), labels, value))
    return made


async def tell(one: Process, rows: Iterable[Told]) -> int:
    """Records the rows; the customer's `seq` after them."""
    events = [
        event(row.id, "llm", time=row.time, subject=row.subject, labels=row.labels, values={"v": row.value})
        for row in rows
    ]
    done = await one.add(*events, backfill=True)
    assert {receipt.outcome for receipt in done.receipts} <= {"accepted", "duplicate"}
    return (await seqs(one))[0]


async def seqs(one: Process, customer: str = "acme") -> tuple[int, int]:
    """The customer's `seq`, and the database's clock."""
    [(seq, now)] = await one.fetch(
        "SELECT seq, clock_timestamp() FROM customer_head WHERE tenant = $1 AND customer = $2", TENANT, customer
    )
    return seq, now


def quantity(rows: Sequence[Told], meter: Meter, window: Window, until: int, zone: str, taken: Any) -> Decimal | None:
    """The quantity of the rows that `taken` takes."""
    samples = [
        Sample(
            row.time, aggregation.tie_key("api", row.id), Decimal(1) if meter.how.counts else row.value,
            row.labels.get("user", ""), (row.subject, *[row.labels.get(name, "") for name in DIMENSIONS]), row.sign,
        )
        for row in rows
        if taken(row) and (meter.name != "people" or row.labels.get("user"))
    ]  # fmt: skip
    if meter.level_unit is not None:
        reached = [one for one in samples if window.start - aggregation.HOLDS <= one.counted_at < window.end]
        return aggregation.level(reached, window, until, meter.level_unit, zone)
    inside = aggregation.standing([one for one in samples if window.start <= one.counted_at < window.end])
    if not inside:
        return Decimal(0) if meter.name in ("sum", "count", "people") else None
    if meter.percentile is not None:
        return aggregation.nearest_rank(inside, meter.percentile)
    assert meter.how.quantity is not None
    return meter.how.quantity(inside)


async def compare(one: Process, rows: Sequence[Told], name: str, zone: str, **asked: Any) -> int:
    """Compares each series of an answer; how many there were. Labels of LEVELs must be dimensions here."""
    meter, filters, group_by = METER_OF[name], asked.get("filters", {}), asked.get("group_by", ())
    answer = await one.summarize(name, time_zone=zone, **asked)
    if asked.get("known_seq") is not None:
        rows = [row for row in rows if row.seq <= asked["known_seq"]]
    rows = [row for row in rows if asked.get("subject") in (None, row.subject)]
    rows = [row for row in rows if all(row.label(label) in values for label, values in filters.items())]
    pieces = answer.pieces or [answer.window]
    for series in answer.series:

        def taken(row: Told, group: Mapping[str, str] = series.group) -> bool:
            return all(row.label(label) == value for label, value in group.items())

        points = [quantity(rows, meter, piece, answer.as_of, zone, taken) for piece in pieces]
        assert series.points == points, (name, asked, series.group)
        assert series.total == quantity(rows, meter, answer.window, answer.as_of, zone, taken), (name, asked)
    if group_by:  # no group is missing
        found = {tuple(series.group[label] for label in group_by) for series in answer.series}
        window = answer.window
        groups = {
            tuple(row.label(label) for label in group_by)
            for row in aggregation_standing(rows)
            if window.start <= row.time < window.end and (name != "people" or row.labels.get("user"))
        }
        assert groups <= found, (name, asked)
    else:
        assert len(answer.series) == 1
    return len(answer.series)


def aggregation_standing(rows: Iterable[Told]) -> list[Told]:
    """The rows that were not taken back."""
    gone = {(row.id, row.seq) for row in rows if row.sign < 0}
    back = {id_ for id_, _ in gone}
    return [row for row in rows if row.sign > 0 and row.id not in back]


async def take_back(one: Process, rows: Sequence[Told], chosen: Sequence[Told]) -> list[Told]:
    """Takes rows back as a correction does, in one more commit; the rows with these reversals."""
    seq = (await seqs(one))[0] + 1
    await one.fetch(
        "INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id, type, subject, "
        "amount, values, labels, settles, pool, sign) "
        "SELECT tenant, customer, $2, counted_at, clock_timestamp(), time, source, id, type, subject, "
        "amount, values, labels, settles, pool, -1 FROM usage_event WHERE tenant = $1 AND id = ANY($3::text[])",
        TENANT, seq, [row.id for row in chosen],
    )  # fmt: skip
    # The rollups are made anew of the rows.
    await one.fetch(
        "UPDATE customer_head SET seq = $2, metering_version = 0 WHERE tenant = $1 AND customer = 'acme'", TENANT, seq
    )
    return [*rows, *[replace(row, seq=seq, sign=-1) for row in chosen]]


def any_range(rng: random.Random) -> tuple[int, int]:
    """A range around the clock changes, aligned to quarter hours or not."""
    start = instant(rng.choice(STARTS)) + rng.randint(-2 * DAY, 4 * DAY)
    if rng.random() < 0.5:
        start -= start % QUARTER
    return start, start + rng.randint(MINUTE, 5 * DAY)
