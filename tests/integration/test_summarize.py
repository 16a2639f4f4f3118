"""GetUsageSummary against plain Python: any range, zone and piece, by group, filtered, of a subject."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain import period
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE, QUARTER, Period, Window
from metergate.domain.summary import Projecting
from tests.integration.processes import Process, event

TOKENS = Meter("tokens", "llm", value="tokens", dimensions=("model", "region"), allow_negative=True)
CALLS = Meter("calls", "llm", "count", dimensions=("model",), allow_negative=True)
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns"]
# Berlin's clocks went back in it, Lord Howe's forward, Apia's day was not.
STARTS = ["2026-10-24T00:00:00+00:00", "2026-10-02T00:00:00+00:00", "2011-12-29T00:00:00+00:00"]

Row = tuple[int, str, dict[str, str], Decimal]


def instant(text: str) -> int:
    return period.from_datetime(datetime.fromisoformat(text))


@pytest.fixture
async def rows(one: Process, rng: random.Random) -> list[Row]:
    """Events of a few days, many of them on borders."""
    await one.apply(Catalog((TOKENS, CALLS)))
    await one.customer("acme", time_zone="Europe/Berlin")
    await one.subject("alice", "acme")
    made: list[Row] = []
    events = []
    for number in range(600):
        time = instant(rng.choice(STARTS)) + rng.randint(0, 4 * 24 * 4) * QUARTER
        time += rng.choice([0, -1, 1, MINUTE, 7 * MINUTE + 13, rng.randint(0, QUARTER)])
        subject, value = rng.choice(["acme", "alice"]), Decimal(rng.randint(-5_000, 50_000)).scaleb(-3)
        labels = {name: rng.choice("ab") for name in ("model", "region", "other") if rng.random() < 0.7}
        made.append((time, subject, labels, value))
        events.append(event(str(number), "llm", time=time, subject=subject, labels=labels, values={"tokens": value}))
    done = await one.add(*events, event("other", "llm", subject="beta", values={"tokens": 5}), backfill=True)
    assert {receipt.outcome for receipt in done.receipts} == {"accepted"}
    return made


def told(rows: list[Row], meter: str, pieces: list[Window], **asked: Any) -> dict[tuple[str, ...], list[Decimal]]:
    """The sums by group and piece."""
    found: dict[tuple[str, ...], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(pieces))
    for time, subject, labels, value in rows:
        if asked.get("subject", subject) != subject:
            continue
        if any(labels.get(name, "") != wanted for name, wanted in asked.get("filters", {}).items()):
            continue
        for place, piece in enumerate(pieces):
            if piece.start <= time < piece.end:
                named = {**labels, "subject": subject}
                group = tuple(named.get(name, "") for name in asked.get("group_by", ()))
                found[group][place] += Decimal(1) if meter == "calls" else value
    return dict(found)


async def compare(one: Process, rows: list[Row], meter: str, **asked: Any) -> None:
    summary = await one.summarize(meter, **asked)
    pieces = summary.pieces or [summary.window]
    expected = told(rows, meter, pieces, **asked)
    group_by = asked.get("group_by", ())
    found = {tuple(series.group[name] for name in group_by): series.points for series in summary.series}
    if not group_by:
        expected.setdefault((), [Decimal(0)] * len(pieces))
    assert found == expected
    for series in summary.series:
        assert series.total == sum(series.points)
    assert sum(series.count for series in summary.series) == sum(
        sum(told(rows, "calls", pieces, **asked).get(group, [Decimal(0)])) for group in expected
    )


async def test_p4_summaries_are_the_sums_of_the_events(one: Process, rows: list[Row], rng: random.Random) -> None:
    for _ in range(60):
        granularity = rng.choice([None, None, Period.HOUR, Period.DAY, Period.WEEK, Period.MONTH, Period.MINUTE])
        start = instant(rng.choice(STARTS)) + rng.randint(-1, 70) * HOUR + rng.choice([0, 1, -1, 7 * MINUTE, QUARTER])
        length = rng.choice([1, MINUTE, QUARTER - 1, QUARTER, QUARTER + 1, HOUR, 30 * HOUR, 3 * DAY, 40 * DAY])
        if granularity is Period.MINUTE:
            length = min(length, 30 * HOUR)
        asked: dict[str, Any] = {"start": start, "end": start + length, "granularity": granularity}
        asked["time_zone"] = rng.choice(ZONES)
        meter = rng.choice(["tokens", "calls"])
        if rng.random() < 0.5:
            groups = ["model", "subject"] if meter == "calls" else ["model", "region", "subject"]
            asked["group_by"] = tuple(rng.sample(groups, rng.randint(1, len(groups))))
        if rng.random() < 0.4:
            asked["filters"] = {"model": rng.choice(["a", "b", "", "c"])}
        if rng.random() < 0.3:
            asked["subject"] = "alice"
        await compare(one, rows, meter, **asked)


@pytest.mark.parametrize("zone", ZONES)
async def test_p8_each_granularity_in_each_zone(one: Process, rows: list[Row], zone: str) -> None:
    start = instant(STARTS[0])
    for granularity in (Period.HOUR, Period.DAY, Period.WEEK, Period.MONTH):
        await compare(one, rows, "tokens", start=start, end=start + 4 * DAY, granularity=granularity, time_zone=zone)
    await compare(one, rows, "tokens", start=start, end=start + 8 * HOUR, granularity=Period.MINUTE, time_zone=zone)


async def test_ranges_that_split_a_range_sum_to_the_whole(one: Process, rows: list[Row], rng: random.Random) -> None:
    start, end = instant(STARTS[1]) - DAY, instant(STARTS[0]) + 6 * DAY
    whole = (await one.summarize("tokens", start=start, end=end)).series[0]
    cuts = sorted({start, end, *(rng.randint(start, end) for _ in range(12))})
    parts = [(await one.summarize("tokens", start=low, end=high)).series[0] for low, high in itertools.pairwise(cuts)]
    assert sum(part.total for part in parts) == whole.total
    assert sum(part.count for part in parts) == whole.count
    assert whole.total == sum(value for time, _, _, value in rows if start <= time < end)


async def test_p8_the_customers_zone_is_the_default_and_pieces_are_told(one: Process, rows: list[Row]) -> None:
    start = instant("2026-10-24T22:00:00+00:00")
    summary = await one.summarize("tokens", start=start, end=start + 25 * HOUR, granularity=Period.DAY)
    assert summary.pieces == [Window(start, start + 25 * HOUR)]  # Berlin's day of 25 hours
    assert summary.series[0].points == told(rows, "tokens", summary.pieces)[()]


async def test_without_a_range_it_is_this_month_so_far(one: Process) -> None:
    await one.apply(Catalog((CALLS,)))
    await one.add(event("1", "llm"), event("2", "llm"))
    summary = await one.summarize()
    assert [(series.meter, series.total) for series in summary.series] == [("calls", 2)]
    assert summary.window.start == period.window_at(Period.MONTH, "UTC", await one.now()).start
    assert summary.as_of <= await one.now()


async def test_groups_come_largest_first_and_of_nothing_there_is_one_empty_series(one: Process) -> None:
    await one.apply(Catalog((TOKENS,)))
    await one.add(
        event("1", "llm", values={"tokens": 1}, labels={"model": "small"}),
        event("2", "llm", values={"tokens": 9}, labels={"model": "big"}),
        event("3", "llm", values={"tokens": 5}),
    )
    summary = await one.summarize("tokens", group_by=("model",))
    assert [(series.group, series.total) for series in summary.series] == [
        ({"model": "big"}, 9), ({"model": ""}, 5), ({"model": "small"}, 1),
    ]  # fmt: skip
    assert (await one.summarize("tokens", group_by=("model",), filters={"model": "none"})).series == []
    nothing = await one.summarize("tokens", filters={"model": "none"})
    assert [(series.total, series.count) for series in nothing.series] == [(0, 0)]


@pytest.mark.parametrize(
    ("asked", "reason", "field"),
    [
        ({"start": DAY, "end": DAY}, Reason.FIELD_INVALID, "end_time"),
        ({"start": 2 * DAY, "end": DAY}, Reason.FIELD_INVALID, "end_time"),
        ({"start": -1, "end": DAY}, Reason.FIELD_INVALID, "start_time"),
        ({"start": 0, "end": period.LATEST + 1}, Reason.FIELD_INVALID, "end_time"),
        ({"start": 0, "end": 366 * DAY, "granularity": Period.MINUTE}, Reason.TOO_MANY_POINTS, "granularity"),
        ({"start": 0, "end": period.LATEST, "granularity": Period.HOUR}, Reason.TOO_MANY_POINTS, "granularity"),
        ({"start": 0, "end": DAY, "time_zone": "Mars/Olympus"}, Reason.FIELD_INVALID, "time_zone"),
        ({"group_by": ("",)}, Reason.FIELD_INVALID, "group_by"),
        ({"group_by": tuple("abcdefghijk")}, Reason.FIELD_INVALID, "group_by"),
        ({"filters": {"": "x"}}, Reason.FIELD_INVALID, "filters"),
        ({"filters": {"model": ()}}, Reason.FIELD_INVALID, "filters"),
        ({"top": 5}, Reason.FIELD_INVALID, "top"),
        ({"top": -1, "group_by": ("model",)}, Reason.FIELD_INVALID, "top"),
        ({"top": 1_001, "group_by": ("model",)}, Reason.FIELD_INVALID, "top"),
        ({"known_seq": 1, "known_at": 1}, Reason.FIELD_INVALID, "known_at_time"),
        ({"known_seq": 0}, Reason.FIELD_INVALID, "known_at_seq"),
        ({"known_seq": 1_000}, Reason.FIELD_INVALID, "known_at_seq"),
        ({"known_at": period.LATEST}, Reason.FIELD_INVALID, "known_at_time"),
        ({"known_seq": 1, "projection": Projecting.LINEAR}, Reason.FIELD_INVALID, "projection"),
        ({"customer": "nobody"}, Reason.CUSTOMER_NOT_FOUND, ""),
        ({"customer": "", "subject": "nobody"}, Reason.SUBJECT_NOT_FOUND, ""),
        ({"customer": "acme", "subject": "acme"}, Reason.FIELD_INVALID, "customer"),
        ({"customer": ""}, Reason.FIELD_INVALID, "customer"),
    ],
)
async def test_p12_a_question_that_cannot_be_answered_is_told_why(
    one: Process, asked: dict[str, Any], reason: Reason, field: str
) -> None:
    await one.apply(Catalog((TOKENS,)))
    await one.customer("acme")
    with pytest.raises(MetergateError) as refused:
        await one.summarize("tokens", **asked)
    assert (refused.value.reason, refused.value.field) == (reason, field)


async def test_p12_an_unknown_meter_is_not_found(one: Process) -> None:
    await one.customer("acme")
    with pytest.raises(MetergateError) as refused:
        await one.summarize("nothing")
    assert refused.value.reason is Reason.METER_NOT_FOUND
