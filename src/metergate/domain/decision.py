"""Decisions: what limits and their counters mean for an amount that is asked, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from functools import reduce
from typing import NamedTuple

from metergate.domain import period, quantity
from metergate.domain.period import Window, span
from metergate.domain.quantity import CONTEXT, ZERO
from metergate.domain.quota import (
    Figures,
    Kind,
    Limit,
    Policy,
    WhenViewGone,
    carried,
    fits,
    grace_ends_at,
    keeps,
    most_of,
    most_with_grace,
    taken,
)

# Looked up once: a state is made for each limit of each answer.
_CALENDAR, _ANCHORED, _FIXED, _RATE = Kind.CALENDAR, Kind.ANCHORED, Kind.FIXED, Kind.RATE
_add, _ENDLESS = CONTEXT.add, Decimal("Infinity")
_NEVER_RESET = (Kind.LIFETIME, Kind.CONCURRENCY, Kind.GRANTS)


class Ask(NamedTuple):
    """An amount asked of one limit. `parts` are the figures of a rolling window's sub-windows, oldest first, that
    `figures` adds up; none where there is one window."""

    limit: Limit
    window: Window
    filter: str
    amount: Decimal
    figures: Figures
    parts: tuple[tuple[Window, Figures], ...] = ()


def ask_of(limit: Limit, windows: Sequence[Window], filter_: str, amount: Decimal, figures: Sequence[Figures]) -> Ask:
    """The ask, with the figures of the windows' counters added up."""
    if len(windows) == 1:
        return Ask(limit, windows[0], filter_, amount, figures[0])
    parts = tuple(zip(windows, figures, strict=True))
    return Ask(limit, span(windows), filter_, amount, total(figures), parts)


def total(figures: Sequence[Figures]) -> Figures:
    """What the counters of a limit's windows hold together."""
    return figures[0] if len(figures) == 1 else reduce(Figures.plus, figures)


@dataclass(slots=True)
class LimitState:
    """A limit, its counter, and what they mean for the amount asked. `remaining` None = unlimited.

    `resets_at` is when it next frees something, and `frees_at` when the amount fits that does not fit now; both are
    instants, None where none is known (lifetime and concurrency limits, and grants). `would_refuse`: a shadow limit
    that would have refused. `unknown`: the figures were not looked up, since the view was away, or are not told by
    anything: those of a rate as it was. `pool`: whose limit it is, where it isn't the customer's own. `grace_ends_at`:
    when a grace of time is over, where it has begun.
    """

    limit: Limit
    window: Window
    filter: str
    figures: Figures
    remaining: Decimal | None
    would_fit: Decimal | None
    overrun: Decimal
    exhausted_in: int | None
    fits: bool
    resets_at: int | None
    frees_at: int | None = None
    would_refuse: bool = False
    unknown: bool = False
    pool: str = ""
    grace_ends_at: int | None = None


class AnsweredBy(StrEnum):
    """Who answered."""

    LEDGER = "ledger"
    VIEW = "view"
    MEMORY = "memory"


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
        if state.unknown:
            return f"{state.limit.name} cannot be looked up and refuses meanwhile"
        return f"{state.limit.name} allows {state.limit.rule}; {quantity.to_text(state.remaining or ZERO)} left"


def look_at(ask: Ask, now: int) -> LimitState:
    """The state of one limit for one ask at that instant."""
    limit, window, filter_, amount, figures, _ = ask
    kind, most = limit.kind, most_of(limit, figures)
    if kind is _RATE and figures.pace:
        figures = carried(limit, figures, now)
        ask = ask._replace(figures=figures)
    one_window = kind is _CALENDAR or kind is _ANCHORED or kind is _FIXED
    resets_at = window.end if one_window else _resets_at(ask, now)
    if most is None:
        return LimitState(limit, window, filter_, figures, None, None, ZERO, None, True, resets_at)
    left = quantity.subtract(most, figures.taken) if one_window else _left(limit, most, figures, now)
    over = ZERO
    if left < 0:
        left, over = ZERO, left.copy_negate()
    fit = fits(limit, figures, amount, now)
    state = LimitState(
        limit,
        window,
        filter_,
        figures,
        remaining=left,
        would_fit=amount if fit else max(quantity.subtract(_add(left, _grace(limit, most, figures, now)), over), ZERO),
        overrun=over,
        exhausted_in=_exhausted_in(figures.used, left, window, now) if one_window else None,
        fits=fit,
        resets_at=resets_at,
    )
    if not fit:
        state.frees_at = _frees_at(ask, now)
        state.resets_at = state.frees_at if kind is _RATE else resets_at
    elif limit.shadow:
        over_all = over > _grace(limit, most, figures, now)
        state.would_refuse = over_all or not keeps(limit, most, figures, amount, now)
    if limit.grace_period is not None:
        state.grace_ends_at = grace_ends_at(limit, figures)
    return state


