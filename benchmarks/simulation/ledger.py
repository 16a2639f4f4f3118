"""The simulated ledger: one limit and its counter, moved by the very functions of `metergate.domain.lease`."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from decimal import Decimal

from metergate.domain import lease
from metergate.domain.hold import State
from metergate.domain.lease import Marks
from metergate.domain.period import SECOND, Window
from metergate.domain.quantity import ZERO, add, subtract

LAG = lease.LAG / SECOND


class OverAdmission(AssertionError):
    """More was handed out or used than there was, or a figure does not add up."""


@dataclass(slots=True)
class Leased:
    """A lease in the ledger; `end` in seconds."""

    marks: Marks
    state: State
    end: float

    @property
    def unspent(self) -> Decimal:
        """What its holder still has, as far as it has told."""
        return subtract(subtract(self.marks.granted, self.marks.returned), self.marks.spent)


@dataclass(frozen=True, slots=True)
class Answer:
    """A lease as it is answered; `recall` is cumulative, as in the contract. `marks` None = nothing was leased."""

    marks: Marks | None
    state: State = State.RETURNED
    ttl: float = 0.0
    recall: Decimal = ZERO
    reason: str = ""


class Ledger:
    """Each call is a commit: it sees and leaves whole figures. Times are seconds, quantities decimals."""

    def __init__(self, most: int, window: Window) -> None:
        self.most, self.window = Decimal(most), window
        self.used = self.leased = self.forfeited = ZERO
        self.leases: dict[str, Leased] = {}
        self.holders = 0
        self._events: set[tuple[str, int]] = set()
        self._ends: list[tuple[float, str]] = []

    @property
    def left(self) -> Decimal:
        """What is left of the limit."""
        return subtract(subtract(subtract(self.most, self.used), self.leased), self.forfeited)

    def acquire(self, now: float, name: str, wanted: Decimal) -> Answer:
        """AcquireLease with `name` as its request id. A refusal is not stored: a repeat is decided anew."""
        one = self.leases.get(name)
        if one is None:
            instant = int(now * SECOND)
            reason = lease.not_possible(self.window, instant, self.forfeited, self.most)
            granted = ZERO if reason else lease.slice_of(wanted, self.left, self.holders + 1)
            if not granted:
                return Answer(None, reason=reason or "")
            one = self.leases[name] = Leased(Marks(ZERO), State.OPEN, now)
            self.holders += 1
            heapq.heappush(self._ends, (now, name))
            self._change(one, Marks(granted), State.OPEN)
            self._renew(now, one)
        return self._answer(now, one)

    def sync(self, now: float, name: str, spent: Decimal, returned: Decimal, wanted: Decimal, close: bool) -> Answer:
        """SyncLeases with one mark."""
        one = self.leases[name]
        if one.state is State.OPEN or (close and one.state is State.FORFEITED):
            marks = lease.take(one.marks, spent, returned, close)
            if close:
                self.holders -= one.state is State.OPEN
                self._change(one, marks, State.RETURNED)
            else:
                self._change(one, marks, State.OPEN)
                if now < one.end:  # what is over is not renewed
                    self._more(one, wanted)
                    self._renew(now, one)
        return self._answer(now, one)

    def settle(self, now: float, name: str, number: int, value: Decimal) -> None:
        """RecordUsage of one event, which counts once."""
        if (name, number) in self._events:
            return
        self._events.add((name, number))
        one = self.leases[name]
        if value > lease.outstanding(one.marks, one.state):
            raise OverAdmission(f"{name}: {value} used of {one.marks} {one.state}")
        self.used = add(self.used, value)
        self._change(one, replace(one.marks, settled=add(one.marks.settled, value)), one.state)

    def consume(self, value: Decimal) -> Decimal:
        """ConsumeQuota of many units, of which as many are admitted as fit."""
        admitted = min(value, self.left)
        self.used = add(self.used, admitted)
        return admitted

    def expire(self, now: float) -> None:
        """Forfeits what ended in silence."""
        while self._ends and self._ends[0][0] + LAG <= now:
            name = heapq.heappop(self._ends)[1]
            one = self.leases[name]
            if one.state is State.OPEN and one.end + LAG > now:
                heapq.heappush(self._ends, (one.end, name))
            elif one.state is State.OPEN:
                self.holders -= 1
                self._change(one, one.marks, State.FORFEITED)

    def _more(self, one: Leased, wanted: Decimal) -> None:
        more = lease.slice_of(subtract(wanted, one.marks.granted), self.left, self.holders, one.unspent)
        if more:
            self._change(one, replace(one.marks, granted=add(one.marks.granted, more)), State.OPEN)

    def _renew(self, now: float, one: Leased) -> None:
        one.end = max(one.end, lease.end_of(int(now * SECOND), self.window.end, None) / SECOND)

    def _change(self, one: Leased, marks: Marks, state: State) -> None:
        before, after = lease.outstanding(one.marks, one.state), lease.outstanding(marks, state)
        self._move(one.state, before.copy_negate())
        self._move(state, after)
        one.marks, one.state = marks, state
        if self.left < ZERO:
            raise OverAdmission(f"{-self.left} above {self.most}")

    def _move(self, state: State, amount: Decimal) -> None:
        if state is State.FORFEITED:
            self.forfeited = add(self.forfeited, amount)
        else:
            self.leased = add(self.leased, amount)

    def _answer(self, now: float, one: Leased) -> Answer:
        if one.state is not State.OPEN:
            return Answer(one.marks, one.state)
        recall = lease.recall_of(one.unspent, self.left, self.holders)
        return Answer(one.marks, one.state, one.end - now, add(one.marks.returned, recall) if recall else ZERO)
