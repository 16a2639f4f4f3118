"""The lease holder's state machine: no I/O, no threads, no clock. ``clients/README.md`` is its law.

Inputs: ``spend`` (a decision is asked for), ``next`` (what is to be done?), ``written`` and ``not_written`` (the
journal), ``answer`` and ``failed`` (the server), ``stop``, ``abandon``. Outputs: a verdict; a ``Write`` for the
journal; one ``Request`` at a time; ``problems`` for the log. It is not safe for threads: its driver is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from metergate_client.leases import answers, entries, pacing
from metergate_client.leases.holdings import Holdings
from metergate_client.leases.journaling import Journaling
from metergate_client.leases.model import (
    NEVER,
    SECOND,
    Acquire,
    AnyKey,
    Entry,
    Failure,
    Figures,
    Key,
    Lease,
    Mark,
    Now,
    Record,
    Recorded,
    Request,
    Settling,
    Slot,
    State,
    Sync,
    Synced,
    Verdict,
    Write,
)

MOST_MARKS = 1_000
MOST_EVENTS = 5_000
_FIRST_WAIT = SECOND // 10
_LONGEST_WAIT = 2 * SECOND


@dataclass(slots=True)
class _Trouble:
    """How often in a row requests of a kind got no answer, and when the next may be sent."""

    failures: int = 0
    retry_at: int = 0


class LeaseMachine:
    """All leases of one holder, in what order things are done to them, and what may be spent.

    Attributes:
        sent: How many requests it gave out.
    """

    __slots__ = ("_flight", "_held", "_journaling", "_slots", "_trouble", "sent")

    def __init__(self, held: Holdings, found: Iterable[Entry] = ()) -> None:
        """``found``: what a former run's journal holds. Those leases are closed, never spent."""
        self.sent = 0
        self._held = held
        self._slots: dict[Key, Slot] = held.slots
        self._journaling = Journaling(held)
        self._flight: Request | None = None
        # In the order in which they take turns.
        self._trouble: dict[type[Request], _Trouble] = {kind: _Trouble() for kind in (Record, Sync, Acquire)}
        for entry in found:
            held.leases[entry.request_id] = entries.from_entry(entry)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def spend(self, key: AnyKey, units: int, boot: int, wall: int) -> Verdict:
        """Spend ``units`` (above 0) of a slice, if there is one that has them and has not ended by either clock."""
        slot = self._slots.get(key)  # type: ignore[arg-type]  # a plain tuple finds its equal
        if slot is not None and (lease := slot.lease) is not None:
            spent = lease.spent + units
            if spent <= lease.ceiling and boot < lease.end_boot and wall < lease.end_wall:
                lease.spent = spent
                if spent < lease.alert:
                    return Verdict.ALLOWED
                lease.alert = NEVER
                return Verdict.ALERT
        return self._short(Key(*key), units, Now(boot, wall))

    def _short(self, key: Key, units: int, now: Now) -> Verdict:
        if self._held.stopping:
            return Verdict.REFUSED
        slot = self._slots.setdefault(key, Slot())
        slot.note(units)
        lease = slot.lease
        if lease is not None and lease.state is State.OPEN:
            if lease.ended(now):
                self._held.close(lease)
            elif units <= lease.left:  # only the journal's mark is in the way
                return Verdict.WAIT if now.boot >= self._journaling.not_before else Verdict.REFUSED
        if now.boot < slot.refused_until:
            return Verdict.REFUSED
        slot.need = max(slot.need, units)
        if slot.lease is None:
            self._held.hungry[key] = slot
        away = self._trouble[Acquire].failures or self._trouble[Sync].failures
        return Verdict.REFUSED if away else Verdict.WAIT

    # --- what is to be done -------------------------------------------------------------------------------------------

    def next(self, now: Now) -> Write | Request | None:
        """What is to be done now; None when nothing is before ``wake_at``, or before an answer or a confirmation."""
        self._held.advance(now)
        write = self._journaling.next(now)
        if write is not None or self._flight is not None:
            return write
        return self._request(now)

    def wake_at(self, now: Now) -> int:
        """When there will be something to do, by the boot clock, if nothing comes in before; else NEVER."""
        held = self._held
        times = [self._journaling.not_before, *(trouble.retry_at for trouble in self._trouble.values())]
        times += [slot.refused_until for slot in held.hungry.values()]
        times += [held.flush_at] if held.leases else []
        for lease in held.leases.values():
            times.append(lease.sync_at)
            if lease.state is State.OPEN:
                times += [lease.end_boot, now.boot + lease.end_wall - now.wall]
        # What lies behind was done, or waits for an answer or a confirmation, which wakes the loop itself.
        return min((time for time in times if time > now.boot), default=NEVER)

    @property
    def done(self) -> bool:
        """Whether it was stopped, every lease is closed and settled, and the journal knows it."""
        held = self._held
        busy = held.leases or held.farewells or self._flight or self._journaling.writing
        return held.stopping and not busy

    @property
    def left(self) -> int:
        """What may still be spent, over all leases."""
        return sum(lease.left for lease in self._held.leases.values() if lease.state is State.OPEN)

    def stop(self) -> None:
        """Spend nothing more, and give everything back."""
        self._held.stopping = True
        for lease in self._held.leases.values():
            if lease.state is State.OPEN:
                self._held.close(lease)

    def abandon(self) -> None:
        """Forget everything at once: these leases are another process's (the parent of a fork)."""
        self._held.stopping = True
        self._held.clear()
        self._flight = self._journaling.writing = None

    def problems(self) -> list[str]:
        """What went wrong since this was last asked, in words."""
        told, self._held.problems = self._held.problems, []
        return told

    # --- the journal --------------------------------------------------------------------------------------------------

    def written(self) -> None:
        """The last ``Write`` is durable."""
        self._journaling.written()

    def not_written(self, problem: str, now: Now) -> None:
        """The last ``Write`` failed."""
        self._journaling.not_written(problem, now)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _request(self, now: Now) -> Request | None:
        """The next request, kinds taking turns."""
        builders = {Record: self._record, Sync: self._sync, Acquire: self._acquire}
        for kind, trouble in list(self._trouble.items()):
            request = builders[kind](now) if now.boot >= trouble.retry_at else None
            if request is not None:
                self._trouble[kind] = self._trouble.pop(kind)
                self._flight = request
                self.sent += 1
                return request
        return None

    def _record(self, now: Now) -> Record | None:
        unsent = (
            Settling(lease.request_id, lease.id, part.number, lease.key, lease.form, part.amount, part.time)
            for lease in self._held.leases.values()
            for part in lease.parts
            if part.journaled
        )
        events = list(islice(unsent, MOST_EVENTS))
        return Record(events, now) if events else None

    def _sync(self, now: Now) -> Sync | None:
        due = islice((lease for lease in self._held.leases.values() if _may_sync(lease, now)), MOST_MARKS)
        marks = [self._mark(lease) for lease in due]
        return Sync(marks, now) if marks else None

    def _mark(self, lease: Lease) -> Mark:
        if lease.state is State.CLOSING:
            return Mark(lease.request_id, lease.id, lease.reported, None, None, close=True)
        lease.planned = False
        slot = self._slots[lease.key]
        lease.needed, slot.need = slot.need, 0
        return Mark(lease.request_id, lease.id, lease.spent, lease.returned, pacing.wanted(lease), close=False)

    def _acquire(self, now: Now) -> Acquire | None:
        for lease in self._held.leases.values():
            if lease.state is State.ASKED and lease.journaled:
                # A repeat may get the first answer, with the time that was left then: so the first sending counts.
                lease.first_sent = lease.first_sent or now
                return Acquire(lease.request_id, lease.key, lease.asked, lease.first_sent)
        return None

    # --- answers ------------------------------------------------------------------------------------------------------

    def answer(self, request: Request, reply: Figures | Sequence[Synced | Recorded] | None, now: Now) -> None:
        """The request in flight was answered."""
        self._flight = None
        self._trouble[type(request)] = _Trouble()
        self._take(request, reply, now)
        if not self._held.journals:
            self._journaling.next(now)  # at once: nothing that came waits for a journal

    def _take(self, request: Request, reply: Figures | Sequence[Synced | Recorded] | None, now: Now) -> None:
        if isinstance(request, Acquire):
            answers.acquired(self._held, request, reply if isinstance(reply, Figures) else None, now)
            return
        asked: Sequence[Mark | Settling] = request.marks if isinstance(request, Sync) else request.events
        for one, result in zip(asked, reply or (), strict=True):
            if isinstance(one, Mark) and isinstance(result, Synced):
                answers.synced(self._held, one, result, request.sent, now)
            elif isinstance(one, Settling) and isinstance(result, Recorded):
                answers.recorded(self._held, one, result)

    def failed(self, request: Request, failure: Failure, now: Now) -> None:
        """The request in flight got an error, or no answer; it may have been carried out."""
        self._flight = None
        if isinstance(request, Acquire) and failure.answered:
            self._held.problems.append(f"no lease of {request.key.meter} for {request.key.subject}: {failure.reason}")
            wait = max(failure.retry_after, pacing.nanoseconds(self._held.pace.sync))
            answers.refused(self._held, request, wait, now)
            self._trouble[Acquire] = _Trouble()
            return
        trouble = self._trouble[type(request)]
        if not trouble.failures:  # said once
            self._held.problems.append(f"{type(request).__name__} failed: {failure.reason}")
        wait = int(min(_FIRST_WAIT << min(trouble.failures, 10), _LONGEST_WAIT) * (0.5 + self._held.random() / 2))
        trouble.failures += 1
        trouble.retry_at = now.boot + max(failure.retry_after, wait)


def _may_sync(lease: Lease, now: Now) -> bool:
    # Not before the journal claims no more than is left after giving back, or after the end.
    if lease.state is State.CLOSING:
        return not lease.told and now.boot >= lease.sync_at and lease.claimed <= lease.reported
    return lease.state is State.OPEN and lease.planned and lease.claimed <= lease.capacity
