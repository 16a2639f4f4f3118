"""WatchUsage: what is recorded, as it is recorded, in each customer's order of facts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Generator, NamedTuple

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.readers import RecordedEvent, WatchReader
from metergate.app.usage.list_events import Listed, listed
from metergate.app.usage.summarize import owner
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason, invalid

PAGE = 250  # events of one message
TICK_SECONDS = 0.25  # between looks at the heads of all customers that are watched
QUIET_SECONDS = 10.0  # after which a stream says that it lives
WATCHERS_MOST = 1_000  # of one process
WATCHERS_MOST_OF_TENANT = 500
NAMES_MOST = 100  # types, or meters, to tell


class Position(NamedTuple):
    """How far a watcher is: all up to `seq`, and `skip` rows of what comes after it."""

    seq: int
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What a watcher is told: events, up to which `seq` nothing is missing, and when this was looked for."""

    events: list[Listed]
    seq: int
    as_of: int


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Whose events; `after` None = from now on; no types or meters = all."""

    customer: str
    subject: str
    after: int | None
    types: Sequence[str]
    meters: Sequence[str]


class Feed:
    """One customer as all its watchers see it. It holds no more than the page that was read last: who is slower reads
    from the database."""

    def __init__(self, tenant: str, customer: str, reader: WatchReader) -> None:
        self.watchers = 0
        self.seq = 0
        self.as_of = 0
        self._place = (tenant, customer)
        self._reader = reader
        self._news = asyncio.Event()
        self._page: tuple[Position, asyncio.Task[list[RecordedEvent]]] | None = None

    def tell(self, seq: int, as_of: int) -> None:
        """The customer's head, as it was just read."""
        self.as_of = as_of
        if seq != self.seq:
            self.seq = seq
            self.wake()

    def wake(self) -> None:
        """Wakes the watchers that wait."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def moved(self, seconds: float) -> None:
        """Waits for the next news, at most so long."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            pass  # the stream says that it lives

    async def page(self, position: Position) -> list[RecordedEvent]:
        """The rows after a position, one more than a page where there are more. Who asks for the same shares a query."""
        known = self._page
        if known is None or known[0] != position or (known[1].done() and known[1].exception()):
            task = asyncio.create_task(self._reader.after(*self._place, position.seq, position.skip, PAGE + 1))
            self._page = known = (position, task)
            task.add_done_callback(_read)
        return await asyncio.shield(known[1])

    def forget(self) -> None:
        """There is more behind what was read."""
        self._page = None


def _read(task: asyncio.Task[list[RecordedEvent]]) -> None:
    if not task.cancelled():
        task.exception()  # whoever still waits is told; that nobody does is no fault


class Watching:
    """All customers that are watched in this process: one query a tick for all their heads, and none while nobody
    watches."""

    def __init__(self, reader: WatchReader) -> None:
        self._reader = reader
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._of_tenant: Counter[str] = Counter()
        self._ticking: asyncio.Task[None] | None = None
        self._fault: MetergateError | None = None
        self._closed = False

    @contextmanager
    def feed(self, tenant: str, customer: str) -> Generator[Feed]:
        """The customer's feed, as long as it is watched.

        Raises:
            MetergateError: OVERLOADED, SHUTTING_DOWN.
        """
        self.check()
        if self._of_tenant.total() >= WATCHERS_MOST or self._of_tenant[tenant] >= WATCHERS_MOST_OF_TENANT:
            raise MetergateError(Reason.OVERLOADED, "the server has as many watchers as it can serve")
        place = (tenant, customer)
        feed = self._feeds.get(place)
        if feed is None:
            feed = self._feeds[place] = Feed(tenant, customer, self._reader)
        feed.watchers += 1
        self._of_tenant[tenant] += 1
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        try:
            yield feed
        finally:
            feed.watchers -= 1
            self._of_tenant[tenant] -= 1
            if not feed.watchers:
                del self._feeds[place]

    async def head(self, feed: Feed, tenant: str, customer: str) -> None:
        """Looks at one customer's head now."""
        as_of, heads = await self._reader.heads([(tenant, customer)])
        feed.tell(heads.get((tenant, customer), 0), as_of)

    def check(self) -> None:
        """Whether there is a reason to end.

        Raises:
            MetergateError: SHUTTING_DOWN, LEDGER_UNAVAILABLE.
        """
        if self._closed:
            raise MetergateError(Reason.SHUTTING_DOWN, "the server is stopping; go on elsewhere from the last seq")
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """Ends all streams."""
        self._closed = True
        for feed in self._feeds.values():
            feed.wake()

    async def _tick(self) -> None:
        while self._feeds and not self._closed:
            await asyncio.sleep(TICK_SECONDS)
            asked = list(self._feeds)
            try:
                as_of, heads = await self._reader.heads(asked)
            except LedgerUnavailableError:
                self._fault = MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached")
                for feed in self._feeds.values():
                    feed.wake()
                continue
            self._fault = None
            for place in asked:
                if (feed := self._feeds.get(place)) is not None:
                    feed.tell(heads.get(place, feed.seq), as_of)
        self._ticking = None


class WatchUsage:
    """The verb."""

    def __init__(self, directory: Directory, watching: Watching, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._directory = directory
        self._watching = watching
        self._quiet_seconds = quiet_seconds

    async def watch(self, principal: Principal, request: WatchRequest) -> AsyncIterator[Told]:
        """Begins to watch: checks the request and returns what goes on until it is closed.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, CUSTOMER_NOT_FOUND, METER_NOT_FOUND, FIELD_INVALID, OVERLOADED,
                SHUTTING_DOWN, LEDGER_UNAVAILABLE; the last two also later.
        """
        tenant = principal.tenant
        if bool(request.customer) == bool(request.subject):
            raise invalid("customer", "give a customer or a subject")
        for field, names in (("types", request.types), ("meters", request.meters)):
            if len(names) > NAMES_MOST:
                raise invalid(field, f"at most {NAMES_MOST} are allowed")
        if request.after is not None and request.after < 0:
            raise invalid("after_seq", "must not be negative")
        catalog = await self._directory.catalog(tenant)
        for name in request.meters:
            if name not in catalog.meter_of:
                raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {name!r}", {"meter": name})
        customer = (await owner(self._directory, tenant, request.customer, request.subject)).id
        stream = self._stream(tenant, customer, request)
        try:
            await anext(stream)  # the beginning: what is wrong is told before there is a stream
        except BaseException:
            await stream.aclose()
            raise
        return _rest(stream)

    async def _stream(self, tenant: str, customer: str, request: WatchRequest):  # type: ignore[no-untyped-def]
        watching = self._watching
        with watching.feed(tenant, customer) as feed:
            await watching.head(feed, tenant, customer)
            if request.after is not None and request.after > feed.seq:
                raise invalid("after_seq", f"the customer is at {feed.seq}", seq=str(feed.seq))
            position = Position(feed.seq if request.after is None else request.after)
            yield None
