"""Quota: limits, their counters, and the decision, which is a pure function."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from metergate.domain import quantity
from metergate.domain.period import Period, Window
from metergate.domain.quantity import CONTEXT, ZERO


class Policy(StrEnum):
    """What happens at a limit: HARD refuses, SOFT allows and shows the overrun."""

    HARD = "hard"
    SOFT = "soft"


class Scope(StrEnum):
    """Whose usage one counter sums up."""

    CUSTOMER = "customer"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of a meter per window. `max` None = unlimited.

    Only usage with all of `labels` counts; each value of `per_labels` has a counter of its own.
    """

    name: str
    meter: str
    max: Decimal | None
    period: Period = Period.MONTH
    policy: Policy = Policy.HARD
    scope: Scope = Scope.CUSTOMER
    labels: tuple[tuple[str, str], ...] = ()
    per_labels: tuple[str, ...] = ()

    def filter_of(self, labels: Mapping[str, str]) -> str | None:
        """The label filter of the counter in which usage with these labels counts; None when it does not count."""
        if not self.labels and not self.per_labels:
            return ""
        for name, value in self.labels:
            if labels.get(name, "") != value:
                return None
        return write_filter(self.labels + tuple((name, labels.get(name, "")) for name in self.per_labels))

    def subject_of(self, subject: str) -> str:
        """The counter's subject: "" where the whole customer is counted together."""
        return subject if self.scope is Scope.SUBJECT else ""


def write_filter(pairs: Sequence[tuple[str, str]]) -> str:
    """A label filter as one text: a JSON object in order of its keys, "" when there is no filter."""
    return json.dumps(dict(sorted(pairs)), separators=(",", ":")) if pairs else ""


def read_filter(text: str) -> dict[str, str]:
    """The label filter that the text writes."""
    return json.loads(text) if text else {}


class CounterKey(NamedTuple):
    """Which counter: it belongs to a window, not to a limit. `subject` "" = the whole customer, `filter` "" = all."""

    customer: str
    meter: str
    subject: str
    filter: str
    start: int
    end: int


class Figures(NamedTuple):
    """What a counter holds."""

    used: Decimal = ZERO
    reserved: Decimal = ZERO
    leased: Decimal = ZERO
    forfeited: Decimal = ZERO

    @property
    def taken(self) -> Decimal:
        """Everything that is not left."""
        if not (self.reserved or self.leased or self.forfeited):
            return self.used
        return CONTEXT.add(CONTEXT.add(self.used, self.reserved), CONTEXT.add(self.leased, self.forfeited))


class Ask(NamedTuple):
    """An amount asked of one limit in one window."""

    limit: Limit
    window: Window
    filter: str
    amount: Decimal
    figures: Figures


@dataclass(slots=True)
class LimitState:
    """A limit, its counter, and what they mean for the amount asked. `remaining` None = unlimited."""

    limit: Limit
    window: Window
    filter: str
    figures: Figures
    remaining: Decimal | None
    would_fit: Decimal | None
    overrun: Decimal
    exhausted_in: int | None
    fits: bool


class AnsweredBy(StrEnum):
    """Who answered."""

    LEDGER = "ledger"
    VIEW = "view"


@dataclass(slots=True)
class Decision:
    """All of it or nothing; `binding` is the limit that refuses and is whole again last."""

    allowed: bool
    plan: str
    states: list[LimitState]
    binding: LimitState | None
    retry_after: int | None
    as_of: int
    answered_by: AnsweredBy
    degraded: bool = False

    @property
    def reason(self) -> str:
        """Why not, in words."""
        if self.binding is None:
            return ""
        state = self.binding
        left = quantity.to_text(state.remaining or ZERO)
        return f"{state.limit.name} allows {text_of_max(state.limit.max)} per {state.limit.period}; {left} left"


def text_of_max(most: Decimal | None) -> str:
    """A limit's maximum as it is written."""
    return "unlimited" if most is None else quantity.to_text(most)


def look_at(ask: Ask, now: int) -> LimitState:
    """The state of one limit for one ask at that instant."""
    limit, window, filter_, amount, figures = ask
    if limit.max is None:
        return LimitState(limit, window, filter_, figures, None, None, ZERO, None, fits=True)
    left = quantity.subtract(limit.max, figures.taken)
    over = ZERO
    if left < 0:
        left, over = ZERO, left.copy_negate()
    fits = amount <= left or limit.policy is Policy.SOFT
    return LimitState(
        limit,
        window,
        filter_,
        figures,
        remaining=left,
        would_fit=amount if fits else left,
        overrun=over,
        exhausted_in=_exhausted_in(figures.used, left, window, now),
        fits=fits,
    )


def _exhausted_in(used: Decimal, left: Decimal, window: Window, now: int) -> int | None:
    """Microseconds until the limit is reached if use goes on as it did since the window began; None if it is not."""
    elapsed = now - window.start
    if used <= 0 or elapsed <= 0:
        return None
    ahead = quantity.proportion(left, used, elapsed)
    return ahead if now + ahead < window.end else None


def decide(asks: Sequence[Ask], plan: str, now: int, as_of: int, answered_by: AnsweredBy) -> Decision:
    """Whether all asks fit together. Asks of one counter must have been added up by the caller.

    Of several limits that refuse, the one binds whose window ends last: before that, nothing changes.
    """
    states = [look_at(ask, now) for ask in asks]
    binding: LimitState | None = None
    for state in states:
        if not state.fits and (binding is None or state.window.end > binding.window.end):
            binding = state
    retry_after = max(binding.window.end - now, 0) if binding else None
    return Decision(binding is None, plan, states, binding, retry_after, as_of, answered_by)
