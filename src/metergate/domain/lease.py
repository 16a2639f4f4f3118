"""Leases: how much capacity to hand out and to ask back, for how long, and what a holder's marks mean.

All of it is pure: the caller knows the clock, the figures and the holders. Spans and instants are microseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import State
from metergate.domain.period import SECOND, Window
from metergate.domain.quantity import CONTEXT, ONE, ZERO, add, subtract, to_text

LIFE = 30 * SECOND
"""How long a lease runs."""
MARGIN = 2 * SECOND
"""How long before the earliest end among its windows a lease ends: the clocks of holders may differ by as much."""
LAG = 10 * SECOND
"""How long after a lease's end its last report may come, before what it did not report is forfeited."""
FORFEITED_MOST = Decimal("0.05")
"""No new lease on a limit while more than this share of it is forfeited."""
WINDOWS_LEAST = 10
"""No leases on windows shorter than this many lives."""
SPREAD = 2
"""What is left is cut into this many times as many slices as the square root of the holders' number."""
CUTS_LEAST = 20
"""The fewest slices that what is left is cut into, so that the silence of one holder forfeits no more than
FORFEITED_MOST and the others can still have leases."""
SLACK = 2
"""How many times its share a holder may keep unspent."""


def slice_of(wanted: Decimal, left: Decimal | None, holders: int, unspent: Decimal = ZERO) -> Decimal:
    """How much to hand out to one of `holders` open leases, itself among them, when `left` is left of the tightest
    limit (None = unlimited) and the lease has `unspent` already.

    As much as is wanted while there is room, but no more than brings what it holds unspent to its share (`_share`) of
    what is left; so slices shrink as the limit comes near. To a holder that has less than one unit at least one unit,
    so that all of a limit can be used. Never more than wanted, nor than left. In the decimal places of `wanted`,
    unless less than one unit is left.
    """
    if left is None:
        return max(wanted, ZERO)
    if wanted <= ZERO or left <= ZERO:
        return ZERO
    share = subtract(_share(add(left, unspent), holders, _place(wanted)), unspent)
    least = min(left, max(subtract(ONE, unspent), ZERO))
    return min(wanted, max(share, least))


def _share(whole: Decimal, holders: int, place: Decimal) -> Decimal:
    """How much one holder may have of what is left and what it has, in whole multiples of `place`."""
    parts = CONTEXT.multiply(place, Decimal(_cuts(holders)))
    return CONTEXT.multiply(CONTEXT.divide_int(whole, parts), place)


def _cuts(holders: int) -> int:
    """Into how many slices that is cut.

    Not one or two for each holder (as in "Factoring: a method for scheduling parallel loops" by Hummel, Schonberg and
    Flynn, CACM 35(8), 1992), because demand is uneven: the few that use most would run dry while the many sit on
    theirs. Simulated with 1,000 uneven and bursty holders (`benchmarks/simulate_leases.md`), share of the demand that
    is refused while something is left, and seconds until 99.9 % of a limit are used after it could have been:

        1 ÷ (2 × root) 2.1 %, 3.4 s · 1 ÷ (1 × root) 1.9 %, 4.5 s · 1 ÷ (4 × root) 2.1 %, 3.5 s and 1.4 × the calls
        1 ÷ holders 4.3 %, 4.2 s · 1 ÷ (2 × holders) 6.0 %, 5.2 s · always a twentieth 2.6 %, 5.5 s
        always a half 6.6 %, 25 s · no cap 9.6 %, 31 s · as it is, but nothing recalled 5.5 %, 20 s
        SLACK 1.25: 2.1 %, 3.1 s · SLACK 4: 2.3 %, 4.3 s
    """
    return max(SPREAD * math.isqrt(max(holders, 1)), CUTS_LEAST)


def _place(number: Decimal) -> Decimal:
    """The worth of the last decimal place that the number needs; 1 where it is whole."""
    exponent = CONTEXT.normalize(number).as_tuple().exponent
    assert isinstance(exponent, int)  # neither NaN nor infinite
    return CONTEXT.scaleb(ONE, Decimal(min(exponent, 0)))


def recall_of(unspent: Decimal, left: Decimal | None, holders: int) -> Decimal:
    """How much of its unspent slice one of `holders` open leases should give back, when `left` is left for others.

    Nothing up to SLACK times its share; else down to its share, or one unit. `slice_of` never lifts it above that
    again while all else stays the same: so nothing goes back and forth.
    """
    if left is None or unspent <= ZERO:
        return ZERO
    keep = slice_of(unspent, add(unspent, max(left, ZERO)), holders)
    return subtract(unspent, keep) if unspent > CONTEXT.multiply(keep, Decimal(SLACK)) else ZERO


def end_of(now: int, windows_end: int | None, ttl: int | None) -> int:
    """When a lease that is made or renewed now ends: after LIFE, or `ttl` if that is shorter, and MARGIN before the
    earliest end of its windows."""
    end = now + (LIFE if ttl is None else min(ttl, LIFE))
    return end if windows_end is None else min(end, windows_end - MARGIN)


def not_possible(window: Window | None, now: int, forfeited: Decimal, most: Decimal | None) -> str | None:
    """Why nothing can be leased on a limit, as the end of a sentence; None when it can.

    `window` None = without an end, as of lifetime and concurrency limits and rates; of a rolling limit, the sub-window
    that holds `now`. `most` None = unlimited.
    """
    if window is None:
        return "its window has no end"
    if window.end - window.start < WINDOWS_LEAST * LIFE:
        return f"its window is shorter than {WINDOWS_LEAST * LIFE // SECOND} seconds"
    if end_of(now, window.end, None) <= now:
        return "its window is about to end"
    if most is not None and forfeited > CONTEXT.multiply(most, FORFEITED_MOST):
        return f"{to_text(forfeited)} of {to_text(most)} are forfeited by holders that fell silent"
    return None


@dataclass(frozen=True, slots=True)
class Marks:
    """A lease's figures, which only grow: handed out, given back, reported as spent, and settled by events."""

    granted: Decimal
    returned: Decimal = ZERO
    spent: Decimal = ZERO
    settled: Decimal = ZERO


def take(marks: Marks, spent: Decimal, returned: Decimal, closing: bool) -> Marks:
    """The marks after a report. The highest of each holds, so repeated and reordered reports change nothing;
    `closing` gives back all that was not spent. What events have settled was spent, whatever is reported.

    Raises:
        MetergateError: LEASE_MARK_INVALID when more was spent or given back than was handed out; nothing is taken.
    """
    spent, returned = max(spent, marks.spent), max(returned, marks.returned)
    gone = max(spent, marks.settled)
    if add(gone, returned) > marks.granted:
        raise _invalid(marks.granted, returned, gone)
    return replace(marks, spent=spent, returned=subtract(marks.granted, gone) if closing else returned)


def _invalid(granted: Decimal, returned: Decimal, spent: Decimal) -> MetergateError:
    figures = {"granted": to_text(granted), "returned": to_text(returned), "spent": to_text(spent)}
    return MetergateError(
        Reason.LEASE_MARK_INVALID,
        "{spent} spent and {returned} given back are more than the {granted} that were handed out".format(**figures),
        figures,
    )


def outstanding(marks: Marks, state: State) -> Decimal:
    """What the lease keeps from others: all that may still be used under it. Never negative."""
    if state is State.RELEASED:
        return ZERO
    held = marks.spent if state is State.RETURNED else subtract(marks.granted, marks.returned)
    return max(subtract(held, marks.settled), ZERO)
