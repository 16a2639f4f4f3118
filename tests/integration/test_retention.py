"""Months of events that are dropped: closing balances stand for them, and nothing is told wrong without saying so."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metergate.adapters.postgres import export
from metergate.adapters.postgres.retention import PostgresMonths, _HeldMonths
from metergate.adapters.postgres.upkeep import Upkeep
from metergate.app.retention import ExportFailedError, KeepRetention, Policy, Stage
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, MINUTE, QUARTER, SECOND, Period, Window, anchored_at
from metergate.domain.quota import Kind, Limit
from metergate.domain.quota import Policy as Policy_
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


def files(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.glob(f"*{ending}"))


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

    kept = keeps_until(past.now, 1, ACCEPT_AGE)
    due = [past.month(back) for back in range(BACK + 1, 0, -1) if past.month(back) < kept]
    assert dropped == due
    assert len(due) >= 3
    left = await partitions(one, "usage_event")
    assert left[0] == f"usage_event_{kept:%Y_%m}"
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


class _DiedError(Exception):
    """The process is gone."""


def die_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The statement of that number is never made."""
    made = itertools.count()
    execute = _HeldMonths._execute

    async def dying(self: _HeldMonths, statement: str, *parameters: Any) -> None:
        if next(made) == step:
            raise _DiedError
        await execute(self, statement, *parameters)

    monkeypatch.setattr(_HeldMonths, "_execute", dying)


