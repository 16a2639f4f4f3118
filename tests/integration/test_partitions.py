"""Id slices: uniqueness across the border of two months, and what may be dropped when."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, date, datetime, timedelta

from metergate.adapters.postgres.partitions import drop_id_slices, ensure_partitions, oldest_slice, slices
from metergate.adapters.postgres.upkeep import Upkeep
from metergate.domain import period
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, MINUTE, SECOND, Period, window_at
from metergate.domain.quota import Limit
from tests.integration.clock import make_shiftable, shift
from tests.integration.processes import Process, Start, event

ACCEPT_AGE = 35 * DAY
CATALOG = Catalog((Meter("calls", "calls"),), (Plan("default", (Limit("calls/day", "calls", None, Period.DAY),)),))


def month(day: date, by: int = 0) -> date:
    """The first of the month that lies so many months away."""
    index = day.year * 12 + day.month - 1 + by
    return date(index // 12, index % 12 + 1, 1)


async def make_partitions(one: Process, first: date, table: str = "usage_id") -> None:
    """A partition of a month that is over."""
    zone = " 00:00+00" if table == "usage_event" else ""
    await one.fetch(
        f"CREATE TABLE {table}_{first:%Y_%m} PARTITION OF {table} "
        f"FOR VALUES FROM ('{first}{zone}') TO ('{month(first, 1)}{zone}')"
    )


async def partitions(one: Process, table: str) -> list[str]:
    rows = await one.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1", table
    )
    return [name for (name,) in rows]


def instant(day: date) -> int:
    return period.from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))


def test_close_to_the_end_of_a_month_both_months_are_written() -> None:
    border = instant(date(2026, 12, 1))
    assert slices(border - DAY) == [date(2026, 11, 1)]
    assert slices(border - 11 * MINUTE) == [date(2026, 11, 1)]
    assert slices(border - 9 * MINUTE) == slices(border - 1) == [date(2026, 11, 1), date(2026, 12, 1)]
    assert slices(border) == [date(2026, 12, 1)]


def test_p1_no_slice_is_dropped_while_its_ids_may_come_back(rng: random.Random) -> None:
    for _ in range(2000):
        now = rng.randint(0, 5000) * DAY + rng.choice([0, 1, -1, 5 * MINUTE, rng.randint(0, DAY)]) + 100 * DAY
        recorded = now - rng.randint(0, ACCEPT_AGE + 7 * DAY)
        assert max(slices(recorded)) >= oldest_slice(now, ACCEPT_AGE)


async def test_p1_ids_are_unique_across_the_border_of_two_months(postgres_url: str, start: Start) -> None:
    """One process's clock stands just before midnight, the other's just after; the heads are different ones."""
    await make_shiftable(postgres_url)
    probe = await start()
    await probe.apply(CATALOG)
    now = await probe.now()
    border = window_at(Period.MONTH, "UTC", now).end
    old = await start(session=shift(border - 60 * SECOND - now))
    new = await start(session=shift(border - now))
    await asyncio.gather(old.add(event("a"), event("b", subject="beta")), new.add(event("c", subject="beta")))
    for number in range(40):
        first, second = event(f"x{number}"), event(f"x{number}", subject="beta")
        outcomes = await asyncio.gather(old.outcomes(first), new.outcomes(second))
        assert sorted(outcomes) == [["accepted"], ["conflict subject"]]
        again = await asyncio.gather(old.outcomes(first, second), new.outcomes(second, first))
        assert sorted(again[0]) == ["conflict subject", "duplicate"]
    this, after = period.to_datetime(now).date().replace(day=1), period.to_datetime(border).date()
    by_slice = dict(await probe.fetch("SELECT slice, count(*) FROM usage_id GROUP BY 1"))
    assert by_slice.keys() == {this, after}
    assert by_slice[after] == 43
    assert await probe.differences() == []


async def test_p1_ids_of_the_last_months_are_still_known(postgres_url: str, start: Start) -> None:
    await make_shiftable(postgres_url)
    one = await start()
    await one.apply(CATALOG)
    now = await one.now()
    today = period.to_datetime(now).date()
    for back in (1, 2):
        for table in ("usage_id", "usage_event"):
            await make_partitions(one, month(today, -back), table)
    for days in (0, 20, 41):
        then = await start(session=shift(-days * DAY))
        assert await then.outcomes(event(f"{days}")) == ["accepted"]
        await Upkeep(one.engine, ACCEPT_AGE).keep_house()
        assert await one.outcomes(event(f"{days}"), event(f"{days}", amount=5)) == ["duplicate", "conflict amount"]
    assert await one.differences() == []


async def test_p1_upkeep_drops_only_slices_whose_ids_cannot_come_back(one: Process) -> None:
    today = period.to_datetime(await one.now()).date()
    for back in range(1, 7):
        await make_partitions(one, month(today, -back))
    await Upkeep(one.engine, ACCEPT_AGE).keep_house()
    left = [name for name in await partitions(one, "usage_id") if name < f"usage_id_{today:%Y_%m}"]
    oldest = (today - timedelta(days=42)).replace(day=1)
    expected = [month(today, -back) for back in range(6, 0, -1) if month(today, -back) >= oldest]
    assert left == [f"usage_id_{first:%Y_%m}" for first in expected]
    assert 1 <= len(left) <= 2


async def test_ids_of_a_border_outlive_the_older_of_their_slices(postgres_url: str, start: Start) -> None:
    await make_shiftable(postgres_url)
    one = await start()
    await one.apply(CATALOG)
    now = await one.now()
    first = period.to_datetime(now).date().replace(day=1)
    for table in ("usage_id", "usage_event"):
        await make_partitions(one, month(first, -1), table)
    old = await start(session=shift(instant(first) - 5 * MINUTE - now))
    made = event("1")
    await old.add(made)
    await one.add(event("2"))
    async with one.engine.begin() as connection:
        assert await drop_id_slices(connection, first) == [f"usage_id_{month(first, -1):%Y_%m}"]
    assert await one.outcomes(made) == ["duplicate"]
    assert await one.differences() == []


async def test_partitions_are_made_ahead_and_only_once(one: Process) -> None:
    today = period.to_datetime(await one.now()).date()
    expected = [f"{month(today, ahead):%Y_%m}" for ahead in range(7)]
    for _ in range(2):
        async with one.engine.begin() as connection:
            await ensure_partitions(connection)
        for table in ("usage_id", "usage_event"):
            found = await partitions(one, table)
            assert [name.removeprefix(f"{table}_") for name in found][-7:] == expected


async def test_upkeep_forgets_counters_of_windows_that_are_long_over(one: Process) -> None:
    await one.apply(CATALOG)
    await one.add(event("1"))
    await one.fetch(
        "INSERT INTO usage_counter (tenant, customer, meter, subject, filter, start_at, end_at, used) "
        "SELECT tenant, customer, meter, subject, filter, start_at - interval '3 days', end_at - interval '3 days', 0 "
        "FROM usage_counter"
    )
    await Upkeep(one.engine, ACCEPT_AGE).keep_house()
    now = await one.now()
    assert [end > now for (end,) in await one.fetch("SELECT end_at FROM usage_counter")] == [True]
    assert await one.outcomes(event("2", time=now - 3 * DAY), event("3")) == ["accepted"] * 2
    assert await one.used("calls") == [2]
    assert await one.differences() == []


async def test_two_processes_may_keep_house_at_the_same_time(one: Process, start: Start) -> None:
    two = await start()
    await asyncio.gather(*(Upkeep(where.engine, ACCEPT_AGE).keep_house() for where in (one, two, one, two)))
    assert await one.outcomes(event("1")) == ["accepted"]