def counted(state: LimitState) -> Figures:
    """What of the counter counts against the limit: of a rate, what is taken of its burst now."""
    limit, figures = state.limit, state.figures
    if limit.kind is Kind.CONCURRENCY:
        return Figures(reserved=figures.reserved)
    if limit.kind is _RATE:
        burst = limit.rate.burst if limit.rate else ZERO
        return Figures(CONTEXT.add(quantity.subtract(burst, state.remaining or ZERO), state.overrun))
    return figures


def _left(limit: Limit, most: Decimal, figures: Figures, now: int) -> Decimal:
    if limit.kind is not _RATE:
        return quantity.subtract(most, taken(limit, figures))
    return limit.rate.left(figures.tat, now) if limit.rate else ZERO


def _grace(limit: Limit, most: Decimal, figures: Figures, now: int) -> Decimal:
    """What fits beyond what is left: without end while time is all that bounds a grace."""
    if limit.policy is not Policy.GRACE:
        return ZERO
    top = most_with_grace(limit, most, figures, now)
    return _ENDLESS if top is None else quantity.subtract(top, most)


def _resets_at(ask: Ask, now: int) -> int | None:
    """When the window ends, the oldest sub-window that holds something leaves the rolling one, or a rate is whole."""
    kind = ask.limit.kind
    if kind in _NEVER_RESET:
        return None
    if kind is _RATE:
        return _foreseen(max(int(ask.figures.tat.to_integral_value(ROUND_CEILING)), now))
    if not ask.parts:
        return ask.window.end
    holds = [window for window, figures in ask.parts if figures.taken > 0]
    return (holds[0] if holds else ask.parts[-1][0]).end + ask.limit.length


def _foreseen(instant: int) -> int | None:
    """The instant, unless it lies beyond all calendars: a slow rate may owe millennia."""
    return instant if instant < period.LATEST else None


def _frees_at(ask: Ask, now: int) -> int | None:
    """When the amount fits if nothing else is admitted; what never fits, when all is free."""
    limit, _, _, amount, figures, parts = ask
    if limit.kind is _RATE:
        return _foreseen(max(limit.rate.conforms_at(figures.tat, amount), now)) if limit.rate else None
    if not parts:
        return _resets_at(ask, now)
    end = now
    for window, part in parts:
        if fits(limit, figures, amount, now):
            break
        figures = figures.plus(Figures.of([one.copy_negate() for one in part[:4]]))
        end = window.end + limit.length
    return end


def _exhausted_in(used: Decimal, left: Decimal, window: Window, now: int) -> int | None:
    """Microseconds until the limit is reached if use goes on as it did since the window began; None if it is not."""
    elapsed = now - window.start
    if used <= 0 or elapsed <= 0:
        return None
    ahead = quantity.proportion(left, used, elapsed)
    return ahead if now + ahead < window.end else None


def blind(ask: Ask) -> LimitState:
    """The state of a limit whose counters cannot be looked up, by its own setting (ALLOW or DENY)."""
    limit, window, filter_, amount, _, _ = ask
    unlimited = limit.max is None and limit.kind is not Kind.GRANTS
    never_refuses = unlimited or limit.shadow or limit.policy is Policy.SOFT
    allows = limit.when_view_gone is WhenViewGone.ALLOW or never_refuses or not amount
    fit = amount if allows else ZERO
    return LimitState(limit, window, filter_, Figures(), None, fit, ZERO, None, allows, None, unknown=True)


def without_figures(state: LimitState) -> LimitState:
    """The state of a limit that is decided, but whose figures nothing tells any more."""
    return LimitState(
        state.limit, state.window, state.filter, Figures(), None, None, ZERO, None, state.fits, None,
        would_refuse=state.would_refuse, unknown=True, pool=state.pool,
    )  # fmt: skip


def decide(asks: Sequence[Ask], plan: str, now: int, as_of: int, answered_by: AnsweredBy) -> Decision:
    """Whether all asks fit together. Asks of one counter must have been added up by the caller.

    Of several limits that refuse, the one binds that frees last: before that, nothing changes.
    """
    return decision_of([look_at(ask, now) for ask in asks], plan, now, as_of, answered_by)


def decision_of(
    states: list[LimitState], plan: str, now: int, as_of: int, answered_by: AnsweredBy, degraded: bool = False
) -> Decision:
    """The decision that these states make. Lifetime limits and grants free after all others, what is held at once any
    time."""
    binding: LimitState | None = None
    for state in states:
        if not state.fits and (binding is None or _last(state, now) > _last(binding, now)):
            binding = state
    frees_at = binding.frees_at if binding else None
    retry_after = None if frees_at is None else max(frees_at - now, 0)
    return Decision(binding is None, plan, states, binding, retry_after, as_of, answered_by, degraded)


def _last(state: LimitState, now: int) -> int:
    if state.frees_at is not None:
        return state.frees_at
    return period.LATEST if state.limit.kind in (Kind.LIFETIME, Kind.GRANTS) else now
