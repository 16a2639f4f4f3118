"""Rates: GCRA, exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.domain.period import MINUTE, SECOND
from metergate.domain.rate import Rate

NOW = 1_795_000_000_000_000
ZERO = Decimal(0)


def rate(most: str, length: int = SECOND, burst: str | None = None) -> Rate:
    return Rate(Decimal(most), length, Decimal(burst or most))


def admit(one: Rate, amount: str, tat: Decimal = ZERO, now: int = NOW) -> Decimal:
    """The tat after the amount, which must conform."""
    assert one.conforms(tat, Decimal(amount), now)
    return one.after(tat, Decimal(amount), now)


@pytest.mark.parametrize("most", ["1", "3", "7", "10", "999", "0.7", "1000000"])
@pytest.mark.parametrize("length", [SECOND, MINUTE, 7 * SECOND])
def test_p2_a_burst_fits_to_the_last_unit_and_no_further(most: str, length: int) -> None:
    """Though a third of a second has no last decimal."""
    one, tat = rate(most, length, "12"), ZERO
    for _ in range(12):
        tat = admit(one, "1", tat)
    assert not one.conforms(tat, Decimal("0.000000000001"), NOW)
    assert one.left(tat, NOW) == 0
    assert admit(one, "12") == tat  # in one piece it costs the same


def test_units_come_back_at_an_even_pace() -> None:
    one, tat = rate("10", SECOND, "1"), ZERO
    for step in range(50):
        now = NOW + step * SECOND // 10
        tat = admit(one, "1", tat, now)
        assert not one.conforms(tat, Decimal(1), now + SECOND // 10 - 1)
    assert tat == NOW + 5 * SECOND


def test_what_was_not_used_gathers_up_to_the_burst() -> None:
    one = rate("10", SECOND, "5")
    tat = admit(one, "5")
    assert one.left(tat, NOW + SECOND // 10) == 1
    assert one.left(tat, NOW + SECOND // 2) == 5
    assert one.left(tat, NOW + 3600 * SECOND) == 5


@pytest.mark.parametrize(
    ("amount", "wait"),
    [("1", 200_000), ("2", 400_000), ("5", 1_000_000), ("0.5", 100_000), ("6", 1_000_000), ("100", 1_000_000)],
)
def test_p3_a_refusal_says_when_the_amount_conforms(amount: str, wait: int) -> None:
    """What is more than the burst never does; by then at least all of the burst is there."""
    one = rate("5")
    tat = admit(one, "5")
    assert one.conforms_at(tat, Decimal(amount)) == NOW + wait
    if Decimal(amount) <= one.burst:
        assert one.conforms(tat, Decimal(amount), NOW + wait)
        assert not one.conforms(tat, Decimal(amount), NOW + wait - 1)


def test_a_moment_between_two_microseconds_is_the_later_one() -> None:
    one = rate("3")
    tat = admit(one, "3")
    at = one.conforms_at(tat, Decimal(1))
    assert at == NOW + 333_334
    assert one.conforms(tat, Decimal(1), at)
    assert not one.conforms(tat, Decimal(1), at - 1)


def test_facts_take_more_than_the_burst_and_hold_the_rate_down() -> None:
    one = rate("10")
    tat = one.after(ZERO, Decimal(25), NOW)
    assert one.left(tat, NOW) == -15
    assert not one.conforms(tat, Decimal(1), NOW + 1_500_000)
    assert one.conforms(tat, Decimal(1), NOW + 1_600_000)


def test_a_clock_that_steps_back_admits_nothing_more() -> None:
    one = rate("10")
    tat = admit(one, "10")
    assert not one.conforms(tat, Decimal(1), NOW - 60 * SECOND)


def test_facts_take_by_the_time_by_which_they_count() -> None:
    one = rate("10")
    behind = [(NOW - SECOND // 2, Decimal(3)), (NOW - SECOND, Decimal(4)), (NOW + MINUTE, Decimal(2))]
    # 4 came back since, and 3 of which all but a fifth of a second did; what is ahead of its time counts from now.
    assert one.after_facts(ZERO, behind, NOW) == NOW + SECOND // 5
    assert one.after_facts(ZERO, [(NOW - SECOND, Decimal(25))], NOW) == NOW + 3 * SECOND // 2
    assert one.after_facts(Decimal(NOW), [(NOW, ZERO), (NOW, Decimal(1))], NOW) == NOW + SECOND // 10


def test_a_correction_takes_the_difference_and_gives_nothing_back() -> None:
    one, tat = rate("10"), Decimal(NOW + SECOND)
    assert one.after_facts(tat, [(NOW, Decimal(-3)), (NOW, Decimal(5))], NOW) == tat + 2 * SECOND // 10
    assert one.after_facts(tat, [(NOW, Decimal(-3)), (NOW, Decimal(2))], NOW) == tat


def test_facts_that_came_too_late_to_matter_take_nothing() -> None:
    one, slow = rate("10"), rate("10", burst="600")
    tat = Decimal(NOW + SECOND)
    assert one.after_facts(tat, [(NOW - SECOND - 1, Decimal(1_000))], NOW) == tat
    assert one.after_facts(tat, [(NOW - SECOND, Decimal(1))], NOW) > tat
    assert slow.remembers == MINUTE  # as long as all of its burst takes to come back
    assert slow.after_facts(tat, [(NOW - MINUTE, Decimal(1))], NOW) > tat


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ("100 in a second", 90),
        ("20 in a second", 10),
        ("10 in a minute", 0),
        ("600 in a minute", 590),
        ("5 in a second", 0),
    ],
)
def test_a_changed_rate_goes_on_with_the_same_amount_taken(after: str, left: int) -> None:
    old, (most, _, _, length) = rate("10"), after.split()
    new = rate(most, MINUTE if length == "minute" else SECOND)
    tat = new.carried(admit(old, "10"), old.interval, NOW)
    assert new.left(tat, NOW) == left


def test_nobody_waits_for_longer_after_a_change_than_before_or_than_for_a_whole_burst() -> None:
    old, new = rate("100"), rate("1", 3600 * SECOND)
    tat = new.carried(admit(old, "100"), old.interval, NOW)
    assert (new.left(tat, NOW), tat) == (0, NOW + 3600 * SECOND)
    in_debt = new.after(ZERO, Decimal(3), NOW)  # for three hours
    assert rate("1", 7200 * SECOND).carried(in_debt, new.interval, NOW) == in_debt
    assert rate("2", 3600 * SECOND).carried(in_debt, new.interval, NOW) == NOW + 3 * 1800 * SECOND
    paid = Decimal(NOW - 1)
    assert new.carried(paid, old.interval, NOW) == paid


def test_the_largest_figures_stay_exact() -> None:
    huge = Rate(Decimal("0.000000000001"), 3_660 * 86_400 * SECOND, Decimal("999999999999999999.999999999999"))
    tat = huge.after(ZERO, huge.burst, NOW)
    assert huge.left(tat, NOW) == 0
    fast = Rate(Decimal(999999999999999999), SECOND, Decimal(999999999999999999))
    tat = fast.after(ZERO, Decimal("0.000000000001"), NOW)
    assert 0 <= fast.left(tat, NOW) < fast.burst
