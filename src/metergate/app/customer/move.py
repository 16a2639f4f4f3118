"""Moves of subjects: from now on a subject's usage counts for another customer.

What was recorded stays where it was counted: each customer's order of facts and its invoices stay true. Limits for each
subject begin anew at the new customer; reservations and leases stay with the old one until they end, and usage that
settles them counts there. A move holds both heads, so that usage which was on its way counts for the one or the other,
never for both or none (`domain.routing`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from metergate.app.catch_up import CatchUp
from metergate.app.customer.data import Moved, Moves, MovesQuery, MovingChange
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError, RaceLostError
from metergate.app.stores import Customer, Once
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason, invalid, subject_not_found
from metergate.domain.routing import closed

T = TypeVar("T")
_TRIES = 5


class MoveSubjects:
    """The verbs."""

    def __init__(self, moves: Moves, directory: Directory, catch_up: CatchUp) -> None:
        self._moves = moves
        self._directory = directory
        self._catch_up = catch_up

    async def move(self, principal: Principal, subject: str, customer: str, once: Once | None = None) -> Moved | None:
        """Moves a subject to another customer; None for one that is there already, and for a repeat.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, CUSTOMER_NOT_FOUND, CUSTOMER_MERGED, FIELD_INVALID for a customer's own
                id, REQUEST_ID_REUSED.
        """
        return await tried(lambda: self._move(principal, subject, customer, once))

    async def _move(self, principal: Principal, subject: str, customer: str, once: Once | None) -> Moved | None:
        tenant = principal.tenant
        async with self._moves.change(tenant) as change:
            if await change.repeated(once):
                return None
            old = await change.owner(subject)
            if old is None:
                raise subject_not_found(subject)
            await still_open(change, customer)
            moved = None
            if old != customer:
                if old == subject:
                    raise invalid("subject", "is a customer's own id, which moves with a merge of the customer")
                # Subjects move under the waiting room's lock alone, so whose it is stays as it was read.
                await change.lock_both(old, customer)
                moved = await change.move(subject, old, customer, principal.service, principal.key_id)
            await change.remember(once, moved)
        if moved is not None:
            await told(self._directory, self._catch_up, tenant, [moved])
        return moved

    async def history(self, principal: Principal, query: MovesQuery) -> Sequence[Moved]:
        """A page of moves, newest first.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        if query.customer and await self._directory.customer(principal.tenant, query.customer) is None:
            raise not_found(query.customer)
        try:
            return await self._moves.moves(principal.tenant, query)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None


async def told(directory: Directory, catch_up: CatchUp, tenant: str, moves: Sequence[Moved]) -> None:
    """Has this process and the view hear of moves between two customers; the others hear with the commit."""
    first = moves[0]
    directory.forget("subjects", tenant, first.from_customer)
    catalog = await directory.catalog(tenant)
    for customer, seq in ((first.from_customer, first.from_seq), (first.to_customer, first.to_seq)):
        directory.forget("customer", tenant, customer)
        await catch_up.begin_anew(tenant, catalog, customer, seq)


async def tried(change: Callable[[], Awaitable[T]]) -> T:
    """The change, tried again where another one was in its way: two heads may be wanted in two orders."""
    for _ in range(_TRIES - 1):
        try:
            return await change()
        except RaceLostError:
            continue
    return await change()


async def still_open(change: MovingChange, customer: str) -> Customer:
    """The customer, which was not merged into another one.

    Raises:
        MetergateError: CUSTOMER_NOT_FOUND, CUSTOMER_MERGED.
    """
    found = await change.get(customer)
    if found is None:
        raise not_found(customer)
    if found.merged_into:
        raise closed(customer, found.merged_into)
    return found


def not_found(customer: str) -> MetergateError:
    """No customer has this id."""
    return MetergateError(Reason.CUSTOMER_NOT_FOUND, f"no customer is called {customer!r}", {"customer": customer})
