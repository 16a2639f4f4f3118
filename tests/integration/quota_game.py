"""Moves of the quota game: each is done by one of the processes and by the oracle, which must say the same."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from metergate.app.quota.lease import Report
from metergate.app.sweep import SweepView
from metergate.domain.batch import Answer
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.decision import AnsweredBy, LimitState
from metergate.domain.errors import MetergateError
from metergate.domain.hold import Hold
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, LATEST, MINUTE, SECOND, Period
from metergate.domain.quantity import to_text
from metergate.domain.quota import CounterKey, Kind, Limit, Policy, Scope
from metergate.domain.usage import Event
from metergate.domain.work import Want
from tests.integration.processes import PRINCIPAL, TENANT, Process, event, heard, settle
from tests.integration.quota_clock import StepClock
from tests.integration.quota_oracle import MARGIN, ZERO, Ask, Figures, Held, Oracle, Share, Wish
from tests.integration.views import command

METERS = (
    Meter("calls", "calls", dimensions=("region",)),
    Meter("requests", "llm", "count", dimensions=("model",)),
    Meter("tokens", "llm", value="tokens", dimensions=("model",)),
)
CUSTOMERS = {"acme": "UTC", "berlin": "Europe/Berlin"}
SUBJECTS = {"acme": "acme", "alice": "acme", "berlin": "berlin"}
LABELS: list[dict[str, str]] = [{}, {"region": "eu"}, {"model": "a"}, {"region": "eu", "model": "b", "other": "x"}]
KINDS = [
    *[(Kind.CALENDAR, 0, Period.MONTH)] * 3, (Kind.CALENDAR, 0, Period.DAY), (Kind.CALENDAR, 0, Period.HOUR),
    (Kind.FIXED, 10 * MINUTE, Period.MONTH), (Kind.ROLLING, 20 * MINUTE, Period.MONTH),
    (Kind.LIFETIME, 0, Period.MONTH), (Kind.RATE, MINUTE, Period.MONTH), (Kind.CONCURRENCY, 0, Period.MONTH),
]  # fmt: skip
LASTING = KINDS[:7]  # on which there are leases
MOST = [None, *[Decimal(most) for most in ("0", "1", "7", "10.5", "40", "100", "100", "1000", "1000")]]
AMOUNTS = ["", "1", "1", "2", "3", "0.5", "7", "30", "0", "0.000000000001"]
STEPS = [-HOUR, -MINUTE, -5 * SECOND, SECOND, 15 * SECOND, 45 * SECOND, 45 * SECOND, 11 * MINUTE, HOUR]
HEARD_MOST = 5.0  # seconds in which all processes hear of a commit, on a busy machine
TABLES = ("usage_event", "usage_id", "usage_rollup", "usage_counter", "hold", "hold_move", "customer_head")


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
            policy = rng.choice([*[Policy.HARD] * 6, Policy.SOFT, Policy.HARD if rate else Policy.GRACE])
            (dimension,) = meter.dimensions
            labels, per = rng.choice([*[((), ())] * 4, (((dimension, "eu"),), ()), ((), (dimension,))])
            made.append(
                Limit(
                    f"{meter.name}/{number}", meter.name, rng.choice(MOST), period, policy,
                    rng.choice([Scope.CUSTOMER, Scope.CUSTOMER, Scope.SUBJECT]), labels, per, kind, length,
                    sub_windows=4 if kind is Kind.ROLLING else 10, burst=Decimal(20) if rate else None,
                    grace=Decimal(5) if policy is Policy.GRACE else None, shadow=rng.random() < 0.1,
                )
            )  # fmt: skip
    return tuple(made)


def reason_of(answer: object) -> str:
    """Why not; "" where it is no error."""
    return answer.reason.value if isinstance(answer, MetergateError) else ""


class Game:
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
        self.moves: list[tuple[int, Callable[[], Awaitable[str]]]] = [
            (10, self.record), (16, self.consume), (10, self.reserve), (3, self.extend), (8, self.commit),
            (4, self.release), (10, self.acquire), (14, self.sync), (3, self.operator_release), (3, self.expire),
            (6, self.step_clock), (4, self.change_limits), (2, self.assign), (3, self.override), (1, self.restart),
            (2, self.flush), (5, self.burst), (3, self.explain),
        ]  # fmt: skip

    @property
    def process(self) -> Process:
        return self.rng.choice(self.players).process

    async def play(self, turns: int) -> None:
        """Makes so many moves, and looks at everything after each."""
        self.players = [await self.begin(), await self.begin()]
        one = self.players[0].process
        await self.apply()
        for name, zone in CUSTOMERS.items():
            await one.customer(name, time_zone=zone)
            self.oracle.plans[name], self.oracle.zones[name] = "", zone
        await one.subject("alice", "acme")
        self.oracle.owners = dict(SUBJECTS)
        await self.verify()
        weights, moves = zip(*self.moves, strict=True)
        for turn in range(turns):
            (move,) = self.rng.choices(moves, weights)
            if turn % 25 == 0:
                await self.process.fetch("ANALYZE")  # what was empty a moment ago would be planned for as empty
            self.may_change = True
            self.log.append(f"{turn} {move.__name__}")
            self.log[-1] += f": {await move()}"
            self.counts[self.log[-1].partition(" ")[2]] = self.counts.get(self.log[-1].partition(" ")[2], 0) + 1
            await self.verify()

    # --- what must hold after each move -------------------------------------------------------------------------------
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

        tats = await self.rates()
        assert tats == {key: tat for key, tat in self.oracle.tats.items() if key in tats}

    async def rates(self) -> dict[CounterKey, Fraction]:
        """The states of all rates."""
        rows = await self.process.fetch(
            "SELECT customer, meter, subject, filter, start_at, end_at, tat FROM usage_counter WHERE tat <> 0"
        )
        return {CounterKey(*row[:6]): Fraction(row[6]) for row in rows}

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
        customer, limit = SUBJECTS[subject], state.limit
        at = state.window.end - 1 if state.window.end < LATEST else 0
        whose, windows = limit.subject_of(subject), limit.windows(CUSTOMERS[customer], at)
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
        self.answered.append(Answered(answer.seq, [ask.keys for ask in asks], figures))

    # --- facts and consumption ----------------------------------------------------------------------------------------
    def some_event(self, settles: str = "", subject: str = "", now: int | None = None) -> Event:
        rng = self.rng
        type_ = rng.choice(["calls", "calls", "llm"])
        values = {"tokens": rng.choice(["0", "1", "2.5", "40"])} if type_ == "llm" and rng.random() < 0.8 else {}
        time = None if now is None else now - rng.choice([-MINUTE, 0, 20 * SECOND, 15 * MINUTE, 2 * HOUR, DAY])
        made = event(
            str(len(self.made)), type_, subject=subject or rng.choice(list(SUBJECTS)), labels=rng.choice(LABELS),
            time=time, amount=rng.choice(AMOUNTS) if type_ == "calls" else "", values=values, settles=settles,
        )  # fmt: skip
        self.made.append(made)
        return made

    def event_of(self, held: Held, now: int | None = None) -> Event:
        """An event that mostly settles the hold."""
        rng, share = self.rng, self.rng.choice(held.shares)
        if rng.random() < 0.1:
            return self.some_event(held.id, now=now)
        amount = to_text(rng.choice([share.left, share.left, min(share.left, Decimal(1)), share.left + 1]))
        time = None if now is None else now - rng.choice([-MINUTE, 0, SECOND, 10 * SECOND, MINUTE, HOUR])
        made = event(
            str(len(self.made)), "calls" if share.meter == "calls" else "llm", subject=held.subject, time=time,
            labels=share.labels, amount=amount if share.meter == "calls" else "",
            values={"tokens": amount} if share.meter == "tokens" else {}, settles=held.id,
        )  # fmt: skip
        self.made.append(made)
        return made

    def some_hold(self, kind: str) -> Held | None:
        """One that is open, mostly."""
        mine = [held for held in self.oracle.holds.values() if held.kind == kind]
        alive = [held for held in mine if held.state in ("open", "forfeited") or held.shares[0].left]
        return self.rng.choice(alive if alive and self.rng.random() < 0.85 else mine) if mine else None

    async def record(self) -> str:
        rng, process = self.rng, self.process
        before = await process.now()
        events = []
        for _ in range(rng.randint(1, 4)):
            held, now = self.some_hold(rng.choice(["reservation", "lease"])), rng.choice([None, before])
            if self.made and rng.random() < 0.15:
                events.append(rng.choice(self.made))
            elif held and rng.random() < 0.6:
                events.append(self.event_of(held, now))
            else:
                events.append(self.some_event(rng.choice(["", "", "r_none"]), now=now))
        done = await process.add(*events)
        after = await process.now()
        outcomes = []
        for one, receipt in zip(events, done.receipts, strict=True):
            outcomes.append(receipt.outcome.value)
            if first := self.oracle.facts.get((one.source, one.id)):
                assert receipt.outcome.value == ("duplicate" if first.event.digest == one.digest else "conflict")
                continue
            assert receipt.outcome.value == "accepted"
            counted_at = await self.adopt(process, one, before, after)
            assert receipt.unsettled == self.oracle.post(one, counted_at), one
        self.may_change = "accepted" in outcomes
        return " ".join(sorted(set(outcomes)))

    async def adopt(self, process: Process, one: Event, before: int, after: int) -> int:
        """When an event counts, which must be as it has to."""
        ((counted_at,),) = await process.fetch(
            "SELECT counted_at FROM usage_event WHERE source = $1 AND id = $2", one.source, one.id
        )
        low, high = (before, after) if one.time is None else (one.time, one.time)
        held = self.oracle.holds.get(one.settles)
        if held is not None and held.customer == SUBJECTS[one.subject]:
            low, high = held.counts_at(low), held.counts_at(high)
        assert low <= counted_at <= high
        return int(counted_at)

    def known(self, unit: Sequence[Event]) -> str:
        """What becomes of a unit some of whose ids are known: "repeat", a reason, or "" where none is."""
        known = [(one.source, one.id) in self.oracle.facts for one in unit]
        if not any(known):
            return ""
        for one in unit:
            first = self.oracle.facts.get((one.source, one.id))
            if first and first.event.digest != one.digest:
                return "EVENT_CONFLICT"
        return "repeat" if all(known) else "UNIT_PARTLY_KNOWN"

    def some_unit(self) -> tuple[Event, ...]:
        rng = self.rng
        customer = rng.choice(list(CUSTOMERS))
        subjects = [subject for subject, owner in SUBJECTS.items() if owner == customer]
        if self.units and rng.random() < 0.15:
            unit = rng.choice(self.units)
            if rng.random() < 0.3:
                subject = unit[0].subject
                return (event(unit[0].id, "calls", subject=subject, amount="17"), *unit[1:])
            return unit if rng.random() < 0.7 else (*unit, self.some_event(subject=unit[0].subject))
        unit = tuple(self.some_event(subject=rng.choice(subjects)) for _ in range(rng.choice([1, 1, 1, 2, 3])))
        self.units.append(unit)
        return unit

    async def consume(self) -> str:
        process, unit = self.process, self.some_unit()
        known = self.known(unit)
        answer = await caught(process.consume(*unit))
        self.may_change = isinstance(answer, Answer) and answer.allowed and not known
        if known not in ("", "repeat"):
            assert reason_of(answer) == known
            return known
        assert isinstance(answer, Answer), answer
        if known:
            assert (answer.allowed, answer.repeated) == (True, True)
            return known
        customer, at = SUBJECTS[unit[0].subject], answer.now
        asks = self.oracle.asks(customer, at, self.oracle.wishes(unit))
        assert answer.allowed == self.oracle.fits(asks, at), asks
        if answer.allowed:
            self.oracle.take(asks, at)
            for one in unit:
                self.oracle.post(one, at)
        self.verify_decision(answer, asks)
        return "allowed" if answer.allowed else "refused"

    async def burst(self) -> str:
        """Several at once, through both processes, some of them twice: in whatever order they came, no more was
        admitted than fits, and what was refused does not fit now."""
        rng = self.rng
        subject = rng.choice(list(SUBJECTS))
        unit = [
            event(f"b{len(self.made)}-{number}", subject=subject, amount=rng.choice(AMOUNTS)) for number in range(8)
        ]
        self.made += unit
        await settle([player.process for player in self.players])
        sent = [*unit, *rng.sample(unit, 3)]
        answers = await asyncio.gather(*(self.process.consume(one) for one in sent))
        admitted = {one.id for one, answer in zip(sent, answers, strict=True) if answer.allowed}
        for one in unit:
            if one.id in admitted:
                ((at,),) = await self.process.fetch("SELECT counted_at FROM usage_event WHERE id = $1", one.id)
                self.oracle.post(one, at)
        self.oracle.tats |= await self.rates()  # whose order is the server's
        for one, answer in zip(sent, answers, strict=True):
            asks = self.oracle.asks(SUBJECTS[subject], answer.now, self.oracle.wishes([one]))
            if not answer.allowed and one.id not in admitted:
                assert not self.oracle.fits(asks, answer.now)
            elif one.amount != 0:
                assert all((left := self.oracle.left(ask, answer.now)) is None or left >= 0 for ask in asks)
        self.may_change = bool(admitted)
        return f"{len(admitted)} admitted" if len(admitted) in (0, 8) else "some admitted"

    # --- reservations -------------------------------------------------------------------------------------------------
    async def reserve(self) -> str:
        rng, process = self.rng, self.process
        subject = rng.choice(list(SUBJECTS))
        wants = [
            Want(rng.choice(METERS).name, Decimal(rng.choice(AMOUNTS) or "4"), rng.choice(LABELS))
            for _ in range(rng.choice([1, 1, 2, 3]))
        ]
        partial, ttl = rng.random() < 0.4, rng.choice([SECOND, 20 * SECOND, MINUTE, HOUR, DAY])
        request_id, body = self.request("reserve", (subject, wants, partial, ttl))
        subject, wants, partial, ttl = body
        answer = await caught(process.reserve(*wants, subject=subject, ttl=ttl, partial=partial, request_id=request_id))
        if (done := self.repeated(request_id, body, answer)) is not None:
            return done
        assert isinstance(answer, Answer), answer
        customer, at = SUBJECTS[subject], answer.now
        wishes = [Wish(subject, *want) for want in wants]
        if partial:
            wishes = self.what_is_left(customer, at, wishes)
        asks = self.oracle.asks(customer, at, wishes)
        nothing = not any(wish.amount for wish in wishes) and any(want.amount for want in wants)
        allowed = not nothing and self.oracle.fits(asks, at)
        assert answer.allowed == allowed
        self.may_change = allowed
        if not allowed:
            wishes = [Wish(subject, *want) for want in wants]
            self.verify_decision(answer, self.oracle.asks(customer, at, wishes))
            return "refused"
        hold = hold_of(answer)
        assert [part.granted for part in hold.parts] == [wish.amount for wish in wishes]
        assert hold.end_at == at + ttl
        self.oracle.take(asks, at)
        shares = [Share(wish.meter, wish.labels, wish.amount) for wish in wishes]
        self.oracle.holds[hold.id] = Held(hold.id, "reservation", customer, subject, at, at + ttl, shares)
        self.requests[request_id] = (hold.id, body)
        self.verify_decision(answer, asks)
        return "partly" if partial else "allowed"

    def what_is_left(self, customer: str, at: int, wishes: Sequence[Wish]) -> list[Wish]:
        """As much of each wish as fits beside those before it."""
        trial = Held("trial", "reservation", customer, wishes[0].subject, at, at, [])
        tats = dict(self.oracle.tats)
        self.oracle.holds["trial"] = trial
        fitting = []
        for wish in wishes:
            room = self.oracle.room(customer, at, wish)
            fit = wish if room is None else wish._replace(amount=min(room, wish.amount))
            trial.shares.append(Share(fit.meter, fit.labels, fit.amount))
            self.oracle.take(self.oracle.asks(customer, at, [fit]), at)
            fitting.append(fit)
        del self.oracle.holds["trial"]
        self.oracle.tats = tats
        return fitting

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

    async def extend(self) -> str:
        held = self.some_hold("reservation")
        if held is None:
            return await self.reserve()
        ttl = self.rng.choice([SECOND, MINUTE, HOUR])
        answer = await caught(self.extended(held, ttl))
        if isinstance(answer, MetergateError):
            assert answer.reason.value == "RESERVATION_CLOSED"
            assert held.state != "open" or held.end_at <= await self.process.now()
            self.may_change = False
            return "closed"
        assert held.state == "open"
        assert held.end_at > answer.now
        self.may_change = answer.now + ttl > held.end_at
        held.end_at = max(held.end_at, answer.now + ttl)
        return "extended" if self.may_change else "as it was"

    async def extended(self, held: Held, ttl: int) -> Answer:
        return (await self.process.reservations.extend(PRINCIPAL, held.id, ttl))[0]

    async def commit(self) -> str:
        """Of what happened. It may have been recorded before, and some of it may be known with other content."""
        held, rng, process = self.some_hold("reservation"), self.rng, self.process
        if held is None:
            return await self.reserve()
        now = await process.now()
        subjects = [subject for subject, owner in SUBJECTS.items() if owner == held.customer]
        events = [
            self.event_of(held, rng.choice([None, now])) if rng.random() < 0.8
            else self.some_event(held.id, rng.choice(subjects))
            for _ in range(rng.choice([0, 1, 1, 2]))
        ]  # fmt: skip
        mine = [one for one in self.made if one.settles == held.id and one.subject in subjects and one not in events]
        if mine and rng.random() < 0.3:
            first = rng.choice(mine)
            conflict = event(first.id, subject=held.subject, amount="18", settles=held.id)
            events.append(first if rng.random() < 0.6 else conflict)
        events = [one for one in events if one.subject in subjects]
        answer = await caught(self.committed(process, held, events))
        known = [self.oracle.facts.get((one.source, one.id)) for one in events]
        if any(first and first.event.digest != one.digest for first, one in zip(known, events, strict=True)):
            assert reason_of(answer) == "EVENT_CONFLICT"
            self.may_change = False
            return "conflict"
        assert isinstance(answer, Answer), answer
        over = held.state != "open" or held.end_at <= answer.now
        late = over and (not events or not all(known)) and not (held.state == "committed" and not events)
        assert (answer.late, answer.allowed) == (late, True)
        self.may_change = held.state == "open" or not all(known)
        for one, first in zip(events, known, strict=True):
            if first is None:
                self.oracle.post(one, held.counted_at)
        if held.state == "open":
            held.end("committed")
        assert hold_of(answer).state.value == held.state
        wishes = [Wish(held.subject, share.meter, ZERO, share.labels) for share in held.shares]
        self.verify_decision(answer, self.oracle.asks(held.customer, held.counted_at, wishes))
        return "late" if late else "in time"

    async def committed(self, process: Process, held: Held, events: Sequence[Event]) -> Answer:
        return (await process.reservations.commit(PRINCIPAL, held.id, events))[0]

    async def release(self) -> str:
        held = self.some_hold("reservation")
        if held is None:
            return await self.reserve()
        answer = await caught(self.released(held))
        self.may_change = held.state == "open"
        if held.state == "committed":
            assert reason_of(answer) == "RESERVATION_CLOSED"
            return "closed"
        assert isinstance(answer, Answer), answer
        if held.state == "open":
            held.end("released")
        assert hold_of(answer).state.value == held.state
        return held.state

    async def released(self, held: Held) -> Answer:
        return (await self.process.reservations.release(PRINCIPAL, held.id))[0]

    # --- leases -------------------------------------------------------------------------------------------------------
    async def acquire(self) -> str:
        rng, process = self.rng, self.process
        meter = rng.choice(["calls", "calls", "calls", "tokens", "requests"])
        body = (meter, rng.choice(["1", "2", "0.5", "10", "50", "1000"]), rng.choice(list(SUBJECTS)), rng.choice("hi"))
        request_id, body = self.request("acquire", body)
        before = await process.now()
        answer = await caught(process.acquire(*body, request_id=request_id))
        if (done := self.repeated(request_id, body, answer)) is not None:
            return done
        meter, amount, subject, _ = body
        wish = Wish(subject, meter, Decimal(amount), {})
        customer = SUBJECTS[subject]
        self.may_change = False
        if isinstance(answer, MetergateError):
            assert answer.reason.value == "LEASE_NOT_POSSIBLE"
            asks = self.oracle.asks(customer, before, [wish])
            assert (
                self.oracle.lease_end(asks, before) is None or self.oracle.lease_end(asks, await process.now()) is None
            )
            return "not possible"
        at = answer.now
        asks, room = self.oracle.asks(customer, at, [wish]), self.oracle.room(customer, at, wish)
        end_at = self.oracle.lease_end(asks, at)
        assert end_at is not None
        assert answer.allowed == (room is None or room > 0)
        if answer.allowed:
            hold = hold_of(answer)
            granted = hold.parts[0].granted
            assert 0 < granted <= wish.amount
            assert room is None or granted <= room
            assert hold.end_at == end_at
            held = Held(hold.id, "lease", customer, subject, at, end_at, [Share(meter, {}, granted)])
            self.oracle.holds[hold.id] = held
            self.requests[request_id] = (hold.id, body)
            self.may_change = True
        self.verify_decision(answer, asks)
        return "granted" if answer.allowed else "refused"

    async def sync(self) -> str:
        """Marks of one lease or several; repeated, of before, or such as cannot be."""
        rng, process = self.rng, self.process
        some = [held for _ in range(rng.choice([1, 1, 2, 3])) if (held := self.some_hold("lease"))]
        if not some:
            return await self.acquire()
        reports = [self.report(held) for held in some]
        held_before = [(held.state, held.end_at, *vars(held.shares[0]).values()) for held in some]
        answers = await process.sync(*reports)
        taken = [
            self.oracle.mark(held, r.spent, r.returned or ZERO, r.close) for held, r in zip(some, reports, strict=True)
        ]
        done = []
        for held, report, fine, answer in zip(some, reports, taken, answers, strict=True):
            if not fine:
                assert reason_of(answer) == "LEASE_MARK_INVALID"
                done.append("invalid")
                continue
            assert isinstance(answer, Answer), answer
            done.append(self.renewed(held, report, answer))
        self.may_change = held_before != [(held.state, held.end_at, *vars(held.shares[0]).values()) for held in some]
        return " ".join(sorted(set(done)))

    def report(self, held: Held) -> Report:
        rng, share = self.rng, held.shares[0]
        free = share.granted - share.returned
        spent = rng.choice([share.spent, share.settled, free, min(share.spent + 1, free), ZERO, share.granted + 1])
        returned = rng.choice([None, None, share.returned, ZERO, max(share.granted - max(spent, share.settled), ZERO)])
        wanted = rng.choice([None, share.granted, share.granted + 1, share.granted + 20, share.granted + 2000])
        return Report(held.id, spent, returned, wanted, rng.random() < 0.2)

    def renewed(self, held: Held, report: Report, answer: Answer) -> str:
        """What the server made of a mark that was taken: more, longer, a recall, or nothing."""
        hold, share, at = hold_of(answer), held.shares[0], answer.now
        part = hold.parts[0]
        more = part.granted - share.granted
        assert (hold.state.value, part.returned, part.spent, part.settled) == (
            held.state, share.returned, share.spent, share.settled)  # fmt: skip
        assert more >= 0
        assert hold.end_at >= held.end_at
        wish = Wish(held.subject, share.meter, ZERO, share.labels)
        asks = self.oracle.asks(held.customer, at, [wish])
        end_at = self.oracle.lease_end(asks, at)
        if held.state != "open" or held.end_at <= at:
            assert (more, hold.end_at, answer.recall) == (0, held.end_at, 0)
            return held.state
        assert hold.end_at in (held.end_at, end_at)
        if more:
            room = self.oracle.room(held.customer, at, wish)
            assert room is None or more <= room
            assert report.wanted is not None
            assert part.granted <= report.wanted
            assert end_at is not None
        if answer.recall:
            assert share.returned < answer.recall <= share.granted - share.spent
        if more or hold.end_at > held.end_at:
            self.verify_window(held, hold.end_at, asks)
        share.granted, held.end_at = part.granted, hold.end_at
        return "more" if more else "recalled" if answer.recall else "marked"

    def verify_window(self, held: Held, end_at: int, asks: Sequence[Ask]) -> None:
        """What it has may be spent until its end, which lies in the windows in which it counts."""
        for ask in asks:
            window = ask.keys[-1]
            assert window.start <= held.counted_at < window.end, ask.limit.name
            assert held.end_at == end_at or end_at <= window.end - MARGIN, ask.limit.name

    async def operator_release(self) -> str:
        held = self.some_hold("lease")
        if held is None:
            return await self.acquire()
        answer = await caught(self.process.leases.release(PRINCIPAL, held.id))
        self.may_change = held.state == "forfeited"
        if held.state not in ("forfeited", "released"):
            assert reason_of(answer) == "LEASE_NOT_FORFEITED"
            return "not forfeited"
        assert isinstance(answer, Answer), answer
        held.end("released")
        return "released"

    # --- time, definitions and mishaps --------------------------------------------------------------------------------
    async def expire(self) -> str:
        process = self.process
        before = await process.now()
        await asyncio.gather(*(player.process.expiry.expire() for player in self.players))
        after = await process.now()
        states = dict(await process.fetch("SELECT id, state FROM hold"))
        ended = 0
        for held in self.oracle.holds.values():
            if self.oracle.due(held, before) or (self.oracle.due(held, after) and states[held.id] != held.state):
                self.oracle.expire(held)
                ended += 1
        self.may_change = bool(ended)
        return "some ended" if ended else "none"

    async def step_clock(self) -> str:
        by = self.rng.choice(STEPS)
        await self.clock.step(by)
        self.may_change = False
        return f"by {by // SECOND} s" + (f", {await self.expire()}" if self.rng.random() < 0.5 else "")

    async def apply(self) -> None:
        plans = (Plan("default", limits(self.rng)), Plan("pro", limits(self.rng)))
        self.oracle.catalog = await self.process.apply(Catalog(METERS, plans))

    async def change_limits(self) -> str:
        """They hold at the next decision, in the process too that has not heard of them."""
        await self.apply()
        done = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True  # the catalog's version stands in the heads of those that were written
        return done

    async def assign(self) -> str:
        customer, plan = self.rng.choice(list(CUSTOMERS)), self.rng.choice(["", "default", "pro"])
        await self.process.assign(customer, plan)
        self.oracle.plans[customer] = plan
        done = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True
        return done

    async def override(self) -> str:
        """Of a limit that there is, from an instant near by to another."""
        rng, process = self.rng, self.process
        customer, now = rng.choice(list(CUSTOMERS)), await process.now()
        names = [limit.name for plan in self.oracle.catalog.plans for limit in plan.limits]
        if not names:
            return await self.change_limits()
        start = now + rng.choice([-HOUR, 0, 30 * SECOND])
        end = rng.choice([None, max(now, start) + rng.choice([MINUTE, HOUR])])
        most = rng.choice(MOST)
        made = await process.override(
            rng.choice(names), None if most is None else to_text(most), start, end, customer=customer
        )
        self.oracle.overrides[customer] = made.overrides
        done = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True
        return done

    async def restart(self) -> str:
        player = self.players.pop(self.rng.randrange(2))
        await player.stack.aclose()
        self.players.append(await self.begin())
        await SweepView(self.players[-1].process.usage, self.players[-1].process.view).sweep()
        self.may_change = False
        return "done"

    async def flush(self) -> str:
        await command(self.redis_url, "FLUSHDB")
        self.may_change = False
        return "done"

    async def explain(self) -> str:
        """Decisions of before are worked out again from the ledger as it was, to the same figures."""
        self.may_change = False
        for answered in self.rng.sample(self.answered, min(3, len(self.answered))):
            reader = self.process.explain._reader
            for keys in answered.limits:
                behind = await reader.behind(TENANT, answered.seq, 0, keys, 3)
                found = {key: Figures(*one[:4]) for key, one in zip(keys, behind.figures, strict=True)}
                assert found == {key: answered.figures[key] for key in keys}, answered.seq
        return "the same"


def hold_of(answer: Answer) -> Hold:
    """The hold that the answer speaks of."""
    assert answer.hold is not None
    return answer.hold


async def caught(call: Awaitable[Answer]) -> Answer | MetergateError:
    """The answer, or the error."""
    try:
        return await call
    except MetergateError as error:
        return error
