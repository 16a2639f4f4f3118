"""Usage summed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from metergate_client.exact import moment_text, quantity_text

Granularity: TypeAlias = Literal["none", "minute", "hour", "day", "week", "month"]
Projection: TypeAlias = Literal["linear", "same_weekday"]
_SHOWN = 20


@dataclass(frozen=True, slots=True, repr=False)
class Point:
    """A quantity from ``start_time`` to just before ``end_time``; None where there is none: the average of nothing."""

    start_time: datetime | None
    end_time: datetime | None
    value: Decimal | None

    def __repr__(self) -> str:
        begin = moment_text(self.start_time) if self.start_time else "?"
        return f"{begin} {_shown(self.value)}"


@dataclass(frozen=True, slots=True, repr=False)
class Series:
    """One meter in one group.

    Attributes:
        meter: The meter.
        group: The values of the dimensions that were grouped by.
        total: The quantity over the whole range; None where there is none.
        points: The quantity over each point, in order of time, without gaps; empty without a granularity.
        event_count: How many events stand behind the total.
        other: Whether it is all groups that are not among the top ones.
        previous_total: The quantity over the period before, where it was asked for.
        change_percent: By how many per cent the total is more than that; None where that is 0 or nothing.
        projected_total: The total that is expected at the end, where it was asked for and can be told.
    """

    meter: str
    group: Mapping[str, str]
    total: Decimal | None
    points: tuple[Point, ...]
    event_count: int
    other: bool = False
    previous_total: Decimal | None = None
    change_percent: Decimal | None = None
    projected_total: Decimal | None = None

    def __repr__(self) -> str:
        group = "others" if self.other else ", ".join(f"{key}={value}" for key, value in self.group.items())
        return f"{self.meter}{f'{{{group}}}' if group else ''} {_shown(self.total)}"


def _shown(value: Decimal | None) -> str:
    return "nothing" if value is None else quantity_text(value)


@dataclass(frozen=True, slots=True, repr=False)
class Usage:
    """Usage summed up from ``start_time`` to just before ``end_time``, true at the ledger's moment ``as_of``.

    ``series`` holds one entry for each meter and group, by meter and by descending total. ``seq`` is the last place in
    the customer's order of facts that it knows (0 for a pool): asked with it as ``known_at_seq``, the same comes again.
    """

    series: tuple[Series, ...]
    start_time: datetime | None
    end_time: datetime | None
    as_of: datetime | None
    seq: int = 0
    previous_start_time: datetime | None = None
    previous_end_time: datetime | None = None
    projected_end_time: datetime | None = None

    @property
    def total(self) -> Decimal | None:
        """The quantity of the one series; 0 when nothing was used, None where of nothing there is no number.

        Raises:
            ValueError: There are several series (meters or groups); read them from ``series``.
        """
        only = self._only()
        return only.total if only else Decimal(0)

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of the one series; empty when nothing was used. Raises ValueError as ``total`` does."""
        only = self._only()
        return only.points if only else ()

    def _only(self) -> Series | None:
        if len(self.series) > 1:
            raise ValueError(f"{len(self.series)} series: ask for one meter without groups, or read .series")
        return self.series[0] if self.series else None

    def __repr__(self) -> str:
        shown = [repr(series) for series in self.series[:_SHOWN]] or ["no usage"]
        if len(self.series) > _SHOWN:
            shown.append(f"and {len(self.series) - _SHOWN} more")
        if self.start_time and self.end_time:
            shown.append(f"{moment_text(self.start_time)} to {moment_text(self.end_time)}")
        return " · ".join(shown)
