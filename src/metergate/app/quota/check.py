"""CheckQuota: advice on what would fit, from the fast view, or from the ledger where the view does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from itertools import product
from typing import NamedTuple

from metergate.app import clock
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.ports.ledger import HeadView, Ledger, LedgerUnavailableError, OutcomeUnknownError
from metergate.app.ports.view import Publication, Seen, View, ViewUnavailableError
from metergate.app.quota.grace import complete
from metergate.app.stores import Customer
from metergate.app.tokens import EVERYTHING
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.decision import AnsweredBy, Ask, Decision, LimitState, ask_of, blind, decision_of, look_at
from metergate.domain.distinct import Numbers, new_ones
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.override import changes_at
from metergate.domain.period import Window, span
from metergate.domain.quantity import ONE, add
from metergate.domain.quota import CounterKey, Figures, Kind, Limit, WhenViewGone


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
    """The limits that a question touches, with the counters of their windows and the amounts asked of them: the same
    while nothing defined has changed (`generation`, `catalog`) and no window has ended and no override begun or ended
    (`until`). `keys` are all of these counters, in order.

    `values` are, by the places of limits on UNIQUE meters, the values whose events are asked about, where named.

    `last` is an answer that allowed, the counters that it was made of, and until when nothing but its forecast
    can have changed. There is none where a rate is touched: what is left of it grows by itself.
    """

    generation: int
    catalog: Catalog
    until: int
    customer: str
    plan: str
    limits: Sequence[tuple[Limit, Sequence[Window], Sequence[CounterKey]]]
    amounts: Sequence[Decimal]
    keys: Sequence[CounterKey]
    steady: bool
    values: Mapping[int, frozenset[str]]
    last: tuple[Sequence[Seen], int, Decision] | None = None


# An answer is used again while its counters are the very same. Its forecast grows as time passes without use: it is
# made again before it is off by one part in a hundred, though not each moment of a window that has just begun.
_ANSWER_LIVES = period.MINUTE
_FORECAST_LIVES = period.SECOND


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
        for key, one in zip(touched.keys, before, strict=True):
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
        wanted = [
            (key, limit) for one in touched if isinstance(one, Touched) for limit, _, keys in one.limits for key in keys
        ]
        seen, from_ledger = await self._look(tenant, catalog, wanted, _at_least(questions))
        answers: list[Decision | MetergateError] = []
        doubtful: dict[int, tuple[Touched, Sequence[Seen | None]]] = {}
        at = 0
        for one in touched:
            if isinstance(one, MetergateError):
                answers.append(one)
                continue
            after = at + len(one.keys)
            by_ledger = at == after or (bool(from_ledger) and not from_ledger.isdisjoint(range(at, after)))
            decision = _decide(one, seen[at:after], now, by_ledger)
            if one.values and not decision.allowed and not decision.degraded:
                doubtful[len(answers)] = (one, seen[at:after])
            answers.append(decision)
            at = after
        return answers if not doubtful else await self._by_values(tenant, answers, doubtful, now)

    async def _by_values(
        self,
        tenant: str,
        answers: list[Decision | MetergateError],
        doubtful: Mapping[int, tuple[Touched, Sequence[Seen | None]]],
        now: int,
    ) -> list[Decision | MetergateError]:
        """The answers where limits have no room for a new value: one that is in the window already adds nothing, which
        the ledger knows. While it is away, they are as of new values, and marked as degraded."""
        sought: dict[CounterKey, set[str]] = {}
        for touched, _ in doubtful.values():
            for place, values in touched.values.items():
                sought.setdefault(touched.limits[place][2][-1], set()).update(values)
        try:
            numbers = await self._ledger.values(tenant, sought)
        except LedgerUnavailableError:
            return [
                replace(answer, degraded=True) if place in doubtful and isinstance(answer, Decision) else answer
                for place, answer in enumerate(answers)
            ]
        for place, (touched, seen) in doubtful.items():
            answers[place] = _decide_by_values(touched, seen, now, numbers)
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
                    accounts = await self._accounts(tenant, question.subject, owners)
                    found[place] = question.touched = _touched(question, accounts, catalog, generation, now)
                except MetergateError as error:
                    found[place] = error
        return [one for one in found if one is not None]

    async def _accounts(self, tenant: str, subject: str, owners: Mapping[str, str]) -> list[Customer]:
        """The subject's customer, and its pool."""
        owner = owners.get(subject)
        customer = await self._directory.customer(tenant, owner) if owner is not None else None
        if customer is None:
            raise MetergateError(
                Reason.SUBJECT_NOT_FOUND, f"no subject or customer is called {subject!r}", {"subject": subject}
            )
        pool = await self._directory.customer(tenant, customer.pool) if customer.pool else None
        return [customer] if pool is None else [customer, pool]

    async def _look(
        self, tenant: str, catalog: Catalog, wanted: Sequence[tuple[CounterKey, Limit]], at_least: Mapping[str, int]
    ) -> tuple[list[Seen | None], set[int]]:
        """The counters, from the view where it has them and otherwise from the ledger; and which came from there.

        While the view is gone, those of limits that then answer without looking are None.
        """
        keys = [key for key, _ in wanted]
        found: list[Seen | None] = [None] * len(keys)
        gone = False
        if EVERYTHING not in at_least:
            try:
                found = await self._view.read(tenant, catalog.version, keys, at_least)
            except ViewUnavailableError:
                gone = True
        missing = {
            place
            for place, one in enumerate(found)
            if one is None and not (gone and wanted[place][1].when_view_gone is not WhenViewGone.LEDGER)
        }
        if missing:
            read = await self._read_through(tenant, catalog, sorted({keys[place] for place in missing}))
            for place in missing:
                found[place] = read[keys[place]]
        return found, missing

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
            found = await self._with_grace(tenant, catalog, views)
        except (LedgerUnavailableError, OutcomeUnknownError):
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "neither the view nor the ledger can be asked") from None
        seqs = {key.customer: views[key].head.seq for key in keys}
        figures: dict[str, dict[CounterKey, Figures]] = {}
        for key in keys:
            figures.setdefault(key.customer, {})[key] = found[key]
        news = [Publication(customer, seqs[customer], seqs[customer], figures[customer], ()) for customer in figures]
        await self._view.publish(tenant, catalog.version, as_of, news)
        return {key: Seen(found[key], as_of) for key in keys}

    async def _with_grace(
        self, tenant: str, catalog: Catalog, views: Mapping[CounterKey, HeadView]
    ) -> dict[CounterKey, Figures]:
        figures = {key: view.figures for key, view in views.items()}
        return await complete(
            catalog, figures, partial(self._ledger.reached, tenant), lambda key, one: one.seq <= views[key].head.seq
        )


