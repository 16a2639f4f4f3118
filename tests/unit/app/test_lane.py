"""Group commit: who is in which batch, who leaves, who comes again, and what callers are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from metergate.app.ports.ledger import DataRefusedError, LedgerUnavailableError, OutcomeUnknownError, RaceLostError
from metergate.app.ports.view import Publication
from metergate.app.usage import lane as lane_module
from metergate.app.usage.commit import Committed
from metergate.app.usage.lane import Entry, Lane
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.posting import NOBODY
from metergate.domain.usage import Outcome, Receipt, make_event
from metergate.domain.work import Fact

ACCEPTED = Outcome.ACCEPTED


def pending(id: str, customer: str = "acme", subject: str = "acme") -> Fact:
    return Fact(make_event(id, "api", "calls", subject, None, "", {}, {}, ""), customer, False)


@dataclass
class Sent:
    """One batch as the committer saw it."""

    ids: list[str]
    customers: list[str]
    wait: bool


@dataclass
class FakeCommitter:
    """Takes batches and does with each what the next step says; without one it commits."""

    batches: list[Sent] = field(default_factory=list)
    steps: list[Callable[[Sent], Awaitable[Committed | None]]] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    tried: list[dict[str, int]] = field(default_factory=list)
    second: asyncio.Event = field(default_factory=asyncio.Event)

    async def commit(self, tenant: str, batch: Sequence[Fact], wait: bool, tried: dict[str, int]) -> Committed:
        sent = Sent([one.event.id for one in batch], [one.customer for one in batch], wait)
        self.batches.append(sent)
        self.tried.append(dict(tried))
        if len(self.batches) == 2:
            self.second.set()
        if self.steps and (done := await self.steps.pop(0)(sent)) is not None:
            return done
        await self.gate.wait()
        if self.bad & set(sent.ids):
            raise DataRefusedError("value out of range")
        receipts: list[Receipt | None] = []
        for one in batch:
            found = one.customer == NOBODY and one.event.subject in self.owners
            left_out = found or (one.customer in self.busy and not wait)
            receipts.append(None if left_out else Receipt(one.event.id, ACCEPTED))
        written = {one.customer for one, receipt in zip(batch, receipts, strict=True) if receipt}
        again = [place for place, receipt in enumerate(receipts) if receipt is None]
        return Committed(list(receipts), again, dict(self.owners), dict.fromkeys(written, 7))


class NoView:
    """Takes publications and forgets them."""

    up = False

    async def publish(self, *_: object) -> None:
        pass

    async def read(self, *_: object) -> list[Any]:
        return []


@pytest.fixture
def committer() -> FakeCommitter:
    made = FakeCommitter()
    made.gate.set()
    return made


@pytest.fixture
def lane(committer: FakeCommitter) -> Lane:
    return Lane("t", committer, NoView(), asyncio.Semaphore(2))  # type: ignore[arg-type]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "PATIENCE", 0.1)
    monkeypatch.setattr(lane_module, "_PAUSE", 0.005)


async def settle() -> None:
    """Lets everything that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def submit(lane: Lane, *ids: str, **more: str) -> asyncio.Task[Entry]:
    return asyncio.create_task(lane.submit([pending(id, **more) for id in ids]))


def outcomes(entry: Entry) -> list[str | None]:
    return [receipt.outcome.value if receipt else None for receipt in entry.results]


async def raising(error: Exception) -> None:
    raise error


async def test_a_lone_request_is_committed_at_once(lane: Lane, committer: FakeCommitter) -> None:
    entry = await asyncio.wait_for(lane.submit([pending("1"), pending("2")]), 1)
    assert outcomes(entry) == ["accepted", "accepted"]
    assert dict(entry.seqs) == {"acme": 7}
    assert [batch.ids for batch in committer.batches] == [["1", "2"]]
    await lane.drain()
    assert lane.idle


async def test_what_arrives_during_a_commit_is_the_next_batch(lane: Lane, committer: FakeCommitter) -> None:
    committer.gate.clear()
    first = submit(lane, "1")
    await settle()
    others = [submit(lane, f"{number}a", f"{number}b") for number in range(2, 6)]
    await settle()
    assert len(committer.batches) == 1
    committer.gate.set()
    await asyncio.gather(first, *others)
    assert committer.batches[1].ids == ["2a", "2b", "3a", "3b", "4a", "4b", "5a", "5b"]
    assert len(committer.batches) == 2


