"""Rates: so much per stretch of time, with bursts, by the generic cell rate algorithm (GCRA), exactly.

Source: ITU-T I.371, annex A, "virtual scheduling": the state is one instant, the theoretical arrival time (tat) at
which all that was admitted will have been paid off. An amount costs `amount × interval` and conforms when, with its
cost, the tat lies at most `burst × interval` ahead of now. A tat in the past means that all of the burst is there.

The interval is rounded up once, in its 24th place; costs are exact multiples of it. So a burst fits to the last unit,
costs add up to the same however an amount is cut up, and no rounding ever admits more than the rate.

Facts take too, and may take more than there is: then nothing is admitted until that was paid off. When a rate changes,
what was taken of it goes on as an amount, at the new pace.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from metergate.domain.quantity import CONTEXT, ZERO, add, subtract

_PLACES_OF_INTERVAL = Decimal("1E-24")
_PLACES_OF_QUANTITY = Decimal("1E-12")
_UP = Context(prec=100, rounding=ROUND_CEILING, traps=[InvalidOperation])

multiply = CONTEXT.multiply


@lru_cache(maxsize=4096)
def _interval(most: Decimal, length: int) -> Decimal:
    return _up(_UP.divide(Decimal(length), most), _PLACES_OF_INTERVAL)


def _up(number: Decimal, places: Decimal) -> Decimal:
    return number.quantize(places, context=_UP)


class Rate(NamedTuple):
    """`most` (> 0) units per `length` microseconds, and `burst` units at once. A `tat` is in microseconds."""

    most: Decimal
    length: int
    burst: Decimal

    @property
    def interval(self) -> Decimal:
        """How long one unit takes, in microseconds."""
        return _interval(self.most, self.length)

    def after(self, tat: Decimal, amount: Decimal, now: int) -> Decimal:
        """The tat when the amount is admitted."""
        return add(max(tat, Decimal(now)), multiply(amount, self.interval))

    def conforms(self, tat: Decimal, amount: Decimal, now: int) -> bool:
        """Whether the amount may be admitted now."""
        return subtract(self.after(tat, amount, now), Decimal(now)) <= multiply(self.burst, self.interval)

    def left(self, tat: Decimal, now: int) -> Decimal:
        """What may be admitted now, cut to a quantity's 12 places; negative where facts took more than the burst."""
        ahead = subtract(tat, Decimal(now))
        if ahead <= 0:
            return self.burst
        return subtract(self.burst, _up(_UP.divide(ahead, self.interval), _PLACES_OF_QUANTITY))

    @property
    def remembers(self) -> int:
        """How long, in microseconds, what happened concerns it: a period, or as long as all of the burst takes to come
        back. What facts took that came in later than that was paid off meanwhile."""
        return max(self.length, int(multiply(self.burst, self.interval).to_integral_value(ROUND_CEILING)))

    def after_facts(self, tat: Decimal, facts: Iterable[tuple[int, Decimal]], now: int) -> Decimal:
        """The tat when these amounts were used at these instants, whether they conform or not.

        Each takes as it would have taken then, in order of time; what is put in the place of something else takes the
        difference, and nothing is given back. One that came in late may have been paid off by pauses that a tat does
        not tell: it errs towards refusing, for no longer than what it `remembers`.
        """
        used: dict[int, Decimal] = {}
        for at, amount in facts:
            used[at] = add(used.get(at, ZERO), amount)
        for at, amount in sorted(used.items()):
            if amount > 0 and at >= now - self.remembers:
                tat = self.after(tat, amount, min(at, now))
        return tat

    def carried(self, tat: Decimal, interval: Decimal, now: int) -> Decimal:
        """The tat under this rate of a state that one of that interval left behind: the same amount is taken.

        A slower rate lets nobody wait for longer than he would have before, or than an empty bucket takes to fill.
        """
        ahead = subtract(tat, Decimal(now))
        if ahead <= 0 or interval == self.interval:
            return tat
        as_amount = _up(_UP.divide(multiply(ahead, self.interval), interval), _PLACES_OF_INTERVAL)
        return add(Decimal(now), min(as_amount, max(ahead, multiply(self.burst, self.interval))))

    def conforms_at(self, tat: Decimal, amount: Decimal) -> int:
        """The first instant at which the amount conforms if nothing else is admitted. What is more than the burst
        never does: for it, the instant at which all of the burst is there."""
        missing = min(subtract(amount, self.burst), ZERO)
        return int(add(tat, multiply(missing, self.interval)).to_integral_value(ROUND_CEILING))
