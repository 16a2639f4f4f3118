"""WatchUsage: what is recorded, as it is recorded, in each customer's order of facts."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.readers import RecordedEvent, WatchReader
from metergate.app.usage.list_events import Listed, listed
from metergate.app.usage.summarize import owner
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.period import MINUTE, Window

log = logging.getLogger(__name__)

PAGE = 250  # events of one message
TICK_SECONDS = 0.25  # between looks at the heads of all customers that are watched
_FRESH_TICKS = 8  # between times that what is new is made cheap to find
QUIET_SECONDS = 10.0  # after which a stream says that it lives
WATCHERS_MOST = 1_000  # of one process
WATCHERS_MOST_OF_TENANT = 500
NAMES_MOST = 100  # types, or meters, to tell


class Position(NamedTuple):
    """How far a watcher is: all up to `seq`, and `skip` rows of what comes after it, nothing of which was recorded
    before `since`. Who is far behind looks at `stretch` microseconds of recording at a time."""

    seq: int
    since: int
    skip: int = 0
    stretch: int = MINUTE


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
        self.head = Position(-1, 0)
        self.as_of = 0
        self._before = self.head
        self._place = (tenant, customer)
        self._reader = reader
        self._news = asyncio.Event()
        self._page: tuple[tuple[Position, int], asyncio.Task[list[RecordedEvent]]] | None = None

    def tell(self, seq: int, since: int, as_of: int) -> None:
        """The customer's head, as it was just read; what comes later was recorded at `since` or later."""
        self.as_of = max(as_of, self.as_of)
        if seq > self.head.seq:
            self._before, self.head = self.head, Position(seq, since)
            self.wake()
        elif seq == self.head.seq:
            self.head = Position(seq, max(since, self.head.since))

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

    async def after(self, position: Position) -> tuple[list[RecordedEvent], Position]:
        """A page of what comes after a position, and the position behind it. Who asks for the same shares a query.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE.
        """
        end = position.since + position.stretch
        if position.seq >= self._before.seq >= 0:  # it waited, and this is what is new
            position = Position(position.seq, max(self._before.since, position.since), position.skip)
            end = period.LATEST
        if end > self.as_of:
            end = period.LATEST
        asked = (position._replace(stretch=end), self.head.seq)
        if self._page is None or self._page[0] != asked:
            window = Window(position.since, end)
            read = self._reader.rows(*self._place, position.seq, position.skip, window, PAGE + 1)
            self._page = (asked, asyncio.create_task(read))
            self._page[1].add_done_callback(_seen)
        try:
            rows = await asyncio.shield(self._page[1])
        except LedgerUnavailableError:
            self._page = None
            raise _away() from None
        return _page(rows, position, end, asked[1])