async def test_most_callers_who_come_back_one_by_one_are_one_batch_again(
    lane: Lane, committer: FakeCommitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "GATHER_MOST", 0.5)

    async def caller(number: int) -> None:
        await lane.submit([pending(f"{number}a")])
        await asyncio.sleep(number / 100)
        await lane.submit([pending(f"{number}b")])

    await asyncio.wait_for(asyncio.gather(*(caller(number) for number in range(8))), 20)
    assert committer.batches[0].ids == [f"{number}a" for number in range(8)]
    assert committer.batches[1].ids[:6] == [f"{number}b" for number in range(6)]  # three of four


async def test_who_does_not_come_back_is_waited_for_only_a_moment(lane: Lane, committer: FakeCommitter) -> None:
    await asyncio.gather(*(submit(lane, f"{number}") for number in range(5)))
    for id in ("a", "b"):  # the first of few is held up by the many before it, the next ones are not
        await asyncio.wait_for(lane.submit([pending(id)]), 5)
    assert [len(batch.ids) for batch in committer.batches] == [5, 1, 1]
    assert not lane._expected


async def test_a_batch_is_bounded_but_a_request_is_never_split(
    lane: Lane, committer: FakeCommitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "BATCH_MOST", 3)
    committer.gate.clear()
    tasks = [submit(lane, "0")]
    await settle()
    tasks += [submit(lane, "1", "2"), submit(lane, "3", "4"), submit(lane, *"56789"), submit(lane, "a")]
    await settle()
    committer.gate.set()
    await asyncio.gather(*tasks)
    assert [batch.ids for batch in committer.batches] == [["0"], ["1", "2"], ["3", "4"], list("56789"), ["a"]]


async def test_p10_a_full_queue_refuses_at_once(
    lane: Lane, committer: FakeCommitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "QUEUE_MOST", 3)
    committer.gate.clear()
    tasks = [submit(lane, "0")]
    await settle()
    tasks += [submit(lane, "1", "2")]
    await settle()
    with pytest.raises(MetergateError) as refused:
        await lane.submit([pending("3"), pending("4")])
    assert refused.value.reason is Reason.OVERLOADED
    tasks.append(submit(lane, "5"))
    committer.gate.set()
    await asyncio.gather(*tasks)
    assert [batch.ids for batch in committer.batches] == [["0"], ["1", "2", "5"]]
    await lane.submit([pending("6"), pending("7"), pending("8")])


async def test_p12_one_who_left_before_the_batch_was_sent_is_not_in_it(lane: Lane, committer: FakeCommitter) -> None:
    committer.gate.clear()
    first = submit(lane, "1")
    await settle()
    leaving, staying = submit(lane, "2"), submit(lane, "3")
    await settle()
    leaving.cancel()
    await settle()
    committer.gate.set()
    await asyncio.gather(first, staying)
    assert [batch.ids for batch in committer.batches] == [["1"], ["3"]]


async def test_p1_one_who_left_after_the_batch_was_sent_is_committed_all_the_same(
    lane: Lane, committer: FakeCommitter
) -> None:
    committer.gate.clear()
    leaving = submit(lane, "1")
    await settle()
    leaving.cancel()
    staying = submit(lane, "2")
    await settle()
    committer.gate.set()
    await staying
    await lane.drain()
    assert [batch.ids for batch in committer.batches] == [["1"], ["2"]]


async def test_p11_drain_waits_for_all_that_was_taken_in(lane: Lane, committer: FakeCommitter) -> None:
    committer.gate.clear()
    tasks = [submit(lane, str(number)) for number in range(5)]
    await settle()
    draining = asyncio.create_task(lane.drain())
    await settle()
    assert not draining.done()
    committer.gate.set()
    await asyncio.wait_for(draining, 1)
    assert all(task.done() for task in tasks)


async def test_a_busy_head_goes_back_in_order_and_delays_nobody(lane: Lane, committer: FakeCommitter) -> None:
    committer.busy = {"hot"}
    hot = [submit(lane, f"h{number}", customer="hot") for number in range(3)]
    cold = submit(lane, "c", customer="cold")
    await asyncio.wait_for(cold, 1)
    assert committer.batches[0].ids == ["h0", "h1", "h2", "c"]
    await asyncio.gather(*hot)
    tries = [batch.ids for batch in committer.batches if not batch.wait]
    assert tries == [["h0", "h1", "h2", "c"], *[["h0", "h1", "h2"]] * 4]
    waited = [batch.ids for batch in committer.batches if batch.wait]
    assert waited == [["h0", "h1", "h2"]]


