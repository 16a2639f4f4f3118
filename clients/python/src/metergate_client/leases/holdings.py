"""What a holder has, and what the passing of time does to it."""

from __future__ import annotations

import random as randomness
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from metergate_client.ids import new_id
from metergate_client.leases import entries, pacing
from metergate_client.leases.model import NEVER, Entry, EventForm, Key, Lease, LeasePace, Now, Part, Slot, State


@dataclass(slots=True)
class Holdings:
    """All slots and leases of a holder.

    Args:
        journals: Whether there is a journal; without one nothing waits for it, and a crash forfeits what was leased.
        pace: How eagerly it works.
        forms: How usage of some meters is written as events; by default of the meter's own name, with an amount.
        new_id: Makes request ids.
        random: Makes numbers from 0 to just below 1, to spread the load of many holders.
    """

    journals: bool
    pace: LeasePace = field(default_factory=LeasePace)
    forms: Mapping[str, EventForm] = field(default_factory=dict[str, EventForm])
    new_id: Callable[[], str] = new_id
    random: Callable[[], float] = randomness.random
    problems: list[str] = field(default_factory=list)
    slots: dict[Key, Slot] = field(default_factory=dict)
    hungry: dict[Key, Slot] = field(default_factory=dict)  # those that need a lease and have none
    leases: dict[str, Lease] = field(default_factory=dict)  # by request id; those that are not gone
    farewells: list[Entry] = field(default_factory=list)  # of those that are gone, for the journal
    flush_at: int = 0
    stopping: bool = False

    def advance(self, now: Now) -> None:
        """Do what is due: end leases, cut usage into events, ask for leases, make up the marks of the next sync."""
        flush = now.boot >= self.flush_at
        if flush:
            self.flush_at = now.boot + pacing.nanoseconds(self.pace.flush)
            self._prune(now)
        for lease in list(self.leases.values()):
            self._age(lease, now)
            if lease.spent > lease.covered and (flush or lease.state is State.CLOSING):
                self._cut(lease, now)
            if lease.state is State.CLOSING and lease.told and not lease.parts:
                self.forget(lease, now)
        self._ask(now)
        self._plan(now)

    def close(self, lease: Lease) -> None:
        """Never spend it again; the server is to be told."""
        lease.state, lease.dirty, lease.sync_at = State.CLOSING, True, 0
        lease.ceiling, lease.alert = 0, NEVER
        self._vacate(lease)

    def forget(self, lease: Lease, now: Now) -> None:
        """It is over and settled, or never came to be."""
        del self.leases[lease.request_id]
        self._vacate(lease)
        if self.journals:
            self.farewells.append(entries.to_entry(lease, lease.spent, now, gone=True))

    def clear(self) -> None:
        """Forget everything without a word."""
        for held in (self.slots, self.hungry, self.leases, self.farewells):
            held.clear()

    def _vacate(self, lease: Lease) -> None:
        slot = self.slots.get(lease.key)
        if slot is not None and slot.lease is lease:
            slot.lease = None

    def _age(self, lease: Lease, now: Now) -> None:
        if lease.state is State.ASKED:
            lease.unwanted |= self.stopping
            if lease.unwanted and lease.first_sent is None and not lease.journaled:
                self.forget(lease, now)  # nobody has heard of it
        elif lease.state is State.OPEN:
            if lease.ended(now) or self._is_idle(lease, now):
                self.close(lease)
            else:
                pacing.set_levels(lease, self.slots[lease.key], self.pace)

    def _is_idle(self, lease: Lease, now: Now) -> bool:
        quiet = now.boot - lease.spent_at >= pacing.nanoseconds(self.pace.idle)
        return quiet and lease.spent == lease.measured and not self.slots[lease.key].need

    def _cut(self, lease: Lease, now: Now) -> None:
        """Make what was spent since the last part a part: one event."""
        lease.last_part += 1
        lease.parts.append(Part(lease.last_part, lease.spent - lease.covered, lease.part_time or now.wall))
        lease.covered, lease.dirty = lease.spent, True

    def _ask(self, now: Now) -> None:
        """Want a lease for each key that needs one and has none."""
        if self.stopping:
            self.hungry.clear()
        for key, slot in list(self.hungry.items()):
            if slot.lease is None and now.boot >= slot.refused_until:
                asked = pacing.first_amount(slot, self.pace)
                form = self.forms.get(key.meter) or EventForm(key.meter)
                slot.lease = Lease(self.new_id(), key, form, asked)
                self.leases[slot.lease.request_id] = slot.lease
                slot.need = 0
            if slot.lease is not None:
                del self.hungry[key]

    def _plan(self, now: Now) -> None:
        """Make up the marks of the next sync: of leases that are due, and of those that soon will be."""
        opened = [lease for lease in self.leases.values() if lease.state is State.OPEN and not lease.planned]
        if not any(self._is_due(lease, now) for lease in opened):
            return
        soon = now.boot + pacing.nanoseconds(self.pace.sync) // 2
        for lease in opened:
            if lease.sync_at <= soon or self._is_due(lease, now):
                pacing.plan(lease, self.slots[lease.key], self.pace, now)
                pacing.set_levels(lease, self.slots[lease.key], self.pace)

    def _is_due(self, lease: Lease, now: Now) -> bool:
        slot = self.slots[lease.key]
        return (
            now.boot >= lease.sync_at
            or lease.left <= lease.low
            or lease.returned > lease.returned_told
            or (slot.need > 0 and now.boot >= slot.refused_until)
        )

    def _prune(self, now: Now) -> None:
        """Forget keys that nobody asked for in a while."""
        before = now.boot - pacing.nanoseconds(self.pace.idle)
        idle = [k for k, slot in self.slots.items() if slot.lease is None and slot.refused_until < before]
        for key in idle:
            if key not in self.hungry:
                del self.slots[key]
