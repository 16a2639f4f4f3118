"""The reconciler finds what is wrong, wherever it is, and says where; and Python and SQL count alike."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from metergate.adapters.postgres.reconcile import Reconciler
from metergate.app.ports.view import Publication
from metergate.app.reconcile import ReconcileUsage
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import LabelFilter, Meter, Op
from metergate.domain.period import DAY, MINUTE, Period
from metergate.domain.quota import CounterKey, Figures, Limit
from tests.integration.processes import PRINCIPAL, TENANT, Process, event
from tests.property.strategies import CATALOG as EVERY_KIND

METER = Meter("calls", "calls", dimensions=("model",))
LIMITS = (Limit("calls/month", "calls", None), Limit("calls/model", "calls", None, Period.DAY, per_labels=("model",)))
DIMENSIONS = ["model", "region"]
VALUES = ["", "a", 'q"\\', "ü"]
CATALOG = Catalog((METER,), (Plan("default", LIMITS),))


@pytest.fixture
async def full(one: Process) -> Process:
    """A process whose ledger holds a little of everything, and is right."""
    await one.apply(CATALOG)
    await one.add(
        *[event(f"{n}", amount=n, labels={"model": "ab"[n % 2]}, subject=("acme", "beta")[n % 3 > 0]) for n in range(9)]
    )
    assert await one.differences() == []
    return one


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("UPDATE usage_rollup SET sum = sum + 0.000000000001 WHERE customer = 'beta'", "rollup"),
        ("UPDATE usage_rollup SET count = count + 1 WHERE customer = 'acme'", "rollup"),
        ("UPDATE usage_rollup SET dimensions = '{\"model\": \"c\"}' WHERE dimensions ->> 'model' = 'a'", "rollup"),
        ("UPDATE usage_rollup SET quarter = quarter - interval '15 minutes'", "rollup"),
        ("DELETE FROM usage_rollup WHERE customer = 'acme'", "rollup"),
        ("UPDATE usage_counter SET used = used - 1 WHERE filter = '' AND customer = 'acme'", "counter"),
        ("UPDATE usage_counter SET used = used - 1 WHERE filter <> '' AND customer = 'beta'", "counter"),
        ("UPDATE usage_counter SET subject = 'nobody' WHERE filter = ''", "counter"),
        ("DELETE FROM usage_id WHERE id = '3'", "id"),
        ("DELETE FROM usage_event WHERE id = '0'", "id"),
        ("INSERT INTO usage_event SELECT * FROM usage_event WHERE id = '0'", "id"),
        ("UPDATE usage_event SET amount = amount + 1 WHERE id = '4'", "rollup"),
    ],
)
async def test_p4_damage_is_found(full: Process, damage: str, kind: str) -> None:
    await full.fetch(damage)
    found = await full.differences()
    assert found
    assert any(line.startswith(f"{kind} {TENANT}/") for line in found)


async def test_p4_the_ledger_sums_a_lost_counter_up_again(full: Process) -> None:
    await full.fetch("DELETE FROM usage_counter")
    await full.add(event("more", amount=100, labels={"model": "a"}))
    by_limit = [Decimal(0 + 6 + 100), Decimal(0 + 3 + 6 + 100)]  # of model a, and in the month
    assert await full.used("calls", labels={"model": "a"}) == by_limit
    assert await full.differences() == []


async def test_p4_a_meter_that_is_gone_leaves_no_difference_and_comes_back_whole(full: Process) -> None:
    await full.apply(Catalog())
    assert await full.differences() == []
    await full.add(event("unseen", amount=1000))
    assert await full.differences() == []
    await full.apply(CATALOG)
    assert await full.used("calls") == [1000, 1000 + 9]
    assert await full.differences() == []


# Filters and scales, and all that rollups keep.
ODD = (
    Meter("gb", "llm", "max", value="in", scale=Decimal("0.000000000931322574615478515625"), dimensions=("model",)),
    Meter("eu", "llm", "latest", filters=(LabelFilter("region", Op.IN, ("a", "ü")),), allow_negative=True),
    Meter("not", "http", "min", value="out", filters=(LabelFilter("model", Op.NOT, ("", 'q"\\')),)),
    Meter("begins", "http", "avg", filters=(LabelFilter("model", Op.PREFIX, ('q"', "ü")),)),
    Meter("models", "llm", "unique", value="model"),
)


async def test_p4_python_and_sql_count_alike(one: Process, rng: random.Random) -> None:
    """Rollups made event by event in Python are those that Postgres makes of all events at once."""
    await one.apply(Catalog((*EVERY_KIND.meters, *ODD)))
    numbers = ["", "0", "1", "-1", "0.000000000001", "-0.5", "999999999999999999.999999999999", "12.340"]
    now = await one.now()
    for _ in range(4):
        await one.add(
            *[
                event(
                    str(rng.random()), rng.choice(["llm", "http"]), subject=rng.choice(["acme", "ü"]),
                    amount=rng.choice(numbers), time=now - rng.randint(0, 30) * MINUTE,
                    values={name: rng.choice(numbers[1:]) for name in ("in", "out") if rng.random() < 0.6},
                    labels={name: rng.choice(VALUES) for name in rng.choice([[], ["model"], DIMENSIONS])},
                )
                for _ in range(100)
            ]
        )  # fmt: skip
    rollups = (
        "SELECT customer, measure, quarter, subject, dimensions::text, count, sum, min, max, last_at, last_key, last "
        "FROM usage_rollup ORDER BY customer, measure, quarter, subject, dimensions"
    )
    made_in_python = await one.fetch(rollups)
    assert len({row[1] for row in made_in_python}) == len(EVERY_KIND.meters) + len(ODD) - 1  # UNIQUE has none
    await one.fetch("UPDATE customer_head SET metering_version = 0")
    await one.catch_up.bring_up(TENANT, ["acme", "ü"])
    assert await one.fetch(rollups) == made_in_python
    assert await one.differences() == []


async def test_old_events_count_for_a_meter_added_later(one: Process) -> None:
    now = await one.now()
    await one.add(*[event(f"{n}", amount=n, time=now - n * DAY) for n in range(5)])
    await one.apply(CATALOG)
    await one.add(event("new", amount=100))
    summary = await one.summarize("calls", start=now - 10 * DAY, end=now + DAY)
    assert summary.series[0].total == 110
    assert await one.differences() == []


def verb(one: Process) -> ReconcileUsage:
    return ReconcileUsage(one.directory, Reconciler(one.engine), one.view, one.view)


async def test_p4_the_view_is_compared_and_put_right(full: Process) -> None:
    assert await full.used("calls")
    before = await full.used("calls")
    assert (await verb(full).reconcile(PRINCIPAL, "acme", "", False, False)).found.differences == []
    catalog = await full.directory.catalog(TENANT)
    (seq,) = (await full.fetch("SELECT seq FROM customer_head WHERE customer = 'acme'"))[0]
    key = CounterKey("acme", "calls", "", "", *(await full.fetch(
        "SELECT start_at, end_at FROM usage_counter WHERE customer = 'acme' AND filter = ''"
    ))[0])  # fmt: skip
    wrong = Publication("acme", seq, seq, {key: Figures(Decimal(77))}, ())
    assert await full.view.publish(TENANT, catalog.version, await full.now(), [wrong])
    assert Decimal(77) in await full.used("calls")
    found = await verb(full).reconcile(PRINCIPAL, "", "", False, False)
    assert [(one.kind, one.customer) for one in found.found.differences] == [("view", "acme")]
    assert found.found.counts == {"view": 1}
    repaired = await verb(full).reconcile(PRINCIPAL, "acme", "", True, False)
    assert (repaired.repaired, repaired.view_compared) == (1, True)
    assert (await verb(full).reconcile(PRINCIPAL, "acme", "", True, False)).found.differences == []
    assert await full.used("calls") == before


async def test_p4_what_is_derived_is_made_anew_where_that_is_asked_for(full: Process) -> None:
    await full.fetch("UPDATE usage_rollup SET sum = sum + 1 WHERE customer = 'beta'")
    assert (await verb(full).reconcile(PRINCIPAL, "beta", "", True, False)).rebuilt == []
    assert await full.differences()
    assert (await verb(full).reconcile(PRINCIPAL, "", "", False, True)).rebuilt == ["beta"]
    await full.add(event("more", subject="beta"))
    assert await full.differences() == []


async def test_p4_ranges_of_customers_find_what_one_look_finds(full: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    await full.add(*[event(f"c{n}", subject=f"c{n}") for n in range(7)])
    await full.fetch("UPDATE usage_rollup SET count = count + 1 WHERE customer IN ('acme', 'c3', 'c6')")
    await full.fetch("DELETE FROM usage_id WHERE id = 'c5'")
    whole = sorted(await full.differences())
    assert {line.split("/")[1].split(" ")[0] for line in whole} >= {"acme", "c3", "c6", "c5"}
    monkeypatch.setattr("metergate.adapters.postgres.reconcile._CUSTOMERS", 2)
    assert sorted(await full.differences()) == whole
    assert [one.kind for one in (await verb(full).reconcile(PRINCIPAL, "c5", "", False, False)).found.differences] == [
        "id"
    ]


async def test_p4_all_differences_are_counted_and_a_hundred_are_told(one: Process) -> None:
    await one.apply(CATALOG)
    await one.add(*[event(f"{n}", subject=f"c{n}") for n in range(150)])
    await one.fetch("UPDATE usage_rollup SET sum = sum + 1")
    found, after = await Reconciler(one.engine).next(TENANT, "", 1_000_000)
    assert after is None
    assert found.counts["rollup"] == 150
    assert len([line for line in found.differences if line.kind == "rollup"]) == 100
