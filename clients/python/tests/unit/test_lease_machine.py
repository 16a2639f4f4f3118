"""The lease machine, case by case; ``clients/README.md`` is its law."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from clients.python.tests.lease_book import LeaseBook

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
    Now,
    Record,
    Request,
    State,
    Sync,
    Synced,
    Verdict,
    Write,
)
from metergate_client.leases.units import ONE, from_text, to_text, to_units

KEY = Key("calls", "acme")
AWAY = Failure("away", answered=False)


@dataclass
class Run:
    """A machine, a server and a disk that work at once when they are asked to."""

    book: LeaseBook = field(default_factory=lambda: LeaseBook(1_000 * ONE))
    journals: bool = True
    disk: dict[str, Entry] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    boot: int = 10 * SECOND
    wall: int = 1_790_000_000 * SECOND

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        names = iter(f"r-{number}" for number in range(1000))
        self.held = Holdings(self.journals, new_id=lambda: next(names), random=lambda: 0.5)
        self.machine = LeaseMachine(self.held, [entry for entry in self.disk.values() if not entry.gone])

    @property
    def now(self) -> Now:
        return Now(self.boot, self.wall)

    def spend(self, amount: int = 1) -> Verdict:
        return self.machine.spend(KEY, amount * ONE, *self.now)

    def passes(self, seconds: float) -> None:
        self.boot += int(seconds * SECOND)
        self.wall += int(seconds * SECOND)

    def next_request(self) -> Request | None:
        """The next request, not yet answered; the disk has done its part."""
        while isinstance(task := self.machine.next(self.now), Write):
            self.disk.update({entry.request_id: entry for entry in task.entries})
            self.machine.written()
        if task is not None:
            self.requests.append(task)
        return task

    def next_sync(self) -> Sync:
        """The next sync, not yet answered; other requests are."""
        while not isinstance(request := self.next_request(), Sync):
            assert request is not None
            self.machine.answer(request, self.book.answer(request, self.boot), self.now)
        return request

    def settle_journal(self) -> None:
        """Let the disk do its part; a request that comes up is lost."""
        if (request := self.next_request()) is not None:
            self.machine.failed(request, AWAY, self.now)

    def settle(self) -> None:
        """Go on until nothing is to be done."""
        while (request := self.next_request()) is not None:
            self.machine.answer(request, self.book.answer(request, self.boot), self.now)

    def open(self, amount: int = 1) -> Run:
        """Spend until there is a lease."""
        assert self.spend(amount) is Verdict.WAIT
        self.settle()
        assert self.spend(amount) in (Verdict.ALLOWED, Verdict.ALERT)
        return self

    def kinds(self) -> list[str]:
        return [type(request).__name__ for request in self.requests]


@pytest.fixture
def run() -> Run:
    return Run()


def test_the_first_amount_asks_for_a_hundred_of_its_kind_and_is_then_spent_locally(run: Run) -> None:
    run.open(3)
    assert run.kinds() == ["Acquire"]
    assert isinstance(run.requests[0], Acquire)
    assert run.requests[0].amount == 300 * ONE
    assert run.machine.left == 297 * ONE


def test_p2_the_end_counts_from_before_the_request_by_the_earlier_clock(run: Run) -> None:
    assert run.spend() is Verdict.WAIT
    request = run.next_request()
    assert request is not None
    run.passes(10)
    run.machine.answer(request, Figures("l-1", 100 * ONE, 0, 0, 0, "open", 60 * SECOND, 0), run.now)
    run.settle_journal()
    boot, wall = run.boot - 10 * SECOND + 60 * SECOND, run.wall - 10 * SECOND + 60 * SECOND
    assert run.machine.spend(KEY, ONE, boot - 1, wall - 1) is not Verdict.WAIT
    assert run.machine.spend(KEY, ONE, boot - 1, wall) is Verdict.WAIT, "the wall clock says that it is over"
    assert run.machine.spend(KEY, ONE, 0, 0) is Verdict.WAIT, "and what is over stays over, whatever clocks say then"


def test_p2_a_repeated_acquire_counts_from_its_first_sending_and_keeps_its_id(run: Run) -> None:
    run.spend()
    first = run.next_request()
    assert isinstance(first, Acquire)
    run.machine.failed(first, AWAY, run.now)
    assert run.spend() is Verdict.REFUSED, "nobody waits for a server that did not answer"
    assert run.next_request() is None, "not before the pause is over"
    run.passes(1)
    second = run.next_request()
    assert second == first


def test_p2_the_mark_is_durable_before_it_is_spent(run: Run) -> None:
    run.open()
    mark = run.disk["r-0"].mark
    assert ONE <= mark < 100 * ONE
    spent = 1
    while run.spend() is not Verdict.WAIT:
        spent += 1
    assert spent * ONE == mark == run.disk["r-0"].mark
    run.settle_journal()
    assert run.disk["r-0"].mark > mark
    assert run.spend() is not Verdict.WAIT


def test_p2_a_mark_never_comes_down_while_it_may_be_spent_up_to(run: Run) -> None:
    run.open()
    lease = run.held.leases["r-0"]
    lease.mark = lease.claimed = 90 * ONE  # as it was set when the rate was high
    lease.dirty = True
    write = run.machine.next(run.now)
    assert isinstance(write, Write)
    assert write.entries[0].mark == 90 * ONE


def test_p2_what_is_given_back_is_journaled_before_it_is_told(run: Run) -> None:
    run.open()
    run.book.recalls = True
    run.passes(6)
    sync = run.next_sync()
    run.machine.answer(sync, run.book.answer(sync, run.boot), run.now)
    lease = run.held.leases["r-0"]
    assert lease.returned > lease.returned_told
    told = run.next_request()
    assert isinstance(told, Sync)
    assert told.marks[0].returned == lease.returned
    assert run.disk["r-0"].mark <= lease.capacity


def test_more_is_asked_for_at_half_and_the_rate_is_followed(run: Run) -> None:
    run.open()
    run.book.limit = 10**9 * ONE
    while run.spend() is not Verdict.ALERT or run.machine.left > 50 * ONE:
        run.settle_journal()
        run.passes(0.01)
    sync = run.next_request()
    assert isinstance(sync, Sync)
    wanted = (sync.marks[0].wanted or 0) // ONE
    assert 50 + 900 <= wanted <= 50 + 1_100, "ten seconds at a hundred a second"


def test_what_lies_far_above_the_target_goes_back(run: Run) -> None:
    run.open()
    run.passes(6)
    run.settle()
    assert run.machine.left <= 2 * ONE
    assert run.book.free >= 997 * ONE


def test_an_idle_lease_is_closed(run: Run) -> None:
    run.open()
    for _ in range(50):
        run.passes(1)
        run.settle()
    assert not run.held.leases
    assert run.book.leases["l-1"].state == "returned"
    assert (run.book.used, run.book.free) == (ONE, 999 * ONE)


def test_near_the_end_of_a_limit_units_come_one_by_one_and_then_cost_no_calls() -> None:
    run = Run(LeaseBook(10 * ONE, slice_of=lambda free: min(ONE, free)))
    allowed = 0
    for _ in range(40):
        verdict = run.spend()
        allowed += verdict in (Verdict.ALLOWED, Verdict.ALERT)
        run.settle()
    assert allowed == 10
    calls = len(run.requests)
    for _ in range(100):
        assert run.spend() is Verdict.REFUSED
        run.settle()
    assert len(run.requests) == calls
    run.passes(0.6)
    assert run.spend() is Verdict.WAIT, "after a while it is asked again"
    run.book.limit += ONE
    run.settle()
    assert run.spend() in (Verdict.ALLOWED, Verdict.ALERT), "what others gave back is usable"


def test_asking_early_in_vain_does_not_refuse_what_is_asked_when_dry() -> None:
    run = Run(LeaseBook(100 * ONE, slice_of=lambda free: 5 * ONE)).open()
    run.book.slice_of = lambda free: 0  # it has its share
    for _ in range(4):
        run.spend()
        run.settle()
    assert run.machine.left == 0
    assert "Sync" in run.kinds(), "it asked early"
    run.book.slice_of = lambda free: ONE
    assert run.spend() is Verdict.WAIT
    run.settle()
    assert run.spend() in (Verdict.ALLOWED, Verdict.ALERT)


def test_p1_usage_goes_out_as_one_event_per_flush_and_again_as_the_same(run: Run) -> None:
    run.open()
    run.settle()
    run.spend(4)
    run.passes(6)
    record = run.next_request()
    assert isinstance(record, Record)
    (event,) = record.events
    assert (event.lease_id, event.number, event.amount, event.time) == ("l-1", 1, 5 * ONE, run.wall)
    run.machine.failed(record, AWAY, run.now)
    run.spend(2)
    run.passes(3)
    for _ in range(4):
        again = run.next_request()
        if isinstance(again, Record):
            break
        assert again is not None
        run.machine.answer(again, run.book.answer(again, run.boot), run.now)
    assert isinstance(again, Record)
    assert again.events == record.events


def test_stopping_settles_closes_and_forgets(run: Run) -> None:
    run.open(7)
    run.machine.stop()
    assert run.spend() is Verdict.REFUSED
    run.settle()
    assert run.machine.done
    assert (run.book.used, run.book.free) == (7 * ONE, 993 * ONE)
    assert run.disk["r-0"].gone
    assert run.machine.wake_at(run.now) == NEVER


def test_p2_after_a_crash_the_old_lease_is_closed_with_its_mark_and_known_usage_is_told(run: Run) -> None:
    run.open()
    for _ in range(8):
        run.spend()
    run.settle()
    known, mark = run.disk["r-0"].spent, run.disk["r-0"].mark
    for _ in range(3):
        run.spend()
    run.start()
    run.settle()
    lease = run.book.leases["l-1"]
    assert (lease.state, lease.spent, lease.settled) == ("returned", mark, known)
    assert mark >= 12 * ONE
    assert run.disk["r-0"].gone


def test_p2_an_ask_whose_answer_was_lost_in_a_crash_is_found_and_closed(run: Run) -> None:
    run.spend()
    request = run.next_request()
    assert request is not None
    run.book.answer(request, run.boot)
    run.start()
    run.settle()
    assert run.book.leases["l-1"].state == "returned"
    assert run.book.free == 1_000 * ONE


def test_without_a_journal_nothing_waits_for_it() -> None:
    run = Run(journals=False)
    run.spend()
    request = run.next_request()
    assert request is not None
    run.machine.answer(request, run.book.answer(request, run.boot), run.now)
    assert run.spend() is Verdict.ALLOWED, "as soon as the answer is there"
    assert not run.disk
    assert sum(run.spend() is not Verdict.WAIT for _ in range(99)) == 99


def test_p2_while_the_journal_cannot_be_written_only_what_is_marked_is_spent(run: Run) -> None:
    run.open()
    while run.spend() is not Verdict.WAIT:
        pass
    assert isinstance(run.machine.next(run.now), Write)
    run.machine.not_written("no space left", run.now)
    assert run.spend() is Verdict.REFUSED
    assert "no space left" in run.machine.problems()[0]
    run.passes(2)
    run.settle()
    assert run.spend() is not Verdict.REFUSED


@pytest.mark.parametrize("reason", ["LEASE_NOT_FOUND", "LEASE_MARK_INVALID"])
def test_p12_a_lease_that_the_server_does_not_know_as_it_is_here_is_never_spent_again(run: Run, reason: str) -> None:
    run.open()
    run.passes(6)
    sync = run.next_sync()
    run.machine.answer(sync, [Synced(None, reason)], run.now)
    assert run.held.leases["r-0"].state is State.CLOSING
    assert any(reason in problem for problem in run.machine.problems())
    run.settle()
    assert "r-0" not in run.held.leases


def test_a_refused_ask_is_said_and_not_repeated_at_once(run: Run) -> None:
    run.spend()
    request = run.next_request()
    assert request is not None
    run.machine.failed(request, Failure("LEASE_NOT_POSSIBLE", answered=True), run.now)
    assert run.spend() is Verdict.REFUSED
    assert run.next_request() is None
    assert "LEASE_NOT_POSSIBLE" in run.machine.problems()[0]
    run.passes(6)
    assert run.spend() is Verdict.WAIT


def test_an_abandoned_machine_spends_and_says_nothing(run: Run) -> None:
    run.open()
    run.machine.abandon()
    assert run.spend() is Verdict.REFUSED
    assert run.machine.next(run.now) is None
    assert run.machine.done


@pytest.mark.parametrize("text", ["0", "1", "0.000000000001", "999999999999999999.999999999999", "12.5"])
def test_p7_units_are_exact(text: str) -> None:
    assert to_text(from_text(text)) == text


@pytest.mark.parametrize("wrong", ["1E+18", "0.0000000000001", "NaN", "Infinity", 0, -3])
def test_p7_what_is_no_amount_is_refused(wrong: str | int) -> None:
    with pytest.raises(ValueError, match=r"digits|finite|above zero"):
        to_units(wrong)
