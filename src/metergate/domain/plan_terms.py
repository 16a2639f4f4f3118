"""Plan terms: which versions of which plans a customer's subscriptions have it on, as one text.

`pro@2` is version 2 of a plan, `pro@2+seats@1*3` the same with three times an add-on. No name of a plan holds any of
these signs: a text without `@` names a plan that was assigned by hand, of whatever version is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from metergate.domain.quantity import CONTEXT, ONE, ZERO, add, to_text
from metergate.domain.quota import Kind, Limit
from metergate.domain.subscription import Item


def write(items: Iterable[Item]) -> str:
    """The terms of these items, in their order; "" of none."""
    return "+".join([_write(item) for item in items])


def _write(item: Item) -> str:
    times = "" if item.quantity == 1 else f"*{to_text(item.quantity)}"
    return f"{item.plan}@{item.version}{times}"


def read(terms: str) -> tuple[Item, ...]:
    """The items that `write` was given; none of a text that names a plan, or nothing."""
    return tuple([_read(part) for part in terms.split("+")]) if "@" in terms else ()


def _read(part: str) -> Item:
    plan, _, rest = part.partition("@")
    version, _, times = rest.partition("*")
    return Item(plan, int(version), Decimal(times) if times else ONE)


def shown(terms: str) -> str:
    """The terms as people are told them: one version of one plan is called by the plan's name."""
    if "@" not in terms:
        return terms
    items = read(terms)
    return items[0].plan if len(items) == 1 and items[0].quantity == 1 else terms


def united(parts: Iterable[tuple[Sequence[Limit], Decimal]]) -> tuple[Limit, ...]:
    """The limits of several plans on one meter, each so many times, as those of one.

    Limits of one name that count alike add up what they allow; unlimited stays unlimited. What else they say is said by
    the first. So do rates whose state lies in one counter, whatever their names. All others stand beside each other.
    """
    found: list[Limit] = []
    for limits, times in parts:
        for limit in limits:
            mine = limit if times == 1 else _times(limit, times)
            place = next((at for at, other in enumerate(found) if _alike(other, mine)), None)
            if place is None:
                found.append(mine)
            else:
                found[place] = _together(found[place], mine)
    return tuple(found)


def _alike(one: Limit, other: Limit) -> bool:
    same = one.name == other.name or one.kind is other.kind is Kind.RATE
    return same and _counts(one) == _counts(other)


def _counts(limit: Limit) -> tuple[object, ...]:
    """What says which counters it has."""
    return (
        limit.meter, limit.kind, limit.scope, limit.labels, frozenset(limit.per_labels), limit.period, limit.length,
        limit.sub_windows, limit.week_start,
    )  # fmt: skip


def _times(limit: Limit, times: Decimal) -> Limit:
    def scaled(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else CONTEXT.multiply(amount, times)

    return replace(limit, max=scaled(limit.max), burst=scaled(limit.burst), grace=scaled(limit.grace))


def _together(first: Limit, second: Limit) -> Limit:
    if first.max is None or second.max is None:
        return replace(first, max=None)  # of GRANTS too, which have none
    burst = None
    if first.burst is not None or second.burst is not None:
        burst = add(
            first.max if first.burst is None else first.burst, second.max if second.burst is None else second.burst
        )
    grace = None if first.grace is None else add(first.grace, second.grace or ZERO)
    return replace(first, max=add(first.max, second.max), burst=burst, grace=grace)