async def test_only_what_is_left_of_a_request_comes_again(lane: Lane, committer: FakeCommitter) -> None:
    committer.busy = {"hot"}
    request = [pending("1", "cold"), pending("2", "hot"), pending("3", "cold")]
    entry = await lane.submit(request)
    assert outcomes(entry) == ["accepted"] * 3
    assert dict(entry.seqs) == {"cold": 7, "hot": 7}
    assert committer.batches[0].ids == ["1", "2", "3"]
    assert {tuple(batch.ids) for batch in committer.batches[1:]} == {("2",)}


async def test_what_was_busy_goes_before_what_came_later(lane: Lane, committer: FakeCommitter) -> None:
    committer.busy = {"hot"}
    committer.gate.clear()
    first = [submit(lane, "h0", customer="hot"), submit(lane, "h1", customer="hot")]
    await settle()
    later = submit(lane, "h2", customer="hot")
    await settle()
    committer.gate.set()
    await asyncio.wait_for(committer.second.wait(), 1)
    committer.busy = set()
    await asyncio.gather(*first, later)
    assert [id for batch in committer.batches[1:] for id in batch.ids][:3] == ["h0", "h1", "h2"]


async def test_waiting_for_heads_is_bounded(lane: Lane, committer: FakeCommitter) -> None:
    """Requests that wait hold a connection each: more than the semaphore allows must never wait at a time."""
    committer.busy = {f"hot{number}" for number in range(10)}
    waiting, most = 0, 0
    original = committer.commit

    async def counted(tenant: str, batch: Sequence[Fact], wait: bool, tried: dict[str, int]) -> Committed:
        nonlocal waiting, most
        if wait:
            waiting += 1
            most = max(most, waiting)
            await asyncio.sleep(0.001)
            waiting -= 1
        return await original(tenant, batch, wait, tried)

    committer.commit = counted  # type: ignore[method-assign]
    await asyncio.gather(*(submit(lane, f"h{number}", customer=f"hot{number}") for number in range(10)))
    assert most == 2


async def test_requests_that_need_the_same_busy_head_wait_together(lane: Lane, committer: FakeCommitter) -> None:
    """A head that is held must not take all the waiters: others would have to wait for it too."""
    committer.busy = {"held", "other"}
    release = asyncio.Event()
    original = committer.commit

    async def held(tenant: str, batch: Sequence[Fact], wait: bool, tried: dict[str, int]) -> Committed:
        if wait and batch[0].customer == "held":
            await release.wait()
        return await original(tenant, batch, wait, tried)

    committer.commit = held  # type: ignore[method-assign]
    waiting = [submit(lane, f"h{number}", customer="held") for number in range(5)]
    await asyncio.wait_for(submit(lane, "o", customer="other"), 1)
    assert not any(task.done() for task in waiting)
    release.set()
    await asyncio.gather(*waiting)
    assert [batch.ids for batch in committer.batches if batch.wait] == [["o"], [f"h{number}" for number in range(5)]]


async def test_p1_a_lost_answer_is_remembered_while_the_head_is_busy(lane: Lane, committer: FakeCommitter) -> None:
    """The commit that was cut off may still hold the head when it is tried again."""

    async def cut_off(tenant: str, batch: Sequence[Fact], wait: bool, tried: dict[str, int]) -> Committed:
        committer.tried.append(dict(tried))
        if len(committer.tried) == 1:
            tried["acme"] = 5
            raise OutcomeUnknownError("cut off")
        receipt = Receipt("1", ACCEPTED) if wait else None
        return Committed([receipt], () if receipt else (0,))

    committer.commit = cut_off  # type: ignore[method-assign]
    await lane.submit([pending("1")])
    assert committer.tried == [{}, *[{"acme": 5}] * 6]


