"""What the journal is told, and what may happen once it is durable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metergate_client.leases import entries, pacing
from metergate_client.leases.holdings import Holdings
from metergate_client.leases.model import SECOND, Entry, Lease, Now, State, Write


@dataclass(slots=True)
class Journaling:
    """One write at a time. Nothing waits for the journal where there is none."""

    held: Holdings
    writing: Write | None = None
    not_before: int = 0

    def next(self, now: Now) -> Write | None:
        """What is to be written now, if anything, and if nothing is being written."""
        if self.writing is not None or now.boot < self.not_before:
            return None
        made = [self._entry(lease, now) for lease in self.held.leases.values() if self._is_to_write(lease)]
        for entry in made:
            lease = self.held.leases[entry.request_id]
            lease.claimed = max(lease.claimed, entry.mark)
        if not self.held.journals:
            self._confirm(made)
            return None
        made += self.held.farewells
        self.held.farewells = []
        self.writing = Write(made) if made else None
        return self.writing

    def written(self) -> None:
        """The write is durable."""
        if self.writing is not None:
            self._confirm(self.writing.entries)
            self.writing = None

    def not_written(self, problem: str, now: Now) -> None:
        """It is not: nothing that waits for it happens before a later one succeeds."""
        write, self.writing = self.writing, None
        self.not_before = now.boot + SECOND
        self.held.problems.append(f"the journal cannot be written: {problem}")
        for entry in write.entries if write else ():
            if entry.gone:
                self.held.farewells.append(entry)
            elif lease := self.held.leases.get(entry.request_id):
                lease.dirty = True

    def _is_to_write(self, lease: Lease) -> bool:
        if lease.dirty or lease.state is not State.OPEN:
            return lease.dirty
        # A mark above what is left after giving back would claim more than the lease has, were this run to crash.
        return lease.claimed > lease.capacity or pacing.wants_mark(lease, self.held.slots[lease.key], self.held.pace)

    def _entry(self, lease: Lease, now: Now) -> Entry:
        lease.dirty = False
        if lease.state is not State.OPEN:
            return entries.to_entry(lease, lease.spent, now)
        if not self.held.journals:
            return entries.to_entry(lease, lease.capacity, now)
        # While this is on its way the former mark still holds; so it comes down only where `capacity` did.
        step = pacing.mark_step(lease, self.held.slots[lease.key], self.held.pace)
        return entries.to_entry(lease, min(lease.capacity, max(lease.mark, lease.spent + step)), now)

    def _confirm(self, durable: Iterable[Entry]) -> None:
        for entry in durable:
            lease = self.held.leases.get(entry.request_id)
            if lease is None or entry.gone:
                continue
            lease.mark = lease.claimed = entry.mark
            lease.journaled = True
            for part in lease.parts:
                part.journaled |= part.number <= entry.last_part
            if slot := self.held.slots.get(lease.key):
                pacing.set_levels(lease, slot, self.held.pace)
