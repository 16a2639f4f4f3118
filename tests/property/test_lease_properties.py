"""Slices never pass a limit and use it up; recalls come to rest; marks do not care for order or repetition."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain.errors import MetergateError
from metergate.domain.hold import State
from metergate.domain.lease import (
    LIFE,
    MARGIN,
    Marks,
    end_of,
    outstanding,
    recall_of,
    slice_of,
    take,
)

ONE, ZERO = Decimal(1), Decimal(0)
finest = st.decimals(ZERO, Decimal("999999999999999999.999999999999"), places=12)
whole = st.integers(0, 10**18 - 1).map(Decimal)
coarse = st.decimals(ZERO, Decimal(5000), places=2)
quantities = whole | coarse | finest | st.integers(0, 50).map(Decimal)
holders = st.integers(1, 30) | st.integers(1, 10**6)
states = st.sampled_from([State.OPEN, State.RETURNED, State.FORFEITED, State.RELEASED])


@given(quantities, quantities, holders, quantities | st.just(ZERO))
def test_p2_a_slice_is_never_more_than_wanted_nor_than_left(
    wanted: Decimal, left: Decimal, holders: int, unspent: Decimal
) -> None:
    slice_ = slice_of(wanted, left, holders, unspent)
    assert ZERO <= slice_ <= min(wanted, left)
    if not unspent:
        assert slice_ >= min(wanted, left, ONE)
        if wanted == wanted.to_integral_value() and left >= ONE:
            assert slice_ == slice_.to_integral_value()
    assert ZERO <= slice_of(wanted, None, holders) == wanted


@given(quantities, quantities, quantities, holders)
def test_a_slice_does_not_shrink_when_more_is_left_or_fewer_hold(
    wanted: Decimal, left: Decimal, more: Decimal, holders: int
) -> None:
    assert (
        slice_of(wanted, left, holders + 1) <= slice_of(wanted, left, holders) <= slice_of(wanted, left + more, holders)
    )


@given(quantities, quantities | st.integers(-100, 0).map(Decimal), holders)
def test_a_recall_is_part_of_what_is_unspent_and_leaves_something(
    unspent: Decimal, left: Decimal, holders: int
) -> None:
    recalled = recall_of(unspent, left, holders)
    assert ZERO <= recalled <= unspent
    assert recalled < unspent or not unspent
    assert recall_of(unspent, None, holders) == ZERO


@given(quantities, quantities, holders, st.lists(quantities, max_size=6))
def test_a_recall_comes_to_rest_however_greedily_its_holder_asks(
    unspent: Decimal, left: Decimal, holders: int, asks: list[Decimal]
) -> None:
    recalled = recall_of(unspent, left, holders)
    unspent, left = unspent - recalled, left + recalled
    assert recall_of(unspent, left, holders) == ZERO
    for wanted in asks:
        slice_ = slice_of(wanted, left, holders, unspent)
        unspent, left = unspent + slice_, left - slice_
        assert recall_of(unspent, left, holders) == ZERO, (slice_, unspent, left)


@given(quantities, holders, st.lists(quantities, max_size=6))
def test_what_was_asked_for_is_not_recalled_while_nobody_else_asks(
    left: Decimal, holders: int, asks: list[Decimal]
) -> None:
    unspent = ZERO
    for wanted in asks:
        slice_ = slice_of(wanted, left, holders, unspent)
        unspent, left = unspent + slice_, left - slice_
        assert recall_of(unspent, left, holders) == ZERO


@given(st.integers(0, 3000), st.integers(1, 12), st.randoms(use_true_random=False))
def test_p2_every_unit_is_used_by_holders_that_spend_what_they_get(limit: int, number: int, random: object) -> None:
    left, has, spent, asks = Decimal(limit), [ZERO] * number, ZERO, 0
    while left or any(has):
        place = random.randrange(number)  # type: ignore[attr-defined]
        slice_ = slice_of(Decimal(500), left, number, has[place])
        left, has[place] = left - slice_, has[place] + slice_
        if has[place]:
            has[place] -= ONE
            spent += ONE
        asks += 1
        assert asks < 40 * (limit + 10) * number
    assert spent == limit


@given(st.integers(0, 10**16), st.none() | st.integers(0, 10**16), st.none() | st.integers(0, 10**9))
def test_p2_an_end_is_never_after_the_life_nor_the_windows(now: int, windows_end: int | None, ttl: int | None) -> None:
    end = end_of(now, windows_end, ttl)
    assert end <= now + LIFE
    assert ttl is None or end <= now + ttl
    assert windows_end is None or end <= windows_end - MARGIN


@st.composite
def histories(draw: st.DrawFn) -> tuple[Decimal, list[tuple[Decimal, Decimal, bool]]]:
    """What an honest holder reports: marks that grow, perhaps with a close at the end."""
    granted = draw(st.integers(0, 60))
    spent = returned = 0
    reports = []
    for _ in range(draw(st.integers(0, 6))):
        spent += draw(st.integers(0, granted - returned - spent))
        returned += draw(st.integers(0, granted - returned - spent))
        reports.append((Decimal(spent), Decimal(returned), False))
    if draw(st.booleans()):
        reports.append((Decimal(spent), Decimal(returned), True))
    return Decimal(granted), reports


@given(histories(), st.data())
def test_p1_marks_repeated_and_in_any_order_come_to_the_same(
    history: tuple[Decimal, list[tuple[Decimal, Decimal, bool]]], data: st.DataObject
) -> None:
    granted, reports = history
    repeated = reports + (data.draw(st.lists(st.sampled_from(reports), max_size=5)) if reports else [])
    shuffled = data.draw(st.permutations(repeated))
    straight = crossed = Marks(granted)
    for report in reports:
        straight = take(straight, *report)
    for report in shuffled:
        crossed = take(crossed, *report)
    assert straight == crossed
    if reports and reports[-1][2]:
        assert crossed.returned == granted - crossed.spent


@given(quantities, st.lists(st.tuples(quantities, quantities, st.booleans()), max_size=6), quantities, states)
def test_p2_whatever_is_reported_the_figures_only_grow_and_fit(
    granted: Decimal, reports: list[tuple[Decimal, Decimal, bool]], used: Decimal, state: State
) -> None:
    marks = Marks(granted, settled=min(used, granted))
    for report in reports:
        before = marks
        try:
            marks = take(marks, *report)
        except MetergateError:
            continue
        assert marks.granted == before.granted
        assert marks.returned >= before.returned
        assert marks.spent >= before.spent
        assert max(marks.spent, marks.settled) <= marks.granted - marks.returned
    kept = outstanding(marks, state)
    assert ZERO <= kept <= marks.granted - marks.returned - marks.settled