async def test_p4_a_crash_at_any_step_leaves_a_state_to_go_on_from(
    past: Past, rng: random.Random, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = past.one
    await fill(past, rng, number=6)
    await take_back(one, rng, 5)
    rollups = await one.fetch(ROLLUPS)
    policy = replace(FORGETFUL, export=True)
    crashes = 0
    for step in range(200):
        with monkeypatch.context() as patched:
            die_at(patched, step)
            try:
                await retention(one, policy, tmp_path).run()
            except _DiedError:
                crashes += 1
                assert await one.differences() == []
                continue
            break
    assert crashes > 10
    assert await retention(one, policy, tmp_path).run() == []
    plans = await retention(one, policy, tmp_path).plan()
    assert plans is not None
    gone = [plan.month for plan in plans if plan.month.stage is Stage.DROPPED]
    assert len(gone) >= 3
    assert await one.fetch(ROLLUPS) == rollups
    assert await one.differences() == []
    exported = 0
    for month in gone:
        if month.events:
            manifest = json.loads((tmp_path / month.file.replace(".csv.gz", ".json")).read_text())
            lines = gzip.decompress((tmp_path / month.file).read_bytes()).splitlines()
            assert len(lines) - 1 == manifest["rows"] == month.events
            exported += month.events
    assert exported == 6 * len([month for month in gone if month.events])
    assert files(tmp_path, ".part") == []


async def test_events_come_back_from_a_file(past: Past, rng: random.Random, tmp_path: Path) -> None:
    one = past.one
    await fill(past, rng, number=10)
    before_ = await one.fetch("SELECT * FROM usage_event ORDER BY source, id")
    months = await retention(one, replace(FORGETFUL, export=True), tmp_path).run()
    assert months
    await one.fetch("CREATE TABLE back (LIKE usage_event)")
    async with one.pool.acquire() as connection:
        for file in files(tmp_path, ".csv.gz"):
            with gzip.open(file) as opened:
                await connection.copy_to_table("back", source=opened, format="csv", header=True)
    back = await one.fetch("SELECT * FROM back ORDER BY source, id")
    assert back
    assert set(map(str, back)) <= set(map(str, before_))


async def test_a_file_that_is_not_what_was_written_keeps_the_events(
    past: Past, rng: random.Random, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = past.one
    await fill(past, rng, number=3)
    events = await one.fetch("SELECT count(*) FROM usage_event")
    policy, write = replace(FORGETFUL, export=True), export.write

    async def damaged(*arguments: Any) -> tuple[str, str]:
        name, digest = await write(*arguments)
        (tmp_path / name).write_bytes(gzip.compress(b"id\n1\n"))
        return name, digest

    monkeypatch.setattr(export, "write", damaged)
    with pytest.raises(ExportFailedError, match="does not hold"):
        await retention(one, policy, tmp_path).run()
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportFailedError, match="cannot be exported"):
        await retention(one, policy, tmp_path / "file").run()
    assert await one.fetch("SELECT count(*) FROM usage_event") == events
    assert await one.differences() == []


async def test_a_waiting_event_that_finds_its_customer_meanwhile_is_not_lost(
    past: Past, rng: random.Random, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    one = past.one
    strict = await start(dev=False)
    month = past.month(BACK)
    then = await start(session=shift(start_of(month) + 10 * DAY - past.now), dev=False)
    await then.add(event("waits", subject="later", amount=1000))
    await fill(past, rng, number=5)
    drop, adopted = _HeldMonths.drop, []

    async def drop_late(self: _HeldMonths, which: date) -> bool:
        if which == month and not adopted:
            adopted.append(await strict.customer("later"))
        return await drop(self, which)

    monkeypatch.setattr(_HeldMonths, "drop", drop_late)
    assert month in (await retention(one).run() or ())
    assert adopted == [1]
    one.directory.forget_all()
    assert await one.used("calls", subject="later") == [1000, 0]
    assert await one.differences() == []


async def test_p5_what_closing_balances_do_not_tell_is_refused(past: Past, rng: random.Random) -> None:
    one = past.one
    await fill(past, rng)
    assert await retention(one).run()
    one.directory.forget_all()
    first = start_of(past.month(BACK)) + 30 * DAY
    first -= first % HOUR
    kept = start_of(keeps_until(past.now, 1, ACCEPT_AGE)) + 36 * DAY

    async def refused(*meters: str, **fields: Any) -> bool:
        try:
            await one.summarize(*meters, **fields)
        except MetergateError as error:
            return error.reason is Reason.EVENTS_DROPPED and "kept_since" in error.metadata
        return False

    assert not await refused("calls", start=first, end=past.now, granularity=Period.DAY, time_zone="Asia/Kathmandu")
    assert await refused("calls", start=first + MINUTE, end=past.now)
    assert await refused("calls", start=first, end=first + HOUR, granularity=Period.MINUTE)
    assert not await refused("calls", start=kept - kept % HOUR, end=past.now, granularity=Period.DAY)
    assert await refused("subjects", start=first, end=past.now)
    assert not await refused("subjects", start=kept, end=past.now)
    assert not await refused("mean", "most", start=first, end=past.now - past.now % QUARTER)
    await one.apply(Catalog((*METERS, Meter("bytes", "calls", value="bytes")), CATALOG.plans))
    assert await refused("bytes", start=first, end=past.now)
    assert not await refused("bytes", start=kept, end=past.now)


async def test_p4_windows_of_an_anchor_are_told_exactly(past: Past, rng: random.Random) -> None:
    """Closing balances are cut where they begin, within a quarter hour."""
    one = past.one
    anchor = start_of(past.month(BACK)) + 9 * DAY + 7 * MINUTE + SECOND
    yearly = Limit("calls/year", "calls", None, Period.YEAR, kind=Kind.ANCHORED)
    await one.apply(Catalog(METERS, (Plan("default", (yearly,)),)))
    await one.customer("acme")
    await one.fetch("UPDATE customer_head SET anchor_at = $1 WHERE customer = 'acme'", anchor)
    for number, instant in enumerate((anchor - 1, anchor, anchor + MINUTE, anchor + DAY)):
        await (await past.at(instant)).add(event(f"{number}", amount=10**number, time=instant))
    await Upkeep(one.engine, ACCEPT_AGE).keep_house()
    window = anchored_at(Period.YEAR, "UTC", anchor, past.now)
    assert window.start == anchor
    one.directory.forget_all()
    assert await one.used("calls") == [1110]
    assert await retention(one).run()
    one.directory.forget_all()
    assert await one.differences() == []
    await one.fetch("DELETE FROM usage_counter")
    await one.view.reconsider()
    one.view.trust()
    await one.add(event("now", amount=5))
    assert await one.fetch("SELECT used FROM usage_counter WHERE meter = 'calls'") == [(1115,)]
    assert await one.differences() == []


async def test_nothing_goes_that_is_kept_or_needed(past: Past, rng: random.Random) -> None:
    one = past.one
    await fill(past, rng, number=3)
    months = await partitions(one, "usage_event")
    assert await retention(one, replace(FORGETFUL, events=None, history=None)).run() == []
    assert await retention(one, replace(FORGETFUL, events=BACK + 2)).run() == []
    yearly = Limit("subjects/year", "subjects", None, Period.YEAR)
    await one.apply(Catalog(METERS, (Plan("default", (ALL_TIME, yearly)),)))
    assert await retention(one).run() == []
    plans = await retention(one).plan()
    assert plans is not None
    assert "subjects/year" in plans[0].why
    assert await partitions(one, "usage_event") == months
    assert await one.differences() == []


async def test_one_process_at_a_time_drops(past: Past) -> None:
    async with PostgresMonths(past.one.engine).alone() as months:
        assert months is not None
        assert await retention(past.one).run() is None
        assert await retention(past.one).plan() is None
    assert await retention(past.one).plan() is not None


async def test_p4_history_goes_only_where_nothing_needs_it(past: Past) -> None:
    one = past.one
    many = Limit("calls/grants", "calls", None, policy=Policy_.SOFT, kind=Kind.GRANTS)
    await one.apply(Catalog(METERS, (Plan("default", (Limit("calls/month", "calls", Decimal(1000)), many)),)))
    then = await past.at(start_of(past.month(BACK)) + 10 * DAY)
    await then.add(event("first"))
    await one.fetch(
        "INSERT INTO usage_grant (tenant, id, customer, meter, amount, start_at, priority, recurs, anchor_at, "
        "rollover_min, rollover_max, rolled, burned, lost, state, seq, place, created_at, digest) "
        "VALUES ('t', 'g', 'acme', 'calls', 100, '2020-01-01+00', 0, '', '2020-01-01+00', 0, 0, 0, 15, 0, 'active', "
        "1, 0, '2020-01-01+00', '')"
    )
    moves = [(1, "start", 100, BACK), *[(seq, "burn", seq, BACK) for seq in (2, 3, 4)], (6, "burn", 6, 0)]
    for seq, kind, amount, back in moves:
        await one.fetch(
            "INSERT INTO grant_move (tenant, customer, seq, place, recorded_at, meter, id, kind, amount) "
            "VALUES ('t', 'acme', $1, 0, $2, 'calls', 'g', $3, $4)",
            seq, min(start_of(past.month(back)) + DAY, past.now), kind, Decimal(amount),
        )  # fmt: skip
    hold_move = (
        "INSERT INTO hold_move (tenant, customer, seq, recorded_at, id, meter, subject, labels, counted_at, reserved, "
        "leased, forfeited) VALUES ('t', 'acme', 1, $1, $2, 'calls', 'acme', '{}', $3, $4, 0, 0)"
    )
    old = start_of(past.month(BACK))
    for id_, last in (("gone", old + DAY), ("late", past.now)):
        await one.fetch(hold_move, old, id_, old, Decimal(5))
        await one.fetch(hold_move, last, id_, old, Decimal(-5))
    before_ = [line for line in await one.differences() if line.startswith(("hold", "grant "))]
    async with PostgresMonths(one.engine).alone() as months:
        assert months is not None
        assert await months.forget_history(past.month(1)) == 2 + 2
        assert await months.forget_history(past.month(1)) == 0
    assert await one.fetch("SELECT DISTINCT id FROM hold_move") == [("late",)]
    burns = await one.fetch("SELECT seq, amount FROM grant_move WHERE kind = 'burn' ORDER BY seq")
    assert burns == [(4, 9), (6, 6)]
    assert [line for line in await one.differences() if line.startswith(("hold", "grant "))] == before_ == []
