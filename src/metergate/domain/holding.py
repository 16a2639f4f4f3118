"""Holding: what works do to holds that there are. Each outcome of a reservation's or a lease's life is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metergate.domain import lease
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.hold import Hold, Kind, State, end, forfeit
from metergate.domain.posting import Ledger, Posting, accepted, again, contributions, post
from metergate.domain.quantity import ZERO, to_text
from metergate.domain.usage import Event, Outcome, Receipt, compare, conflict
from metergate.domain.work import Expire, Extend, Fact, Mark, OnHold, Release, Settle, WriteOff

DAY_MOST = 24 * 3600 * 1_000_000
"""How long a reservation may hold from now, in microseconds."""


@dataclass(slots=True)
class Kept:
    """A hold after a work on it; `receipts` are those of a settlement, `late` says that it came after the end."""

    hold: Hold
    receipts: list[Receipt]
    late: bool = False


def change(work: OnHold, ledger: Ledger, posting: Posting) -> Kept | MetergateError | None:
    """Does what the work asks of its hold; None when an expiry finds nothing to do."""
    kind = Kind.LEASE if isinstance(work, Mark | WriteOff) else Kind.RESERVATION
    hold = ledger.hold(posting, work.id)
    if isinstance(work, Expire):
        if hold is not None and (expired := _expired(hold, ledger.now)) is not None:
            posting.holds[hold.id] = expired
        return None
    if hold is None or hold.kind is not kind or hold.customer != work.customer:
        return not_found(kind, work.id)
    try:
        kept = _change(work, hold, ledger, posting)
    except MetergateError as error:
        return error
    if kept.hold is not hold:
        posting.holds[hold.id] = kept.hold
    return kept


def _change(work: OnHold, hold: Hold, ledger: Ledger, posting: Posting) -> Kept:
    match work:
        case Settle():
            return _settle(work, hold, ledger, posting)
        case Extend():
            return Kept(_extend(work, hold, ledger.now), [])
        case Release():
            return Kept(_release(hold), [])
        case Mark():
            return Kept(_mark(work, hold), [])
        case WriteOff():
            return Kept(_write_off(hold), [])
    raise AssertionError(work)


def not_found(kind: Kind, id: str) -> MetergateError:
    """No hold of that kind has the id."""
    shown = id[:80]
    reason = Reason.RESERVATION_NOT_FOUND if kind is Kind.RESERVATION else Reason.LEASE_NOT_FOUND
    return MetergateError(reason, f"there is no {kind} {shown!r}", {str(kind): shown})


def _settle(work: Settle, hold: Hold, ledger: Ledger, posting: Posting) -> Kept:
    """Records what happened and gives the rest back. It is refused as a whole for events that could not be recorded,
    and never for quota."""
    over = not hold.open or hold.end_at <= ledger.now
    for error in _refusals(work.events, ledger, posting):
        raise error
    receipts = post([Fact(event, work.customer, False) for event in work.events], ledger, posting)
    hold = ledger.hold(posting, hold.id) or hold
    # What is known was recorded by a try of this very call whose answer was lost, or before.
    new = [
        one for one, event in zip(receipts, work.events, strict=True) if (event.source, event.id) not in ledger.known
    ]
    late = over and (not work.events or any(one.outcome is Outcome.ACCEPTED for one in new))
    if hold.open:
        hold = end(hold, State.COMMITTED)
    elif hold.state is State.COMMITTED and not work.events:
        late = False  # the same as the first commit would be, had it been told of nothing
    return Kept(hold, receipts, late)


def _refusals(events: tuple[Event, ...], ledger: Ledger, posting: Posting) -> Iterator[MetergateError]:
    if len({(event.source, event.id) for event in events}) < len(events):
        yield invalid("events", "must each have an id of its own")
    for event in events:
        key = (event.source, event.id)
        first = posting.fresh.get(key)
        if first is not None and (field_ := compare(first, event)) is not None:
            yield conflict(event, field_)
        elif key in ledger.known:
            receipt = again(event, ledger.known[key], ledger.tried)
            if receipt.error is not None:
                yield receipt.error
        elif key not in posting.fresh:
            if error := accepted(event, ledger):
                yield error
            parts = contributions(event, ledger.catalog)
            if isinstance(parts, MetergateError):
                yield parts


def _extend(work: Extend, hold: Hold, now: int) -> Hold:
    if not hold.open or hold.end_at <= now:
        raise closed(hold)
    return replace(hold, end_at=now + work.ttl) if now + work.ttl > hold.end_at else hold


def _release(hold: Hold) -> Hold:
    if hold.state is State.COMMITTED:
        raise closed(hold)
    return end(hold, State.RELEASED) if hold.open else hold


def closed(hold: Hold) -> MetergateError:
    """The reservation is over."""
    state = State.EXPIRED if hold.open else hold.state
    message = (
        f"the reservation is over: it was {state}" if state is not State.EXPIRED else "the reservation has expired"
    )
    return MetergateError(Reason.RESERVATION_CLOSED, message, {"reservation": hold.id, "state": str(state)})


def _mark(work: Mark, hold: Hold) -> Hold:
    """Takes the marks; the highest hold. After the end too: it is the holder's word on what it spent."""
    part = hold.parts[0]
    before = lease.Marks(part.granted, part.returned, part.spent, part.settled)
    if hold.state is State.RELEASED:
        return hold
    try:
        marks = lease.take(before, work.spent, work.returned or ZERO, work.close)
    except MetergateError as error:
        error.metadata["lease"] = hold.id
        raise
    state = State.RETURNED if work.close and hold.open else hold.state
    if marks == before and state is hold.state:
        return hold
    return replace(hold, state=state, parts=(part._replace(spent=marks.spent, returned=marks.returned),))


def _write_off(hold: Hold) -> Hold:
    if hold.state is State.FORFEITED:
        return end(hold, State.RELEASED)
    if hold.state is State.RELEASED:
        return hold
    left = to_text(hold.parts[0].outstanding)
    message = f"the lease is {hold.state} with {left} left, and nothing of it is forfeited"
    raise MetergateError(Reason.LEASE_NOT_FORFEITED, message, {"lease": hold.id, "state": str(hold.state)})


def _expired(hold: Hold, now: int) -> Hold | None:
    """The hold as the end of its time leaves it; None when it stays as it is."""
    if hold.kind is Kind.RESERVATION:
        return end(hold, State.EXPIRED) if hold.open and hold.end_at <= now else None
    if hold.state not in (State.OPEN, State.RETURNED) or hold.end_at + lease.LAG > now:
        return None
    if hold.parts[0].outstanding:
        return forfeit(hold)
    return end(hold, State.RETURNED) if hold.open else None
