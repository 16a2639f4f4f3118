"""Grants: units that a customer was given ahead of use, and their account on one meter.

An account's `granted` is all that was used before its first grant began, and all that grants brought and did not take
along when they ended. So what is left on all grants together is always max(0, granted - used), and what was used beyond
that, max(0, used - granted), is a debt that the next grant pays first. Grants burn by these figures and not by single
events: the result depends on what was used, and not on the order in which it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from metergate.domain import period
from metergate.domain.period import Period
from metergate.domain.quantity import ZERO, add, subtract

MAX_OPEN = 100
"""Grants of a customer on one meter that are not over."""


class State(StrEnum):
    """A grant is PENDING before its start and ACTIVE up to its end; it ENDED then, or was VOIDED before."""

    PENDING = "pending"
    ACTIVE = "active"
    ENDED = "ended"
    VOIDED = "voided"


class MoveKind(StrEnum):
    """What became of an amount: BASE had been used before the first grant; START and ROLL came in with a grant, ROLL
    from the one before it; BURN was used; EXPIRE and VOID were left when a grant was over."""

    BASE = "base"
    START = "start"
    ROLL = "roll"
    BURN = "burn"
    EXPIRE = "expire"
    VOID = "void"


class Move(NamedTuple):
    """One change of a grant, by its id; "" with BASE."""

    kind: MoveKind
    grant: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Grant:
    """Units of one meter, for use from `start` up to `end` (None = for good).

    With `recurs`, a successor begins at its end, up to `until` (None = for good); ends are counted from `anchor`.
    `rolled` is what it began with besides its `amount`, `lost` what was left when it was over. `seq` and `place` are
    those of its creation, `digest` stands for the request that made it.
    """

    id: str
    customer: str
    meter: str
    amount: Decimal
    start: int
    end: int | None = None
    priority: int = 0
    recurs: Period | None = None
    until: int | None = None
    anchor: int = 0
    rollover_min: Decimal = ZERO
    rollover_max: Decimal = ZERO
    rolled: Decimal = ZERO
    burned: Decimal = ZERO
    lost: Decimal = ZERO
    state: State = State.PENDING
    seq: int = 0
    place: int = 0
    created_at: int = 0
    digest: bytes = b""

    @property
    def left(self) -> Decimal:
        """What of it can still be used, or could once it began."""
        return subtract(add(self.amount, self.rolled), add(self.burned, self.lost))

    @property
    def over(self) -> bool:
        """Whether nothing becomes of it any more."""
        return self.state in (State.ENDED, State.VOIDED)

    @property
    def due(self) -> int | None:
        """When it next begins or ends."""
        return self.start if self.state is State.PENDING else None if self.over else self.end

    @property
    def series(self) -> str:
        """The id of the first of the grants that followed each other."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Account:
    """A customer's grants on one meter; `granted` is None until the first of them begins."""

    granted: Decimal | None = None
    grants: tuple[Grant, ...] = ()

    @property
    def left(self) -> Decimal:
        """What all of its grants hold together."""
        total = ZERO
        for grant in self.grants:
            if grant.state is State.ACTIVE:
                total = add(total, grant.left)
        return total


Changed = tuple[Account, list[Move]]
"""An account after a change, and what moved."""


def burning_order(grant: Grant) -> tuple[int, int, int, int, str]:
    """By priority (the lowest first), then the earliest end, then creation."""
    return grant.priority, period.LATEST if grant.end is None else grant.end, grant.seq, grant.place, grant.id


def burn(grants: Sequence[Grant], amount: Decimal) -> tuple[tuple[Grant, ...], list[Move]]:
    """Takes the amount, or as much of it as there is, out of the active grants, in burning order."""
    burned: dict[str, Grant] = {}
    moves: list[Move] = []
    for grant in sorted([one for one in grants if one.state is State.ACTIVE], key=burning_order):
        part = min(grant.left, amount)
        if part > ZERO:
            burned[grant.id] = replace(grant, burned=add(grant.burned, part))
            moves.append(Move(MoveKind.BURN, grant.id, part))
            amount = subtract(amount, part)
    return tuple([burned.get(grant.id, grant) for grant in grants]), moves


def settle(account: Account, used: Decimal) -> Changed:
    """Burns what was used and not burned yet; `used` is all that ever was."""
    if account.granted is None:
        return account, []
    unburned = subtract(account.left, max(subtract(account.granted, used), ZERO))
    if unburned <= ZERO:
        return account, []
    grants, moves = burn(account.grants, unburned)
    return replace(account, grants=grants), moves


