"""One commit, by the ledger's law: lock, look, decide, write.

The decisions are pure (`domain.batch`); this file is the order of the steps and the edge of the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from metergate.app.catch_up import CatchUp, is_behind
from metergate.app.directory import Directory, Memory
from metergate.app.ports.ledger import Commit, Look
from metergate.app.ports.ledger import Ledger as LedgerPort
from metergate.app.ports.view import Publication
from metergate.app.quota.grace import graced
from metergate.domain.answer import Result
from metergate.domain.backfill import staged_marks
from metergate.domain.batch import Batch
from metergate.domain.catalog import Catalog
from metergate.domain.correction import Elsewhere, uses_of
from metergate.domain.counting import with_rates
from metergate.domain.errors import MetergateError
from metergate.domain.grant import Account
from metergate.domain.granting import touched, unkept, with_granted
from metergate.domain.hold import Hold
from metergate.domain.outbox import news_of
from metergate.domain.period import EARLIEST, Window
from metergate.domain.posting import NOBODY, Head, Known, Ledger
from metergate.domain.price import Price
from metergate.domain.quota import CounterKey, Figures, Limit
from metergate.domain.routing import Routed, questions, routed
from metergate.domain.threshold import LimitEvent, with_reached
from metergate.domain.usage import AcceptWindow, Event
from metergate.domain.work import RARE, Acquire, Correct, Fact, Load, Mark, Work, events_of, heads_of, hold_ids

_TOLD_MOST = 100_000


@dataclass(slots=True)
class Committed:
    """What a commit did: a result for each work, `None` in the place of one that has to come again (`again`), and what
    to publish.

    `owners` are customers found for subjects that had none when the batch was made, and `behind` those whose rollups
    have to be brought up first. `limit_events` are thresholds that were reached, some perhaps earlier already.
    `has_news` says that it wrote to the outbox. `elsewhere` are works, by place, that have to come again as others:
    what they correct stands for customers that were not locked, or their subjects have moved.
    """

    results: list[Result]
    again: Collection[int] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    seqs: Mapping[str, int] = field(default_factory=dict)
    publications: list[Publication] = field(default_factory=list)
    catalog_version: int = 0
    now: int = 0
    behind: Mapping[str, str] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)
    limit_events: Sequence[LimitEvent] = ()
    has_news: bool = False
    elsewhere: Mapping[int, Work] = field(default_factory=dict)


class UsageCommitter:
    """Commits batches of works of one tenant."""

    def __init__(
        self,
        ledger: LedgerPort,
        directory: Directory,
        accept: AcceptWindow,
        catch_up: CatchUp,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        """`heard` is called after a commit that wrote to the outbox."""
        self._ledger = ledger
        self._directory = directory
        self._accept = accept
        self._catch_up = catch_up
        self._heard = heard
        # What was told need not be written again; what is forgotten is written, and found to be there.
        self._told: Memory[tuple[str, CounterKey, str], tuple[int, ...]] = Memory(_TOLD_MOST)

    async def bring_up(self, tenant: str, customers: Sequence[str]) -> None:
        """Makes the rollups of customers complete that a commit found behind.

        Raises:
            LedgerUnavailableError, OutcomeUnknownError
        """
        await self._catch_up.bring_up(tenant, customers)

    async def commit(self, tenant: str, works: Sequence[Work], wait: bool, tried: dict[str, int]) -> Committed:
        """Commits those of the works whose customers' heads are free; with `wait`, waits for all heads.

        `tried` collects the `seq` that this try would give each customer, for a run after a lost answer.

        Raises:
            LedgerUnavailableError, OutcomeUnknownError, RaceLostError, DataRefusedError
        """
        async with self._ledger.commit(tenant) as commit:
            rare = [place for place, work in enumerate(works) if type(work) in RARE]
            heads = await self._lock(commit, works, wait, [works[place] for place in rare])
            owners = await self._found_meanwhile(commit, works) if NOBODY in heads else {}
            free = [work for work in works if work.customer in heads]
            if not free:
                return Committed([None] * len(works), range(len(works)), owners)
            look = await commit.look([event for work in free for event in events_of(work)])
            catalog = await self._catalog(commit, tenant, look.catalog_version)
            behind = _behind(heads, catalog)
            theirs = await self._routed(commit, works, heads, look)
            wrong = {place: work for place, work in theirs.items() if isinstance(work, MetergateError)}
            routes = {place: work for place, work in theirs.items() if not isinstance(work, MetergateError)}
            elsewhere = {place: work for place, work in routes.items() if heads_of(work) != heads_of(works[place])}
            ready = [
                place
                for place, work in enumerate(works)
                if work.customer in heads
                and work.customer not in behind
                and place not in elsewhere
                and place not in wrong
                and not (work.customer == NOBODY and isinstance(work, Fact) and work.event.subject in owners)
            ]
            if rare:
                elsewhere |= _found_owners(works, rare, owners)
                held = heads.keys() - behind.keys()
                ready = [place for place in ready if place not in elsewhere and held >= set(heads_of(works[place]))]
            batch = [routes.get(place, works[place]) for place in ready]
            done = await self._write(tenant, commit, batch, heads, look, catalog, tried)
        if done.has_news:
            self._heard()
        for event in done.limit_events:
            window = (tenant, event.key, event.limit)
            self._told.keep(window, (*self._told.get(window, ()), event.threshold))
        results: list[Result] = [None] * len(works)
        for place, result in zip(ready, done.results, strict=True):
            if rare and isinstance(result, Elsewhere):
                elsewhere[place] = result.work
            results[place] = result
        for place, error in wrong.items():
            results[place] = error
        done.results, done.again = results, (set(range(len(works))) - set(ready) | elsewhere.keys()) - wrong.keys()
        done.elsewhere = elsewhere
        done.owners, done.behind = owners, behind
        done.pools = {name: head.pool for name, head in heads.items() if head.pool}
        return done

    async def _lock(self, commit: Commit, works: Sequence[Work], wait: bool, rare: Sequence[Work]) -> dict[str, Head]:
        """The heads of the works' customers, then those of their pools. Whose pool is busy is left out. The `rare`
        works may need more than their customer's."""
        more = {work.to for work in rare if isinstance(work, Correct) and work.event is not None}
        heads = await commit.lock(sorted({work.customer for work in works} | more), wait)
        left = {work.left_pool for work in rare if isinstance(work, Correct)}
        pools = ({head.pool for head in heads.values()} | left) - {""} - heads.keys()
        if pools:
            heads |= await commit.lock(sorted(pools), wait)
        return {name: head for name, head in heads.items() if not head.pool or head.pool in heads}

    async def _found_meanwhile(self, commit: Commit, works: Sequence[Work]) -> dict[str, str]:
        """A subject may have been made since the batch was; under the waiting room's lock none can be made."""
        waiting = {work.event.subject for work in works if isinstance(work, Fact | Load) and work.customer == NOBODY}
        waiting |= {work.event.subject for work in works if isinstance(work, Correct) and work.event and not work.to}
        return await commit.owners(sorted(waiting))

    async def _routed(
        self, commit: Commit, works: Sequence[Work], heads: Mapping[str, Head], look: Look
    ) -> dict[int, Routed]:
        """The works of customers who lost or took subjects, as they are to be done, by their places."""
        if True not in [head.moved for head in heads.values()]:
            return {}
        asked = {
            place: questions(work, heads, look.known) for place, work in enumerate(works) if work.customer in heads
        }
        all_asked = [one for several in asked.values() for one in several]
        routes = iter(await commit.routes(all_asked) if all_asked else ())
        return {
            place: routed(works[place], [next(routes) for _ in several], look.known)
            for place, several in asked.items()
            if several
        }

    async def _write(
        self,
        tenant: str,
        commit: Commit,
        works: Sequence[Work],
        heads: Mapping[str, Head],
        look: Look,
        catalog: Catalog,
        tried: dict[str, int],
    ) -> Committed:
        holds, holders = await self._holds(commit, works)
        corrects = [work for work in works if type(work) is Correct]
        standing, corrected = await commit.standing(corrects) if corrects else ({}, {})
        uses = uses_of(corrects, standing) if corrects else ()
        grants = await self._grants(commit, works, heads, holds, catalog, uses)
        ledger = Ledger(
            heads, look.known, catalog, look.now, self._accept, dict(tried), holds, grants, standing, corrected
        )
        batch = Batch(works, ledger, holders)
        batch.begin()
        stored, born, changed, forget = await self._counters(commit, batch)
        posting = batch.posting
        # A hold that is over may name a pool that its customer has left: nothing changes there.
        writing = sorted(posting.customers & heads.keys())
        recounted = batch.recounted()
        # What was born only for a refusal is not written.
        changed = {key: figures for key, figures in born.items() if key.customer in writing} | changed
        changed |= {key: batch.counters[key] for key in recounted if key not in changed}
        not_kept = {key: changed.pop(key) for key in unkept(ledger) if key in changed}
        done = Committed(batch.results, catalog_version=catalog.version, now=look.now)
        done.seqs, done.publications = _recorded_before(look.known, heads, tried)
        if writing:
            tried.update({customer: heads[customer].seq + 1 for customer in writing})
            await commit.write(posting, ledger, changed, stored, writing)
            if catalog.unique_meters:
                await self._tell_apart(commit, batch, stored, changed)
            if recounted:
                changed |= await commit.recount(recounted, changed)
            changed = batch.with_grace(changed)
            told = self._told
            done.limit_events = batch.limit_events(changed, lambda key, limit: told.get((tenant, key, limit), ()))
            fired = await commit.write_limit_events(done.limit_events) if done.limit_events else ()
            if catalog.outbox_kinds:
                news = news_of(
                    catalog.outbox_kinds, posting.rows, fired, look.now, posting.signed, _prices(catalog, heads, fired)
                )
                if news:
                    await commit.write_outbox(news)
                    done.has_news = True
            done.seqs |= {customer: heads[customer].seq + 1 for customer in writing}
            done.publications += _publications(writing, heads, changed, forget, born, look.now)
        batch.conclude(changed | not_kept)
        if any(map(RARE.__contains__, map(type, works))):
            await commit.mark_staged(staged_marks(works, batch.results))
        return done

    async def _holds(self, commit: Commit, works: Sequence[Work]) -> tuple[dict[str, Hold], dict[tuple[str, str], int]]:
        """The holds that the works name, and for leases how many others there are."""
        ids = sorted({id_ for work in works for id_ in hold_ids(work)})
        holds = {hold.id: hold for hold in await commit.holds(ids)} if ids else {}
        pairs = {(work.customer, work.want.meter) for work in works if isinstance(work, Acquire)}
        marked = [holds[work.id] for work in works if isinstance(work, Mark) and work.id in holds]
        pairs |= {(hold.customer, hold.parts[0].meter) for hold in marked}
        return holds, await commit.holders(sorted(pairs)) if pairs else {}

    async def _grants(
        self,
        commit: Commit,
        works: Sequence[Work],
        heads: Mapping[str, Head],
        holds: Mapping[str, Hold],
        catalog: Catalog,
        uses: Iterable[tuple[str, Event]],
    ) -> dict[tuple[str, str], Account]:
        """The accounts of grants that the works touch; asks only where there can be any."""
        pairs, named, ids = touched(works, heads, holds, catalog, uses)
        if not pairs:
            return {}
        return {pair: Account() for pair in named} | await commit.grants(sorted(pairs), sorted(ids))

    async def _catalog(self, commit: Commit, tenant: str, version: int) -> Catalog:
        catalog = await self._directory.catalog(tenant)
        if catalog.version != version:
            generation = self._directory.generation
            catalog = await commit.catalog()
            self._directory.learn(tenant, catalog, generation)
        return catalog

    async def _counters(
        self, commit: Commit, batch: Batch
    ) -> tuple[dict[CounterKey, Figures], dict[CounterKey, Figures], dict[CounterKey, Figures], list[CounterKey]]:
        """The counters that this commit found, those that it missed, those that it changes, as they are afterwards, and
        the fast view's fields that are over with them."""
        places = batch.places()
        if not places:
            return {}, {}, batch.finish({}), []
        stored = await commit.counters(sorted(places), batch.oldest())
        wanted = batch.wanted()
        missing = sorted(wanted.keys() - stored.keys())
        born: dict[CounterKey, Figures] = {}
        forget: list[CounterKey] = []
        if missing:
            # A counter is born, under the lock, from its window's ledger sums.
            born = with_granted(batch.ledger.grants, await commit.sums(missing))
            heads = batch.ledger.heads
            for key in missing:
                over = _window_over(wanted[key], heads[key.customer], key)
                forget += [key._replace(start=over.start, end=over.end)] if over else []
        born = with_rates(born, stored)
        counters = with_granted(batch.ledger.grants, stored | born)
        pairs = graced(batch.ledger.catalog, counters)
        if pairs:
            counters = with_reached(counters, await commit.reached(pairs))
            born = {key: counters[key] for key in born}
        sought = batch.sought(counters)
        standing = await commit.values(sought) if sought else {}
        return stored, born, batch.finish(counters, standing), forget

    async def _tell_apart(
        self, commit: Commit, batch: Batch, stored: Collection[CounterKey], changed: Collection[CounterKey]
    ) -> None:
        """Writes the values of UNIQUE counters: all of those that are born, and what moved in the others."""
        born = sorted([key for key in changed if key not in stored and key.meter in batch.ledger.catalog.unique_meters])
        moves = {key: numbers for key, numbers in batch.value_moves.items() if key in stored}
        if born or moves:
            await commit.write_values(born, moves)


