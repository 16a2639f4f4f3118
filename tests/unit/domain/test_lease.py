"""Leases: slices, recalls, ends and marks; and what Doorman and Service Control do, where it applies to counts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import State
from metergate.domain.lease import (
    CUTS_LEAST,
    FORFEITED_MOST,
    LIFE,
    MARGIN,
    WINDOWS_LEAST,
    Marks,
    end_of,
    not_possible,
    outstanding,
    recall_of,
    slice_of,
    take,
)
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND, Window

NOW = 1_000 * DAY
TODAY = Window(NOW - 6 * HOUR, NOW + 18 * HOUR)


def number(text: str) -> Decimal | None:
    return None if text == "unlimited" else Decimal(text)


@pytest.mark.parametrize(
    ("wanted", "left", "holders", "unspent", "slice_"),
    [
        ("100", "1000000", 1, "0", "100"),  # room for all that is wanted
        ("100000", "1000000", 1, "0", "50000"),  # a twentieth at most
        ("100000", "1000000", 100, "0", "50000"),
        ("100000", "1000000", 10_000, "0", "5000"),  # 1 ÷ (2 × the root of the holders)
        ("100000", "1000000", 1, "20000", "31000"),  # what it has counts
        ("100000", "1000000", 1, "60000", "0"),
        ("100", "39", 4, "0", "1"),  # one by one
        ("100", "1", 10_000, "0", "1"),
        ("100", "1", 10_000, "1", "0"),  # spend that first
        ("100", "1", 10_000, "0.5", "0.5"),
        ("100", "0", 1, "0", "0"),
        ("100", "-5", 1, "0", "0"),  # overrun
        ("0", "100", 1, "0", "0"),
        ("-3", "100", 1, "0", "0"),  # more than wanted was handed out before
        ("7", "unlimited", 10_000, "0", "7"),
        ("-3", "unlimited", 1, "0", "0"),
        ("50.00", "1010", 1, "0", "50"),  # whole units where whole ones are wanted
        ("50.25", "1010", 1, "0", "50.25"),
        ("60.5", "1010.77", 1, "0", "50.5"),  # else in the places of what is wanted
        ("60.25", "1010.77", 1, "0", "50.53"),
        ("5", "0.5", 1, "0", "0.5"),
        ("0.3", "1000", 1, "0", "0.3"),
        ("1E+6", "1E+6", 1, "0", "50000"),
        ("0.000000000001", "999999999999999999.999999999999", 3, "0", "0.000000000001"),
    ],
)
def test_p2_a_slice_is_what_is_wanted_while_there_is_room(
    wanted: str, left: str, holders: int, unspent: str, slice_: str
) -> None:
    assert slice_of(Decimal(wanted), number(left), holders, Decimal(unspent)) == Decimal(slice_)


@pytest.mark.parametrize(
    ("unspent", "left", "holders", "recalled"),
    [
        ("100", "unlimited", 5, "0"),
        ("0", "0", 5, "0"),
        ("-1", "0", 5, "0"),
        ("100", "1000000", 5, "0"),
        ("100000", "1000000", 5, "0"),  # less than twice its share of 55,000
        ("150000", "1000000", 5, "92500"),  # more; down to a twentieth of 1,150,000
        ("1000", "0", 5, "950"),
        ("1000", "0", 10_000, "995"),
        ("3", "0", 5, "2"),
        ("2", "0", 5, "0"),  # one or two units are left to it: asking again would cost more
        ("1", "0", 5, "0"),
        ("1000", "-50", 5, "950"),  # lowered under what is out
        ("0.9", "0", 5, "0"),
        ("2.5", "0", 5, "1.5"),
    ],
)
def test_p2_what_lies_far_above_a_share_is_recalled(unspent: str, left: str, holders: int, recalled: str) -> None:
    assert recall_of(Decimal(unspent), number(left), holders) == Decimal(recalled)


def test_p2_one_silent_holder_forfeits_no_more_than_stops_leases() -> None:
    most = Decimal(1_000_000)
    assert FORFEITED_MOST * CUTS_LEAST == 1
    slice_ = slice_of(most, most, 1)
    assert not_possible(TODAY, NOW, slice_, most) is None
    assert not_possible(TODAY, NOW, slice_ + 1, most) is not None


@pytest.mark.parametrize(
    ("windows_end", "ttl", "end"),
    [
        (None, None, LIFE),
        (LIFE + MARGIN, None, LIFE),
        (LIFE + MARGIN - 1, None, LIFE - 1),
        (None, 5 * SECOND, 5 * SECOND),
        (None, 2 * LIFE, LIFE),
        (6 * SECOND, 5 * SECOND, 4 * SECOND),
        (MARGIN, None, 0),
        (SECOND, None, -SECOND),
    ],
)
def test_p2_a_lease_ends_before_its_windows(windows_end: int | None, ttl: int | None, end: int) -> None:
    assert end_of(NOW, None if windows_end is None else NOW + windows_end, ttl) == NOW + end


@pytest.mark.parametrize(
    ("window", "forfeited", "most", "reason"),
    [
        (TODAY, "0", "100", None),
        (TODAY, "5", "100", None),
        (TODAY, "5.000001", "100", "5.000001 of 100 are forfeited"),
        (TODAY, "1000", "unlimited", None),
        (TODAY, "0", "0", None),  # nothing will be left either
        (TODAY, "1", "0", "1 of 0 are forfeited"),
        (None, "0", "100", "its window has no end"),
        (Window(NOW, NOW + MINUTE), "0", "100", "its window is shorter than 300 seconds"),
        (Window(NOW, NOW + WINDOWS_LEAST * LIFE - 1), "0", "100", "its window is shorter"),
        (Window(NOW, NOW + WINDOWS_LEAST * LIFE), "0", "100", None),
        (Window(NOW - HOUR, NOW + MARGIN + 1), "0", "100", None),
        (Window(NOW - HOUR, NOW + MARGIN), "0", "100", "its window is about to end"),
    ],
)
def test_p2_where_nothing_can_be_leased(window: Window | None, forfeited: str, most: str, reason: str | None) -> None:
    answer = not_possible(window, NOW, Decimal(forfeited), number(most))
    assert answer is None if reason is None else answer is not None and answer.startswith(reason)


def marks(granted: str, returned: str = "0", spent: str = "0", settled: str = "0") -> Marks:
    return Marks(Decimal(granted), Decimal(returned), Decimal(spent), Decimal(settled))


@pytest.mark.parametrize(
    ("before", "spent", "returned", "closing", "after"),
    [
        (marks("10"), "4", "0", False, marks("10", spent="4")),
        (marks("10", spent="4"), "4", "0", False, marks("10", spent="4")),  # again
        (marks("10", spent="4"), "2", "0", False, marks("10", spent="4")),  # an earlier one, late
        (marks("10", "3", "4"), "5", "1", False, marks("10", "3", "5")),
        (marks("10"), "4", "6", False, marks("10", "6", "4")),
        (marks("10", spent="4"), "4", "0", True, marks("10", "6", "4")),
        (marks("10", "6", "4"), "4", "0", True, marks("10", "6", "4")),
        (marks("10", "6", "4"), "2", "0", False, marks("10", "6", "4")),
        (marks("10", spent="4"), "1", "0", True, marks("10", "6", "4")),
        (marks("10"), "0", "0", True, marks("10", "10")),
        (marks("2.5", spent="0.25"), "1.25", "0", True, marks("2.5", "1.25", "1.25")),
        (marks("10", settled="7"), "4", "0", True, marks("10", "3", "4", "7")),  # events came first
    ],
)
def test_p2_the_highest_marks_hold(before: Marks, spent: str, returned: str, closing: bool, after: Marks) -> None:
    assert take(before, Decimal(spent), Decimal(returned), closing) == after


@pytest.mark.parametrize(
    ("before", "spent", "returned"),
    [
        (marks("10"), "11", "0"),
        (marks("10"), "0", "11"),
        (marks("10"), "5", "6"),
        (marks("10", "6"), "5", "0"),
        (marks("10", spent="5"), "0", "6"),
        (marks("10", settled="5"), "0", "6"),  # what was settled was spent
        (marks("10", "6", "4"), "4.000000000001", "0"),
    ],
)
@pytest.mark.parametrize("closing", [False, True])
def test_p3_marks_that_cannot_be_change_nothing(before: Marks, spent: str, returned: str, closing: bool) -> None:
    with pytest.raises(MetergateError) as failed:
        take(before, Decimal(spent), Decimal(returned), closing)
    assert failed.value.reason is Reason.LEASE_MARK_INVALID
    assert failed.value.metadata["granted"] == "10"


@pytest.mark.parametrize(
    ("one", "state", "kept"),
    [
        (marks("10"), State.OPEN, "10"),
        (marks("10", "2", "5", "4"), State.OPEN, "4"),
        (marks("10", "5", "5", "4"), State.RETURNED, "1"),
        (marks("10", "5", "5", "5"), State.RETURNED, "0"),
        (marks("10", "3", "4", "7"), State.RETURNED, "0"),
        (marks("10", "2", "5", "4"), State.FORFEITED, "4"),
        (marks("10", "2", "5", "4"), State.RELEASED, "0"),
    ],
)
def test_p4_what_a_lease_keeps_from_others(one: Marks, state: State, kept: str) -> None:
    assert outstanding(one, state) == Decimal(kept)


class Pool:
    """A limit, and what its holders have: each line of a case is one request."""

    def __init__(self, most: str) -> None:
        self.most = Decimal(most)
        self.has: dict[str, Decimal] = {}

    @property
    def left(self) -> Decimal:
        return self.most - sum(self.has.values())

    def ask(self, holder: str, wants: str) -> Decimal:
        has = self.has.setdefault(holder, Decimal(0))
        self.has[holder] += slice_of(Decimal(wants) - has, self.left, len(self.has), has)
        return self.has[holder]

    def sync(self, holder: str) -> Decimal:
        """It gives back what is recalled."""
        self.has[holder] -= recall_of(self.has[holder], self.left, len(self.has))
        return self.has[holder]


# Doorman's algorithm, server and store tests, as far as they speak of counts: capacity, then (holder, wants, has).
DOORMAN = {
    "no algorithm: each gets what it wants": ("1E+12", [("a", "10", "10"), ("b", "100", "100")]),
    "static: a cap per request, whatever is wanted": (
        "2000", [("a", "100", "100"), ("b", "10", "10"), ("c", "120", "94"), ("d", "1000", "89")],
    ),
    "fair share: who wants little gets it, who wants much gets its share": (
        "1200", [("big", "1000", "60"), ("middle", "60", "57"), ("small", "10", "10")],
    ),
    "the order of requests does not let anyone have all": (
        "1200", [("first", "100000", "60"), ("first", "100000", "60"), ("second", "100000", "57")],
    ),
    "nobody is starved while a unit is left": (
        "3", [("a", "9", "1"), ("b", "9", "1"), ("c", "9", "1"), ("d", "9", "0"), ("a", "9", "1")],
    ),
    "wants nothing, gets nothing": ("120", [("a", "0", "0"), ("b", "10", "6")]),
    "asked again for the same, nothing is added": ("1000", [("a", "10", "10"), ("a", "10", "10")]),
    "asked again for less, nothing is taken": ("1000", [("a", "10", "10"), ("a", "4", "10")]),
}  # fmt: skip


@pytest.mark.parametrize("case", DOORMAN)
def test_p2_doormans_cases(case: str) -> None:
    most, requests = DOORMAN[case]
    pool = Pool(most)
    for holder, wants, has in requests:
        assert pool.ask(holder, wants) == Decimal(has), holder
        assert pool.left >= 0


def test_p2_doorman_capacity_that_is_lowered_comes_back_within_one_sync_each() -> None:
    pool = Pool("10000")
    for name in "abcd":
        pool.ask(name, "400")
    pool.most = Decimal(100)
    assert pool.ask("a", "500") == 400  # over-assigned: nothing more
    for name in "abcd":
        pool.sync(name)
    assert pool.left >= 0
    assert [pool.sync(name) for name in "abcd"] == list(pool.has.values())  # and it rests


def test_p2_doorman_what_is_released_is_free_for_others() -> None:
    pool = Pool("20")
    assert pool.ask("a", "1") == 1
    pool.most = Decimal(1)
    assert pool.ask("b", "1") == 0
    closed = take(marks("1"), Decimal(0), Decimal(0), closing=True)
    pool.has["a"] = outstanding(closed, State.RETURNED)
    assert pool.ask("b", "1") == 1


def test_p2_service_controls_aggregator_asks_for_what_came_meanwhile_and_takes_what_is_left() -> None:
    """Its cache adds up what comes while a request is in flight, then asks best-effort; what is unsent when it ends is
    lost to the service. Here the sum is the spent mark, which is neither lost nor added twice."""
    lease = Marks(slice_of(Decimal(3), Decimal(100), 1))
    lease = take(lease, Decimal(1), Decimal(0), closing=False)
    lease = take(lease, Decimal(3), Decimal(0), closing=False)  # two more came while that was in flight
    lease = take(lease, Decimal(1), Decimal(0), closing=False)  # the first was sent again
    assert lease.spent == 3
    assert slice_of(Decimal(9), Decimal(1), 1) == 1  # best effort: what is left
    assert slice_of(Decimal(9), Decimal(0), 1) == 0
    assert outstanding(take(lease, Decimal(3), Decimal(0), closing=True), State.RETURNED) == 3  # until its events come