def advance(account: Account, used: Decimal, time_zone: str, now: int, seq: int) -> Changed:
    """Begins and ends the grants whose time has come, in order of time; at one instant ends come before starts, and
    these in burning order.

    A grant that recurs is followed by one that begins with its amount and what rolls over:
    min(rollover_max, max(left, rollover_min)), the rule of OpenMeter's grants
    (https://openmeter.io/docs/billing/entitlements/grant). All that was left expires with the old one, and what rolls
    over comes in with the new one.
    """
    account, moves = settle(account, used)
    while (grant := _next_due(account.grants, now)) is not None:
        if grant.state is State.PENDING:
            account, more = _begin(account, grant, used)
        else:
            account, more = _end(account, grant, time_zone, now, seq)
        moves += more
        account, more = settle(account, used)
        moves += more
    return account, moves


def _next_due(grants: Iterable[Grant], now: int) -> Grant | None:
    due = [grant for grant in grants if grant.due is not None and grant.due <= now]
    return min(due, key=lambda one: (one.due, one.state is State.PENDING, *burning_order(one)), default=None)


def _begin(account: Account, grant: Grant, used: Decimal) -> Changed:
    moves = [] if account.granted is not None else [Move(MoveKind.BASE, "", used)]
    moves.append(Move(MoveKind.START, grant.id, grant.amount))
    granted = add(used if account.granted is None else account.granted, grant.amount)
    return replace(_with(account, replace(grant, state=State.ACTIVE)), granted=granted), moves


def _end(account: Account, grant: Grant, time_zone: str, now: int, seq: int) -> Changed:
    left = grant.left
    account, moves = _take_out(account, grant, State.ENDED, MoveKind.EXPIRE)
    if grant.recurs is None or grant.end is None or (grant.until is not None and grant.until <= grant.end):
        return account, moves
    follower = replace(successor(grant, left, time_zone), seq=seq, created_at=now)
    moves.append(Move(MoveKind.START, follower.id, follower.amount))
    if follower.rolled:
        moves.append(Move(MoveKind.ROLL, follower.id, follower.rolled))
    granted = add(account.granted or ZERO, follower.left)
    return replace(account, granted=granted, grants=(*account.grants, follower)), moves


def successor(grant: Grant, left: Decimal, time_zone: str) -> Grant:
    """The grant that follows one which ended with so much left."""
    assert grant.recurs is not None, "only what recurs has a successor"
    assert grant.end is not None, "what recurs has an end"
    first, _, number = grant.id.partition(".")
    return replace(
        grant,
        id=f"{first}.{int(number or 1) + 1}",
        start=grant.end,
        end=first_end(grant.recurs, time_zone, grant.anchor, grant.end, grant.until),
        rolled=min(grant.rollover_max, max(left, grant.rollover_min)),
        burned=ZERO,
        lost=ZERO,
        state=State.ACTIVE,
    )


def first_end(recurs: Period, time_zone: str, anchor: int, at: int, until: int | None) -> int:
    """When a recurring grant that runs at that instant ends. Ends are whole seconds; for the rest of one up to `until`
    none would be worth while."""
    end = period.anchored_at(recurs, time_zone, anchor, at).end
    return until if until is not None and until < end + period.SECOND else end


def _take_out(account: Account, grant: Grant, state: State, kind: MoveKind) -> Changed:
    """Ends an active grant: what is left of it is gone."""
    left = grant.left
    account = _with(account, replace(grant, state=state, lost=add(grant.lost, left)))
    moves = [Move(kind, grant.id, left)] if left else []
    return replace(account, granted=subtract(account.granted or ZERO, left)), moves


def _with(account: Account, changed: Grant) -> Account:
    return replace(account, grants=tuple([changed if one.id == changed.id else one for one in account.grants]))


def void(account: Account, grant: Grant) -> Changed:
    """Takes back what is left of a grant that is not over; none follows it."""
    if grant.state is State.PENDING:
        voided = replace(grant, state=State.VOIDED, lost=grant.left)
        return _with(account, voided), [Move(MoveKind.VOID, grant.id, ZERO)]
    return _take_out(account, grant, State.VOIDED, MoveKind.VOID)
