"""The simulated holder: the rules of clients/README.md on plain integers, so that ten thousand fit into a minute."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from benchmarks.simulation.ledger import Answer
from benchmarks.simulation.stepped import Stepped
from benchmarks.simulation.world import World
from metergate.domain.hold import State


@dataclass(frozen=True, slots=True)
class Habits:
    """The holder's constants, in seconds, as in `metergate_client.leases.model.LeasePace`."""

    ahead: float = 10.0
    flush: float = 5.0
    sync: float = 5.0
    brisk: float = 1.0
    again: float = 0.5
    idle: float = 30.0
    first: int = 100
    journal: float = 1.0


class Holder(Stepped):
    """A client process with one lease. The figures of a lease are cumulative."""

    def __init__(self, world: World, number: int, habits: Habits) -> None:
        super().__init__(world, number)
        self.habits = habits
        self.lives = 0  # leases that it had, and so its next request id
        self.alive = True
        self.stopping = False
        self.rate = 0.0
        self.short = False  # a decision was refused since the last request
        self.refused_until = 0.0
        self.fallback = False
        self.calls = 0  # the generation of its call in flight; a killed holder hears no answer
        self.flying = False
        self.timer = 0.0
        self.asked = 0  # of an AcquireLease that is not answered; repeated under its id, for the same amount
        self.unsure = False  # whether an unanswered copy of it may still be on its way
        self._no_lease()

    def _no_lease(self) -> None:
        self.name = ""
        self.granted = self.returned = self.spent = self.sent = self.recall = 0
        self.end = self.sync_at = 0.0
        self.measured, self.measured_at, self.spent_at = 0, self.world.now, self.world.now
        self.target, self.low = 0, -1
        self.closing = False
        self.events: dict[int, int] = {}
        self.last_event = 0

    @property
    def unspent(self) -> int:
        """What it may still spend."""
        return 0 if self.closing else self.granted - self.returned - self.spent

    # --- deciding -----------------------------------------------------------------------------------------------------

    def take(self, count: int) -> int:
        """Spends up to so many, and asks for more when it has come down to half."""
        taken = min(count, self.unspent) if self.world.now < self.end else 0
        if taken:
            self.spent += taken
            self.world.spent(self.name, taken)
        if taken < count:
            self.short = True
            if self.fallback:
                taken += self.world.consume(count - taken)
        if taken < count or self.granted - self.returned - self.spent <= self.low:
            self.act()
        return taken

    def act(self) -> None:
        """Sends what is due, if nothing is under way."""
        now = self.world.now
        if self.flying or not self.alive:
            return
        if not self.name:
            if self.asked or (self.short and not self.stopping and now >= self.refused_until):
                self._acquire()
        elif self.closing or self.stopping or now >= self.end or self._is_idle():
            self._close()
        elif now >= self.sync_at or self.unspent <= self.low or (self.short and now >= self.refused_until):
            self._sync()

    def _is_idle(self) -> bool:
        return self.spent == self.measured and self.world.now - self.spent_at >= self.habits.idle

    def _wake(self, delay: float) -> None:
        """Looks again after a delay; a later call of this takes the place of an earlier."""
        self.timer = self.world.now + delay
        self.world.at(delay, self._woken, self.timer)

    def _woken(self, timer: float) -> None:
        if timer == self.timer and self.alive:
            if self.flying:
                self._wake(0.1)
            else:
                self.act()

    # --- calls --------------------------------------------------------------------------------------------------------

    def _acquire(self) -> None:
        if not self.asked:
            self.asked = max(int(self.rate * self.habits.ahead), 1 if self.rate else self.habits.first)
        self.short = False
        ledger, name = self.world.ledger, f"{self.number}/{self.lives}"
        self._call("acquire", name, ledger.acquire, name, Decimal(self.asked))

    def _sync(self) -> None:
        self._plan()
        wanted = max(self.granted, self.returned + self.spent + self.target)
        self.short = False
        self._mark(wanted, close=False)

    def _close(self) -> None:
        """Never spends it again. Repeated until it is answered, since a copy of it may arrive at any time."""
        self.closing = True
        self._record()
        self._mark(0, close=True)

    def _mark(self, wanted: int, close: bool) -> None:
        self.wanted = wanted
        figures = (Decimal(self.spent), Decimal(self.returned), Decimal(wanted))
        self._call("sync", self.name, self.world.ledger.sync, self.name, *figures, close)

    def _plan(self) -> None:
        """Measures the rate, which follows a rise at once and a fall by halves, and gives back what it won't need."""
        now = self.world.now
        elapsed, used = now - self.measured_at, self.spent - self.measured
        rate = used / max(elapsed, 0.1)
        if elapsed >= 0.1:
            self.rate = max(rate, (self.rate + rate) / 2)
            self.spent_at = now if used else self.spent_at
            self.measured, self.measured_at = self.spent, now
        else:
            self.rate = max(self.rate, rate)
        self.target = max(int(self.rate * self.habits.ahead), 1 if self.short else 0)
        if 2 * elapsed >= self.habits.sync and not self.short and self.unspent > 2 * self.target:
            self.returned = self.granted - self.spent - self.target

    def _call(self, kind: str, name: str, verb: object, *args: object) -> None:
        self.flying = True
        self.calls += 1
        call, sent = self.calls, self.world.now

        def then(answered: bool, answer: Answer | None) -> None:
            if call == self.calls:
                self.flying = False
                if answered and answer is not None:
                    self._answered(name, answer, sent)
                else:
                    self.unsure |= not self.name
                    self._wake(self.world.rng.uniform(0.05, 0.1))

        self.world.call(kind, verb, *args, then=then)  # type: ignore[arg-type]

    def _answered(self, name: str, answer: Answer, sent: float) -> None:
        now, habits = self.world.now, self.habits
        if answer.marks is None:
            self.asked = self.asked if self.unsure else 0
            self.refused_until = now + habits.again
            self.fallback = bool(answer.reason)
            if self.asked:
                self._wake(habits.again)
            return
        asked = self.wanted if self.name else self.asked
        if not self.name:
            self._no_lease()
            self.name, self.target = name, self.asked
            self.world.at(habits.flush, self._flush, name)
        self.asked, self.unsure, self.fallback = 0, False, False
        if answer.state is not State.OPEN:
            self._ended()
            return
        gained = answer.marks.granted > self.granted
        self.granted = int(answer.marks.granted)
        self.end = sent + answer.ttl
        recalled = min(int(answer.recall), self.granted - self.spent)
        due = recalled > self.returned
        self.returned = max(self.returned, recalled)
        scarce = self.granted < asked or answer.recall > 0
        pause = (habits.brisk if scarce else habits.sync) * self.world.rng.uniform(0.9, 1.1)
        self.sync_at = now if due else now + min(pause, answer.ttl / 2)
        self.refused_until = 0.0 if gained else now + habits.again if asked > self.granted else self.refused_until
        left = self.unspent
        self.low = min(left, self.target or left) // 2 if left > 0 else -1
        if self.closing:
            self._wake(0.05)
            return
        self._wake(self.sync_at - now)
        self.spend()

    def _ended(self) -> None:
        """The ledger knows that it is over; what was spent is in events, which are sent until they are acknowledged."""
        self._record()
        self.lives += 1
        self._no_lease()
        if self.short:
            self._wake(0.0)

    # --- events -------------------------------------------------------------------------------------------------------

    def _flush(self, name: str) -> None:
        if self.alive and self.name == name:
            self._record()
            self.world.at(self.habits.flush, self._flush, name)

    def _record(self) -> None:
        """Makes what was spent since the last one an event, and sends it until it is acknowledged."""
        if self.spent > self.sent:
            self.last_event += 1
            self.events[self.last_event], self.sent = self.spent - self.sent, self.spent
            self._send(self.name, self.last_event, self.events)

    def _send(self, name: str, number: int, events: dict[int, int]) -> None:
        if not self.alive or number not in events:
            return

        def then(answered: bool, _: Answer | None) -> None:
            if answered:
                events.pop(number, None)
            else:
                self._send(name, number, events)

        self.world.call("record", self.world.ledger.settle, name, number, Decimal(events[number]), then=then)

    # --- life and death -----------------------------------------------------------------------------------------------

    def kill(self) -> list[str]:
        """SIGKILL; what it had, and what it may have been handed since, is left behind."""
        self.alive, self.rest = False, 0
        self.calls += 1
        self.flying = False
        return [f"{self.number}/{life}" for life in range(self.lives + 1)]

    def restart(self) -> None:
        """The journal knows what was spent up to its last entry, and up to which mark it may have been spent: the
        lease is closed with that mark, and what lies between is lost."""
        self.alive, self.rate = True, 0.0
        if self.name:
            step = max(self.unspent // 8, int(self.rate * self.habits.journal), 8)
            known = max(self.sent, self.spent - self.world.rng.randint(0, step // 2))
            self.spent = known
            self._record()
            self.spent = max(min(known + step, self.granted - self.returned), self.world.truth.get(self.name, 0))
            self.sent = self.spent
            self.closing = True
        for number in self.events:
            self._send(self.name, number, self.events)
        self.act()

    def stop(self) -> None:
        """Give everything back."""
        self.stopping = True
        if self.flying:
            self.world.at(0.1, self.stop)
        else:
            self.act()
