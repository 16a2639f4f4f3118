"""Grace of a stated time: when limits were first reached in their windows, beside the counters as they were read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from metergate.domain.catalog import Catalog
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.threshold import Reached, with_reached

Pair = tuple[CounterKey, str]
"""A counter, and the name of a limit that it is for."""

Read = Callable[[Sequence[Pair]], Awaitable[Mapping[Pair, Reached]]]


def graced(catalog: Catalog, keys: Collection[CounterKey]) -> list[Pair]:
    """Of which limits it has to be known when they were reached; none where no limit has a grace of time."""
    names = catalog.graced
    return [(key, name) for key in keys for name in names.get(key.meter, ())] if names else []


async def complete(
    catalog: Catalog, figures: dict[CounterKey, Figures], read: Read, known: Callable[[CounterKey, Reached], bool]
) -> dict[CounterKey, Figures]:
    """The counters with what was `known` of it when they were read: what was reached since is not of then."""
    pairs = graced(catalog, figures)
    if not pairs:
        return figures
    found = await read(pairs)
    return with_reached(figures, {pair: one for pair, one in found.items() if known(pair[0], one)})


def was_known(customer: str, seq: int, at: int, key: CounterKey, one: Reached) -> bool:
    """Whether it was known after the commit of a customer with that `seq`. A pool's order is another: there it is what
    was known at that instant."""
    return one.seq <= seq if key.customer == customer else one.at <= at
