"""Laws of grants: what burns depends on what was used, not on how it came; nothing is made and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain.grant import (
    Account,
    Grant,
    Move,
    MoveKind,
    State,
    advance,
    burn,
    burning_order,
    settle,
    successor,
    void,
)
from metergate.domain.period import DAY, Period
from metergate.domain.quantity import ZERO

NOW = 20_000 * DAY
AMOUNTS = st.decimals(0, 50, places=1)
INTO = (MoveKind.BASE, MoveKind.START, MoveKind.ROLL)
OUT = (MoveKind.EXPIRE, MoveKind.VOID)


@st.composite
def grants(draw: st.DrawFn, state: State = State.PENDING) -> Grant:
    """Any grant that begins within ten days."""
    start = NOW + draw(st.integers(0, 10)) * DAY
    recurs = draw(st.sampled_from([None, None, Period.DAY, Period.WEEK]))
    length = draw(st.integers(1, 20)) * DAY
    end = (
        start + (DAY if recurs is Period.DAY else 7 * DAY) if recurs else draw(st.sampled_from([None, start + length]))
    )
    until = draw(st.sampled_from([None, start + 15 * DAY])) if recurs else end
    low, high = sorted([draw(AMOUNTS), draw(AMOUNTS)])
    return Grant(
        f"g{draw(st.integers(0, 10**9))}", "c", "m", draw(AMOUNTS) + 1, start, end, draw(st.integers(0, 2)), recurs,
        until, start, low if recurs else ZERO, high if recurs else ZERO, state=state, seq=draw(st.integers(1, 5)),
    )  # fmt: skip


@dataclass
class Play:
    """An account, all that was used, and all that moved."""

    account: Account = field(default_factory=Account)
    used: Decimal = ZERO
    now: int = NOW
    moves: list[Move] = field(default_factory=list)

    def keep(self, changed: tuple[Account, list[Move]]) -> None:
        """Takes a change over."""
        self.account, moves = changed
        self.moves += moves

    def total(self, *kinds: MoveKind) -> Decimal:
        """What moved in these ways."""
        return sum((move.amount for move in self.moves if move.kind in kinds), ZERO)

    def check(self) -> None:
        """The laws, after a commit."""
        account, granted = self.account, self.account.granted or ZERO
        brought, lost = self.total(MoveKind.START, MoveKind.ROLL), self.total(*OUT)
        burned = self.total(MoveKind.BURN)
        assert granted == self.total(*INTO) - lost
        assert brought == burned + lost + account.left
        if account.granted is not None:
            assert burned == min(self.used - self.total(MoveKind.BASE), brought - lost)
            assert account.left == max(granted - self.used, ZERO)
        assert all(move.amount >= 0 for move in self.moves)
        for grant in account.grants:
            assert grant.left >= 0
            assert not grant.over or grant.left == 0
            assert grant.due is None or grant.due > self.now


STEPS = st.one_of(
    st.tuples(st.just("use"), AMOUNTS),
    st.tuples(st.just("make"), grants()),
    st.tuples(st.just("wait"), st.integers(1, 9)),
    st.tuples(st.just("void"), st.integers(0, 20)),
)


def play(steps: Sequence[tuple[str, object]]) -> Play:
    """Each step is a commit: what is due first, then the step, then what it used."""
    one = Play()
    for name, value in steps:
        if name == "wait":
            assert isinstance(value, int)
            one.now += value * DAY
        one.keep(advance(one.account, one.used, "UTC", one.now, 9))
        if isinstance(value, Grant):
            late = replace(value, start=max(value.start, one.now))
            if (late.end is None or late.end > late.start) and late.id not in {old.id for old in one.account.grants}:
                grown = replace(one.account, grants=(*one.account.grants, late))
                one.keep(advance(grown, one.used, "UTC", one.now, 9))
        elif name == "void":
            running = [grant for grant in one.account.grants if not grant.over]
            if running:
                assert isinstance(value, int)
                one.keep(void(one.account, running[value % len(running)]))
        elif isinstance(value, Decimal):
            one.used += value
        one.keep(settle(one.account, one.used))
        one.check()
    return one


@given(st.lists(STEPS, max_size=25))
def test_p2_nothing_is_made_and_nothing_is_lost(steps: list[tuple[str, object]]) -> None:
    play(steps)


@given(st.lists(grants(State.ACTIVE), max_size=6, unique_by=lambda one: one.id), st.lists(AMOUNTS, max_size=6))
def test_what_burns_is_the_same_in_any_order_and_by_any_parts(held: list[Grant], parts: list[Decimal]) -> None:
    """Two ways through the same use: part by part in some order, and all at once."""
    granted = sum((grant.left for grant in held), ZERO)
    account, other = Account(granted, tuple(held)), Account(granted, tuple(reversed(held)))
    used = ZERO
    for part in sorted(parts):
        used += part
        account, _ = settle(account, used)
    other, _ = settle(other, used)
    assert {grant.id: grant for grant in account.grants} == {grant.id: grant for grant in other.grants}
    assert settle(account, used) == (account, [])


@given(st.lists(grants(State.ACTIVE), max_size=6, unique_by=lambda one: one.id), AMOUNTS)
def test_grants_burn_in_their_order(held: list[Grant], amount: Decimal) -> None:
    after, moves = burn(held, amount)
    assert sum((move.amount for move in moves), ZERO) == min(amount, sum((grant.left for grant in held), ZERO))
    left = [(before.left, now.left) for before, now in zip(held, after, strict=True)]
    ordered = [one for _, one in sorted(zip(map(burning_order, held), left, strict=True))]
    touched = [before != now for before, now in ordered]
    assert touched == sorted(touched, reverse=True)
    assert all(now == 0 for (before, now), more in zip(ordered, touched[1:], strict=False) if more)


@given(grants().filter(lambda one: one.recurs is not None), AMOUNTS)
def test_what_rolls_over_keeps_its_bounds(grant: Grant, left: Decimal) -> None:
    after = successor(grant, left, "UTC")
    assert after.rolled == min(grant.rollover_max, max(left, grant.rollover_min))
    assert grant.rollover_min <= after.rolled <= grant.rollover_max
    assert (after.amount, after.start, after.series) == (grant.amount, grant.end, grant.series)
    assert after.end is not None
    assert after.end > after.start
