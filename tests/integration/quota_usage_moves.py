"""Moves of the quota game: facts and consumption."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from metergate.domain.answer import Answer
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND
from metergate.domain.quantity import to_text
from metergate.domain.usage import Event
from tests.integration.processes import Process, event, settle
from tests.integration.quota_oracle import Held
from tests.integration.quota_table import AMOUNTS, CUSTOMERS, LABELS, SUBJECTS, Table, caught, reason_of


class UsageMoves(Table):
    """Record, consume, and many at once."""

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
        outcomes, committed_at = [], 0
        for one, receipt in zip(events, done.receipts, strict=True):
            outcomes.append(receipt.outcome.value)
            if first := self.oracle.facts.get((one.source, one.id)):
                assert receipt.outcome.value == ("duplicate" if first.event.digest == one.digest else "conflict")
                continue
            assert receipt.outcome.value == "accepted"
            counted_at, recorded_at = await self.adopt(process, one, before, after)
            if recorded_at != committed_at:
                self.oracle.pay(committed_at)
                committed_at = recorded_at
            assert receipt.unsettled == self.oracle.post(one, counted_at), one
        self.oracle.pay(committed_at)
        self.may_change = "accepted" in outcomes
        return " ".join(sorted(set(outcomes)))

    async def adopt(self, process: Process, one: Event, before: int, after: int) -> tuple[int, int]:
        """When an event counts, which must be as it has to, and when it was recorded."""
        ((counted_at, recorded_at),) = await process.fetch(
            "SELECT counted_at, recorded_at FROM usage_event WHERE source = $1 AND id = $2", one.source, one.id
        )
        low, high = (before, after) if one.time is None else (one.time, one.time)
        held = self.oracle.holds.get(one.settles)
        if held is not None and held.customer == SUBJECTS[one.subject]:
            low, high = held.counts_at(low), held.counts_at(high)
        assert low <= counted_at <= high
        return counted_at, recorded_at

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
            self.oracle.debts.clear()  # taken already
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
        self.oracle.debts.clear()
        self.oracle.rates |= await self.rates()  # whose order is the server's
        await self.adopt_reached()
        for one, answer in zip(sent, answers, strict=True):
            asks = self.oracle.asks(SUBJECTS[subject], answer.now, self.oracle.wishes([one]))
            if not answer.allowed and one.id not in admitted:
                assert not self.oracle.fits(asks, answer.now)
            elif one.amount != 0:
                assert all((left := self.oracle.left(ask, answer.now)) is None or left >= 0 for ask in asks)
        self.may_change = bool(admitted)
        return f"{len(admitted)} admitted" if len(admitted) in (0, 8) else "some admitted"