def _at_least(questions: Sequence[Question]) -> dict[str, int]:
    least: dict[str, int] = {}
    for question in questions:
        for customer, seq in question.at_least.items():
            least[customer] = max(seq, least.get(customer, 0))
    return least


def _touched(question: Question, accounts: Sequence[Customer], catalog: Catalog, generation: int, now: int) -> Touched:
    """The limits that the question touches. What is asked of one counter twice is added up."""
    asked: dict[tuple[str, CounterKey], tuple[tuple[Limit, Sequence[Window], Sequence[CounterKey]], Decimal]] = {}
    named: dict[tuple[str, CounterKey], set[str]] = {}
    for (meter, amount, labels), customer in product(question.amounts, accounts):
        if meter not in catalog.meter_of:
            raise MetergateError(Reason.METER_NOT_FOUND, f"no meter is called {meter[:80]!r}", {"meter": meter[:80]})
        for limit in catalog.limits_for(customer, meter, now):
            filter_ = limit.filter_of(labels)
            if filter_ is None:
                continue
            subject = limit.subject_of(question.subject)
            windows = limit.windows(customer.time_zone, now, customer.anchor)
            keys = [CounterKey(customer.id, meter, subject, filter_, window.start, window.end) for window in windows]
            before = asked.get((limit.name, keys[-1]))
            asked[limit.name, keys[-1]] = ((limit, windows, keys), add(before[1], amount) if before else amount)
            if meter in catalog.unique_meters:
                value = catalog.meter_of[meter].item(question.subject, labels) if amount == ONE else ""
                named.setdefault((limit.name, keys[-1]), set()).add(value)
    limits = [one for one, _ in asked.values()]
    changes = [changes_at(account.overrides, now) for account in accounts]
    return Touched(
        generation,
        catalog,
        until=min([*changes, *[keys[-1].end for _, _, keys in limits]]) if limits else now,
        customer=accounts[0].id,
        plan=catalog.plan_in_force(accounts[0].plan),
        limits=limits,
        amounts=[amount for _, amount in asked.values()],
        keys=[key for _, _, keys in limits for key in keys],
        steady=all(limit.kind is not Kind.RATE for limit, _, _ in limits),
        values={
            place: frozenset(named[one]) for place, one in enumerate(asked) if one in named and "" not in named[one]
        }
        if named
        else {},
    )


