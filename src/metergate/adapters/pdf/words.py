"""How figures, instants and other people's texts are written on paper."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from metergate.domain import money
from metergate.domain.period import Window, to_datetime

# Not those of the C library, which follow the machine's locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What turns the direction of the text around it (Unicode UAX 9, 2.1 and 2.2): a name must not reach beyond itself.
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MOST_CHARACTERS = 4_096


def amount(minor: int, currency: str) -> str:
    """Minor units with all the currency's decimals, in groups of three: "1,500.00", of JPY "-1,200"."""
    return format(money.exact(minor, currency), ",f")


def with_code(minor: int, currency: str) -> str:
    """An amount that stands by itself: "USD 1,500.00"."""
    return f"{currency} {amount(minor, currency)}"


def number(value: Decimal, places: int = 0) -> str:
    """An exact figure in groups of three, with at least that many decimals: "12,000,000", "0.0000025", "0.10"."""
    whole, _, fraction = format(value, ",f").partition(".")
    fraction = fraction.rstrip("0").ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole


def date(instant: int, time_zone: ZoneInfo) -> str:
    """The day on which it is that instant there: "1 Oct 2026"."""
    return _day(to_datetime(instant).astimezone(time_zone))


def dates(window: Window, time_zone: ZoneInfo) -> str:
    """From the first to the last day that the window holds some of: "1 – 31 Oct 2026", "20 Nov – 19 Dec 2026"."""
    first = to_datetime(window.start).astimezone(time_zone)
    last = to_datetime(max(window.end - 1, window.start)).astimezone(time_zone)
    if first.date() == last.date():
        return _day(first)
    said = _day(first).split(" ")
    same = (first.year == last.year) + (first.year == last.year and first.month == last.month)
    return f"{' '.join(said[: 3 - same])} – {_day(last)}"


def _day(moment: datetime) -> str:
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def line(text: str) -> str:
    """Somebody's text on one line, without characters that steer instead of being seen; cut where it has no end."""
    seen = "".join(one if unicodedata.category(one) != "Cc" else " " for one in text if one not in _TURNS)
    words = " ".join(seen.split())
    if len(words) > _MOST_CHARACTERS:
        words = words[: _MOST_CHARACTERS - 1] + "…"
    return words


def lines(text: str) -> list[str]:
    """The same of a text of many lines."""
    return [line(one) for one in text.strip().splitlines()]
