"""One commit of usage, by the ledger's law: lock, look, decide, write.

The decisions are pure (`domain.posting`); this file is the order of the steps and the edge of the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from metergate.app.catch_up import CatchUp, is_behind
from metergate.app.directory import Directory
from metergate.app.ports import Commit, Look, Publication
from metergate.app.ports import Ledger as LedgerPort
from metergate.domain.catalog import Catalog
from metergate.domain.period import window_at
from metergate.domain.posting import NOBODY, Head, Known, Ledger, Pending, Posting, born, move, needed, post
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.usage import AcceptWindow, Receipt


@dataclass(slots=True)
class Committed:
    """What a commit did: a receipt for each pending event or None where it has to come again, and what to publish.

    `owners` are customers found for subjects that had none when the batch was made, and `behind` those whose rollups
    have to be brought up first.
    """

    receipts: list[Receipt | None]
    owners: Mapping[str, str] = field(default_factory=dict)
    seqs: Mapping[str, int] = field(default_factory=dict)
    publications: list[Publication] = field(default_factory=list)
    catalog_version: int = 0
    now: int = 0
    behind: Collection[str] = ()


class UsageCommitter:
    """Commits batches of pending events of one tenant."""

    def __init__(self, ledger: LedgerPort, directory: Directory, accept: AcceptWindow, catch_up: CatchUp) -> None:
        self._ledger = ledger
        self._directory = directory
        self._accept = accept
        self._catch_up = catch_up

    async def bring_up(self, tenant: str, customers: Sequence[str]) -> None:
        """Makes the rollups of customers complete that a commit found behind.

        Raises:
            LedgerUnavailableError, OutcomeUnknownError
        """
        await self._catch_up.bring_up(tenant, customers)

    async def commit(self, tenant: str, pending: Sequence[Pending], wait: bool, tried: dict[str, int]) -> Committed:
        """Commits those of the events whose customers' heads are free; with `wait`, waits for all heads.

        `tried` collects the `seq` that this try would give each customer, for a run after a lost answer.

        Raises:
            LedgerUnavailableError, OutcomeUnknownError, RaceLostError, DataRefusedError
        """
        async with self._ledger.commit(tenant) as commit:
            heads = await commit.lock(sorted({one.customer for one in pending}), wait)
            owners = await self._found_meanwhile(commit, pending) if NOBODY in heads else {}
            free = [one for one in pending if one.customer in heads]
            if not free:
                return Committed([None] * len(pending), owners)
            look = await commit.look([one.event for one in free])
            catalog = await self._catalog(commit, tenant, look.catalog_version)
            behind = {head.customer for head in heads.values() if is_behind(head, catalog)}
            ready = [
                one.customer in heads
                and one.customer not in behind
                and not (one.customer == NOBODY and one.event.subject in owners)
                for one in pending
            ]
            batch = [one for one, now in zip(pending, ready, strict=True) if now]
            done = await self._write(commit, batch, heads, look, catalog, tried)
        receipts = iter(done.receipts)
        done.receipts = [next(receipts) if now else None for now in ready]
        done.owners, done.behind = owners, behind
        return done

    async def _found_meanwhile(self, commit: Commit, pending: Sequence[Pending]) -> dict[str, str]:
        """A subject may have been made since the batch was; under the waiting room's lock none can be made."""
        waiting = {one.event.subject for one in pending if one.customer == NOBODY}
        return await commit.owners(sorted(waiting))

    async def _write(
        self,
        commit: Commit,
        batch: Sequence[Pending],
        heads: Mapping[str, Head],
        look: Look,
        catalog: Catalog,
        tried: dict[str, int],
    ) -> Committed:
        posting = post(batch, Ledger(heads, look.known, catalog, look.now, self._accept, dict(tried)))
        writing = sorted({row.customer for row in posting.rows})
        done = Committed([*posting.receipts], catalog_version=catalog.version, now=look.now)
        done.seqs, done.publications = _recorded_before(look.known, heads, tried)
        if not writing:
            return done
        counters, forget = await self._move_counters(commit, posting, heads, catalog, look.now)
        tried.update({customer: heads[customer].seq + 1 for customer in writing})
        await commit.write(posting, counters, writing, catalog, look.now)
        done.seqs |= {customer: heads[customer].seq + 1 for customer in writing}
        done.publications += _publications(writing, heads, counters, forget, look.now)
        return done

    async def _catalog(self, commit: Commit, tenant: str, version: int) -> Catalog:
        catalog = await self._directory.catalog(tenant)
        if catalog.version != version:
            generation = self._directory.generation
            catalog = await commit.catalog()
            self._directory.learn(tenant, catalog, generation)
        return catalog

    async def _move_counters(
        self, commit: Commit, posting: Posting, heads: Mapping[str, Head], catalog: Catalog, now: int
    ) -> tuple[dict[CounterKey, Figures], list[CounterKey]]:
        """The counters as this commit leaves them, and the fast view's fields that are over with them."""
        if not posting.uses:
            return {}, []
        oldest = min(use.counted_at for uses in posting.uses.values() for use in uses)
        counters = await commit.counters(sorted(posting.uses), oldest)
        wanted = needed(posting, Ledger(heads, {}, catalog, now, self._accept))
        missing = sorted(wanted.keys() - counters.keys())
        forget: list[CounterKey] = []
        if missing:
            counters |= born(missing, await commit.sums(missing))
            for key in missing:
                before = window_at(wanted[key], heads[key.customer].time_zone, key.start - 1)
                forget.append(key._replace(start=before.start, end=before.end))
        return move(counters, posting.uses), forget


def _recorded_before(
    known: Mapping[tuple[str, str], Known], heads: Mapping[str, Head], tried: Mapping[str, int]
) -> tuple[dict[str, int], list[Publication]]:
    """The last `seq` of each customer's facts that were recorded before, since their token must show them too; and for
    those that a try of ours recorded whose answer was lost: the view was told of nothing, and drops what is older."""
    seqs: dict[str, int] = {}
    lost: dict[str, Publication] = {}
    for fact in known.values():
        seqs[fact.customer] = max(fact.seq, seqs.get(fact.customer, 0))
        if tried.get(fact.customer) == fact.seq and fact.customer in heads and fact.customer != NOBODY:
            seq = heads[fact.customer].seq
            lost[fact.customer] = Publication(fact.customer, seq, seq, {}, ())
    return seqs, list(lost.values())


def _publications(
    customers: Sequence[str],
    heads: Mapping[str, Head],
    counters: Mapping[CounterKey, Figures],
    forget: Sequence[CounterKey],
    now: int,
) -> list[Publication]:
    figures: dict[str, dict[CounterKey, Figures]] = {customer: {} for customer in customers}
    over: dict[str, list[CounterKey]] = {}
    for key, value in counters.items():
        if key.end > now:
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
