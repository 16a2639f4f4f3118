"""What usage costs at the prices of the plan that a customer is on now: shown beside quantities, and never charged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from metergate.domain.money import rounded
from metergate.domain.price import Price
from metergate.domain.rating import rate


def cost(
    prices: Iterable[Price], meter: str, currency: str, quantity: Decimal | None, group_by: Sequence[str] = ()
) -> int | None:
    """What that much of a meter costs as the usage of one whole interval, in minor units, before coupons and taxes.

    Each group is rated by itself only where the prices do so too (`per_labels`). None = not known: there is no
    quantity, no price in the currency, or one that looks at other labels.
    """
    of_meter = [price for price in prices if price.metered and (price.meter, price.currency) == (meter, currency)]
    told = all(not price.labels and set(price.per_labels) == set(group_by) for price in of_meter)
    if quantity is None or not of_meter or not told:
        return None
    return sum(_bounded(price, sum(part.amount for part in rate(price, quantity)), group_by) for price in of_meter)


def _bounded(price: Price, amount: int, group_by: Sequence[str]) -> int:
    """A minimum or maximum is of all groups together, and no group's."""
    if group_by:
        return amount
    if price.minimum is not None:
        amount = max(amount, rounded(price.minimum, price.currency))
    return amount if price.maximum is None else min(amount, rounded(price.maximum, price.currency))
