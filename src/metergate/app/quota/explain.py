"""ExplainDecision: a decision worked out again from the ledger as it was, and what stood behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.readers import Behind, ExplainReader
from metergate.app.quota.grace import complete, was_known
from metergate.domain.access import Principal
from metergate.domain.admission import Demand, Touch, conclude
from metergate.domain.catalog import Catalog
from metergate.domain.decision import Decision, total, without_figures
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import Window
from metergate.domain.quota import CounterKey, Figures, Kind, Limit
from metergate.domain.retention import check_kept

# Of a limit in a decision's id; one more stands there where there is a flag.
_PARTS = 6
OVERRIDDEN, WOULD_REFUSE, UNKNOWN = 1, 2, 4
"""Flags: the maximum was the customer's own; a shadow limit let it pass; what was left was told by nothing."""
# Where what is granted stands in the figures of limits of grants; those of others end before.
_GRANTED = Figures._fields.index("granted")


@dataclass(frozen=True, slots=True)
class Explained:
    """The decision of then; `behind` are what stood behind its limits, and `confirmed` says that the figures are those
    that were answered."""

    decision: Decision
    confirmed: bool
    customer: str
    seq: int
    behind: list[Behind]


class ExplainDecision:
    """The verb. A decision's id says what was decided; the figures come from the ledger."""

    def __init__(self, directory: Directory, reader: ExplainReader) -> None:
        self._directory = directory
        self._reader = reader

    async def explain(self, principal: Principal, content: Sequence[Any], most: int) -> Explained:
        """Works the decision out again, from events and from the history of holds up to its `seq`.

        Raises:
            MetergateError: EVENTS_DROPPED, LEDGER_UNAVAILABLE.
        """
        customer, seq, at, allowed, plan, limits = content
        catalog = await self._directory.catalog(principal.tenant)
        touches = [await self._touch(principal.tenant, customer, plan, catalog, limit) for limit in limits]
        asked = {touch.keys[-1]: Decimal(limit[4]) for touch, limit in zip(touches, limits, strict=True)}
        demand = Demand(customer, (), tuple(touches), asked)
        for touch in touches:
            _check_kept(catalog, touch)
        try:
            behind = [
                await self._reader.behind(
                    principal.tenant, seq if touch.keys[0].customer == customer else None, at, touch.keys, most
                )
                for touch in touches
            ]
            figures = {
                key: one for touch, found in zip(touches, behind, strict=True)
                for key, one in zip(touch.keys, found.figures, strict=True)
            }  # fmt: skip
            read = partial(self._reader.reached, principal.tenant)
            figures = await complete(catalog, figures, read, partial(was_known, customer, seq, at))
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        for touch, limit in zip(touches, limits, strict=True):
            if tat := limit[5][4:]:  # of a rate, whose state the ledger does not tell afterwards
                figures[touch.keys[-1]] = figures[touch.keys[-1]]._replace(tat=Decimal(tat[0]))
        passed = frozenset([place for place, limit in enumerate(limits) if _flags(limit) & WOULD_REFUSE])
        decision = conclude(demand, allowed, figures, plan, at, passed)
        decision.states = [
            without_figures(state) if _flags(limit) & UNKNOWN else state
            for state, limit in zip(decision.states, limits, strict=True)
        ]
        return Explained(decision, _confirmed(touches, figures, limits), customer, seq, behind)

    async def _touch(self, tenant: str, customer: str, plan: str, catalog: Catalog, content: Sequence[Any]) -> Touch:
        """The limit as it was: what the id says of it, and the rest from the catalog of now."""
        name, (*owner, meter, subject, filter_), windows, most = content[:4]
        if owner:  # its pool's
            customer = owner[0]
            pool = await self._directory.customer(tenant, customer)
            plan = pool.plan if pool else ""
        now = catalog.limit_named(plan, meter, name) or Limit(name, meter, None)
        of_grants = len(content[5]) > _GRANTED
        if of_grants != (now.kind is Kind.GRANTS):
            now = Limit(name, meter, None, kind=Kind.GRANTS) if of_grants else Limit(name, meter, None)
        keys = [CounterKey(customer, meter, subject, filter_, start, end) for start, end in windows]
        limit = replace(now, max=Decimal(most) if most else None, overridden=bool(_flags(content) & OVERRIDDEN))
        return Touch(limit, tuple([Window(start, end) for start, end in windows]), tuple(keys))


def _flags(limit: Sequence[Any]) -> int:
    return limit[_PARTS] if len(limit) > _PARTS else 0


def _check_kept(catalog: Catalog, touch: Touch) -> None:
    """The figures of then are made of the events."""
    meter = catalog.meter_of.get(touch.limit.meter)
    if meter is not None and catalog.closed:
        borders = [touch.windows[0].start, touch.windows[-1].end]
        check_kept(catalog.closed, meter, borders, f"what limit {touch.limit.name!r} held then is told by the events")


def _confirmed(
    touches: Sequence[Touch], figures: Mapping[CounterKey, Figures], limits: Sequence[Sequence[Any]]
) -> bool:
    for touch, content in zip(touches, limits, strict=True):
        found = total([figures[key] for key in touch.keys])
        answered = tuple([Decimal(figure) for figure in content[5]])
        granted = answered[_GRANTED:] or (found.granted,)
        if not _flags(content) & UNKNOWN and (*found[:4], found.granted) != (*answered[:4], *granted):
            return False
    return True
