"""The real holder in the simulated world: `metergate_client.leases.machine`, driven by simulated time and journal."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from benchmarks.simulation.ledger import Answer, Ledger
from benchmarks.simulation.stepped import Stepped
from benchmarks.simulation.world import World
from metergate.domain.hold import State
from metergate_client.leases.holdings import Holdings
from metergate_client.leases.machine import LeaseMachine
from metergate_client.leases.model import (
    NEVER,
    SECOND,
    Acquire,
    Entry,
    Failure,
    Figures,
    Key,
    Mark,
    Now,
    Record,
    Recorded,
    Request,
    Settling,
    Sync,
    Synced,
    Verdict,
    Write,
)
from metergate_client.leases.units import ONE

KEY = Key("calls", "acme")
WRITE = 0.001  # seconds until the journal is durable


class MachineHolder(Stepped):
    """A client process with the real state machine. One decision is one unit."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, number)
        self.rng = random.Random(world.setup.seed * 1_000_003 + number)
        self.journal: dict[str, Entry] = {}
        self.requests = 0
        self.left_behind: list[str] = []
        self._start()

    def _start(self) -> None:
        held = Holdings(journals=True, new_id=self._new_id, random=self.rng.random)
        self.machine = LeaseMachine(held, self.journal.values())
        self.held = held
        self.timer = 0.0

    def _new_id(self) -> str:
        self.requests += 1
        self.left_behind.append(f"{self.number}/{self.requests}")
        return self.left_behind[-1]

    @property
    def unspent(self) -> int:
        """What it may still spend."""
        return self.machine.left // ONE

    @property
    def now(self) -> Now:
        """Both clocks."""
        instant = round(self.world.now * SECOND)
        return Now(instant, instant)

    def take(self, count: int) -> int:
        """One decision after the other, up to the first that isn't allowed."""
        now, taken, verdict = self.now, 0, Verdict.ALLOWED
        slot = self.held.slots.get(KEY)
        name = slot.lease.request_id if slot is not None and slot.lease is not None else ""
        while taken < count:
            verdict = self.machine.spend(KEY, ONE, now.boot, now.wall)
            if verdict not in (Verdict.ALLOWED, Verdict.ALERT):
                break
            taken += 1
        if taken:
            self.world.spent(name, taken)
        self.pump()
        return taken

    def pump(self) -> None:
        """Does what the machine wants done, until it wants nothing more for now."""
        machine = self.machine
        while (job := machine.next(self.now)) is not None:
            if isinstance(job, Write):
                self.world.at(WRITE, self._written, machine, job)
            else:
                self._send(machine, job)
        wake = machine.wake_at(self.now)
        if wake < NEVER and (self.timer <= self.world.now or wake / SECOND < self.timer):
            self.timer = wake / SECOND
            self.world.at(max(self.timer - self.world.now, 0.0001), self._woken, machine)

    def _woken(self, machine: LeaseMachine) -> None:
        if machine is self.machine:
            self.pump()

    def _written(self, machine: LeaseMachine, job: Write) -> None:
        if machine is self.machine:
            for entry in job.entries:
                self.journal[entry.request_id] = entry
                if entry.gone:
                    del self.journal[entry.request_id]
            machine.written()
            self._news()

    def _send(self, machine: LeaseMachine, job: Request) -> None:
        kind, verb = VERBS[type(job)]

        def then(answered: bool, reply: Any) -> None:
            if machine is self.machine:
                if answered:
                    machine.answer(job, reply, self.now)
                else:
                    machine.failed(job, Failure("DEADLINE_EXCEEDED", answered=False), self.now)
                self._news()

        self.world.call(kind, verb, self.world.ledger, job, then=then)

    def _news(self) -> None:
        self.spend()
        self.pump()

    # --- life and death -----------------------------------------------------------------------------------------------

    def kill(self) -> list[str]:
        """SIGKILL: only the journal stays."""
        self.rest = 0
        self.machine.abandon()
        self.machine = LeaseMachine(Holdings(journals=False))
        return self.left_behind

    def restart(self) -> None:
        """Start again with what the journal holds."""
        self._start()
        self.pump()

    def stop(self) -> None:
        """Give everything back."""
        self.machine.stop()
        self.pump()


def acquire(now: float, ledger: Ledger, job: Acquire) -> Figures | None:
    """AcquireLease."""
    answer = ledger.acquire(now, job.request_id, _quantity(job.amount))
    return _figures(job.request_id, answer)


def sync(now: float, ledger: Ledger, job: Sync) -> Sequence[Synced]:
    """SyncLeases."""
    return [Synced(_figures(mark.lease_id, _sync_one(now, ledger, mark))) for mark in job.marks]


def _sync_one(now: float, ledger: Ledger, mark: Mark) -> Answer:
    spent, returned, wanted = (_quantity(figure or 0) for figure in (mark.spent, mark.returned, mark.wanted))
    return ledger.sync(now, mark.lease_id, spent, returned, wanted, mark.close)


def record(now: float, ledger: Ledger, job: Record) -> Sequence[Recorded]:
    """BatchRecordUsage."""
    for event in job.events:
        _settle(now, ledger, event)
    return [Recorded() for _ in job.events]


def _settle(now: float, ledger: Ledger, event: Settling) -> None:
    ledger.settle(now, event.lease_id, event.number, _quantity(event.amount))


def _figures(name: str, answer: Answer) -> Figures | None:
    if answer.marks is None:
        return None
    marks, is_open = answer.marks, answer.state is State.OPEN
    granted, returned, spent, settled = (
        int(figure) * ONE for figure in (marks.granted, marks.returned, marks.spent, marks.settled)
    )
    ttl = int(answer.ttl * SECOND) if is_open else None
    return Figures(name, granted, returned, spent, settled, str(answer.state), ttl, int(answer.recall) * ONE)


VERBS: dict[type[Request], tuple[str, Callable[..., Any]]] = {
    Acquire: ("acquire", acquire),
    Sync: ("sync", sync),
    Record: ("record", record),
}


def _quantity(units: int) -> Decimal:
    whole, rest = divmod(units, ONE)
    assert not rest, units  # whole decisions bring whole figures
    return Decimal(whole)
