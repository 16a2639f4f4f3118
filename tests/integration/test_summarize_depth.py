"""GetUsageSummary of every aggregation against the oracle, now and as known; top, comparison, projection, cost."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.adapters.postgres.summaries import PostgresSummaries
from metergate.app.usage.summarize import SummarizeUsage
from metergate.domain import period
from metergate.domain.aggregation import LevelUnit
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, Period, Window
from metergate.domain.summary import Projecting
from tests.integration import summary_oracle as oracle
from tests.integration.processes import PRINCIPAL, Process, Start, event
from tests.integration.summary_oracle import METERS, STARTS, Told, instant

ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns"]


@pytest.fixture
async def rows(one: Process, rng: random.Random) -> list[Told]:
    """Rows that came late, some of them taken back."""
    await one.apply(Catalog(METERS))
    await one.customer("acme", time_zone="Europe/Berlin")
    await one.subject("alice", "acme")
    made: list[Told] = []
    for place in range(4):
        batch = oracle.make(rng, 60, 60 * place)
        seq = await oracle.tell(one, batch)
        made += [replace(row, seq=seq) for row in batch]
    made = await oracle.take_back(one, made, rng.sample(made, 40))
    batch = oracle.make(rng, 30, 1_000)
    seq = await oracle.tell(one, batch)
    return [*made, *[replace(row, seq=seq) for row in batch]]


def asked(rng: random.Random, name: str) -> dict[str, Any]:
    """A question at random; LEVELs by what their series are told by."""
    start, end = oracle.any_range(rng)
    question: dict[str, Any] = {"start": start, "end": end}
    labels = ["model", "region", "subject"] + ([] if name in ("hours", "months") else ["other"])
    if rng.random() < 0.6:
        question["granularity"] = rng.choice([Period.HOUR, Period.DAY, Period.WEEK, Period.MONTH])
    if rng.random() < 0.6:
        question["group_by"] = tuple(rng.sample(labels, rng.randint(1, 2)))
    if rng.random() < 0.4:
        label = rng.choice([one for one in labels if one != "subject"])
        question["filters"] = {label: tuple(rng.sample(["a", "b", "", "c"], rng.randint(1, 2)))}
    if rng.random() < 0.2:
        question["subject"] = "alice"
    return question


@pytest.mark.parametrize("meter", METERS, ids=lambda meter: meter.name)
async def test_p4_summaries_of_each_aggregation_equal_the_oracle(
    one: Process, rows: list[Told], rng: random.Random, meter: Meter
) -> None:
    for _ in range(12):
        await oracle.compare(one, rows, meter.name, rng.choice(ZONES), **asked(rng, meter.name))
    start = instant(rng.choice(STARTS)) + rng.randint(0, DAY)
    minutes = {"start": start, "end": start + 3 * HOUR + 7, "granularity": Period.MINUTE}
    await oracle.compare(one, rows, meter.name, "UTC", **minutes)
    assert await one.differences() == []


async def test_p8_all_of_it_in_zones_of_every_kind(one: Process, rows: list[Told]) -> None:
    start = instant(STARTS[0]) - DAY
    for zone in ZONES:
        for meter in METERS:
            await oracle.compare(
                one,
                rows,
                meter.name,
                zone,
                start=start,
                end=start + 6 * DAY,
                granularity=Period.DAY,
                group_by=("model",),
            )


async def test_what_was_known_is_what_was_answered_then(one: Process, rng: random.Random) -> None:
    """Late, taken back, amended: whatever comes later, the answer as known at an earlier seq or moment stays."""
    await one.apply(Catalog(METERS))
    await one.customer("acme", time_zone="Asia/Kathmandu")
    await one.subject("alice", "acme")
    question = {"start": instant(STARTS[0]), "end": instant(STARTS[0]) + 4 * DAY, "group_by": ("model", "subject")}
    question["granularity"] = Period.DAY
    names = [meter.name for meter in METERS]
    rows: list[Told] = []
    answers = []
    for place in range(6):
        if rows and place % 2:
            standing = oracle.aggregation_standing(rows)
            rows = await oracle.take_back(one, rows, rng.sample(standing, 8))
        else:
            batch = oracle.make(rng, 40, 100 * place)
            seq = await oracle.tell(one, batch)
            rows += [replace(row, seq=seq) for row in batch]
        answer = await one.summarize(*names, **question)
        assert answer.seq == (await oracle.seqs(one))[0]
        answers.append((answer, await one.now()))
    for answer, moment in answers:
        by_seq = await one.summarize(*names, **question, known_seq=answer.seq)
        by_time = await one.summarize(*names, **question, known_at=moment)
        assert by_seq.series == by_time.series == answer.series
        assert (by_seq.seq, by_seq.held) == (answer.seq, [])
        await oracle.compare(one, rows, rng.choice(names), "UTC", **question, known_seq=answer.seq)


async def test_what_waited_was_not_known_before_it_was_adopted(start: Start) -> None:
    one = await start(dev=False)
    await one.apply(Catalog((Meter("calls", "calls", "count"),)))
    await one.customer("acme")
    await one.add(event("1"), event("2", subject="alice"))
    before, moment = await one.summarize("calls"), await one.now()
    await one.subject("alice", "acme")
    assert (await one.summarize("calls")).series[0].total == 2
    for known in ({"known_seq": before.seq}, {"known_at": moment}):
        assert (await one.summarize("calls", **known)).series == before.series


async def test_a_pool_is_asked_by_moment(one: Process) -> None:
    await one.apply(Catalog((Meter("calls", "calls", "count"),)))
    for name in ("group", "acme"):
        await one.customer(name)
    await one.terms.assign_pool(PRINCIPAL, "acme", "group")
    await one.add(event("1"))
    first, moment = await one.summarize("calls", customer="group"), await one.now()
    await one.add(event("2"))
    assert (first.seq, first.series[0].total) == (None, 1)
    assert (await one.summarize("calls", customer="group", known_at=moment)).series[0].total == 1
    with pytest.raises(MetergateError) as refused:
        await one.summarize("calls", customer="group", known_seq=1)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "known_at_seq")


async def test_the_top_groups_and_all_others(one: Process, rows: list[Told], rng: random.Random) -> None:
    window = {"start": instant(STARTS[0]) - DAY, "end": instant(STARTS[0]) + 6 * DAY, "granularity": Period.DAY}
    labels = ("model", "region", "subject")
    for meter in METERS:
        whole = await one.summarize(meter.name, **window, group_by=labels)
        number = rng.randint(1, 4)
        top = await one.summarize(meter.name, **window, group_by=labels, top=number)
        assert top.series[:number] == whole.series[:number], meter.name
        others = whole.series[number:]
        if meter.how.additive or meter.level_unit:
            [other] = top.series[number:]
            assert (other.other, other.group, other.count) == (True, {}, sum(one.count for one in others))
            apart = Decimal(len(others)).scaleb(-12)  # each LEVEL is rounded by itself
            assert abs((other.total or 0) - sum(one.total or 0 for one in others)) <= apart
            for place, point in enumerate(other.points):
                assert abs((point or 0) - sum(one.points[place] or 0 for one in others)) <= apart
        else:
            assert len(top.series) == number


async def test_compared_with_the_period_before(one: Process, rows: list[Told]) -> None:
    zone, day = "Europe/Berlin", instant("2026-10-24T22:00:00+00:00")  # one of 25 hours
    now = await one.summarize("sum", time_zone=zone, start=day, end=day + 25 * HOUR, compare=True, group_by=("model",))
    before = Window(day - DAY, day)
    assert now.previous == before
    then = await one.summarize("sum", time_zone=zone, start=before.start, end=before.end, group_by=("model",))
    totals = {series.group["model"]: series.total for series in then.series}
    for series in now.series:
        was = totals.get(series.group["model"], Decimal(0))
        assert series.previous == was
        assert series.total is not None
        if was:
            assert series.change is not None
            assert abs(series.change - (series.total - was) / abs(was) * 100) <= Decimal("0.005")
        else:
            assert series.change is None
    averages = await one.summarize("avg", start=0, end=DAY, compare=True)
    assert (averages.previous, averages.series[0].previous, averages.series[0].total) == (None, None, None)


async def test_projected_to_the_end(one: Process) -> None:
    await one.apply(Catalog((Meter("calls", "calls"), Meter("peak", "calls", "max"))))
    now = await one.now()
    today = period.window_at(Period.DAY, "UTC", now).start
    events = [event(f"{day}", time=today - day * DAY + HOUR, amount=100 + day % 7) for day in range(1, 15)]
    await one.add(*events, backfill=True)
    ends = today + 3 * DAY
    asked: dict[str, Any] = {"start": today - 7 * DAY, "end": ends}
    flat = await one.summarize("calls", "peak", **asked, projection=Projecting.LINEAR)
    calls, peak = flat.series
    assert peak.projected is None
    assert calls.total == sum(100 + day % 7 for day in range(1, 8))
    passed = Decimal(flat.as_of - today + 7 * DAY) / (10 * DAY)
    assert calls.projected is not None
    assert abs(calls.projected - calls.total / passed) < Decimal("0.0000001")
    [calls] = (await one.summarize("calls", **asked, projection=Projecting.SAME_WEEKDAY)).series
    assert calls.projected is not None
    left = calls.projected - (calls.total or 0)
    # Each weekday had the same in both weeks: tomorrow is like six days ago, the day after like five days ago.
    full = Decimal(106 + 105)
    assert full <= left <= full + 107
    month = await one.summarize("calls", start=today, projection=Projecting.LINEAR)
    assert month.projected == Window(today, period.window_at(Period.MONTH, "UTC", now).end)


async def test_levels_count_up_to_now(one: Process) -> None:
    await one.apply(Catalog((Meter("storage", "storage", "level", level_unit=LevelUnit.HOUR),)))
    now = await one.now()
    await one.add(event("1", "storage", amount=10, time=now - 3 * HOUR))
    answer = await one.summarize("storage", start=now - 2 * HOUR, end=now + 24 * HOUR, granularity=Period.HOUR)
    [series] = answer.series
    told = Decimal(10) * (answer.as_of - (now - 2 * HOUR)) / HOUR
    assert series.total is not None
    assert abs(series.total - told) < Decimal("1e-11")
    assert series.count == 0  # it was there before
    assert series.points[-1] == 0


async def test_what_costs_too_much_is_refused_with_the_cure(one: Process, rows: list[Told]) -> None:
    few = SummarizeUsage(one.directory, PostgresSummaries(one.engine), one.ledger, one.catch_up, events_most=100)
    cheap, window = (
        replace(one, summaries=few),
        {"start": instant(STARTS[2]) - DAY, "end": instant(STARTS[0]) + 6 * DAY},
    )
    assert (await cheap.summarize("sum", **window, group_by=("model",))).series
    refused: list[tuple[str, dict[str, Any], str, str]] = [
        ("sum", {"group_by": ("other",)}, "group_by", "declare 'other'"),
        ("sum", {"filters": {"other": "a"}}, "filters", "declare 'other'"),
        ("sum", {"known_seq": 1}, "start_time", "shorter range"),
        ("people", {}, "start_time", "shorter range"),
        ("p90", {"group_by": ("other",)}, "group_by", "declare 'other'"),
        ("hours", {}, "start_time", "shorter range"),
    ]
    for name, more, field, cure in refused:
        with pytest.raises(MetergateError) as found:
            await cheap.summarize(name, **window, **more)
        assert (found.value.reason, found.value.field) == (Reason.TOO_EXPENSIVE, field)
        assert cure in found.value.message
        assert found.value.metadata["maximum"] == "100"
    # All queries of an answer together: each of these alone would be read.
    short: dict[str, Any] = {**window, "group_by": ("other",)}
    enough = SummarizeUsage(one.directory, PostgresSummaries(one.engine), one.ledger, one.catch_up, events_most=400)
    both = replace(one, summaries=enough)
    await both.summarize("sum", **short)
    with pytest.raises(MetergateError) as found:
        await both.summarize("sum", "avg", "max", "min", "latest", **short)
    assert found.value.reason is Reason.TOO_EXPENSIVE
