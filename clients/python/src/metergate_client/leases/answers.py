"""What the server's answers do to what a holder has."""

from __future__ import annotations

from metergate_client.leases import pacing
from metergate_client.leases.holdings import Holdings
from metergate_client.leases.model import (
    SECOND,
    Acquire,
    Figures,
    Lease,
    Mark,
    Now,
    Recorded,
    Settling,
    State,
    Synced,
)

_SHORTEST_SYNC = SECOND // 10


def acquired(held: Holdings, request: Acquire, figures: Figures | None, now: Now) -> None:
    """AcquireLease was answered; ``figures`` None: refused."""
    lease = held.leases.get(request.request_id)
    if figures is None or lease is None:
        refused(held, request, pacing.nanoseconds(held.pace.again), now)
        return
    lease.id, lease.state, lease.dirty = figures.id, State.OPEN, True
    lease.target, lease.measured_at, lease.spent_at = lease.asked, now.boot, now.boot
    if lease.unwanted or held.stopping:
        held.close(lease)
        return
    _take(held, lease, figures, request.sent, lease.asked, now)


def refused(held: Holdings, request: Acquire, wait: int, now: Now) -> None:
    """There is no lease, and the server is not asked for one again before ``wait`` has passed."""
    lease = held.leases.get(request.request_id)
    if lease is not None:
        held.forget(lease, now)
    if slot := held.slots.get(request.key):
        slot.refused_until = now.boot + wait


def synced(held: Holdings, mark: Mark, result: Synced, sent: Now, now: Now) -> None:
    """A mark was answered."""
    lease = held.leases.get(mark.request_id)
    if lease is None:
        return
    if result.error_reason or result.figures is None:
        _not_synced(held, lease, result, now)
        return
    lease.returned_told = max(lease.returned_told, mark.returned or 0)
    if lease.state is State.CLOSING:
        lease.told |= mark.close or result.figures.state == "returned"
        return
    if result.figures.settled < lease.acknowledged:
        held.problems.append(f"lease {lease.id}: usage was recorded that settled nothing; does the meter count events?")
        lease.acknowledged = result.figures.settled  # said once
    _take(held, lease, result.figures, sent, mark.wanted or 0, now)


def recorded(held: Holdings, event: Settling, outcome: Recorded) -> None:
    """A settling event was answered. One that was not taken is told, since repeating it would change nothing."""
    if outcome.problem:
        held.problems.append(f"usage {event.lease_id}/{event.number}: {outcome.problem}")
    lease = held.leases.get(event.request_id)
    if lease is not None:
        lease.parts = [part for part in lease.parts if part.number != event.number]
        lease.acknowledged += 0 if outcome.problem else event.amount


def _not_synced(held: Holdings, lease: Lease, result: Synced, now: Now) -> None:
    held.problems.append(f"lease {lease.id} was not synced: {result.error_reason}")
    if lease.state is State.OPEN:
        held.close(lease)
    lease.sync_at = now.boot + SECOND
    # Repeating either would change nothing; a lease that cannot be closed is forfeited by its end.
    lease.told |= result.error_reason in ("LEASE_NOT_FOUND", "LEASE_MARK_INVALID")


def _take(held: Holdings, lease: Lease, figures: Figures, sent: Now, asked: int, now: Now) -> None:
    """Take over what the server says of a lease that is spent here; ``asked`` is what was wanted of it in all."""
    if figures.state != "open" or figures.ttl is None or figures.granted < lease.granted:
        held.close(lease)
        lease.told = figures.state == "returned"
        return
    slot = held.slots[lease.key]
    gained = figures.granted > lease.granted
    lease.granted = figures.granted
    lease.end_boot, lease.end_wall = sent.boot + figures.ttl, sent.wall + figures.ttl
    lease.returned = max(lease.returned, min(figures.recall, lease.granted - lease.spent))
    scarce = lease.left > 0 and (figures.granted < asked or figures.recall > 0)
    pause = pacing.nanoseconds(held.pace.brisk if scarce else held.pace.sync)
    pause = int(pause * (0.9 + held.random() / 5))
    lease.sync_at = max(min(now.boot + pause, sent.boot + figures.ttl // 2), now.boot + _SHORTEST_SYNC)
    slot.need = 0  # who still lacks something will say so again
    if gained:
        slot.refused_until = 0
    elif lease.needed > lease.left:
        slot.refused_until = now.boot + pacing.nanoseconds(held.pace.again)
    pacing.set_low(lease)
    pacing.set_levels(lease, slot, held.pace)