async def test_an_event_whose_subject_was_made_meanwhile_goes_to_its_customer(
    lane: Lane, committer: FakeCommitter
) -> None:
    committer.owners = {"alice": "acme"}
    entry = await lane.submit([pending("1", NOBODY, "alice"), pending("2", NOBODY, "bob")])
    assert outcomes(entry) == ["accepted", "accepted"]
    assert [batch.customers for batch in committer.batches] == [[NOBODY, NOBODY], ["acme"]]


async def test_p12_a_batch_that_fails_for_its_data_is_split_by_request(lane: Lane, committer: FakeCommitter) -> None:
    committer.gate.clear()
    tasks = [submit(lane, "0")]
    await settle()
    tasks += [submit(lane, "1", "2"), submit(lane, "bad", "3"), submit(lane, "4")]
    await settle()
    committer.bad = {"bad"}
    committer.gate.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in done] == [Entry, Entry, MetergateError, Entry]
    assert isinstance(done[2], MetergateError)
    assert done[2].reason is Reason.SERVER_FAULT
    assert [batch.ids for batch in committer.batches[1:]] == [
        ["1", "2", "bad", "3", "4"], ["1", "2"], ["bad", "3"], ["4"],
    ]  # fmt: skip


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("error", [RaceLostError("race"), LedgerUnavailableError("gone"), OutcomeUnknownError("gone")])
async def test_p1_what_was_lost_on_the_way_is_tried_again(
    lane: Lane, committer: FakeCommitter, error: Exception
) -> None:
    committer.steps = [lambda _: raising(error)] * 3
    entry = await asyncio.wait_for(lane.submit([pending("1")]), 1)
    assert outcomes(entry) == ["accepted"]
    assert len(committer.batches) == 4


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([LedgerUnavailableError("gone")], Reason.LEDGER_UNAVAILABLE),
        ([OutcomeUnknownError("gone")], Reason.OUTCOME_UNKNOWN),
        ([OutcomeUnknownError("gone"), LedgerUnavailableError("gone")], Reason.OUTCOME_UNKNOWN),
    ],
)
async def test_p1_when_patience_ends_callers_hear_what_is_known(
    lane: Lane, committer: FakeCommitter, errors: list[Exception], reason: Reason
) -> None:
    committer.steps = [lambda _, error=error: raising(error) for error in errors]  # type: ignore[misc]
    committer.steps += [lambda _: raising(errors[-1])] * 1000
    waiting = [submit(lane, "1"), submit(lane, "2")]
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 2)
    for result in results:
        assert isinstance(result, MetergateError)
        assert result.reason is reason
    committer.steps = []
    assert outcomes(await lane.submit([pending("1")])) == ["accepted"]


async def test_p1_a_further_try_knows_what_the_last_one_would_have_written(
    lane: Lane, committer: FakeCommitter
) -> None:
    async def loses_its_answer(tenant: str, batch: Sequence[Fact], wait: bool, tried: dict[str, int]) -> Committed:
        committer.tried.append(dict(tried))
        if len(committer.tried) == 1:
            tried["acme"] = 8
            raise OutcomeUnknownError("gone")
        return Committed([Receipt(one.event.id, ACCEPTED) for one in batch])

    committer.commit = loses_its_answer  # type: ignore[method-assign]
    await lane.submit([pending("1")])
    assert committer.tried == [{}, {"acme": 8}]


async def test_an_answer_waits_for_the_view_but_the_next_commit_does_not(committer: FakeCommitter) -> None:
    published = asyncio.Event()
    news: list[Publication] = []

    class SlowView(NoView):
        async def publish(  # type: ignore[override]
            self, tenant: str, version: int, now: int, publications: Sequence[Publication]
        ) -> None:
            news.extend(publications)
            await published.wait()

    async def with_news(sent: Sent) -> Committed:
        receipts: list[Receipt | None] = [Receipt(id, ACCEPTED) for id in sent.ids]
        figures: Mapping[Any, Any] = {}
        return Committed(receipts, (), {}, {"acme": 7}, [Publication("acme", 6, 7, figures, ())])

    committer.steps = [with_news, with_news]
    lane = Lane("t", committer, SlowView(), asyncio.Semaphore(2))  # type: ignore[arg-type]
    first = submit(lane, "1")
    await settle()
    second = submit(lane, "2")
    await settle()
    assert [batch.ids for batch in committer.batches] == [["1"], ["2"]]
    assert not first.done()
    assert not lane.idle
    published.set()
    await asyncio.gather(first, second)
    assert len(news) == 2
