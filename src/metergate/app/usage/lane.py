"""Group commit: what arrives while a commit is in flight is the next batch. No timer delays a lone request.

One lane per tenant. Requests whose customer's head is busy go back into the queue in order, and after five
tries wait by themselves, so that a held head delays nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Coroutine, Sequence

from metergate.app.ports.ledger import LedgerUnavailableError, OutcomeUnknownError, RaceLostError
from metergate.app.ports.view import View
from metergate.app.usage.commit import Committed, UsageCommitter
from metergate.domain.answer import Result
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.work import Correct, Fact, Work, heads_of, weight_of

log = logging.getLogger(__name__)

BATCH_MOST = 2_000  # events and other works in a commit, unless one request alone has more
QUEUE_MOST = 50_000  # events that may wait in a lane
TRIES_BEFORE_WAITING = 5
# Requests that may hold a connection while they wait for a busy head; the pool is larger, so that others go on.
WAITERS_MOST = 4
MANY = 4  # requests in a commit after which the next one gathers
GATHER_MOST = 0.01  # seconds
FEW = 500  # events in a commit of which the requests, and not the events, are what costs
PATIENCE = 3.0  # seconds for which a batch is tried again while Postgres is away
_PAUSE = 0.05  # seconds between such tries, doubled up to the maximum
_PAUSE_MOST = 0.4


class Entry:
    """One request on its way: its works, the results that it has so far, and who waits for them.

    `claimed` is the `seq` by customer that a commit whose answer was lost may have given to these works.
    """

    __slots__ = ("claimed", "done", "pending", "results", "seqs", "tries", "weight")

    def __init__(self, works: Sequence[Work], done: asyncio.Future[None]) -> None:
        self.pending: dict[int, Work] = dict(enumerate(works))
        self.results: list[Result] = [None] * len(works)
        self.weight = sum([weight_of(work) for work in works])
        self.seqs: dict[str, int] = {}
        self.claimed: dict[str, int] = {}
        self.done = done
        self.tries = 0

    def fail(self, error: MetergateError) -> None:
        """Tells the caller."""
        if not self.done.done():
            self.done.set_exception(error)


class Lane:
    """The queue of one tenant and the commits that empty it."""

    def __init__(self, tenant: str, committer: UsageCommitter, view: View, waiters: asyncio.Semaphore) -> None:
        self._tenant = tenant
        self._committer = committer
        self._view = view
        self._waiters = waiters
        self._queue: deque[Entry] = deque()
        self._waiting = 0
        self._expected = 0
        self._back_until = 0.0
        self._enough = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()
        self._held: dict[tuple[str, ...], deque[Entry]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or in flight."""
        return not self._queue and not self._others and (self._runner is None or self._runner.done())

    async def submit(self, works: Sequence[Work]) -> Entry:
        """Commits the works and returns their entry, with a result for each.

        A caller who goes away before the batch is sent takes the request along; later it is committed all the same.

        Raises:
            MetergateError: OVERLOADED, LEDGER_UNAVAILABLE, OUTCOME_UNKNOWN or SERVER_FAULT.
        """
        entry = Entry(works, asyncio.get_running_loop().create_future())
        if self._waiting + entry.weight > QUEUE_MOST:
            raise MetergateError(Reason.OVERLOADED, "too many events wait for the ledger; try again in a moment")
        self._enqueue(entry)
        await entry.done
        return entry

    async def drain(self) -> None:
        """Waits until everything that was submitted is answered."""
        while not self.idle:
            tasks = [task for task in (self._runner, *self._others) if task is not None and not task.done()]
            if tasks:
                await asyncio.wait(tasks)
            else:
                await asyncio.sleep(0)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() > self._back_until:
            self._expected = 0
        while self._queue:
            await self._gather()
            entries, size = _take(self._queue)
            self._waiting -= size
            if entries:
                await self._commit(entries, wait=False)
            here = len(entries) + len(self._queue)
            self._expected = here * 3 // 4 if len(entries) >= MANY and size <= FEW else 0
            self._back_until = loop.time() + GATHER_MOST

    async def _gather(self) -> None:
        """Whoever waits for his turn on the loop comes along. While many come, a commit waits, for a moment at most,
        until most of those are here who were when the last one ended: its own callers, who come back for more, and
        those who came meanwhile. A commit costs as much as a dozen requests in it; but if it waited for all of them,
        nobody would be on his way while it is under way. A lone request never waits."""
        await asyncio.sleep(0)
        if len(self._queue) < self._expected:
            self._enough.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_MOST):
                    await self._enough.wait()

    async def _commit(self, entries: Sequence[Entry], wait: bool) -> None:
        """Commits a batch; one that fails for its data is split, so that only the request at fault fails."""
        places = [(entry, index) for entry in entries for index in entry.pending]
        works = [entry.pending[index] for entry, index in places]
        claimed = {customer: seq for entry in entries for customer, seq in entry.claimed.items()}
        try:
            done = await self._persist(works, wait, claimed)
        except MetergateError as error:
            for entry in entries:
                entry.fail(_given_up(unknown=True) if entry.seqs else error)
        except Exception as error:
            if len(entries) > 1:
                for entry in entries:
                    await self._commit([entry], wait)
            else:
                log.exception("a batch was refused by the ledger")
                refused = MetergateError(Reason.SERVER_FAULT, f"the ledger refused the request: {error}")
                entries[0].fail(refused)
        else:
            for entry in entries:
                entry.claimed = claimed
            self._settle(entries, places, done, wait)
            self._start(self._publish(entries, done))

    def _wait_for_heads(self, entry: Entry) -> None:
        """Requests that need the same busy heads wait together, so that a customer whose head is held takes no more
        than one of the waiters."""
        customers = tuple(sorted({one.customer for one in entry.pending.values()}))
        if customers in self._held:
            self._held[customers].append(entry)
        else:
            self._held[customers] = deque([entry])
            self._start(self._commit_held(customers))

    async def _commit_held(self, customers: tuple[str, ...]) -> None:
        """Waits for the busy heads, holding no others: what could be committed without them has been."""
        try:
            async with self._waiters:
                while held := self._held[customers]:
                    entries, _ = _take(held)
                    if entries:
                        await self._commit(entries, wait=True)
        finally:
            for entry in self._held.pop(customers):  # none are left, unless something broke
                entry.fail(MetergateError(Reason.SERVER_FAULT, "the request could not be committed"))

    async def _bring_up(self, entry: Entry, customers: Sequence[str]) -> None:
        """Has the rollups of customers brought up that the commit left out, and then lets the request come again."""
        try:
            await self._committer.bring_up(self._tenant, customers)
        except (LedgerUnavailableError, OutcomeUnknownError):
            entry.fail(_given_up(bool(entry.claimed or entry.seqs)))
        else:
            self._enqueue(entry)

    def _enqueue(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._waiting += entry.weight
        if len(self._queue) >= self._expected:
            self._enough.set()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())

    async def _persist(self, works: Sequence[Work], wait: bool, claimed: dict[str, int]) -> Committed:
        """Tries until the batch is committed, for as long as patience lasts. Its ids make each further try safe.

        `claimed` is what earlier tries may have committed; those of these tries are added.
        """
        loop = asyncio.get_running_loop()
        until, pause, unknown = loop.time() + PATIENCE, _PAUSE, bool(claimed)
        while True:
            tried = dict(claimed)
            try:
                return await self._committer.commit(self._tenant, works, wait, tried)
            except RaceLostError:
                pause = _PAUSE / 10
            except OutcomeUnknownError:
                unknown = True
                claimed.update(tried)
            except LedgerUnavailableError:
                pass
            if loop.time() + pause > until:
                raise _given_up(unknown)
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, _PAUSE_MOST)

    def _settle(
        self, entries: Sequence[Entry], places: Sequence[tuple[Entry, int]], done: Committed, wait: bool
    ) -> None:
        """Hands out the receipts and queues what has to come again."""
        for place, ((entry, index), result) in enumerate(zip(places, done.results, strict=True)):
            work = entry.pending[index]
            if place not in done.again:
                del entry.pending[index]
                entry.results[index] = result
                names = (work.customer, done.pools.get(work.customer, ""))
                for name in _of(work, done) if type(work) is Correct else names:
                    if name in done.seqs:
                        entry.seqs[name] = done.seqs[name]
            elif place in done.elsewhere:
                entry.pending[index] = done.elsewhere[place]
            elif isinstance(work, Fact) and (owner := done.owners.get(work.event.subject)) is not None:
                entry.pending[index] = work._replace(customer=owner)
        self._come_again(entries, done, wait)

    def _come_again(self, entries: Sequence[Entry], done: Committed, wait: bool) -> None:
        """Queues what is left of the entries."""
        again: list[Entry] = []
        for entry in entries:
            if not entry.pending:
                continue
            behind = sorted(
                {done.behind[name] for one in entry.pending.values() for name in heads_of(one) if name in done.behind}
            )
            entry.tries += 1
            if behind:
                self._start(self._bring_up(entry, behind))
            elif wait and not (done.owners or done.elsewhere):
                entry.fail(_given_up(bool(entry.claimed)))  # it waited, and there is no head: a restored database
            elif entry.tries >= TRIES_BEFORE_WAITING:
                self._wait_for_heads(entry)
            else:
                again.append(entry)
        # They came before all that is queued.
        self._queue.extendleft(reversed(again))
        self._waiting += sum(entry.weight for entry in again)

    async def _publish(self, entries: Sequence[Entry], done: Committed) -> None:
        """Answers after the commit, once the fast view knows of it or has been given up on."""
        finished = [entry for entry in entries if not entry.pending]
        if done.publications:
            await self._view.publish(self._tenant, done.catalog_version, done.now, done.publications)
        for entry in finished:
            if not entry.done.done():
                entry.done.set_result(None)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)