def _decide(touched: Touched, seen: Sequence[Seen | None], now: int, by_ledger: bool) -> Decision:
    if touched.last is not None and not by_ledger:
        before, until, decision = touched.last
        if now < until and (seen[0] is before[0] if len(seen) == 1 else _same(seen, before)):
            return decision
    known = [one for one in seen if one is not None]
    states, at = [], 0
    for (limit, windows, keys), amount in zip(touched.limits, touched.amounts, strict=True):
        parts = [one.figures for one in seen[at : at + len(keys)] if one is not None]
        at += len(keys)
        if len(parts) == len(keys):
            states.append(look_at(ask_of(limit, windows, keys[-1].filter, amount, parts), now))
        else:
            states.append(blind(Ask(limit, span(windows), keys[-1].filter, amount, Figures())))
        if keys[-1].customer != touched.customer:
            states[-1].pool = keys[-1].customer
    who = AnsweredBy.LEDGER if by_ledger else AnsweredBy.VIEW
    as_of = min([one.as_of for one in known], default=now)
    decision = decision_of(states, touched.plan, now, as_of, who, degraded=len(known) < len(seen))
    if decision.allowed and not by_ledger and touched.steady and len(known) == len(seen):
        touched.last = (known, _holds_until(states, now), decision)
    return decision


def _holds_until(states: Sequence[LimitState], now: int) -> int:
    """Until when the same counters make the same answer, but for a forecast that is a little off."""
    ends = [state.grace_ends_at for state in states if state.grace_ends_at is not None and state.grace_ends_at > now]
    forecasts = [state.window.start for state in states if state.exhausted_in is not None]
    stale = [now + max((now - start) // 100, _FORECAST_LIVES) for start in forecasts]
    return min([now + _ANSWER_LIVES, *ends, *stale])


def _decide_by_values(touched: Touched, seen: Sequence[Seen | None], now: int, numbers: Numbers) -> Decision:
    amounts = list(touched.amounts)
    for place, values in touched.values.items():
        amounts[place] = new_ones(numbers[touched.limits[place][2][-1]], dict.fromkeys(values, 1))
    decision = _decide(replace(touched, amounts=amounts, last=None), seen, now, by_ledger=True)
    for state, asked in zip(decision.states, touched.amounts, strict=True):
        if state.fits and state.would_fit is not None:
            state.would_fit = asked
    return decision


def _same(seen: Sequence[Seen | None], before: Sequence[Seen]) -> bool:
    return all(one is other for one, other in zip(seen, before, strict=True))
