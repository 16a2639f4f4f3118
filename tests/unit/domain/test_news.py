"""Kinds of news, and when deliveries are tried again."""

from __future__ import annotations

import pytest

from metergate.domain.errors import MetergateError
from metergate.domain.news import BackOff, NewsKind, parse_kinds
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND

ALL = tuple([kind.value for kind in NewsKind])


def test_kinds_are_those_given_or_all() -> None:
    assert parse_kinds([], "types") == ALL
    assert parse_kinds(["limit.exceeded", "usage.recorded", "limit.exceeded"], "types") == (
        "usage.recorded",
        "limit.exceeded",
    )
    with pytest.raises(MetergateError) as error:
        parse_kinds(["usage.recorded", "usage"], "endpoint.types")
    assert error.value.field == "endpoint.types[1]"


def test_pauses_grow_to_the_longest_and_take_about_a_day() -> None:
    back_off = BackOff()
    pauses = [back_off.pause(attempts, 0.5) for attempts in range(1, 9)]
    assert pauses[:4] == [5 * SECOND, 25 * SECOND, 125 * SECOND, 625 * SECOND]
    assert pauses[-2:] == [8 * HOUR, 8 * HOUR]
    assert pauses == sorted(pauses)
    assert sum(pauses) == back_off.patience
    assert 20 * HOUR < back_off.patience < DAY


def test_chance_spreads_pauses_by_a_fifth() -> None:
    assert [BackOff().pause(1, chance) for chance in (0, 0.5, 1)] == [4 * SECOND, 5 * SECOND, 6 * SECOND]


def test_it_gives_up_after_the_last_try_or_a_long_wait() -> None:
    back_off = BackOff(SECOND, MINUTE, 3)
    assert back_off.patience == 6 * SECOND
    assert [back_off.gives_up(attempts, 0) for attempts in (1, 2, 3)] == [False, False, True]
    assert not back_off.gives_up(1, 6 * SECOND - 1)
    assert back_off.gives_up(1, 6 * SECOND)


def test_settings_of_any_size_are_reckoned_with() -> None:
    for tries in (1, 2, 100):
        back_off = BackOff(SECOND, 365 * DAY, tries)
        assert 0 <= back_off.patience <= 30 * DAY
        assert back_off.pause(tries, 0.5) <= 365 * DAY
