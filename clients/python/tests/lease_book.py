"""A server's side of leases in plain Python: one limit for all, an explicit clock, no RPC; quantities in units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from metergate_client.leases.model import SECOND, Acquire, Figures, Mark, Record, Recorded, Sync, Synced
from metergate_client.leases.units import ONE


@dataclass
class BookLease:
    """A lease as the server holds it."""

    id: str
    request_id: str
    granted: int
    end: int
    returned: int = 0
    spent: int = 0
    settled: int = 0
    state: str = "open"

    @property
    def held(self) -> int:
        """What it takes of the limit beside its events."""
        most = self.spent if self.state == "returned" else self.granted - self.returned
        return max(most - self.settled, 0)


@dataclass
class LeaseBook:
    """Hands out what is free, at most ``slice_of(free)`` at once. Nothing it hands out passes ``limit``."""

    limit: int
    ttl: int = 60 * SECOND
    lag: int = 5 * SECOND
    slice_of: Callable[[int], int] = lambda free: free
    renews: bool = True
    recalls: bool = False
    others: int = 0
    leases: dict[str, BookLease] = field(default_factory=dict)
    events: dict[str, tuple[int, int]] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    invalid: int = 0
    refused: set[str] = field(default_factory=set)

    @property
    def used(self) -> int:
        """The sum of all events."""
        return sum(amount for amount, _ in self.events.values())

    @property
    def free(self) -> int:
        """What is left of the limit."""
        return self.limit - self.used - self.others - sum(lease.held for lease in self.leases.values())

    def answer(self, request: Acquire | Sync | Record, now: int) -> Figures | list[Synced] | list[Recorded] | None:
        """What the server answers at the true instant ``now``."""
        self.expire(now)
        if isinstance(request, Acquire):
            return self.acquire(request.request_id, request.amount, now)
        if isinstance(request, Sync):
            return [self.sync(mark, now) for mark in request.marks]
        return [
            self.record(event.lease_id, f"{event.lease_id}/{event.number}", event.amount, event.time // 1_000)
            for event in request.events
        ]

    def acquire(self, request_id: str, amount: int, now: int) -> Figures | None:
        """A lease; the same again for a known request id; None when nothing is free."""
        known = [lease for lease in self.leases.values() if lease.request_id == request_id]
        if known:
            return self.figures(known[0], now)
        given = self._slice(amount)
        if given <= 0:
            self.refused.add(request_id)
            return None
        lease = BookLease(f"l-{len(self.leases) + 1}", request_id, given, now + self.ttl)
        self.leases[lease.id] = lease
        return self.figures(lease, now)

    def sync(self, mark: Mark, now: int) -> Synced:
        """Take a mark."""
        lease = self.leases.get(mark.lease_id)
        if lease is None:
            return Synced(None, "LEASE_NOT_FOUND")
        spent, returned = max(lease.spent, mark.spent), max(lease.returned, mark.returned or 0)
        if max(spent, lease.settled) + returned > lease.granted:
            self.invalid += 1
            return Synced(None, "LEASE_MARK_INVALID")
        lease.spent = spent
        if lease.state == "open":
            lease.returned = returned
            if self.renews:
                lease.end = max(lease.end, now + self.ttl)
            lease.granted += self._slice((mark.wanted or 0) - lease.granted)
        if mark.close and lease.state in ("open", "forfeited"):
            lease.returned, lease.state = lease.granted - max(lease.spent, lease.settled), "returned"
        return Synced(self.figures(lease, now))

    def record(self, lease_id: str, event_id: str, amount: int, time: int) -> Recorded:
        """Take a settling event once."""
        known = self.events.get(event_id)
        if known is not None:
            if known != (amount, time):
                self.conflicts.append(event_id)
            return Recorded("" if known == (amount, time) else "conflict")
        self.events[event_id] = amount, time
        lease = self.leases.get(lease_id)
        if lease is None:
            return Recorded("unknown")
        settles = min(amount, max(lease.granted - lease.returned - lease.settled, 0))
        lease.settled += settles
        return Recorded("" if settles else "nothing left")

    def expire(self, now: int) -> None:
        """Forfeit what fell silent."""
        for lease in self.leases.values():
            if lease.state == "open" and now >= lease.end + self.lag:
                lease.state = "forfeited"

    def figures(self, lease: BookLease, now: int) -> Figures:
        """The lease as it is told."""
        ttl = lease.end - now if lease.state == "open" and now < lease.end else None
        left = lease.granted - lease.returned - lease.spent
        recall = lease.returned + left // 2 if self.recalls and lease.state == "open" else 0
        return Figures(lease.id, lease.granted, lease.returned, lease.spent, lease.settled, lease.state, ttl, recall)

    def _slice(self, amount: int) -> int:
        return max(min(amount, self.slice_of(self.free), self.free), 0)


def halves(free: int) -> int:
    """Half of what is free, and one by one near the end."""
    return max(free // 2 // ONE * ONE, ONE)
