"""How much is asked for, kept at hand, given back and journaled ahead: pure functions of a lease and its slot."""

from __future__ import annotations

from metergate_client.leases.model import NEVER, SECOND, Lease, LeasePace, Now, Slot, State
from metergate_client.leases.units import ONE

_SHORTEST_MEASURE = SECOND // 10
_MARK_SHARE = 8


def nanoseconds(seconds: float) -> int:
    """A setting as a whole number of nanoseconds."""
    return round(seconds * SECOND)


def first_amount(slot: Slot, pace: LeasePace) -> int:
    """The slice to ask for where there is no lease: by the rate, where one is known."""
    ahead = slot.rate * nanoseconds(pace.ahead) // SECOND if slot.rate else slot.need * pace.first
    return _rounded(max(ahead, slot.need), slot)


def plan(lease: Lease, slot: Slot, pace: LeasePace, now: Now) -> None:
    """Measure the rate, set the target, and give back what lies far above it.

    The rate follows a rise at once and a fall by halves; over less than a tenth of a second it is taken as if that
    time had passed, so that a burst does not ask for ten seconds of itself.
    """
    elapsed = now.boot - lease.measured_at
    rate = (lease.spent - lease.measured) * SECOND // max(elapsed, _SHORTEST_MEASURE)
    if elapsed >= _SHORTEST_MEASURE:
        if lease.spent > lease.measured:
            lease.spent_at = now.boot
        slot.rate = max(rate, (slot.rate + rate) // 2)
        lease.measured, lease.measured_at = lease.spent, now.boot
    else:
        slot.rate = max(slot.rate, rate)
    lease.target = _rounded(max(slot.rate * nanoseconds(pace.ahead) // SECOND, slot.need), slot)
    if 2 * elapsed >= nanoseconds(pace.sync) and not slot.need and lease.left > 2 * lease.target:
        lease.returned = lease.granted - lease.spent - lease.target
    lease.planned = True


def wanted(lease: Lease) -> int:
    """All that is wanted in the end, as ``granted``."""
    return max(lease.granted, lease.returned + lease.spent + lease.target)


def mark_step(lease: Lease, slot: Slot, pace: LeasePace) -> int:
    """How far ahead of what is spent the journal's mark is set."""
    by_rate = slot.rate * nanoseconds(pace.journal) // SECOND
    return _rounded(max(lease.left // _MARK_SHARE, by_rate, _MARK_SHARE * slot.largest), slot)


def wants_mark(lease: Lease, slot: Slot, pace: LeasePace) -> bool:
    """Whether the mark is to be set further ahead."""
    if lease.mark >= lease.capacity:
        return False
    return 2 * (lease.mark - lease.spent) < mark_step(lease, slot, pace)


def set_levels(lease: Lease, slot: Slot, pace: LeasePace) -> None:
    """Set how far it may be spent, and at which level the loop has work to do."""
    if lease.state is not State.OPEN:
        lease.ceiling, lease.alert = 0, NEVER
        return
    lease.ceiling = min(lease.mark, lease.capacity)
    levels = [lease.capacity - lease.low] if lease.low >= 0 else []
    if lease.mark < lease.capacity:
        levels.append(lease.mark - mark_step(lease, slot, pace) // 2)
    # A level that was passed is the loop's to see to, and it is at it.
    lease.alert = min((level for level in levels if level > lease.spent), default=NEVER)


def set_low(lease: Lease) -> None:
    """More is asked for when half is spent of what is at hand, or of the target where that is less; never again by
    itself where nothing is at hand, since only demand tells when to ask then."""
    at_hand = min(lease.left, lease.target) if lease.target else lease.left
    lease.low = at_hand // 2 if lease.left > 0 else -1


def _rounded(units: int, slot: Slot) -> int:
    """Up to a whole number, where all amounts were whole."""
    return -(-units // ONE) * ONE if slot.whole else units