class Lanes:
    """The lanes of all tenants. Works of one tenant share commits."""

    def __init__(self, committer: UsageCommitter, view: View) -> None:
        self._committer = committer
        self._view = view
        self._lanes: dict[str, Lane] = {}
        self._waiters = asyncio.Semaphore(WAITERS_MOST)

    async def submit(self, tenant: str, works: Sequence[Work]) -> Entry:
        """See `Lane.submit`."""
        lane = self._lanes.get(tenant)
        if lane is None:
            for other in [name for name, lane in self._lanes.items() if lane.idle]:
                del self._lanes[other]
            lane = self._lanes[tenant] = Lane(tenant, self._committer, self._view, self._waiters)
        return await lane.submit(works)

    async def drain(self) -> None:
        """Waits until everything that was submitted is answered."""
        await asyncio.gather(*(lane.drain() for lane in self._lanes.values()))


def _of(work: Correct, done: Committed) -> set[str]:
    """Whose ledgers a correction may have changed."""
    names = {*heads_of(work)}
    return names | {done.pools[name] for name in names if name in done.pools}


def _take(queue: deque[Entry]) -> tuple[list[Entry], int]:
    """The next batch, without those whose callers have left, and how much weight was taken from the queue."""
    entries: list[Entry] = []
    size = left = 0
    while queue and (not entries or size + queue[0].weight <= BATCH_MOST):
        entry = queue.popleft()
        if entry.done.done():
            left += entry.weight
        else:
            entries.append(entry)
            size += entry.weight
    return entries, size + left


def _given_up(unknown: bool) -> MetergateError:
    if unknown:
        return MetergateError(
            Reason.OUTCOME_UNKNOWN,
            "the database went away during the commit; repeat the call with the same ids to learn what became of it",
        )
    return MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached; nothing was recorded")
