"""Quota: what to ask, the decisions, and the limits behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from metergate_client.exact import Amount, labels_text, moment_text, quantity_text


@dataclass(frozen=True, slots=True)
class Check:
    """A question for ``check_batch``: would these amounts, by meter, fit together? ``labels`` are what the usage
    would have."""

    subject: str
    amounts: Mapping[str, Amount]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, repr=False)
class LimitState:
    """A limit and its counter in the window of now.

    Attributes:
        name: The limit's name, by default ``<meter>/<period>``.
        meter: The meter that it limits.
        start_time: The window's first moment.
        end_time: The first moment after it.
        max: The most per window; None = unlimited.
        used: What events have used.
        reserved: What open reservations hold.
        leased: What leases have been handed and not yet reported as used.
        forfeited: What leases that fell silent have not reported.
        remaining: What is left, at least 0; None = unlimited.
        would_fit: The most of the asked amount that would fit; None = unlimited.
        policy: "hard", "soft" or "grace".
        scope: "customer" or "subject": whose usage is counted together.
        reset_time: When the limit is whole again.
        overrun: What facts lifted above the limit.
        exhausted_in: When it will be used up at the present pace, where the server says so.
        labels: The label values that the counter is for.
        kind: What it holds down: "calendar", "anchored", "fixed", "rolling", "lifetime", "rate", "concurrency" or
            "grants".
        shadow: Whether it never refuses, and only decides and counts.
        would_refuse: A shadow limit that would have refused.
        unknown: Whether the counter was not looked up, since the fast view is gone and the limit says to go without
            it: there are no figures then.
        overridden: Whether ``max`` is the customer's own, in the place of the plan's.
        pool: The pool whose limit it is; empty = the customer's own.
    """

    name: str
    meter: str
    start_time: datetime | None
    end_time: datetime | None
    max: Decimal | None
    used: Decimal
    reserved: Decimal
    leased: Decimal
    forfeited: Decimal
    remaining: Decimal | None
    would_fit: Decimal | None
    policy: str
    scope: str
    reset_time: datetime | None
    overrun: Decimal
    exhausted_in: timedelta | None
    labels: Mapping[str, str]
    kind: str = "calendar"
    shadow: bool = False
    would_refuse: bool = False
    unknown: bool = False
    overridden: bool = False
    pool: str = ""

    def __repr__(self) -> str:
        return f"{self.name}{labels_text(self.labels)}: {self.figures}"

    @property
    def figures(self) -> str:
        """Its figures for people: ``1 used · 99 left · resets 2026-12-01T00:00Z``."""
        if self.unknown:
            return "not looked up"
        parts = [f"{quantity_text(self.used)} used"]
        for word, held in (("reserved", self.reserved), ("leased", self.leased), ("forfeited", self.forfeited)):
            parts += [f"{quantity_text(held)} {word}"] if held else []
        parts.append("unlimited" if self.remaining is None else f"{quantity_text(self.remaining)} left")
        parts += [f"{quantity_text(self.overrun)} over"] if self.overrun else []
        parts += [f"resets {moment_text(self.reset_time)}"] if self.reset_time else []
        return " · ".join(parts)


@dataclass(frozen=True, slots=True, repr=False)
class Decision:
    """The answer to a question about quota. A refusal is false.

    Attributes:
        allowed: Whether all of it would be allowed.
        plan: The plan that the customer is on.
        reason: In words, why not; empty when allowed.
        binding_limit: The name of the limit that refuses first; empty when none does.
        limits: Each limit that was looked at.
        retry_after: How long until the binding limit is whole again; None when allowed.
        as_of: The moment of the ledger at which the figures were true.
        answered_by: Who answered: "ledger" (Postgres), "view" (Redis), "memory" or "lease".
        degraded: Whether the one who should have answered could not.
        decision_id: Names this decision; empty for advice.
    """

    allowed: bool
    plan: str
    reason: str
    binding_limit: str
    limits: tuple[LimitState, ...]
    retry_after: timedelta | None
    as_of: datetime | None
    answered_by: str
    degraded: bool
    decision_id: str = ""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def limit(self) -> LimitState | None:
        """The limit that refuses; else the one with the least left, a shadow limit only where there are no others;
        None when no limit applies."""
        named = [limit for limit in self.limits if limit.name == self.binding_limit]
        return min(named or self.limits, key=_tightness, default=None)

    def __repr__(self) -> str:
        parts = [self._allowed() if self.allowed else self._refused()]
        parts += [f"{limit.name} would refuse" for limit in self.limits if limit.would_refuse]
        return " · ".join([*parts, "degraded"] if self.degraded else parts)

    def _allowed(self) -> str:
        if self.limit is None:
            return "allowed · no limit"
        return f"allowed · {self.limit.figures if len(self.limits) == 1 else self.limit}"

    def _refused(self) -> str:
        if not self.binding_limit:
            return f"refused: {self.reason}"
        text, bound = f"refused by {self.binding_limit}", self.limit
        if bound is None or bound.name != self.binding_limit:
            return text
        if bound.unknown:
            return f"{text} · {bound.figures}"
        return text if bound.would_fit is None else f"{text} · {quantity_text(bound.would_fit)} would fit"


@dataclass(frozen=True, slots=True, repr=False)
class CheckResult:
    """The answer to one question of a batch: a decision, or why there is none (``error_reason`` as in
    ``MetergateError.reason``, ``error_message`` in words)."""

    decision: Decision | None
    error_reason: str = ""
    error_message: str = ""

    def __repr__(self) -> str:
        return f"{self.error_reason}: {self.error_message}" if self.decision is None else repr(self.decision)


@dataclass(frozen=True, slots=True, repr=False)
class Limits:
    """The limits of a subject, from the ledger as it was at ``as_of``. Iterate over it for each ``LimitState``."""

    customer: str
    plan: str
    limits: tuple[LimitState, ...]
    as_of: datetime | None

    def __iter__(self) -> Iterator[LimitState]:
        return iter(self.limits)

    def __len__(self) -> int:
        return len(self.limits)

    def __getitem__(self, name: str) -> LimitState:
        """The first limit of this name; KeyError when there is none."""
        for limit in self.limits:
            if limit.name == name:
                return limit
        raise KeyError(name)

    def __repr__(self) -> str:
        head = f"{self.customer} · plan {self.plan or '(default)'}"
        return "\n".join([head, *(f"  {limit}" for limit in self.limits)])


def _tightness(limit: LimitState) -> tuple[bool, bool, Decimal]:
    return limit.shadow, limit.remaining is None, limit.remaining or Decimal(0)
