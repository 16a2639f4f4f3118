"""UNIQUE counters in a commit: the values that it brings, and what they change, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain.admission import Asked, Running, demand
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.distinct import moves_of, told_apart, values_of
from metergate.domain.meter import Meter
from metergate.domain.period import Period
from metergate.domain.posting import Head, Use
from metergate.domain.quota import CounterKey, Figures, Limit, write_filter
from metergate.domain.work import Want

NOW = 1_795_000_000_000_000
USERS = Meter("users", "login", "unique", value="user", dimensions=("region",))
DAY = Limit("users/day", "users", Decimal(2), Period.DAY)
MONTH = Limit("users/month", "users", Decimal(3))
REGION = Limit("users/region", "users", Decimal(2), per_labels=("region",))
CATALOG = Catalog((USERS,), (Plan("default", (DAY, MONTH, REGION)),))
HEAD = Head("acme", 1, "", "UTC", 0)
PAIR = ("acme", "users")


def key(start: int, end: int, region: str = "") -> CounterKey:
    return CounterKey("acme", "users", "", write_filter([("region", region)]) if region else "", start, end)


def use(at: int, user: str, region: str = "eu", value: int = 1) -> Use:
    return Use(at, "acme", {"user": user, "region": region}, Decimal(value))


def test_the_values_that_a_batch_brings_are_told_by_counter() -> None:
    uses = {PAIR: [use(1, "a"), use(5, "b"), use(5, "c", "us")]}
    counters = [key(0, 4), key(4, 9), key(0, 9, "us"), CounterKey("beta", "users", "", "", 0, 9)]
    found = values_of(counters, uses, CATALOG.meter_of)
    assert found == {key(0, 4): {"a"}, key(4, 9): {"b", "c"}, key(0, 9, "us"): {"c"}}


def test_a_value_counts_with_its_first_event_and_goes_with_its_last() -> None:
    counters = {key(0, 9): Figures(Decimal(2))}
    standing = {key(0, 9): {"a": 1, "b": 2}}
    for uses, then in (
        ([use(1, "a")], 2),
        ([use(1, "c"), use(2, "c")], 3),
        ([use(1, "a", value=-1)], 1),
        ([use(1, "b", value=-1)], 2),
        ([use(1, "b", value=-1), use(1, "b", value=-1)], 1),
        ([use(1, "a", value=-1), use(2, "c")], 2),  # moved to another value
        ([use(1, "a", value=-1), use(3, "a")], 2),  # moved to another time
    ):
        moves = moves_of(counters, {PAIR: uses}, CATALOG.meter_of)
        changed, after = told_apart(counters, standing, moves)
        assert (changed or counters)[key(0, 9)].used == then
        assert sum(number > 0 for number in after[key(0, 9)].values()) == then
    assert standing == {key(0, 9): {"a": 1, "b": 2}}


def test_p2_a_value_may_be_new_in_one_window_and_old_in_another() -> None:
    asked = demand((HEAD,), CATALOG, NOW, [Asked("acme", Want("users", Decimal(1), {"user": "a", "region": "eu"}))])
    day, month, region = (touch.keys[0] for touch in asked.touches)
    assert asked.amounts == {day: 1, month: 1, region: 1}
    running = Running(
        {day: Figures(Decimal(2)), month: Figures(Decimal(3)), region: Figures(Decimal(1))}, NOW,
        {day: {"a": 4}, month: {"a": 7}, region: {}},
    )  # fmt: skip
    assert running.amounts(asked) == {day: 0, month: 0, region: 1}
    assert running.admits(asked)
    running.take(asked)
    assert [running.figures[one].used for one in (day, month, region)] == [2, 3, 2]
    assert running.amounts(asked) == {day: 0, month: 0, region: 0}


def test_a_unit_counts_each_of_its_values_once() -> None:
    wants = [Asked("acme", Want("users", Decimal(1), {"user": user, "region": "eu"})) for user in "aab"]
    asked = demand((HEAD,), CATALOG, NOW, wants)
    assert set(asked.amounts.values()) == {Decimal(2)}
    empty = dict.fromkeys(asked.amounts, Figures())
    running = Running(empty, NOW, {one: {} for one in empty})
    running.take(asked)
    assert {figures.used for figures in running.figures.values()} == {Decimal(2)}


def test_what_is_asked_for_nothing_tells_nothing_apart() -> None:
    """The limits that a hold touches are looked at with an amount of 0, whatever the meter has become since."""
    asked = demand((HEAD,), CATALOG, NOW, [Asked("acme", Want("users", Decimal(0), {}))])
    assert (asked.values, set(asked.amounts.values())) == ({}, {Decimal(0)})


@given(st.lists(st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc"), st.sampled_from(["eu", "us"])))))
def test_p2_batch_by_batch_the_counters_hold_how_many_values_there_are(
    batches: Sequence[Sequence[tuple[int, str, str]]],
) -> None:
    keys = [key(0, 4), key(2, 9), key(0, 9, "us")]
    counters, standing = dict.fromkeys(keys, Figures()), {one: dict[str, int]() for one in keys}
    seen: list[tuple[int, str, str]] = []
    for batch in batches:
        # Every second event takes back one that there is.
        uses = []
        for place, one in enumerate(batch):
            if place % 2 and seen:
                uses.append(use(*seen.pop(), -1))
            else:
                seen.append(one)
                uses.append(use(*one))
        changed, standing = told_apart(counters, standing, moves_of(counters, {PAIR: uses}, CATALOG.meter_of))
        counters |= changed
    for counter in keys:
        inside = [(user, region) for at, user, region in seen if counter.start <= at < counter.end]
        mine = {user for user, region in inside if not counter.filter or region == "us"}
        assert counters[counter].used == len(mine)
        assert {value for value, number in standing[counter].items() if number} == mine
