"""What a customer's subscriptions make of its head: the plan terms of its limits, and the anchor of its windows."""

from __future__ import annotations

from collections.abc import Sequence

from metergate.domain import plan_terms, subscription
from metergate.domain.subscription import Mode, Subscription


def terms(mine: Sequence[Subscription], plan: str, now: int) -> str:
    """The terms of what the customer has subscribed to at that instant, in the order in which that was made.

    Where that is nothing, because it is over, in a pause or to come, a `plan` that was assigned by hand stays, and the
    terms of what went before make room for the tenant's default plan.
    """
    held = [subscription.segment_at(one, now) for one in mine]
    items = [item for one in held if one is not None and one.mode is not Mode.PAUSED for item in one.items]
    if items or plan_terms.read(plan):
        return plan_terms.write(items)
    return plan


def anchor(mine: Sequence[Subscription], own: int | None, now: int) -> int | None:
    """The customer's own anchor, or that of its first subscription that has begun: limits then begin anew with its
    periods."""
    begun = [one.anchor for one in mine if subscription.segment_at(one, now) is not None]
    return own if own is not None else next(iter(begun), None)
