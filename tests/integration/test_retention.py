"""Months of events that are dropped: closing balances stand for them, and nothing is told wrong without saying so."""

from __future__ import annotations

import gzip
import json
import random
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from metergate.adapters.postgres.retention import PostgresMonths
from metergate.adapters.postgres.upkeep import Upkeep
from metergate.app.retention import ExportFailedError, KeepRetention, Policy, Stage
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE, QUARTER, Period, Window, anchored_at
from metergate.domain.quota import CounterKey, Kind, Limit
from metergate.domain.retention import before, keeps_until, month_of, start_of
from tests.integration.clock import make_shiftable, shift
from tests.integration.processes import TENANT, Process, Start, event
from tests.integration.test_partitions import ACCEPT_AGE, make_partitions, partitions

BACK = 5  # months of which there are events
ALL_TIME = Limit("calls/all", "calls", None, kind=Kind.LIFETIME)
METERS = (
    Meter("calls", "calls", dimensions=("model",)),
    Meter("number", "calls", "count"),
    Meter("mean", "calls", "avg"),
    Meter("most", "calls", "max", dimensions=("model",)),
    Meter("least", "calls", "min", dimensions=("model",)),
    Meter("newest", "calls", "latest", dimensions=("model",), allow_negative=True),
    Meter("subjects", "calls", "unique"),
)
CATALOG = Catalog(METERS, (Plan("default", (ALL_TIME, Limit("calls/month", "calls", None))),))
FORGETFUL = Policy(events=1, history=1, export=False, accept_age=ACCEPT_AGE)
ROLLUPS = (
    "SELECT customer, measure, quarter, subject, dimensions::text, count, sum, min, max, last_at, last_key, last "
    "FROM usage_rollup ORDER BY customer, measure, quarter, subject, dimensions"
)


class Past:
    """A process, and others whose clocks stand some months back."""

    def __init__(self, one: Process, start: Start, now: int) -> None:
        self.one, self._start, self.now = one, start, now

    async def at(self, instant: int) -> Process:
        """A process at that instant."""
        return await self._start(session=shift(instant - self.now))

    def month(self, back: int) -> date:
        return before(month_of(self.now), back)


@pytest.fixture
async def past(postgres_url: str, start: Start) -> Past:
    await make_shiftable(postgres_url)
    one = await start()
    await one.apply(CATALOG)
    now = await one.now()
    for back in range(1, BACK + 2):
        for table in ("usage_id", "usage_event"):
            await make_partitions(one, before(month_of(now), back), table)
    return Past(one, start, now)


def retention(one: Process, policy: Policy = FORGETFUL, folder: Path | None = None) -> KeepRetention:
    return KeepRetention(PostgresMonths(one.engine, folder), policy)


async def fill(past: Past, rng: random.Random, back: int = BACK, number: int = 40) -> None:
    """Events of three customers in each month, late ones and amended-like reversals among them."""
    for months in range(back, -1, -1):
        first = start_of(past.month(months))
        instant = min(first + rng.randint(2 * DAY, 20 * DAY), past.now)
        then = await past.at(instant)
        await then.add(
            *[
                event(
                    f"{months}-{number}", subject=rng.choice(["acme", "beta", "ü"]),
                    amount=rng.choice(["0", "1", "2.5", "0.000000000001"]),
                    time=instant - rng.choice([0, rng.randint(0, 40) * MINUTE, rng.randint(0, 34) * DAY]),
                    labels={"model": rng.choice(["", "a", "b"])},
                )
                for number in range(number)
            ]
        )  # fmt: skip
    await Upkeep(past.one.engine, ACCEPT_AGE).keep_house()


async def take_back(one: Process, rng: random.Random, number: int) -> None:
    """What corrections do to the ledger: rows of the opposite sign, in the month of today; rollups follow."""
    await one.fetch(
        "INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id, type, subject, "
        "amount, values, labels, settles, pool, sign, version) SELECT tenant, customer, seq, counted_at, now(), time, "
        "source, id, type, subject, amount, values, labels, settles, pool, -1, version FROM usage_event "
        "WHERE sign IS NULL ORDER BY hashtext(id || $2) LIMIT $1", number, str(rng.random()),
    )  # fmt: skip
    await one.fetch("UPDATE customer_head SET metering_version = 0")
    await one.catch_up.bring_up(TENANT, ["acme", "beta", "ü"])


async def test_p4_rollups_are_closing_balances_and_events(past: Past, rng: random.Random) -> None:
    """Whatever was dropped, rollups made anew are what they were, and so are totals."""
    one = past.one
    await fill(past, rng)
    await take_back(one, rng, 30)
    assert await one.differences() == []
    rollups, used = await one.fetch(ROLLUPS), await one.used("calls")
    window = Window(start_of(past.month(BACK + 2)), past.now // QUARTER * QUARTER + QUARTER)
    asked: dict[str, Any] = {"start": window.start, "end": window.end}
    before_ = await one.summarize(*[meter.name for meter in METERS[:2]], **asked)

    dropped = await retention(one).run()

    due = [past.month(back) for back in range(BACK + 1, 0, -1) if past.month(back) < keeps_until(past.now, 1, ACCEPT_AGE)]
    assert dropped == due
    assert len(due) >= 3
    left = await partitions(one, "usage_event")
    assert left[0] == f"usage_event_{keeps_until(past.now, 1, ACCEPT_AGE):%Y_%m}"
    assert await one.fetch(ROLLUPS) == rollups
    assert await one.differences() == []
    one.directory.forget_all()
    assert await one.used("calls") == used
    after = await one.summarize(*[meter.name for meter in METERS[:2]], **asked)
    assert [one.total for one in after.series] == [one.total for one in before_.series]

    await one.fetch("UPDATE customer_head SET metering_version = 0")
    await one.fetch("DELETE FROM usage_counter")
    await one.catch_up.bring_up(TENANT, ["acme", "beta", "ü"])
    assert await one.fetch(ROLLUPS) == rollups
    assert await one.used("calls") == used
    await one.add(event("new", time=past.now - 30 * DAY), event("now"))
    assert await one.differences() == []
