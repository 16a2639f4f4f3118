"""ListLimits: the state of each limit of a subject, from the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from metergate.app import clock
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.ports import Ledger, LedgerUnavailableError, OutcomeUnknownError
from metergate.app.stores import Customer
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import Window, window_at
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Ask, CounterKey, Limit, LimitState, look_at, read_filter


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a subject's customer, by name, as they were at `as_of`."""

    customer: str
    plan: str
    states: list[LimitState]
    as_of: int


class ListLimits:
    """The verb."""

    def __init__(self, directory: Directory, ledger: Ledger, catch_up: CatchUp) -> None:
        self._directory = directory
        self._ledger = ledger
        self._catch_up = catch_up

    async def list(self, principal: Principal, subject: str, meters: Collection[str]) -> Limits:
        """All limits on these meters (none = all). Of a limit per label value, each value that has a counter.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, METER_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        tenant, now = principal.tenant, clock.now()
        catalog = await self._directory.catalog(tenant)
        for meter in meters:
            if meter not in catalog.meter_of:
                raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {meter!r}", {"meter": meter})
        customer = await self._customer(tenant, subject)
        try:
            live = await self._ledger.live_counters(tenant, customer.id, now)
            wanted = list(_wanted(catalog, customer, subject, meters, live, now))
            as_of, views = await self._ledger.figures(tenant, [key for _, key in wanted]) if wanted else (now, {})
            if any(view.head.metering_version < catalog.metering_version for view in views.values()):
                await self._catch_up.bring_up(tenant, [customer.id])
                as_of, views = await self._ledger.figures(tenant, [key for _, key in wanted])
        except (LedgerUnavailableError, OutcomeUnknownError):
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        states = [
            look_at(Ask(limit, Window(key.start, key.end), key.filter, ZERO, views[key].figures), now)
            for limit, key in wanted
        ]
        return Limits(customer.id, catalog.plan_in_force(customer.plan), states, as_of)

    async def of_type(self, principal: Principal, subject: str, event_type: str) -> Limits:
        """The limits on the meters that select this event type; none when no meter does, or nobody is the subject."""
        catalog = await self._directory.catalog(principal.tenant)
        meters = [meter.name for meter in catalog.meters_of_type.get(event_type, ())]
        if not meters or subject not in await self._directory.owners(principal.tenant, [subject]):
            return Limits("", "", [], clock.now())
        return await self.list(principal, subject, meters)

    async def _customer(self, tenant: str, subject: str) -> Customer:
        owner = (await self._directory.owners(tenant, [subject])).get(subject)
        customer = await self._directory.customer(tenant, owner) if owner is not None else None
        if customer is None:
            message = f"no subject or customer is called {subject!r}"
            raise MetergateError(Reason.SUBJECT_NOT_FOUND, message, {"subject": subject})
        return customer


def _wanted(
    catalog: Catalog, customer: Customer, subject: str, meters: Collection[str], live: Iterable[CounterKey], now: int
) -> Iterable[tuple[Limit, CounterKey]]:
    plan = catalog.plan_of.get(catalog.plan_in_force(customer.plan))
    for limit in sorted(plan.limits if plan else (), key=lambda limit: limit.name):
        if meters and limit.meter not in meters:
            continue
        window = window_at(limit.period, customer.time_zone, now)
        stub = CounterKey(customer.id, limit.meter, limit.subject_of(subject), "", window.start, window.end)
        if not limit.per_labels:
            yield limit, stub._replace(filter=limit.filter_of(dict(limit.labels)) or "")
            continue
        names = {*limit.per_labels, *dict(limit.labels)}
        for key in live:
            labels = read_filter(key.filter)
            if key == stub._replace(filter=key.filter) and labels.keys() == names and limit.filter_of(labels):
                yield limit, key
