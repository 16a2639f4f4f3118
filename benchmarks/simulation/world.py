"""The simulated world: time, demand, a network that loses, delays and doubles, and the truth about what was spent."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from benchmarks.simulation.ledger import Ledger, OverAdmission
from metergate.domain.errors import MetergateError
from metergate.domain.hold import State
from metergate.domain.period import SECOND, Window

STEP = 0.1  # seconds of demand that are drawn together
PATIENCE = 1.0  # seconds after which a caller takes its call for lost
SLOW_MOST = 3.0  # seconds by which a slow call is delayed at most
DRAIN = 150.0  # seconds that all holders have to close and settle, and the ledger to forfeit
SHARES = {"99 %": 0.99, "99.9 %": 0.999, "99.99 %": 0.9999}


@dataclass(frozen=True, slots=True)
class Setup:
    """What is simulated. `rate` is decisions a second of all holders together; `limit` 0 = 0.6 of the demand."""

    seed: int = 1
    holders: int = 10_000
    seconds: int = 60
    rate: float = 1_000_000.0
    limit: int = 0
    skew: float = 1.0  # Zipf's exponent
    bursty: float = 0.5  # share of the holders whose demand comes in bursts, four times as high a quarter of the time
    lost: float = 0.001  # share of requests that are lost, and of answers, and of requests that arrive twice
    slow: float = 0.001  # share of requests that are delayed by up to SLOW_MOST
    crashing: float = 0.02  # share of the holders that are killed
    coming_back: float = 0.5  # share of those that start again, with their journal
    round_trip: float = 0.004  # seconds, mean
    calls_most: float = 20_000.0  # calls a second that the servers can serve

    @property
    def most(self) -> int:
        """The limit, in units."""
        return self.limit or int(self.rate * self.seconds * 0.6)


@dataclass(slots=True)
class Second:
    """What one second brought, and how it was at its end. Of a limit, all in units."""

    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("acquire", "sync", "record", "consume"), 0))
    demand: int = 0
    admitted: int = 0
    refused: int = 0  # while not the very last unit of the limit was used or lost
    left: int = 0
    stranded: int = 0  # handed out, not spent, at holders that live
    wrecked: int = 0  # handed out, not spent, and lost with holders that were killed
    forfeited: int = 0
    holders: int = 0


class Player(Protocol):
    """What the world knows of a holder. It calls `World.call` and tells `World.spent`."""

    number: int

    def demand(self, count: int) -> None:
        """So many decisions are asked for in this step."""

    def kill(self) -> list[str]:
        """SIGKILL; returns the leases that it leaves behind."""

    def restart(self) -> None:
        """Start again with what the journal holds."""

    def stop(self) -> None:
        """Give everything back."""

    @property
    def unspent(self) -> int:
        """What it may still spend."""


@dataclass(slots=True)
class Demand:
    """How much is asked of one holder."""

    mean: float  # decisions a second while it is on
    on: bool
    alive: bool = True


class World:
    """One run. Raises `OverAdmission` at the first figure that does not add up."""

    def __init__(self, setup: Setup, make: Callable[[World, int], Player]) -> None:
        self.setup = setup
        # Apart, so that a seed brings the same demand and the same crashes whatever else is tried.
        self.rng, self._fate = random.Random(setup.seed), random.Random(setup.seed + 1)
        self.now = self.start = self.step_end = 1000.0
        self.ledger = Ledger(setup.most, Window(0, int((self.start + setup.seconds + 7200) * SECOND)))
        self.seconds: list[Second] = []
        self.second = Second()
        self.reached: dict[str, float] = {}
        self.truth: dict[str, int] = {}  # by lease: what was spent
        self.consumed = self.admitted = self.wanted = self.wrecked = self.orphaned = 0
        self._wrecks: set[str] = set()
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count(1)
        self._free_at = 0.0
        self.players = [make(self, number) for number in range(setup.holders)]
        self._demands = self._make_demands()

    # --- time ---------------------------------------------------------------------------------------------------------

    def at(self, delay: float, act: Callable[..., None], *args: Any) -> None:
        """Runs `act` after a delay."""
        heapq.heappush(self._heap, (self.now + delay, next(self._order), act, args))

    def run(self) -> None:
        """Demand for the set seconds, then everything is given back, then the books are checked."""
        per_second = round(1 / STEP)
        for step in range(self.setup.seconds * per_second):
            self._until(self.start + step * STEP)
            self._step()
            if (step + 1) % per_second == 0:
                self._end_second()
        for player, demand in zip(self.players, self._demands, strict=True):
            if demand.alive:
                self.at(self.rng.uniform(0, 5), player.stop)
            else:
                demand.on = False
        self._until(self.now + DRAIN)
        self._check()

    def _until(self, instant: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= instant:
            self.now, _, act, args = heapq.heappop(heap)
            act(*args)
        self.now = instant
        self.ledger.expire(instant)

    # --- demand and crashes -------------------------------------------------------------------------------------------

    def _make_demands(self) -> list[Demand]:
        setup, fate = self.setup, self._fate
        weights = [1 / (rank + 1) ** setup.skew for rank in range(setup.holders)]
        scale, demands = setup.rate / sum(weights), []
        for weight in weights:
            bursty = fate.random() < setup.bursty
            demands.append(Demand(weight * scale * (4 if bursty else 1), not bursty or fate.random() < 0.25))
            if bursty:
                length = fate.choice((1.0, 4.0, 16.0))
                self.at(fate.expovariate(1 / length), self._burst, demands[-1], length)
        for number in fate.sample(range(setup.holders), int(setup.holders * setup.crashing)):
            self.at(fate.uniform(0, setup.seconds), self._kill, number, fate.random(), fate.uniform(1, 20))
        return demands

    def _burst(self, one: Demand, length: float) -> None:
        one.on = not one.on
        self.at(self._fate.expovariate(1 / (length if one.on else 3 * length)), self._burst, one, length)

    def _kill(self, number: int, luck: float, pause: float) -> None:
        self._demands[number].alive = False
        self._wrecks.update(self.players[number].kill())
        if luck < self.setup.coming_back and self.now + pause < self.start + self.setup.seconds:
            self.at(pause, self._restart, number)

    def _restart(self, number: int) -> None:
        self._demands[number].alive = True
        self.players[number].restart()

    def _step(self) -> None:
        self.step_end = self.now + STEP
        self.wrecked = self._count_wrecked()
        for player, demand in zip(self.players, self._demands, strict=True):
            if demand.alive:
                count = self._poisson(demand.mean * STEP) if demand.on else 0
                self.wanted += count
                self.second.demand += count
                player.demand(count)
        if "demand" not in self.reached and self.wanted >= self.setup.most:
            self.reached["demand"] = self.now - self.start
        gone = self.admitted + self.wrecked
        for name, share in SHARES.items():
            if name not in self.reached and gone >= self.setup.most * share:
                self.reached[name] = self.now - self.start

    def _poisson(self, mean: float) -> int:
        fate = self._fate
        if mean > 30:
            return max(round(fate.gauss(mean, math.sqrt(mean))), 0)
        count, product, floor = -1, 1.0, math.exp(-mean)
        while product > floor:
            product *= fate.random()
            count += 1
        return count

    def _count_wrecked(self) -> int:
        total = 0
        for name in self._wrecks:
            one = self.ledger.leases.get(name)
            if one is not None:
                total += int(one.marks.granted - one.marks.returned) - self.truth.get(name, 0)
        return total

    def _end_second(self) -> None:
        one, self.second = self.second, Second()
        one.left, one.forfeited = int(self.ledger.left), int(self.ledger.forfeited)
        one.holders, one.wrecked = self.ledger.holders, self.wrecked
        one.stranded = sum(
            player.unspent for player, demand in zip(self.players, self._demands, strict=True) if demand.alive
        )
        self.seconds.append(one)

    # --- what holders do ----------------------------------------------------------------------------------------------

    def spent(self, name: str, count: int) -> None:
        """A holder admitted so many decisions from a lease: the truth, whatever it reports."""
        self.truth[name] = self.truth.get(name, 0) + count
        self.admitted += count
        self.second.admitted += count

    def refused(self, count: int) -> None:
        """A holder refused so many decisions."""
        if self.admitted + self.wrecked < self.setup.most:
            self.second.refused += count

    def consume(self, count: int) -> int:
        """ConsumeQuota in batches of 500; returns how many decisions were admitted."""
        self.second.calls["consume"] += -(-count // 500)
        admitted = int(self.ledger.consume(Decimal(count)))
        self.consumed += admitted
        self.admitted += admitted
        self.second.admitted += admitted
        return admitted

    def call(self, kind: str, verb: Callable[..., Any], *args: Any, then: Callable[..., None]) -> None:
        """A call to the ledger. `then(answered, answer)` comes once: with the answer, or when patience ends."""
        self.second.calls[kind] += 1
        rng, lost, open_ = self.rng, self.setup.lost, [then]
        if rng.random() >= lost:
            self.at(self._way(), self._serve, verb, args, open_)
        if rng.random() < lost:
            self.at(self._way() + rng.uniform(0, SLOW_MOST), self._serve, verb, args, [])
        self.at(PATIENCE, self._give_up, open_)

    def _way(self) -> float:
        """How long until a call is served: the way there, the queue, and a delay if luck is bad."""
        rng = self.rng
        arrives = self.now + rng.expovariate(2 / self.setup.round_trip)
        self._free_at = max(self._free_at, arrives) + 1 / self.setup.calls_most
        return self._free_at - self.now + (rng.uniform(0, SLOW_MOST) if rng.random() < self.setup.slow else 0.0)

    def _serve(self, verb: Callable[..., Any], args: tuple[Any, ...], open_: list[Callable[..., None]]) -> None:
        try:
            answer = verb(self.now, *args)
        except MetergateError as error:
            raise OverAdmission(f"a mark was not taken: {error.message}") from error
        if self.rng.random() >= self.setup.lost:
            self.at(self.rng.expovariate(2 / self.setup.round_trip), self._answer, open_, answer)

    def _answer(self, open_: list[Callable[..., None]], answer: Any) -> None:
        if open_:
            open_.pop()(True, answer)

    def _give_up(self, open_: list[Callable[..., None]]) -> None:
        if open_:
            open_.pop()(False, None)

    # --- the books ----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        ledger, settled = self.ledger, 0
        for name, one in ledger.leases.items():
            spent, marks = self.truth.get(name, 0), one.marks
            settled += int(marks.settled)
            if not marks.settled <= spent <= marks.granted - marks.returned:
                raise OverAdmission(f"{name}: {spent} were spent, the ledger has {marks}")
            if name not in self.truth and one.state is State.FORFEITED:
                self.orphaned += int(marks.granted)  # a late copy of a request whose first copy had been refused
            elif name not in self._wrecks and (marks.settled != spent or marks.granted - marks.returned != spent):
                raise OverAdmission(f"{name}: its holder lives, {spent} were spent, the ledger has {marks} {one.state}")
        if sum(self.truth.values()) + self.consumed != self.admitted or self.admitted > self.setup.most:
            raise OverAdmission(f"{self.admitted} admitted of {self.setup.most}")
        if ledger.used != settled + self.consumed:
            raise OverAdmission(f"{ledger.used} used, {settled} settled, {self.consumed} consumed")
