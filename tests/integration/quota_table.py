"""The table of the quota game: the world, two processes and the oracle, and what must hold after each move."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from metergate.app.sweep import SweepView
from metergate.domain.answer import Answer
from metergate.domain.decision import AnsweredBy, LimitState
from metergate.domain.errors import MetergateError
from metergate.domain.hold import Hold
from metergate.domain.meter import Meter
from metergate.domain.period import HOUR, LATEST, MINUTE, SECOND, Period
from metergate.domain.quota import CounterKey, Kind, Limit, Policy, Scope
from metergate.domain.usage import Event
from tests.integration.processes import PRINCIPAL, Process, heard
from tests.integration.quota_clock import StepClock
from tests.integration.quota_oracle import ZERO, Ask, Figures, Held, Oracle, Pace

METERS = (
    Meter("calls", "calls", dimensions=("region",)),
    Meter("requests", "llm", "count", dimensions=("model",)),
    Meter("tokens", "llm", value="tokens", dimensions=("model",)),
)
CUSTOMERS = {"acme": "UTC", "berlin": "Europe/Berlin", "group": "Asia/Kathmandu"}
SUBJECTS = {"acme": "acme", "alice": "acme", "berlin": "berlin", "group": "group"}
POOL, MEMBERS = "group", ("acme", "berlin")
LABELS: list[dict[str, str]] = [{}, {"region": "eu"}, {"model": "a"}, {"region": "eu", "model": "b", "other": "x"}]
KINDS = [
    *[(Kind.CALENDAR, 0, Period.MONTH)] * 3, (Kind.CALENDAR, 0, Period.DAY), (Kind.CALENDAR, 0, Period.HOUR),
    (Kind.ANCHORED, 0, Period.MONTH), (Kind.ANCHORED, 0, Period.DAY),
    (Kind.FIXED, 10 * MINUTE, Period.MONTH), (Kind.ROLLING, 20 * MINUTE, Period.MONTH),
    (Kind.LIFETIME, 0, Period.MONTH), (Kind.RATE, MINUTE, Period.MONTH),
    (Kind.RATE, 2 * MINUTE, Period.MONTH), (Kind.CONCURRENCY, 0, Period.MONTH),
]  # fmt: skip
REACHED_ONCE = (Kind.CALENDAR, Kind.ANCHORED, Kind.FIXED, Kind.LIFETIME)
LASTING = KINDS[:9]  # on which there are leases
MOST = [None, *[Decimal(most) for most in ("0", "1", "7", "10.5", "40", "100", "100", "1000", "1000")]]
AMOUNTS = ["", "1", "1", "2", "3", "0.5", "7", "30", "0", "0.000000000001"]
STEPS = [-HOUR, -MINUTE, -5 * SECOND, SECOND, 15 * SECOND, 45 * SECOND, 45 * SECOND, 11 * MINUTE, HOUR]
HEARD_MOST = 5.0  # seconds in which all processes hear of a commit, on a busy machine
TABLES = ("usage_event", "usage_id", "usage_rollup", "usage_counter", "hold", "hold_move", "customer_head")


_T = TypeVar("_T")


class Answered(NamedTuple):
    """A decision, to be asked of again later."""

    seq: int
    limits: list[tuple[CounterKey, ...]]
    figures: dict[CounterKey, Figures]


@dataclass
class Player:
    """A process that the game may start anew."""

    stack: AsyncExitStack
    process: Process


def limits(rng: random.Random) -> tuple[Limit, ...]:
    """Some limits on each meter; leases are possible on most."""
    made: list[Limit] = []
    for meter in METERS:
        for number in range(rng.choice([0, 1, 1, 2, 3])):
            kind, length, period = rng.choice(LASTING if meter.name == "calls" and rng.random() < 0.9 else KINDS)
            rate = kind is Kind.RATE
            if rate and any(one.kind is Kind.RATE and one.meter == meter.name for one in made):
                continue
            policy = rng.choice([*[Policy.HARD] * 6, Policy.SOFT, *[Policy.HARD if rate else Policy.GRACE] * 2])
            (dimension,) = meter.dimensions
            labels, per = rng.choice([*[((), ())] * 4, (((dimension, "eu"),), ()), ((), (dimension,))])
            most = rng.choice(MOST)
            timed = policy is Policy.GRACE and kind in REACHED_ONCE and most is not None and rng.random() < 0.7
            made.append(
                Limit(
                    f"{meter.name}/{number}", meter.name, most, period, policy,
                    rng.choice([Scope.CUSTOMER, Scope.CUSTOMER, Scope.SUBJECT]), labels, per, kind, length,
                    sub_windows=4 if kind is Kind.ROLLING else 10, burst=Decimal(20) if rate else None,
                    grace=Decimal(5) if policy is Policy.GRACE and rng.random() < (0.5 if timed else 1) else None,
                    grace_period=rng.choice([30 * SECOND, 10 * MINUTE]) if timed else None,
                    shadow=rng.random() < 0.1,
                )
            )  # fmt: skip
    return tuple(made)


def reason_of(answer: object) -> str:
    """Why not; "" where it is no error."""
    return answer.reason.value if isinstance(answer, MetergateError) else ""


class Table:
    """Two processes, the oracle, and what was done so far, for a failure's report."""

    def __init__(
        self, begin: Callable[[], Awaitable[Player]], clock: StepClock, rng: random.Random, redis_url: str
    ) -> None:
        self.begin, self.clock, self.rng, self.redis_url = begin, clock, rng, redis_url
        self.players: list[Player] = []
        self.oracle = Oracle()
        self.made: list[Event] = []
        self.units: list[tuple[Event, ...]] = []
        self.requests: dict[str, tuple[str, object]] = {}
        self.answered: list[Answered] = []
        self.log: list[str] = []
        self.print = ""
        self.may_change = True
        self.counts: dict[str, int] = {}

    @property
    def process(self) -> Process:
        return self.rng.choice(self.players).process

    async def verify(self) -> None:
        """P3 and P4: nothing changed that was refused, and all that is kept is what the oracle says."""
        one = self.process
        parts = [f"(SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t)" for table in TABLES]
        ((print_,),) = await one.fetch(f"SELECT concat_ws(' ', {', '.join(parts)})")
        if not self.may_change:
            assert print_ == self.print, "a refusal changed something"
        self.print = print_
        await self.verify_counters(one)
        await self.verify_holds(one)
        assert await one.differences() == []
        await self.verify_answers()

    async def verify_counters(self, one: Process) -> None:
        rows = await one.fetch(
            "SELECT customer, meter, subject, filter, start_at, end_at, used, reserved, leased, forfeited "
            "FROM usage_counter"
        )
        kept = {CounterKey(*row[:6]): Figures(*row[6:]) for row in rows}
        expected = self.oracle.figures(kept)
        assert kept == expected, [(key, kept[key], expected[key]) for key in kept if kept[key] != expected[key]]

        rates = await self.rates()
        heirs = {key: self.oracle.heir(key) for key in rates}
        assert rates == heirs, [(key, rates[key], heirs[key]) for key in rates if rates[key] != heirs[key]]
        self.oracle.rates |= rates  # those whose counters were born with the state of another
        await self.adopt_reached()

    async def rates(self) -> dict[CounterKey, Pace]:
        """The states of all rates."""
        rows = await self.process.fetch(
            "SELECT customer, meter, subject, filter, start_at, end_at, tat, pace FROM usage_counter WHERE tat <> 0"
        )
        return {CounterKey(*row[:6]): Pace(Fraction(row[6]), Fraction(row[7])) for row in rows}

    async def adopt_reached(self) -> None:
        """When limits with a grace of time were reached: once in each window, and not before they were."""
        rows = await self.process.fetch(
            "SELECT customer, meter, subject, filter, start_at, end_at, limit_name, recorded_at, taken >= max "
            "FROM limit_event WHERE threshold = 100"
        )
        told = {(CounterKey(*row[:6]), row[6]): row[7] for row in rows}
        assert all(row[8] for row in rows)
        assert told.items() >= self.oracle.reached.items()
        self.oracle.reached = told

    async def verify_holds(self, one: Process) -> None:
        rows = await one.fetch(
            "SELECT id, state, end_at, counted_at, meter, granted, returned, spent, settled FROM hold ORDER BY id, part"
        )
        expected = [
            (id_, held.state, held.end_at, held.counted_at, *[getattr(share, name) for name in
                ("meter", "granted", "returned", "spent", "settled")])
            for id_, held in sorted(self.oracle.holds.items()) for share in held.shares
        ]  # fmt: skip
        assert rows == expected

    async def verify_answers(self) -> None:
        """What is asked of the view or the ledger, and listed."""
        await self.sweep()
        await heard()
        for player in self.players:
            subject, meter = self.rng.choice(list(SUBJECTS)), self.rng.choice(METERS).name
            labels = self.rng.choice(LABELS)
            until = time.monotonic() + HEARD_MOST
            while True:
                decision = await player.process.check(meter, "0", subject, labels)
                wrong = [one for state in decision.states if (one := self.wrong(subject, meter, labels, state))]
                if not wrong or decision.answered_by is AnsweredBy.LEDGER or time.monotonic() > until:
                    break
                await self.sweep()
                await heard()  # on a busy machine word takes longer
            assert not wrong, (decision.answered_by, wrong)
        if self.rng.random() < 0.1:
            listed = await self.process.limits.list(PRINCIPAL, subject, [meter])
            wrong = [one for state in listed.states if (one := self.wrong(subject, meter, {}, state))]
            assert not wrong, wrong

    async def sweep(self) -> None:
        """As each process does when a publication of its own was lost, to a Redis that was too slow."""
        for player in self.players:
            if not player.process.view.trusted:
                await SweepView(player.process.usage, player.process.view).sweep()

    def wrong(self, subject: str, meter: str, labels: dict[str, str], state: LimitState) -> str:
        """What a limit's state says and the oracle does not."""
        customer, limit = state.pool or SUBJECTS[subject], state.limit
        if state.pool not in ("", self.oracle.pools.get(SUBJECTS[subject], "")):
            return f"{limit.name} is of the pool {state.pool}"
        at = state.window.end - 1 if state.window.end < LATEST else 0
        zone, anchor = self.oracle.zones[customer], self.oracle.anchors.get(customer)
        whose, windows = limit.subject_of(subject), limit.windows(zone, at, anchor)
        filter_ = state.filter or limit.filter_of(labels) or ""
        keys = [CounterKey(customer, meter, whose, filter_, one.start, one.end) for one in windows]
        expected = [sum(column, ZERO) for column in zip(*self.oracle.figures(keys).values(), strict=True)]
        found = list(state.figures[:4])
        return "" if found == expected else f"{limit.name} {keys[-1]}: {found} and not {expected}"

    def verify_decision(self, answer: Answer, asks: Sequence[Ask]) -> None:
        """The answer speaks of these limits, and of the ledger with what it admitted."""
        if answer.repeated:
            return
        touched = sorted((touch.limit.name, touch.keys) for touch in answer.demand.touches)
        assert touched == sorted((ask.limit.name, ask.keys) for ask in asks)
        assert answer.decision is not None
        figures = self.oracle.figures([key for ask in asks for key in ask.keys])
        for state, touch in zip(answer.decision.states, answer.demand.touches, strict=True):
            columns = zip(*[figures[key] for key in touch.keys], strict=True)
            assert list(state.figures[:4]) == [sum(column, ZERO) for column in columns], touch.limit.name
        assert answer.decision.allowed == answer.allowed
        customer = answer.demand.customer
        # What a pool's counters were is told by the clock, which steps here.
        mine = [ask.keys for ask in asks if ask.keys[0].customer == customer and customer != POOL]
        self.answered.append(Answered(answer.seq, mine, figures))

    def some_hold(self, kind: str) -> Held | None:
        """One that is open, mostly."""
        mine = [held for held in self.oracle.holds.values() if held.kind == kind]
        alive = [held for held in mine if held.state in ("open", "forfeited") or held.shares[0].left]
        return self.rng.choice(alive if alive and self.rng.random() < 0.85 else mine) if mine else None

    def request(self, kind: str, body: Any) -> tuple[str, Any]:
        """An id for a request: a new one, or one that was used, with the body of then or with this one."""
        rng = self.rng
        mine = [id_ for id_ in self.requests if id_.startswith(kind)]
        if mine and rng.random() < 0.15:
            id_ = rng.choice(mine)
            return id_, self.requests[id_][1] if rng.random() < 0.6 else body
        return f"{kind}{len(self.log)}", body

    def repeated(self, request_id: str, body: object, answer: object) -> str | None:
        """What must become of a request whose id was used; None where it was not."""
        if request_id not in self.requests:
            return None
        id_, first = self.requests[request_id]
        self.may_change = False
        if first != body:
            assert reason_of(answer) == "REQUEST_ID_REUSED"
            return "reused"
        assert isinstance(answer, Answer), answer
        assert (answer.allowed, answer.repeated, hold_of(answer).id) == (True, True, id_)
        return "repeated"


def hold_of(answer: Answer) -> Hold:
    """The hold that the answer speaks of."""
    assert answer.hold is not None
    return answer.hold


async def caught(call: Awaitable[_T]) -> _T | MetergateError:
    """The answer, or the error."""
    try:
        return await call
    except MetergateError as error:
        return error
