"""What a subscription is charged for one period: lines for flat prices, and the usage that is to be read and rated.

A period is charged as the time line stood at its end: what holds then is taken to go on. In advance, a flat price is
charged from the instant it holds to the end of its interval; where it then held shorter than what has been charged, the
rest of that money, as it really was charged, is taken back, and what came instead is charged for the time it holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from typing import NamedTuple, TypeVar

from metergate.domain import rating
from metergate.domain.aggregation import rounded
from metergate.domain.billing_period import InForce, PricesOf, in_force, interval_at
from metergate.domain.invoice import Line, LineKind
from metergate.domain.money import rounded_share
from metergate.domain.period import LATEST, SECOND, Window, span
from metergate.domain.price import Interval, Model, Price, Timing
from metergate.domain.quantity import CONTEXT
from metergate.domain.subscription import Mode, Subscription


@dataclass(frozen=True, slots=True)
class UsageCharge:
    """Usage to read and rate together: of the price's meter and labels, counted in `windows`.

    `window` spans them; they are more than one where the price was away for a while in between. `held` is the time
    that they cover of the whole interval, to which minimum and maximum are prorated. `why` = not charged, and why.
    """

    price: Price
    plan: str
    version: int
    window: Window
    held: tuple[int, int]
    why: str = ""
    windows: tuple[Window, ...] = ()


def charges(
    subscription: Subscription, prices: PricesOf, period: Window, charged: Sequence[Line]
) -> tuple[list[Line], list[UsageCharge]]:
    """The lines of a period for flat and one-off prices (numbered 0), and the usage that its invoice is to hold.

    `charged` are the FLAT and PRORATION lines of the subscription's earlier invoices whose windows end after the
    period's begin, in any order; of each, `amount` - `discount` is what is really left of it after credit notes.
    """
    held = _held(subscription, prices, period.end)
    lines = [
        *_one_offs(subscription, held, period),
        *_arrears(subscription, held, period),
        *_advance(subscription, held, period, charged),
    ]
    return lines, [*_usage(subscription, held, period), *_unbilled(held, period)]


class _Held(NamedTuple):
    """A price that held for a while."""

    each: InForce
    mode: Mode
    window: Window


_Key = TypeVar("_Key", bound=Hashable)
# What makes two flat charges the same one: plan, version, price, quantity and unit amount.
_Flat = tuple[str, int, str, Decimal, Decimal]


def _held(subscription: Subscription, prices: PricesOf, until: int) -> list[_Held]:
    """What held, in order of time, as the time line stands at `until`: what holds then is taken to go on."""
    return [
        _Held(
            each,
            segment.mode,
            Window(segment.start, LATEST if segment.end is None or segment.end > until else segment.end),
        )
        for segment in subscription.segments
        if segment.start <= until and segment.start != segment.end
        for each in in_force(subscription, segment, prices)
    ]


def _within(held: Iterable[_Held], window: Window) -> Iterator[_Held]:
    """The parts that lie in the window."""
    for one in held:
        start, end = max(one.window.start, window.start), min(one.window.end, window.end)
        if start < end:
            yield _Held(one.each, one.mode, Window(start, end))


def _together(held: Iterable[_Held], key: Callable[[_Held], _Key]) -> dict[_Key, tuple[InForce, list[Window]]]:
    """By key, the last of each kind and when it held: adjoining stretches are one."""
    found: dict[_Key, tuple[InForce, list[Window]]] = {}
    for one in held:
        windows = found[key(one)][1] if key(one) in found else []
        if windows and windows[-1].end >= one.window.start:
            windows[-1] = Window(windows[-1].start, max(windows[-1].end, one.window.end))
        else:
            windows.append(one.window)
        found[key(one)] = one.each, windows
    return found


def _intervals(subscription: Subscription, interval: Interval, first: int, last: int) -> Iterator[Window]:
    """The whole intervals from the one that holds `first` to the one that holds `last`."""
    window = interval_at(subscription, interval, first)
    while window.start <= last:
        yield window
        window = interval_at(subscription, interval, window.end)


def _settled(subscription: Subscription, interval: Interval, period: Window) -> Iterator[Window]:
    """The intervals that are over with this period: those that end in it, at the subscription's end also the last."""
    over = subscription.segments[-1].end == period.end
    for window in _intervals(subscription, interval, period.start, period.end):
        if window.end <= period.end or over:
            yield window


def _one_offs(subscription: Subscription, held: Sequence[_Held], period: Window) -> Iterator[Line]:
    """What is charged once, when its plan first becomes active; of prices of one name, that of the own interval."""
    once = [one for one in held if one.each.price.model is Model.ONE_OFF and one.mode is Mode.ACTIVE]
    once.sort(key=lambda one: one.each.price.interval is not subscription.interval)
    first: dict[tuple[str, str], _Held] = {}
    for one in once:
        first.setdefault((one.each.plan, one.each.price.name), one)
    for one in first.values():
        at = one.window.start
        if period.start < at < period.end or at == period.end:
            yield _line(LineKind.ONE_OFF, one.each, Window(at, at), (1, 1))


def _flats(held: Iterable[_Held], timing: Timing) -> list[_Held]:
    """Flat prices that are charged; what is free needs no line."""
    return [
        one
        for one in held
        if one.each.price.model is Model.FLAT
        and one.each.price.timing is timing
        and one.each.price.unit_amount
        and one.mode is Mode.ACTIVE
    ]


def _flat_key(one: _Held) -> _Flat:
    each = one.each
    return each.plan, each.version, each.price.name, each.quantity, each.price.unit_amount