def _found_owners(works: Sequence[Work], rare: Iterable[int], owners: Mapping[str, str]) -> dict[int, Work]:
    """The works for subjects that have a customer by now, with that one."""
    found: dict[int, Work] = {}
    for place in rare:
        work = works[place]
        if isinstance(work, Correct) and work.event and not work.to and work.event.subject in owners:
            found[place] = work._replace(to=owners[work.event.subject])
        elif isinstance(work, Load) and work.customer == NOBODY and work.event.subject in owners:
            found[place] = work._replace(customer=owners[work.event.subject])
    return found


def _behind(heads: Mapping[str, Head], catalog: Catalog) -> dict[str, str]:
    """Who cannot be committed for yet, and whose rollups are to be brought up first: its own or its pool's."""
    behind = {name: name for name, head in heads.items() if is_behind(head, catalog)}
    waiting = {name: head.pool for name, head in heads.items() if head.pool in behind and name not in behind}
    return behind | waiting


def _window_over(limit: Limit, head: Head, key: CounterKey) -> Window | None:
    """The newest window that no longer counts once the key's has begun."""
    zone, anchor = head.time_zone, head.anchor
    oldest = limit.windows(zone, key.start, anchor)[0] if key.start > EARLIEST else None
    return limit.windows(zone, oldest.start - 1, anchor)[-1] if oldest and oldest.start > EARLIEST else None


