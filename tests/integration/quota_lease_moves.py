"""Moves of the quota game: leases."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from metergate.app.quota.lease import Report
from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError
from tests.integration.processes import PRINCIPAL
from tests.integration.quota_hold_moves import HoldMoves
from tests.integration.quota_oracle import MARGIN, ZERO, Ask, Held, Share, Wish
from tests.integration.quota_table import SUBJECTS, caught, hold_of, reason_of


class LeaseMoves(HoldMoves):
    """A lease's life."""

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
            pool = self.oracle.pools.get(customer, "")
            held = Held(hold.id, "lease", customer, subject, at, end_at, [Share(meter, {}, granted)], pool)
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
