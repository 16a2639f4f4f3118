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


def test_a_changed_rate_goes_on_from_the_same_instant() -> None:
    tat = admit(rate("10"), "10")
    assert rate("1").left(tat, NOW) == 0  # a second is one unit now
    assert rate("100").left(tat, NOW) == 0
    assert rate("100").left(tat, NOW + SECOND // 2) == 50


def test_the_largest_figures_stay_exact() -> None:
    huge = Rate(Decimal("0.000000000001"), 3_660 * 86_400 * SECOND, Decimal("999999999999999999.999999999999"))
    tat = huge.after(ZERO, huge.burst, NOW)
    assert huge.left(tat, NOW) == 0
    fast = Rate(Decimal(999999999999999999), SECOND, Decimal(999999999999999999))
    tat = fast.after(ZERO, Decimal("0.000000000001"), NOW)
    assert 0 <= fast.left(tat, NOW) < fast.burst