def _arrears(subscription: Subscription, held: Sequence[_Held], period: Window) -> Iterator[Line]:
    flats = _flats(held, Timing.ARREARS)
    for interval in _settled(subscription, subscription.interval, period):
        for each, windows in _together(_within(flats, interval), _flat_key).values():
            for window in windows:
                yield _line(LineKind.FLAT, each, window, (_length(window), _length(interval)))


def _advance(
    subscription: Subscription, held: Sequence[_Held], period: Window, charged: Sequence[Line]
) -> Iterator[Line]:
    flats = _flats(held, Timing.ADVANCE)
    names = {_flat_key(one): _name(one.each.price) for one in flats}
    for interval in _intervals(subscription, subscription.interval, period.start, period.end):
        rest = Window(max(interval.start, period.start), interval.end)
        holding, paid = _together(_within(flats, rest), _flat_key), _paid(charged, rest)
        for key, line in paid.items():
            used = [window.end for window in holding[key][1] if window.start == rest.start] if key in holding else []
            unused = Window(used[0] if used else rest.start, line.window.end)
            if unused.start < unused.end:
                yield _credit(line, unused, names.get(key, line.price))
        for key, (each, windows) in holding.items():
            for window in windows:
                if key not in paid or window.start != rest.start:
                    kind = LineKind.FLAT if window.start in (period.end, interval.start) else LineKind.PRORATION
                    yield _line(kind, each, window, (_length(window), _length(interval)))


def _paid(charged: Iterable[Line], rest: Window) -> dict[_Flat, Line]:
    """What has been charged for this rest of an interval and not been taken back: of each charge the last one, where
    there are more charges than credits."""
    found: dict[_Flat, list[Line]] = defaultdict(list)
    for line in charged:
        if line.window.start < rest.end and line.window.end > rest.start and line.quantity and line.unit_amount:
            key = line.plan, line.version, line.price, line.quantity.copy_abs(), line.unit_amount
            found[key].append(line)
    paid = {}
    for key, lines in found.items():
        charges = [line for line in lines if line.quantity and line.quantity > 0]
        if 2 * len(charges) > len(lines):
            paid[key] = max(charges, key=lambda line: line.window.start)
    return paid


def _usage(subscription: Subscription, held: Sequence[_Held], period: Window) -> Iterator[UsageCharge]:
    """Of intervals that are over, what each price holds for: one ladder, though it was away for a while."""
    metered = [one for one in held if one.each.price.metered and one.mode is Mode.ACTIVE]
    for kind in dict.fromkeys(one.each.price.interval for one in metered):
        of_kind = [one for one in metered if one.each.price.interval is kind]
        for interval in _settled(subscription, kind, period):
            inside = list(_within(of_kind, interval))
            parts: dict[tuple[Price, int], list[_Held]] = defaultdict(list)
            for one in inside:
                parts[_ladder(one)].append(one)
            for ladder, (each, windows) in _together(inside, _ladder).items():
                share = sum(_length(window) for window in windows), _length(interval)
                price, included = ladder[0], _included(parts[ladder])
                price = price if price.included == included else replace(price, included=included)
                yield UsageCharge(price, each.plan, each.version, span(windows), share, "", tuple(windows))


def _ladder(one: _Held) -> tuple[Price, int]:
    """What is rated as one: a price, whichever plan it is of; equal ones that hold at a time each by itself."""
    return one.each.price, one.each.same


def _included(held: Sequence[_Held]) -> Decimal:
    """How many units are free: where that changed, the mean by time."""
    if len({one.each.included for one in held}) == 1:
        return held[0].each.included
    shares = [CONTEXT.multiply(one.each.included, Decimal(_length(one.window))) for one in held]
    return rounded(reduce(CONTEXT.add, shares), Decimal(sum(_length(one.window) for one in held)))


def _unbilled(held: Sequence[_Held], period: Window) -> Iterator[UsageCharge]:
    """Usage in trials and pauses, period by period."""
    free = [one for one in _within(held, period) if one.each.price.metered and one.mode is not Mode.ACTIVE]
    for ((price, _), mode), (each, windows) in _together(free, lambda one: (_ladder(one), one.mode)).items():
        yield UsageCharge(price, each.plan, each.version, span(windows), (1, 1), mode.value, tuple(windows))


def _line(kind: LineKind, each: InForce, window: Window, share: tuple[int, int]) -> Line:
    name = _name(each.price)
    return Line(
        0,
        kind,
        f"Remaining time of {name}{_text(share)}" if kind is LineKind.PRORATION else f"{name}{_text(share)}",
        rating.flat(each.price, each.quantity, *share),
        window,
        each.plan,
        each.version,
        each.price.name,
        quantity=each.quantity,
        unit_amount=each.price.unit_amount,
    )


def _credit(line: Line, unused: Window, name: str) -> Line:
    """Takes back what was charged for time that was not used: a share of the money, not of the price."""
    share = _length(unused), _length(line.window)
    return replace(
        line,
        number=0,
        kind=LineKind.PRORATION,
        description=f"Unused time of {name}{_text(share)}",
        amount=-rounded_share(line.amount - line.discount, *share),
        discount=0,
        window=unused,
        quantity=CONTEXT.minus(line.quantity or Decimal(0)),
    )


def _name(price: Price) -> str:
    return price.display_name or price.name


def _length(window: Window) -> int:
    return window.end - window.start


def _text(share: tuple[int, int]) -> str:
    part, whole = share
    return "" if part == whole else f" ({part // SECOND:,} of {whole // SECOND:,} seconds)"
