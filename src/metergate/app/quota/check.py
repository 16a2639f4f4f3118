"""CheckQuota: advice on what would fit, from the fast view, or from the ledger where the view does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from metergate.app import clock
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory, Memory
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
from metergate.domain import period
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


class _Answer(NamedTuple):
    """An answer that allowed, and what it was made of; until then nothing but a forecast can have changed."""

    amount: Decimal
    seen: Sequence[Seen]
    until: int
    decision: Decision


@dataclass(slots=True)
class _Touched:
    """The limits that a subject's question about one meter touches, with their windows and counters: the same
    for as long as the catalog and the customer are, and no window has ended. `last` is the last answer."""

    catalog: Catalog
    customer: Customer
    until: int
    limits: tuple[tuple[Limit, Window, CounterKey], ...]
    last: _Answer | None = None


class _Plan(NamedTuple):
    """What to look up for one question: limits with windows and counters, and the amount asked of each.

    `touched` is there when the question is about one meter.
    """

    customer: Customer
    limits: Sequence[tuple[Limit, Window, CounterKey]]
    amounts: Sequence[Decimal]
    touched: _Touched | None


# An answer is used again while its counters are the very same and this has not passed.
_ANSWER_LIVES = period.SECOND


class CheckQuota:
    """The verb. Questions that come together share one round trip to the view."""

    def __init__(self, directory: Directory, ledger: Ledger, view: View, catch_up: CatchUp) -> None:
        self._directory = directory
        self._ledger = ledger
        self._view = view
        self._catch_up = catch_up
        self._touched: Memory[tuple[str, str, str, tuple[tuple[str, str], ...]], _Touched] = Memory(100_000)

    async def check(self, principal: Principal, questions: Sequence[Question]) -> list[Decision | MetergateError]:
        """An answer for each question, in order; an error stands in the place of one that cannot be answered.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE when neither view nor ledger can be asked.
        """
        tenant, now = principal.tenant, clock.now()
        catalog = await self._directory.catalog(tenant)
        owners = await self._directory.owners(tenant, [question.subject for question in questions])
        plans: list[_Plan | MetergateError] = []
        keys: list[CounterKey] = []
        for question in questions:
            try:
                customer = await self._customer(tenant, question.subject, owners)
                plan = self._plan(tenant, question, customer, catalog, now)
            except MetergateError as error:
                plans.append(error)
            else:
                plans.append(plan)
                keys += [key for _, _, key in plan.limits]
        seen, from_ledger = await self._look(tenant, catalog, keys, _at_least(questions))
        answers: list[Decision | MetergateError] = []
        at = 0
        for one in plans:
            if isinstance(one, MetergateError):
                answers.append(one)
                continue
            after = at + len(one.limits)
            by_ledger = at == after or not from_ledger.isdisjoint(range(at, after))
            answers.append(_decide(one, catalog, seen[at:after], now, by_ledger))
            at = after
        return answers

    async def _customer(self, tenant: str, subject: str, owners: Mapping[str, str]) -> Customer:
        owner = owners.get(subject)
        customer = await self._directory.customer(tenant, owner) if owner is not None else None
        if customer is None:
            raise MetergateError(
                Reason.SUBJECT_NOT_FOUND, f"no subject or customer is called {subject!r}", {"subject": subject}
            )
        return customer

    def _plan(self, tenant: str, question: Question, customer: Customer, catalog: Catalog, now: int) -> _Plan:
        """The limits that the question touches. What is asked of one counter twice is added up."""
        if len(question.amounts) == 1:
            [(meter, amount, labels)] = question.amounts
            touched = self._limits(tenant, question.subject, meter, labels, customer, catalog, now)
            return _Plan(customer, touched.limits, [amount] * len(touched.limits), touched)
        asked: dict[tuple[str, CounterKey], tuple[tuple[Limit, Window, CounterKey], Decimal]] = {}
        for meter, amount, labels in question.amounts:
            for one in self._limits(tenant, question.subject, meter, labels, customer, catalog, now).limits:
                limit, _, key = one
                before = asked.get((limit.name, key))
                asked[limit.name, key] = (one, add(before[1], amount) if before else amount)
        return _Plan(customer, [one for one, _ in asked.values()], [amount for _, amount in asked.values()], None)

    def _limits(
        self,
        tenant: str,
        subject: str,
        meter: str,
        labels: Mapping[str, str],
        customer: Customer,
        catalog: Catalog,
        now: int,
    ) -> _Touched:
        place = (tenant, subject, meter, tuple(labels.items()))
        touched = self._touched.get(place)
        same = touched is not None and touched.catalog is catalog and touched.customer is customer
        if touched is None or not same or now >= touched.until:
            limits = _touched(subject, meter, labels, customer, catalog, now)
            until = min([window.end for _, window, _ in limits], default=now)
            touched = self._touched.keep(place, _Touched(catalog, customer, until, limits))
        return touched

    async def _look(
        self, tenant: str, catalog: Catalog, keys: Sequence[CounterKey], at_least: Mapping[str, int]
    ) -> tuple[list[Seen], set[int]]:
        """The counters, from the view where it has them and otherwise from the ledger; and which came from there."""
        try:
            if EVERYTHING in at_least:
                raise ViewUnavailableError("the write was too wide to name")
            found = await self._view.read(tenant, catalog.version, keys, at_least)
        except ViewUnavailableError:
            found = [None] * len(keys)
        missing = {place for place, one in enumerate(found) if one is None}
        read: Mapping[CounterKey, Seen] = {}
        if missing:
            read = await self._read_through(tenant, catalog, sorted({keys[place] for place in missing}))
        return [read[key] if one is None else one for key, one in zip(keys, found, strict=True)], missing

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
        await self._view.publish(tenant, catalog.version, as_of, news)
        return {key: Seen(views[key].figures, as_of) for key in keys}


def _at_least(questions: Sequence[Question]) -> dict[str, int]:
    least: dict[str, int] = {}
    for question in questions:
        for customer, seq in question.at_least.items():
            least[customer] = max(seq, least.get(customer, 0))
    return least


def _touched(
    subject: str, meter: str, labels: Mapping[str, str], customer: Customer, catalog: Catalog, now: int
) -> tuple[tuple[Limit, Window, CounterKey], ...]:
    if meter not in catalog.meter_of:
        raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {meter[:80]!r}", {"meter": meter[:80]})
    found = []
    for limit in catalog.limits(customer.plan, meter):
        filter_ = limit.filter_of(labels)
        if filter_ is not None:
            window = window_at(limit.period, customer.time_zone, now)
            key = CounterKey(customer.id, meter, limit.subject_of(subject), filter_, window.start, window.end)
            found.append((limit, window, key))
    return tuple(found)


def _decide(plan: _Plan, catalog: Catalog, seen: Sequence[Seen], now: int, by_ledger: bool) -> Decision:
    touched = plan.touched
    if touched is not None and (last := touched.last) is not None:
        same = not by_ledger and now < last.until and plan.amounts[0] == last.amount
        if same and all(one is before for one, before in zip(seen, last.seen, strict=True)):
            return last.decision
    asks = [
        Ask(limit, window, key.filter, amount, one.figures)
        for (limit, window, key), amount, one in zip(plan.limits, plan.amounts, seen, strict=True)
    ]
    who = AnsweredBy.LEDGER if by_ledger else AnsweredBy.VIEW
    as_of = min([one.as_of for one in seen], default=now)
    decision = decide(asks, catalog.plan_in_force(plan.customer.plan), now, as_of, who)
    if touched is not None and decision.allowed and not by_ledger:
        touched.last = _Answer(plan.amounts[0], seen, now + _ANSWER_LIVES, decision)
    return decision
