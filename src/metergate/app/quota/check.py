"""CheckQuota: advice on what would fit, from the fast view, or from the ledger where the view does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from metergate.app import clock
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.ports import (
    Customer,
    Ledger,
    LedgerUnavailableError,
    OutcomeUnknownError,
    Publication,
    Seen,
    View,
    ViewUnavailableError,
)
from metergate.app.tokens import EVERYTHING
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.period import Window, window_at
from metergate.domain.quantity import add
from metergate.domain.quota import AnsweredBy, Ask, CounterKey, Decision, Figures, Limit, decide


class Amount(NamedTuple):
    """How much of a meter is asked for, and the labels that the usage would have."""

    meter: str
    amount: Decimal
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """What one subject asks; `at_least` names the `seq` that the answer must have seen, by customer."""

    subject: str
    amounts: Sequence[Amount]
    at_least: Mapping[str, int] = field(default_factory=dict)


class _Wanted(NamedTuple):
    """One limit of a question, its counter, and the amount asked of it."""

    limit: Limit
    key: CounterKey
    amount: Decimal


class CheckQuota:
    """The verb. Questions that come together share one round trip to the view."""

    def __init__(self, directory: Directory, ledger: Ledger, view: View, catch_up: CatchUp) -> None:
        self._directory = directory
        self._ledger = ledger
        self._view = view
        self._catch_up = catch_up

    async def check(self, principal: Principal, questions: Sequence[Question]) -> list[Decision | MetergateError]:
        """An answer for each question, in order; an error stands in the place of one that cannot be answered.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE when neither view nor ledger can be asked.
        """
        tenant, now = principal.tenant, clock.now()
        catalog = await self._directory.catalog(tenant)
        owners = await self._directory.owners(tenant, [question.subject for question in questions])
        plans: list[tuple[Customer, list[_Wanted]] | MetergateError] = []
        for question in questions:
            try:
                customer = await self._customer(tenant, question.subject, owners)
                plans.append((customer, _wanted(question, customer, catalog, now)))
            except MetergateError as error:
                plans.append(error)
        keys = list({one.key: None for plan in plans if not isinstance(plan, MetergateError) for one in plan[1]})
        seen, answered_by = await self._look(tenant, catalog, keys, _at_least(questions))
        return [
            plan if isinstance(plan, MetergateError) else _decide(*plan, catalog, seen, now, answered_by)
            for plan in plans
        ]

    async def _customer(self, tenant: str, subject: str, owners: Mapping[str, str]) -> Customer:
        owner = owners.get(subject)
        customer = await self._directory.customer(tenant, owner) if owner is not None else None
        if customer is None:
            raise MetergateError(
                Reason.SUBJECT_NOT_FOUND, f"no subject or customer is called {subject!r}", {"subject": subject}
            )
        return customer

    async def _look(
        self, tenant: str, catalog: Catalog, keys: Sequence[CounterKey], at_least: Mapping[str, int]
    ) -> tuple[dict[CounterKey, Seen], dict[CounterKey, AnsweredBy]]:
        """The counters, from the view where it has them and otherwise from the ledger."""
        try:
            if EVERYTHING in at_least:
                raise ViewUnavailableError("the write was too wide to name")
            found = await self._view.read(tenant, catalog.metering_version, keys, at_least) if keys else []
        except ViewUnavailableError:
            found = [None] * len(keys)
        seen = {key: one for key, one in zip(keys, found, strict=True) if one is not None}
        answered_by = dict.fromkeys(seen, AnsweredBy.VIEW)
        missing = [key for key in keys if key not in seen]
        if missing:
            seen |= await self._read_through(tenant, catalog, missing)
            answered_by |= dict.fromkeys(missing, AnsweredBy.LEDGER)
        return seen, answered_by

    async def _read_through(self, tenant: str, catalog: Catalog, keys: Sequence[CounterKey]) -> dict[CounterKey, Seen]:
        """The counters from the ledger, which the view learns of at the `seq` at which they were read."""
        try:
            as_of, views = await self._ledger.figures(tenant, keys)
            behind = sorted(
                {key.customer for key in keys if views[key].head.metering_version < catalog.metering_version}
            )
            if behind:
                await self._catch_up.bring_up(tenant, behind)
                as_of, views = await self._ledger.figures(tenant, keys)
        except (LedgerUnavailableError, OutcomeUnknownError):
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "neither the view nor the ledger can be asked") from None
        figures: dict[str, dict[CounterKey, Figures]] = {}
        for key in keys:
            figures.setdefault(key.customer, {})[key] = views[key].figures
        seqs = {key.customer: views[key].head.seq for key in keys}
        news = [Publication(customer, seqs[customer], seqs[customer], figures[customer], ()) for customer in figures]
        await self._view.publish(tenant, catalog.metering_version, as_of, news)
        return {key: Seen(views[key].figures, as_of) for key in keys}


def _at_least(questions: Sequence[Question]) -> dict[str, int]:
    least: dict[str, int] = {}
    for question in questions:
        for customer, seq in question.at_least.items():
            least[customer] = max(seq, least.get(customer, 0))
    return least


def _wanted(question: Question, customer: Customer, catalog: Catalog, now: int) -> list[_Wanted]:
    """The limits that the question touches. What is asked of one counter twice is added up."""
    wanted: dict[tuple[str, CounterKey], _Wanted] = {}
    for meter, amount, labels in question.amounts:
        if meter not in catalog.meter_of:
            raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {meter!r}", {"meter": meter})
        for limit in catalog.limits(customer.plan, meter):
            filter_ = limit.filter_of(labels)
            if filter_ is None:
                continue
            window = window_at(limit.period, customer.time_zone, now)
            subject = limit.subject_of(question.subject)
            key = CounterKey(customer.id, meter, subject, filter_, window.start, window.end)
            before = wanted.get((limit.name, key))
            wanted[limit.name, key] = _Wanted(limit, key, add(before.amount, amount) if before else amount)
    return list(wanted.values())


def _decide(
    customer: Customer,
    wanted: Sequence[_Wanted],
    catalog: Catalog,
    seen: Mapping[CounterKey, Seen],
    now: int,
    answered_by: Mapping[CounterKey, AnsweredBy],
) -> Decision:
    asks = [
        Ask(limit, Window(key.start, key.end), key.filter, amount, seen[key].figures) for limit, key, amount in wanted
    ]
    from_ledger = any(answered_by[one.key] is AnsweredBy.LEDGER for one in wanted)
    who = AnsweredBy.LEDGER if from_ledger or not wanted else AnsweredBy.VIEW
    as_of = min([seen[one.key].as_of for one in wanted], default=now)
    return decide(asks, catalog.plan_in_force(customer.plan), now, as_of, who)
