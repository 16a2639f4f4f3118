"""Erasing a customer's personal data: what tells who it was goes, the sums stay.

Names and subjects become random pseudonyms, the same ones everywhere, so that sums per subject stay. Labels that no
meter reads go, and so do values that none reads; those that meters read stay, or become pseudonyms where that is asked.
A label that a meter filters by, and values that the catalog itself names, always stay, since they decide what counts.
The ids of events are kept until they cannot come again (P1); then, or at once where that is asked, they go as well;
but for those of events that a correction took from or to another customer, who knows them by these ids.
The customer's own id stays, unless another one is given. A subject that moved between two members of a pool is told
apart there afterwards; of several values of one instant another may be the latest once ids are gone.

It is done piece by piece; each says in its own commit how far it is, so that a repeat of the call, or any process that
sees it lie idle, goes on where it was left. What comes in meanwhile under the customer's own id is new and stays.
"""

from __future__ import annotations

import json
import secrets
from base64 import b32encode
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from time import monotonic

from metergate.app.catch_up import CatchUp
from metergate.app.customer.data import Erasure, Erasures, Stepped
from metergate.app.customer.move import tried
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.domain.access import Principal
from metergate.domain.erasure import Step
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import SECOND
from metergate.domain.usage import MAX_NAME, check_text

BUDGET = 15.0  # seconds of a call; what is left is done by the next one, or by a worker
_IDLE = 30 * SECOND
_AT_ONCE = 10


class EraseCustomers:
    """The verbs."""

    def __init__(self, erasures: Erasures, directory: Directory, catch_up: CatchUp, budget: float = BUDGET) -> None:
        self._erasures = erasures
        self._directory = directory
        self._catch_up = catch_up
        self._budget = budget

    async def erase(
        self,
        principal: Principal,
        customer: str,
        *,
        dimensions: bool,
        event_ids: bool,
        new_id: str,
        request_id: str,
    ) -> Erasure:
        """Begins an erasure, or goes on with the one that is under way, for as long as a call may last.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, ERASURE_NOT_POSSIBLE, FIELD_INVALID on `new_id`, REQUEST_ID_REUSED,
                LEDGER_UNAVAILABLE.
        """
        if new_id:
            check_text(new_id, "new_id", MAX_NAME)
        id_ = _erasure_id(principal, request_id)
        asked = Erasure(
            id_, customer, new_id, dimensions, event_ids, principal.service, principal.key_id, Step.EVENTS, 0
        )
        try:
            begun = await tried(lambda: self._erasures.begin(principal.tenant, asked))
            self._directory.forget("subjects", principal.tenant, customer)
            self._directory.forget("customer", principal.tenant, customer)
            return await self._go_on(principal.tenant, begun, self._budget)
        except MetergateError as error:
            if error.reason is Reason.REQUEST_ID_REUSED:
                error.metadata = {"request_id": request_id}
            raise
        except LedgerUnavailableError:
            message = "the database cannot be reached, or the customer's head is held; repeat the call to go on"
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, message) from None

    async def list(
        self, principal: Principal, customer: str, after: tuple[int, str] | None, most: int
    ) -> Sequence[Erasure]:
        """Erasures, newest first: who, when, and how much; customer "" = all.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE.
        """
        try:
            return await self._erasures.page(principal.tenant, customer, after, most)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None

    async def go_on(self) -> None:
        """Goes on with erasures that lie idle, and with the ids of those whose slices were dropped."""
        for tenant, id_ in await self._erasures.left(_IDLE, _AT_ONCE):
            await self._go_on(tenant, await self._step(tenant, id_), self._budget)

    async def _go_on(self, tenant: str, stepped: Stepped, budget: float) -> Erasure:
        until = monotonic() + budget
        known = await self._forget(tenant, stepped.seqs)
        while not stepped.erasure.step.finished or stepped.erasure.step is Step.IDS:
            before = stepped.erasure.customer
            if stepped.erasure.step is Step.VIEW and not (known and await self._view_forgot(tenant, stepped)):
                break  # what the view holds has to go before it is done
            stepped = await self._step(tenant, stepped.erasure.id)
            known = await self._forget(tenant, stepped.seqs)
            if stepped.erasure.customer != before:
                await self._catch_up.forget(tenant, await self._directory.catalog(tenant), [before])
            if monotonic() > until:
                break
        if stepped.erasure.step is Step.OVER:
            await self._catch_up.bring_up(tenant, sorted(stepped.seqs))
        return stepped.erasure

    async def _step(self, tenant: str, id_: str) -> Stepped:
        return await tried(lambda: self._erasures.step(tenant, id_))

    async def _forget(self, tenant: str, seqs: Mapping[str, int]) -> bool:
        """Has the view forget the customers; whether it did."""
        catalog = await self._directory.catalog(tenant)
        done = [await self._catch_up.begin_anew(tenant, catalog, one, seq) for one, seq in sorted(seqs.items())]
        return all(done)

    async def _view_forgot(self, tenant: str, stepped: Stepped) -> bool:
        """Has the rollups that could not be rewritten made anew, and the view drop what it ever held."""
        self._directory.forget("subjects", tenant, stepped.erasure.customer)
        await self._catch_up.bring_up(tenant, sorted(stepped.seqs))
        return await self._catch_up.forget(tenant, await self._directory.catalog(tenant), sorted(stepped.seqs))


def _erasure_id(principal: Principal, request_id: str) -> str:
    """The id of the erasure that this request begins: of the request, so that its repeat finds the same."""
    if request_id:
        name = json.dumps([principal.tenant, principal.service, "erasure", request_id]).encode()
        raw = blake2b(name, digest_size=15).digest()
    else:
        raw = secrets.token_bytes(15)
    return "e_" + b32encode(raw).decode().lower()
