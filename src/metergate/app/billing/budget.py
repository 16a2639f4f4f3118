"""Budgets: set for a subscription, and looked at again as long as its customer uses something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from metergate.app.billing.existing import existing
from metergate.app.billing.ports import SubscriptionStore
from metergate.app.billing.preview import PreviewInvoice
from metergate.app.ports.ledger import DataRefusedError, RaceLostError
from metergate.domain import money
from metergate.domain.access import Principal
from metergate.domain.budget import Budget, check_thresholds, cost_of_usage
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.period import Window

_AT_ONCE = 50


class DueBudget(NamedTuple):
    """A budget of a customer who has used something since it was looked at."""

    tenant: str
    budget: Budget


class BudgetStore(Protocol):
    """Where budgets are kept."""

    async def get(self, tenant: str, subscription: str) -> Budget | None:
        """The subscription's budget, or None."""
        ...

    async def put(self, tenant: str, budget: Budget) -> None:
        """Puts this in the place of the subscription's budget. What was told of its period stays told."""
        ...

    async def delete(self, tenant: str, subscription: str) -> None:
        """Takes the budget away, if there is one."""
        ...

    async def due(self, most: int) -> Sequence[DueBudget]:
        """Budgets to look at, those that were not looked at for the longest time first."""
        ...

    async def looked_at(self, tenant: str, subscription: str, seq: int, spent: int, period: Window | None) -> bool:
        """Keeps what the usage of the period came to at that `seq` of the customer (None = there is no period), and
        tells of the thresholds that it reaches for the first time, in one commit; returns whether it told anything."""
        ...


class Budgets:
    """The verbs."""

    def __init__(self, store: BudgetStore, subscriptions: SubscriptionStore, preview: PreviewInvoice) -> None:
        self._store = store
        self._subscriptions = subscriptions
        self._preview = preview

    async def set(
        self, principal: Principal, subscription: str, amount: str, thresholds: Sequence[int]
    ) -> Budget | None:
        """Sets a subscription's budget, an amount in whole units of its currency; "" takes it away.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, FIELD_INVALID on `amount` or `thresholds`.
        """
        one = await existing(self._subscriptions, principal.tenant, subscription)
        if not amount:
            await self._store.delete(principal.tenant, subscription)
            return None
        minor = money.parse_amount(amount, one.currency, "amount")
        if minor <= 0:
            raise invalid("amount", "must be more than 0")
        made = Budget(one.id, one.customer, one.currency, minor, check_thresholds(thresholds, "thresholds"))
        await self._store.put(principal.tenant, made)
        return await self._store.get(principal.tenant, subscription)

    async def get(self, principal: Principal, subscription: str) -> Budget | None:
        """A subscription's budget, None where it has none.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND.
        """
        await existing(self._subscriptions, principal.tenant, subscription)
        return await self._store.get(principal.tenant, subscription)

    async def work(self) -> None:
        """Looks at the budgets that are due.

        Raises:
            LedgerUnavailableError: tried again with the next round.
        """
        for due in await self._store.due(_AT_ONCE):
            await self._look(due)

    async def _look(self, due: DueBudget) -> None:
        tenant, id_ = due.tenant, due.budget.subscription
        try:
            invoice = await self._preview.preview(Principal(tenant, "", ""), id_)
            spent = cost_of_usage(invoice.lines)
            await self._store.looked_at(tenant, id_, invoice.seq, spent, invoice.period)
        except RaceLostError:
            return
        except (MetergateError, DataRefusedError) as error:
            if isinstance(error, MetergateError) and error.reason is Reason.LEDGER_UNAVAILABLE:
                return
            # It has ended, or cannot be read any more, or costs more than can be kept: nothing is to be told of it
            # until its customer goes on, and no other budget waits for it.
            await self._store.looked_at(tenant, id_, -1, 0, None)
