"""Moves of the quota game: reservations."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND
from metergate.domain.usage import Event
from metergate.domain.work import Want
from tests.integration.processes import PRINCIPAL, Process, event
from tests.integration.quota_oracle import ZERO, Held, Share, Wish
from tests.integration.quota_table import AMOUNTS, LABELS, METERS, SUBJECTS, caught, hold_of, reason_of
from tests.integration.quota_usage_moves import UsageMoves


class HoldMoves(UsageMoves):
    """A reservation's life."""

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
        pool = self.oracle.pools.get(customer, "")
        self.oracle.holds[hold.id] = Held(hold.id, "reservation", customer, subject, at, at + ttl, shares, pool)
        self.requests[request_id] = (hold.id, body)
        self.verify_decision(answer, asks)
        return "partly" if partial else "allowed"

    def what_is_left(self, customer: str, at: int, wishes: Sequence[Wish]) -> list[Wish]:
        """As much of each wish as fits beside those before it."""
        trial = Held(
            "trial", "reservation", customer, wishes[0].subject, at, at, [], self.oracle.pools.get(customer, "")
        )
        rates = dict(self.oracle.rates)
        self.oracle.holds["trial"] = trial
        fitting = []
        for wish in wishes:
            room = self.oracle.room(customer, at, wish)
            fit = wish if room is None else wish._replace(amount=min(room, wish.amount))
            trial.shares.append(Share(fit.meter, fit.labels, fit.amount))
            self.oracle.take(self.oracle.asks(customer, at, [fit]), at)
            fitting.append(fit)
        del self.oracle.holds["trial"]
        self.oracle.rates = rates
        return fitting

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
        self.oracle.pay(answer.now)
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
