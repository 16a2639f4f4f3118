"""Turns: what was arranged for later takes effect in its time, though nobody asks.

A trial that ends, a change or a cancellation at the end of a period stand on the subscription's time line already;
what remains is that the limits follow. Every process sees to it; the heads' locks have each turn done once.
"""

from __future__ import annotations

from metergate.app.billing import governing
from metergate.app.billing.ports import Due, Turned, TurningStore
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.domain import subscription

_AT_ONCE = 200


class TurnSubscriptions:
    """The verb."""

    def __init__(self, store: TurningStore, directory: Directory, catch_up: CatchUp) -> None:
        self._store = store
        self._directory = directory
        self._catch_up = catch_up

    async def work(self) -> None:
        """Does all that is due: first what is free, in batches, then, one by one, customers whose heads were held.

        Raises:
            LedgerUnavailableError, RaceLostError: tried again with the next round.
        """
        while await self._batch(_AT_ONCE, wait=False):
            pass
        while await self._batch(1, wait=True):
            pass

    async def _batch(self, most: int, wait: bool) -> int:
        async with self._store.turning(most, wait) as change:
            now, due = await change.due()
            seqs = await change.turn([_turned(one, now) for one in due]) if due else {}
        await self._tell(seqs)
        return len(due)

    async def _tell(self, seqs: dict[tuple[str, str], int]) -> None:
        """Has this process and the view hear of it; the others hear with the commit."""
        by_tenant: dict[str, dict[str, int]] = {}
        for (tenant, customer), seq in seqs.items():
            self._directory.forget("customer", tenant, customer)
            by_tenant.setdefault(tenant, {})[customer] = seq
        for tenant, heads in by_tenant.items():
            await self._catch_up.begin_all_anew(tenant, await self._directory.catalog(tenant), heads)


def _turned(due: Due, now: int) -> Turned:
    return Turned(
        due.tenant,
        due.customer,
        governing.terms(due.subscriptions, due.plan, now),
        governing.anchor(due.subscriptions, due.anchor, now),
        {one.id: subscription.next_turn(one, now) for one in due.subscriptions},
    )
