"""P2 and the fine print on leases: the machine against a server, a network, a disk and clocks that do their worst."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from clients.python.tests.lease_book import LeaseBook, halves
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from metergate_client.leases.holdings import Holdings
from metergate_client.leases.machine import LeaseMachine
from metergate_client.leases.model import SECOND, Entry, Failure, Key, Mark, Now, Request, Sync, Verdict, Write
from metergate_client.leases.units import ONE

AMOUNTS = [ONE, ONE, 3 * ONE, 40 * ONE, ONE // 2]
KEYS = [Key("calls", "acme"), Key("calls", "acme", (("region", "eu"),))]


@dataclass
class Flight:
    """A request on its way; ``reply`` once the server has worked on it."""

    request: Request
    reply: object = None
    worked: bool = False


class Holder(RuleBasedStateMachine):
    """Whatever happens: nothing is spent past a slice or its end; the journal claims no less than was spent; marks
    only grow; usage is told once, and never more than was spent."""

    @initialize(limit=st.integers(1, 300), journals=st.booleans(), halving=st.booleans(), ttl=st.integers(2, 60))
    def start(self, limit: int, journals: bool, halving: bool, ttl: int) -> None:
        self.book = LeaseBook(limit * ONE, ttl=ttl * SECOND)
        if halving:
            self.book.slice_of = halves
        self.journals = journals
        self.true = 10 * SECOND
        self.wall = 1_790_000_000 * SECOND
        self.ids = 0
        self.disk: dict[str, Entry] = {}
        self.spent: dict[str, int] = {}
        self.marks: dict[str, Mark] = {}
        self.late: list[Request] = []
        self.crashed = False
        self.boot_up()

    def boot_up(self) -> None:
        self.write: Write | None = None
        self.flight: Flight | None = None
        held = Holdings(self.journals, new_id=self.new_id, random=lambda: 0.5)
        self.machine = LeaseMachine(held, [entry for entry in self.disk.values() if not entry.gone])
        self.held = held

    def new_id(self) -> str:
        self.ids += 1
        return f"r-{self.ids}"

    @property
    def now(self) -> Now:
        return Now(self.true, self.wall)

    @rule(key=st.sampled_from(KEYS), units=st.sampled_from(AMOUNTS), times=st.integers(1, 60))
    def spend(self, key: Key, units: int, times: int) -> None:
        for _ in range(times):
            if self.machine.spend(key, units, *self.now) in (Verdict.ALLOWED, Verdict.ALERT):
                lease = self.held.slots[key].lease
                assert lease is not None
                self.spent[lease.request_id] = self.spent.get(lease.request_id, 0) + units
                assert self.true < self.book.leases[lease.id].end, "spent past its end"

    @rule(seconds=st.sampled_from([0.001, 0.2, 1, 4, 20, 70]))
    def time_passes(self, seconds: float) -> None:
        self.true += int(seconds * SECOND)
        self.wall += int(seconds * SECOND)

    @rule(seconds=st.sampled_from([-86_400, -30, 5, 3_600]))
    def somebody_sets_the_clock(self, seconds: int) -> None:
        self.wall += seconds * SECOND

    @rule()
    def work(self) -> None:
        task = self.machine.next(self.now)
        if isinstance(task, Write):
            assert self.write is None, "one write at a time"
            self.write = task
        elif task is not None:
            assert self.flight is None, "one request in flight"
            self.flight = Flight(task)
            self.look_at(task)

    def look_at(self, request: Request) -> None:
        if not isinstance(request, Sync):
            return
        for mark in request.marks:
            if self.journals and mark.returned is not None:
                granted = self.held.leases[mark.request_id].granted
                assert self.disk[mark.request_id].mark <= granted - mark.returned, "a crash would claim too much"
            before = self.marks.get(mark.request_id)
            if before is not None:
                assert mark.spent >= before.spent, "marks only grow"
                assert mark.returned is None or mark.returned >= (before.returned or 0)
            self.marks[mark.request_id] = mark if mark.returned is not None or before is None else before

    @rule(key=st.sampled_from(KEYS), units=st.sampled_from(AMOUNTS), steps=st.integers(1, 12))
    def all_goes_well(self, key: Key, units: int, steps: int) -> None:
        for _ in range(steps):
            self.spend(key, units, 3)
            self.settle()

    @rule(key=st.sampled_from(KEYS), seconds=st.sampled_from([0.5, 1.5, 5]))
    def the_server_is_slow_and_the_end_is_near(self, key: Key, seconds: float) -> None:
        for _ in range(8):
            if self.flight is not None and not self.flight.worked:
                self.server_works()
                self.time_passes(seconds)
            self.spend(key, ONE, 1)
            self.settle()
        lease = self.held.slots[key].lease if key in self.held.slots else None
        if lease is not None and lease.end_boot > self.true:
            self.time_passes((lease.end_boot - self.true - 1) / SECOND)
            self.spend(key, ONE, 1)

    @rule(key=st.sampled_from(KEYS), works=st.lists(st.booleans(), max_size=6), seconds=st.sampled_from([0.01, 5.5]))
    def crash_while_the_disk_is_slow(self, key: Key, works: list[bool], seconds: float) -> None:
        self.time_passes(seconds)
        for server_works in works:
            self.spend(key, ONE, 2)
            if self.flight is not None and not self.flight.worked and server_works:
                self.server_works()
            elif self.flight is not None and self.flight.worked:
                self.answer_arrives()
            else:
                self.work()
        self.crash(write_was_durable=False)

    @precondition(lambda self: self.write is not None)
    @rule(fate=st.sampled_from(["durable", "durable", "failed", "failed but durable"]))
    def disk_answers(self, fate: str) -> None:
        assert self.write is not None
        if fate != "failed":
            self.keep(self.write)
        self.write = None
        if fate == "durable":
            self.machine.written()
        else:
            self.machine.not_written("no space left", self.now)

    def keep(self, write: Write) -> None:
        for entry in write.entries:
            if entry.gone:
                self.disk.pop(entry.request_id, None)
            else:
                self.disk[entry.request_id] = entry

    @precondition(lambda self: self.flight is not None and not self.flight.worked)
    @rule()
    def server_works(self) -> None:
        assert self.flight is not None
        self.flight.reply = self.book.answer(self.flight.request, self.true)
        self.flight.worked = True

    @precondition(lambda self: self.flight is not None and self.flight.worked)
    @rule()
    def answer_arrives(self) -> None:
        assert self.flight is not None
        flight, self.flight = self.flight, None
        self.machine.answer(flight.request, flight.reply, self.now)  # type: ignore[arg-type]

    @precondition(lambda self: self.flight is not None)
    @rule(arrives_late=st.booleans())
    def connection_breaks(self, arrives_late: bool) -> None:
        assert self.flight is not None
        flight, self.flight = self.flight, None
        if arrives_late and not flight.worked:
            self.late.append(flight.request)
        self.machine.failed(flight.request, Failure("away", answered=False), self.now)

    @precondition(lambda self: self.late)
    @rule()
    def late_request_arrives(self) -> None:
        self.book.answer(self.late.pop(0), self.true)

    @rule(free=st.integers(0, 20), recalls=st.booleans(), renews=st.booleans())
    def others_come_and_go(self, free: int, recalls: bool, renews: bool) -> None:
        self.book.others = max(self.book.others + self.book.free - free * ONE, 0)
        self.book.recalls, self.book.renews = recalls, renews

    @rule(write_was_durable=st.booleans())
    def crash(self, write_was_durable: bool) -> None:
        if self.write is not None and write_was_durable:
            self.keep(self.write)
        if self.flight is not None and not self.flight.worked:
            self.late.append(self.flight.request)
        self.crashed = True
        self.boot_up()

    @invariant()
    def nothing_is_spent_past_a_slice(self) -> None:
        by_request = {lease.request_id: lease for lease in self.book.leases.values()}
        for request_id, spent in self.spent.items():
            lease = by_request[request_id]
            assert spent <= lease.granted - lease.returned, "the server has handed this out again"
        for own in self.held.leases.values():
            assert own.spent <= own.capacity or own.capacity == 0

    @invariant()
    def the_journal_claims_what_was_spent(self) -> None:
        if not self.journals:
            return
        for lease in self.held.leases.values():
            if lease.request_id in self.spent:
                assert self.disk[lease.request_id].mark >= self.spent[lease.request_id]

    @invariant()
    def usage_is_told_once_and_none_is_invented(self) -> None:
        assert not self.book.conflicts
        assert not self.book.invalid, "no mark that the server has to refuse"
        told: dict[str, int] = {}
        for event_id, (amount, _) in self.book.events.items():
            lease = self.book.leases[event_id.rpartition("/")[0]]
            told[lease.request_id] = told.get(lease.request_id, 0) + amount
        for request_id, amount in told.items():
            assert amount <= self.spent.get(request_id, 0)

    @invariant()
    def the_limit_is_never_passed(self) -> None:
        assert self.book.free >= 0

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        for request in self.late:
            self.book.answer(request, self.true)
        self.machine.stop()
        for _ in range(200):
            self.settle()
            self.nothing_is_spent_past_a_slice()
            self.usage_is_told_once_and_none_is_invented()
            if self.machine.done:
                break
            self.true, self.wall = self.true + SECOND, self.wall + SECOND
        assert self.machine.done
        if not self.journals and self.crashed:
            return  # what it held is forfeited
        assert not any(entry for entry in self.disk.values() if not entry.gone)
        # An ask that arrived after its own repeat had been refused is nobody's: it ends by itself.
        known = [lease for lease in self.book.leases.values() if lease.request_id not in self.book.refused]
        assert not any(lease.state == "open" for lease in known)
        if not self.crashed:
            assert self.book.used == sum(self.spent.values())
            assert not any(lease.held for lease in known), "all that was not spent is free again"

    def settle(self) -> None:
        if self.write is not None:
            self.disk_answers("durable")
        elif self.flight is not None:
            if not self.flight.worked:
                self.server_works()
            self.answer_arrives()
        else:
            self.work()


TestHolder = Holder.TestCase
TestHolder.settings = settings(max_examples=60, stateful_step_count=30)


def test_p2_whatever_happens_in_hundreds_of_random_lives() -> None:
    """Hypothesis finds the short stories; this goes through many long ones."""
    seed = os.environ.get("METERGATE_TEST_SEED") or secrets.token_hex(4)
    rng = random.Random(seed)
    for _ in range(400):
        try:
            _live(rng)
        except AssertionError as error:
            error.add_note(f"repeat with METERGATE_TEST_SEED={seed}")
            raise


def _live(rng: random.Random) -> None:
    life = Holder()
    life.start(rng.randint(1, 300), rng.random() < 0.7, rng.random() < 0.5, rng.randint(2, 60))
    for _ in range(60):
        rng.choice(STEPS)(life, rng)
        life.nothing_is_spent_past_a_slice()
        life.the_journal_claims_what_was_spent()
        life.usage_is_told_once_and_none_is_invented()
        life.the_limit_is_never_passed()
    life.teardown()


def _key(rng: random.Random) -> Key:
    return rng.choice(KEYS)


def _flip(rng: random.Random) -> bool:
    return rng.random() < 0.5


FATES = ["durable", "durable", "failed", "failed but durable"]
STEPS: list[Callable[[Holder, random.Random], object]] = [
    lambda life, rng: life.spend(_key(rng), rng.choice(AMOUNTS), rng.randint(1, 60)),
    lambda life, rng: life.time_passes(rng.choice([0.001, 0.2, 1, 4, 20, 70])),
    lambda life, rng: life.somebody_sets_the_clock(rng.choice([-86_400, -30, 5, 3_600])),
    lambda life, _: life.work(),
    lambda life, _: life.work(),
    lambda life, rng: life.all_goes_well(_key(rng), rng.choice(AMOUNTS), rng.randint(1, 12)),
    lambda life, rng: life.the_server_is_slow_and_the_end_is_near(_key(rng), rng.choice([0.5, 1.5, 5])),
    lambda life, rng: life.crash_while_the_disk_is_slow(
        _key(rng), [_flip(rng) for _ in range(rng.randint(0, 6))], rng.choice([0.01, 5.5])
    ),
    lambda life, rng: life.write and life.disk_answers(rng.choice(FATES)),
    lambda life, _: life.flight and not life.flight.worked and life.server_works(),
    lambda life, _: life.flight and life.flight.worked and life.answer_arrives(),
    lambda life, rng: life.flight and life.connection_breaks(_flip(rng)),
    lambda life, _: life.late and life.late_request_arrives(),
    lambda life, rng: life.others_come_and_go(rng.randint(0, 20), _flip(rng), _flip(rng)),
    lambda life, rng: rng.random() < 0.3 and life.crash(_flip(rng)),
]
