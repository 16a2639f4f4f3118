"""Merging a customer into another one: all its subjects move, and it is closed.

Usage for its own id counts for the other one from then on. Its past stays in its own ledger and can be read; what it
holds ends as it would have; the other one's plan and limits govern, and count from the merge on. Grants are not carried
over: while there are any left, merging is refused, so that no units are lost or given twice in silence. A member
of a pool takes nothing out of it; a pool has to be left by its members first.
"""

from __future__ import annotations

from collections.abc import Sequence

from metergate.app.catch_up import CatchUp
from metergate.app.customer.data import Moved, Moves
from metergate.app.customer.move import not_found, told, tried
from metergate.app.directory import Directory
from metergate.app.stores import Once
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason


class MergeCustomers:
    """The verb."""

    def __init__(self, moves: Moves, directory: Directory, catch_up: CatchUp) -> None:
        self._moves = moves
        self._directory = directory
        self._catch_up = catch_up

    async def merge(self, principal: Principal, customer: str, into: str, once: Once | None = None) -> Sequence[Moved]:
        """Merges `customer` into `into`; returns the subjects that moved, none for a repeat.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, MERGE_NOT_POSSIBLE, REQUEST_ID_REUSED.
        """
        return await tried(lambda: self._merge(principal, customer, into, once))

    async def _merge(self, principal: Principal, customer: str, into: str, once: Once | None) -> Sequence[Moved]:
        tenant = principal.tenant
        async with self._moves.change(tenant) as change:
            if await change.repeated(once):
                return ()
            if customer == into:
                raise _not_possible(customer, into, "it is the same customer")
            for name in (customer, into):
                found = await change.get(name)
                if found is None:
                    raise not_found(name)
                if found.merged_into:
                    cure = "it is closed" if name == customer else f"merge into {found.merged_into!r}"
                    raise _not_possible(
                        customer, into, f"{name!r} was merged into {found.merged_into!r} before: {cure}"
                    )
            await change.lock_both(customer, into)
            why = await change.why_no_merge(customer)
            if why is not None:
                raise _not_possible(customer, into, why)
            moved = await change.merge(customer, into, principal.service, principal.key_id)
            await change.remember(once, moved)
        await told(self._directory, self._catch_up, tenant, moved)
        return moved


def _not_possible(customer: str, into: str, why: str) -> MetergateError:
    message = f"customer {customer!r} cannot be merged into {into!r}: {why}"
    return MetergateError(Reason.MERGE_NOT_POSSIBLE, message, {"customer": customer, "into": into})
