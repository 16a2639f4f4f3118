"""Leasing: what one commit hands out to holders of leases, for how long, and what it asks back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from metergate.domain import lease
from metergate.domain.admission import Asked, Demand, Running, at_least_one
from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import Column, Hold, Kind, Part, State
from metergate.domain.period import LATEST
from metergate.domain.posting import Ledger, Posting
from metergate.domain.quantity import ZERO, add, subtract
from metergate.domain.work import Acquire, Mark, Want

_MORE_THAN_ANY = Decimal(10) ** 30


class Leasing:
    """The leases of one commit. `holders` are the open leases by customer and meter, to which it adds; `demand` says
    what amounts ask of which limits."""

    def __init__(
        self,
        ledger: Ledger,
        posting: Posting,
        holders: dict[tuple[str, str], int],
        demand: Callable[[str, Sequence[Asked]], Demand],
    ) -> None:
        self._ledger = ledger
        self._posting = posting
        self._holders = holders
        self._demand = demand

    def acquire(self, work: Acquire, asked: Demand, running: Running) -> Answer:
        """A new lease, or what is in the way.

        Raises:
            MetergateError: LEASE_NOT_POSSIBLE.
        """
        head, now = self._ledger.heads[work.customer], self._ledger.now
        end_at = self._lease_end(asked, running)
        pair = (work.customer, work.want.meter)
        holders = self._holders.get(pair, 0) + 1
        amount = lease.slice_of(work.want.amount, running.room(_everything(asked)), holders)
        want = work.want._replace(amount=amount) if amount else at_least_one(work.want)
        asked = self._demand(work.customer, [Asked(work.subject, want)])
        if not amount or not running.admits(asked):
            return Answer(asked, False, head.seq, now)
        passed = running.take(asked, Column.LEASED)
        self._holders[pair] = holders
        hold = Hold(
            work.id, Kind.LEASE, work.customer, work.subject, work.holder, head.seq + 1, now, end_at,
            State.OPEN, (Part(want.meter, want.labels, amount),), work.digest, head.pool,
        )  # fmt: skip
        self._posting.holds[hold.id] = hold
        return Answer(asked, True, head.seq + 1, now, hold=hold, passed=passed)

    def _lease_end(self, asked: Demand, running: Running) -> int:
        """When a lease on these limits ends.

        Raises:
            MetergateError: LEASE_NOT_POSSIBLE.
        """
        now, windows_end = self._ledger.now, None
        for touch in asked.touches:
            window = touch.keys[-1]
            lifetime = window.end >= LATEST
            figures = running.of(touch)
            last = None if lifetime else touch.windows[-1]
            why = lease.not_possible(last, now, figures.forfeited, touch.limit.max)
            if why is not None:
                message = f"nothing can be leased on {touch.limit.name}: {why}"
                metadata = {"meter": touch.limit.meter, "limit": touch.limit.name}
                raise MetergateError(Reason.LEASE_NOT_POSSIBLE, message, metadata)
            windows_end = window.end if windows_end is None else min(windows_end, window.end)
        return lease.end_of(now, windows_end, None)

    def renew(self, work: Mark, asked: Demand, answer: Answer, running: Running) -> None:
        """More of an open lease, and longer, where it still can be; and what its holder shall give back."""
        hold, now = self._ledger.hold(self._posting, work.id), self._ledger.now
        assert hold is not None, "kept before"
        answer.hold = hold
        if not hold.open or hold.end_at <= now or work.runs_out:
            return
        part = hold.parts[0]
        left = running.room(_everything(asked))
        holders = max(self._holders.get((work.customer, part.meter), 0), 1)
        unspent = subtract(subtract(part.granted, part.returned), part.spent)
        wanted = subtract(work.wanted or ZERO, part.granted)
        end_at = hold.end_at
        if _counts_in(hold, asked):
            try:
                end_at = max(self._lease_end(asked, running), end_at)
            except MetergateError:
                pass  # it runs out as it is
            else:
                more = self._more(work, hold, lease.slice_of(wanted, left, holders, unspent), running)
                part = part._replace(granted=add(part.granted, more)) if more else part
                unspent, left = add(unspent, more), left if left is None else subtract(left, more)
        if end_at - hold.end_at >= lease.LIFE // 4 or part is not hold.parts[0]:
            hold = replace(hold, end_at=end_at, parts=(part,))
            self._posting.holds[hold.id] = answer.hold = hold
            answer.seq = self._ledger.heads[work.customer].seq + 1
        recall = lease.recall_of(unspent, left, holders)
        answer.recall = add(part.returned, recall) if recall else ZERO

    def _more(self, work: Mark, hold: Hold, amount: Decimal, running: Running) -> Decimal:
        """Hands that much more out, if it fits; returns how much it was."""
        part = hold.parts[0]
        grant = self._demand(work.customer, [Asked(hold.subject, Want(part.meter, amount, part.labels))])
        if amount <= ZERO or not running.admits(grant):
            return ZERO
        running.take(grant, Column.LEASED)
        return amount


def _everything(asked: Demand) -> Demand:
    """The same with more than any limit holds, to learn how much is left."""
    return replace(asked, amounts=dict.fromkeys(asked.amounts, _MORE_THAN_ANY))


def _counts_in(hold: Hold, asked: Demand) -> bool:
    """Whether the lease counts in the windows of now: a limit may have come whose window began after it."""
    return all(touch.keys[-1].start <= hold.counted_at < touch.keys[-1].end for touch in asked.touches)
