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
    Ledger,
    LedgerUnavailableError,
    OutcomeUnknownError,
    Publication,
    Seen,
    View,
    ViewUnavailableError,
)
from metergate.app.stores import Customer
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


@dataclass(slots=True)
class Question:
    """What one subject asks; `at_least` names the `seq` that the answer must have seen, by customer.

    A question that is asked again remembers what it touched (`touched`); it is whoever asks who keeps it.
    """

    subject: str
    amounts: Sequence[Amount]
    at_least: Mapping[str, int] = field(default_factory=dict)
    touched: Touched | None = None


@dataclass(slots=True)
class Touched:
    """The limits that a question touches, with their counters, windows and the amounts asked of them: the same
    while nothing defined has changed (`generation`, `catalog`) and no window has ended (`until`).

    `last` is an answer that allowed, the counters that it was made of, and until when nothing but its forecast
    can have changed.
    """

    generation: int
    catalog: Catalog
    until: int
    plan: str
    limits: Sequence[tuple[Limit, Window, CounterKey]]
    amounts: Sequence[Decimal]
    last: tuple[Sequence[Seen], int, Decision] | None = None


# An answer is used again while its counters are the very same and this has not passed.
_ANSWER_LIVES = period.SECOND


class CheckQuota:
    """The verb. Questions that come together share one round trip to the view."""

    def __init__(self, directory: Directory, ledger: Ledger, view: View, catch_up: CatchUp) -> None:
        self._directory = directory
        self._ledger = ledger
        self._view = view
        self._catch_up = catch_up

    def again(self, principal: Principal, question: Question) -> Decision | None:
        """The last answer, when it would be given again: nothing defined has changed, the counters are the very
        same, and it is not too old. Asks nobody."""
        touched, now = question.touched, clock.now()
        if touched is None or touched.last is None or touched.generation != self._directory.generation:
            return None
        before, until, decision = touched.last
        if now >= until or now >= touched.until:
            return None
        held = self._view.held(principal.tenant, touched.catalog.version)
        for (_, _, key), one in zip(touched.limits, before, strict=True):
            if held.get(key) is not one:
                return None
        return decision

    async def check(self, principal: Principal, questions: Sequence[Question]) -> list[Decision | MetergateError]:
        """An answer for each question, in order; an error stands in the place of one that cannot be answered.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE when neither view nor ledger can be asked.
        """
        tenant, now = principal.tenant, clock.now()
        catalog = await self._directory.catalog(tenant)
        touched = await self._touch(tenant, catalog, questions, now)
        keys = [key for one in touched if isinstance(one, Touched) for _, _, key in one.limits]
        seen, from_ledger = await self._look(tenant, catalog, keys, _at_least(questions))
        answers: list[Decision | MetergateError] = []
        at = 0
        for one in touched:
            if isinstance(one, MetergateError):
                answers.append(one)
                continue
            after = at + len(one.limits)
            by_ledger = at == after or (bool(from_ledger) and not from_ledger.isdisjoint(range(at, after)))
            answers.append(_decide(one, seen[at:after], now, by_ledger))
            at = after
        return answers

    async def _touch(
        self, tenant: str, catalog: Catalog, questions: Sequence[Question], now: int
    ) -> list[Touched | MetergateError]:
        """What each question touches. Most have been asked before."""
        generation = self._directory.generation
        found: list[Touched | MetergateError | None] = [
            one
            if (one := question.touched) is not None
            and one.generation == generation
            and one.catalog is catalog
            and now < one.until
            else None
            for question in questions
        ]
        new = [place for place, one in enumerate(found) if one is None]
        if new:
            owners = await self._directory.owners(tenant, [questions[place].subject for place in new])
            for place in new:
                question = questions[place]
                try:
                    customer = await self._customer(tenant, question.subject, owners)
                    found[place] = question.touched = _touched(question, customer, catalog, generation, now)
                except MetergateError as error:
                    found[place] = error
        return [one for one in found if one is not None]

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


def _touched(question: Question, customer: Customer, catalog: Catalog, generation: int, now: int) -> Touched:
    """The limits that the question touches. What is asked of one counter twice is added up."""
    asked: dict[tuple[str, CounterKey], tuple[tuple[Limit, Window, CounterKey], Decimal]] = {}
    for meter, amount, labels in question.amounts:
        if meter not in catalog.meter_of:
            raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {meter[:80]!r}", {"meter": meter[:80]})
        for limit in catalog.limits(customer.plan, meter):
            filter_ = limit.filter_of(labels)
            if filter_ is None:
                continue
            window = window_at(limit.period, customer.time_zone, now)
            subject = limit.subject_of(question.subject)
            key = CounterKey(customer.id, meter, subject, filter_, window.start, window.end)
            before = asked.get((limit.name, key))
            asked[limit.name, key] = ((limit, window, key), add(before[1], amount) if before else amount)
    limits = [one for one, _ in asked.values()]
    until = min([window.end for _, window, _ in limits], default=now)
    plan = catalog.plan_in_force(customer.plan)
    return Touched(generation, catalog, until, plan, limits, [amount for _, amount in asked.values()])


def _decide(touched: Touched, seen: Sequence[Seen], now: int, by_ledger: bool) -> Decision:
    if touched.last is not None and not by_ledger:
        before, until, decision = touched.last
        if now < until and (seen[0] is before[0] if len(seen) == 1 else _same(seen, before)):
            return decision
    asks = [
        Ask(limit, window, key.filter, amount, one.figures)
        for (limit, window, key), amount, one in zip(touched.limits, touched.amounts, seen, strict=True)
    ]
    who = AnsweredBy.LEDGER if by_ledger else AnsweredBy.VIEW
    as_of = min([one.as_of for one in seen], default=now)
    decision = decide(asks, touched.plan, now, as_of, who)
    if decision.allowed and not by_ledger:
        touched.last = (seen, now + _ANSWER_LIVES, decision)
    return decision


def _same(seen: Sequence[Seen], before: Sequence[Seen]) -> bool:
    return all(one is other for one, other in zip(seen, before, strict=True))
