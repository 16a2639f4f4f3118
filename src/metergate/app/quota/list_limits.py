"""ListLimits: the state of each limit of a subject, from the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from metergate.app import clock
from metergate.app.catch_up import CatchUp, is_behind
from metergate.app.directory import Directory
from metergate.app.ports.ledger import Ledger, LedgerUnavailableError, OutcomeUnknownError
from metergate.app.quota.grace import complete
from metergate.app.stores import Customer
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.decision import LimitState, ask_of, look_at
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import Window
from metergate.domain.quantity import ZERO
from metergate.domain.quota import CounterKey, Kind, Limit, read_filter


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a subject's customer, by name, as they were at `as_of`."""

    customer: str
    plan: str
    states: list[LimitState]
    as_of: int


class Wanted(NamedTuple):
    """A limit with the counters of its windows, for one value of its labels."""

    limit: Limit
    windows: Sequence[Window]
    keys: Sequence[CounterKey]


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
        pool = await self._directory.customer(tenant, customer.pool) if customer.pool else None
        try:
            wanted: list[Wanted] = []
            for account in (customer, pool) if pool else (customer,):
                limits = _limits(catalog, account, meters or catalog.meter_of, now)
                live = await self._live(tenant, account, subject, limits, now)
                wanted += _wanted(limits, account, subject, live, now)
            keys = sorted({key for one in wanted for key in one.keys})
            as_of, views = await self._ledger.figures(tenant, keys) if keys else (now, {})
            behind = {view.head.customer for view in views.values() if is_behind(view.head, catalog)}
            if behind:
                await self._catch_up.bring_up(tenant, sorted(behind))
                as_of, views = await self._ledger.figures(tenant, keys)
            read = partial(self._ledger.reached, tenant)
            figures = {key: view.figures for key, view in views.items()}
            figures = await complete(catalog, figures, read, lambda key, one: one.seq <= views[key].head.seq)
        except (LedgerUnavailableError, OutcomeUnknownError):
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        states = [
            look_at(ask_of(limit, windows, keys[-1].filter, ZERO, [figures[key] for key in keys]), now)
            for limit, windows, keys in wanted
        ]
        for state, one in zip(states, wanted, strict=True):
            state.pool = "" if one.keys[-1].customer == customer.id else one.keys[-1].customer
        return Limits(customer.id, catalog.plan_in_force(customer.plan), states, as_of)

    async def _live(
        self, tenant: str, account: Customer, subject: str, limits: Sequence[Limit], now: int
    ) -> Sequence[CounterKey]:
        """The counters that there are of limits per label value: which values there are is told by nothing else."""
        named = {limit.meter for limit in limits if limit.per_labels}
        since = now - _looks_back(limits)
        return (
            await self._ledger.live_counters(tenant, account.id, sorted(named), ["", subject], since, now)
            if named
            else []
        )

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


def _limits(catalog: Catalog, customer: Customer, meters: Collection[str], now: int) -> list[Limit]:
    found = [limit for meter in dict.fromkeys(meters) for limit in catalog.limits_for(customer, meter, now)]
    return sorted(found, key=lambda limit: limit.name)


def _looks_back(limits: Iterable[Limit]) -> int:
    """How long after its end a counter may still count: a rolling window's values of labels are found by them."""
    return max([limit.length for limit in limits if limit.per_labels and limit.kind is Kind.ROLLING], default=0)


def _wanted(
    limits: Iterable[Limit], customer: Customer, subject: str, live: Collection[CounterKey], now: int
) -> Iterable[Wanted]:
    for limit in limits:
        stub = CounterKey(customer.id, limit.meter, limit.subject_of(subject), "", 0, 0)
        windows = limit.windows(customer.time_zone, now, customer.anchor)
        mine = [stub._replace(start=window.start, end=window.end) for window in windows]
        filters = _filters(limit, mine, live) if limit.per_labels else [limit.filter_of(dict(limit.labels)) or ""]
        for filter_ in filters:
            yield Wanted(limit, windows, [key._replace(filter=filter_) for key in mine])


def _near(limit: Limit, key: CounterKey, mine: CounterKey) -> bool:
    """Whether it is this counter, or one of an earlier position of a window that slides."""
    if not limit.slides:
        return key == mine
    alike = key._replace(start=0, end=mine.end - mine.start) == mine._replace(start=0, end=key.end - key.start)
    return alike and key.end > mine.start


def _filters(limit: Limit, mine: Collection[CounterKey], live: Iterable[CounterKey]) -> Iterable[str]:
    """The label filters of which one of the windows has a counter."""
    names = {*limit.per_labels, *dict(limit.labels)}
    found: dict[str, None] = {}
    for key in live:
        labels = read_filter(key.filter)
        here = any(_near(limit, key._replace(filter=""), one) for one in mine)
        if here and labels.keys() == names and limit.filter_of(labels):
            found[key.filter] = None
    return found