def _page(rows: list[RecordedEvent], position: Position, end: int, head: int) -> tuple[list[RecordedEvent], Position]:
    """What a message tells of the rows, which may be one more than it holds: whole commits, or a part of one that is
    larger than a message. Where there are no more, all is told that was recorded before `end`, or up to the head."""
    last = rows[-1].seq if rows else position.seq
    if len(rows) <= PAGE and end < period.LATEST:
        return rows, Position(last, end, 0, min(position.stretch * 2, period.DAY))
    if len(rows) <= PAGE:
        return rows, Position(max(head, last), max(rows[-1].recorded_at, position.since) if rows else position.since)
    stretch = max(position.stretch // 2, period.SECOND)
    whole = [row for row in rows if row.seq < last]
    if whole:
        return whole, Position(whole[-1].seq, max(whole[-1].recorded_at, position.since), 0, stretch)
    return rows[:PAGE], Position(position.seq, position.since, position.skip + PAGE, stretch)


def _away() -> MetergateError:
    return MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached")


def _seen(task: asyncio.Task[list[RecordedEvent]]) -> None:
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

    async def head(self, tenant: str, customer: str) -> tuple[int, Position]:
        """The instant of a look at one customer's head, and where that is.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE.
        """
        place = (tenant, customer)
        try:
            heads = await self._reader.heads([place])
        except LedgerUnavailableError:
            raise _away() from None
        return heads.as_of, Position(heads.seqs.get(place, 0), heads.since)

    async def behind(self, tenant: str, customer: str, seq: int) -> Position:
        """The position of who knows all up to a `seq` of any age.

        Raises:
            MetergateError: EVENTS_DROPPED, LEDGER_UNAVAILABLE.
        """
        try:
            since, kept = await self._reader.recorded_after(tenant, customer, seq)
        except LedgerUnavailableError:
            raise _away() from None
        if kept is not None:
            text = period.to_text(kept)
            message = f"after_seq: events that were recorded before {text} were dropped; those since then can be listed"
            raise MetergateError(Reason.EVENTS_DROPPED, message, {"field": "after_seq", "kept_since": text})
        return Position(seq, since)

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
        for tick in itertools.count(1):
            await asyncio.sleep(TICK_SECONDS)
            if self._closed or not self._feeds:
                self._ticking = None
                return
            await self._look(tick % _FRESH_TICKS == 0)

    async def _look(self, keep_fresh: bool) -> None:
        asked = list(self._feeds)
        try:
            if keep_fresh:
                await self._reader.keep_fresh()
            heads = await self._reader.heads(asked)
        except Exception:
            log.exception("the heads of %d watched customers cannot be read", len(asked))
            self._fault = _away()  # until the next look succeeds
            for feed in self._feeds.values():
                feed.wake()
            return
        self._fault = None
        for place in asked:
            if (watched := self._feeds.get(place)) is not None:
                watched.tell(heads.seqs.get(place, 0), heads.since, heads.as_of)


class WatchUsage:
    """The verb."""

    def __init__(self, directory: Directory, watching: Watching, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._directory = directory
        self._watching = watching
        self._quiet_seconds = quiet_seconds

    async def watch(self, principal: Principal, request: WatchRequest) -> AsyncGenerator[Told]:
        """Checks the request, and returns what tells the rest until it is closed; it may raise the last three as well.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, CUSTOMER_NOT_FOUND, METER_NOT_FOUND, FIELD_INVALID, EVENTS_DROPPED,
                OVERLOADED, SHUTTING_DOWN, LEDGER_UNAVAILABLE.
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
        as_of, head = await self._watching.head(tenant, customer)
        position = head
        if request.after is not None and request.after != head.seq:
            if request.after > head.seq:
                raise invalid("after_seq", f"the customer is at {head.seq}", seq=str(head.seq))
            position = await self._watching.behind(tenant, customer, request.after)
        return self._stream(tenant, customer, request, head, position, as_of)

    async def _stream(
        self, tenant: str, customer: str, request: WatchRequest, head: Position, position: Position, as_of: int
    ) -> AsyncGenerator[Told]:
        watching, clock = self._watching, asyncio.get_running_loop().time
        with watching.feed(tenant, customer) as feed:
            feed.tell(head.seq, head.since, as_of)
            yield Told([], position.seq, as_of)
            spoke = clock()
            while True:
                watching.check()
                as_of = feed.as_of
                if feed.head.seq > position.seq:
                    rows, position = await feed.after(position)
                    told = await self._told(tenant, request, rows)
                    if told:
                        yield Told(told, position.seq, as_of)
                        spoke = clock()
                elif (quiet := clock() - spoke) < self._quiet_seconds:
                    await feed.moved(self._quiet_seconds - quiet)
                if clock() - spoke >= self._quiet_seconds:
                    yield Told([], position.seq, as_of)
                    spoke = clock()

    async def _told(self, tenant: str, request: WatchRequest, rows: Iterable[RecordedEvent]) -> list[Listed]:
        """The events that were asked for."""
        catalog = await self._directory.catalog(tenant)
        found = []
        for row in rows:
            if request.types and row.event.type not in request.types:
                continue
            if request.subject and row.event.subject != request.subject:
                continue
            one = listed(catalog, row)
            if not request.meters or not set(request.meters).isdisjoint(one.meters):
                found.append(one)
        return found