def _recorded_before(
    known: Mapping[tuple[str, str], Known], heads: Mapping[str, Head], tried: Mapping[str, int]
) -> tuple[dict[str, int], list[Publication]]:
    """The last `seq` of each customer's facts that were recorded before, since their token must show them too; and for
    customers whom a try of ours may have changed whose answer was lost, with facts or with holds alone: the view was
    told of nothing, and drops what is older."""
    seqs: dict[str, int] = {}
    lost: dict[str, Publication] = {}
    for fact in known.values():
        seqs[fact.customer] = max(fact.seq, seqs.get(fact.customer, 0))
    for customer, seq in tried.items():
        if customer in heads and customer != NOBODY and heads[customer].seq >= seq:
            seqs[customer], last = max(seq, seqs.get(customer, 0)), heads[customer].seq
            lost[customer] = Publication(customer, last, last, {}, ())
    return seqs, list(lost.values())


def _prices(catalog: Catalog, heads: Mapping[str, Head], fired: Sequence[LimitEvent]) -> dict[str, Sequence[Price]]:
    """What those customers are charged by whose limits something fired."""
    return {event.key.customer: catalog.prices_under(heads[event.key.customer].plan) for event in fired}


def _publications(
    customers: Sequence[str],
    heads: Mapping[str, Head],
    counters: Mapping[CounterKey, Figures],
    forget: Sequence[CounterKey],
    wanted: Collection[CounterKey],
    now: int,
) -> list[Publication]:
    figures: dict[str, dict[CounterKey, Figures]] = {customer: {} for customer in customers}
    over: dict[str, list[CounterKey]] = {}
    for key, value in counters.items():
        if key.end > now or key in wanted:
            figures[key.customer][key] = value
        else:
            over.setdefault(key.customer, []).append(key)
    for key in forget:
        over.setdefault(key.customer, []).append(key)
    return [
        Publication(
            customer,
            heads[customer].seq,
            heads[customer].seq + 1,
            figures[customer],
            over.get(customer, ()),
        )
        for customer in customers
        if customer != NOBODY
    ]
