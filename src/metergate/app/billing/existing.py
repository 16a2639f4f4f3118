"""A subscription that a request names."""

from __future__ import annotations

from metergate.app.billing.ports import SubscriptionStore
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.subscription import Subscription


async def existing(store: SubscriptionStore, tenant: str, id: str) -> Subscription:
    """The tenant's subscription of that id, or raises SUBSCRIPTION_NOT_FOUND."""
    found = await store.get(tenant, id)
    if found is None:
        message = f"no subscription is called {id[:80]!r}"
        raise MetergateError(Reason.SUBSCRIPTION_NOT_FOUND, message, {"subscription": id})
    return found
