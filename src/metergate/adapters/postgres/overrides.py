"""A customer's overrides as a column of its head."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from metergate.domain.override import Override
from metergate.domain.posting import Head
from metergate.domain.quantity import to_text


def to_head(row: Any) -> Head:
    """The head of a row: customer, seq, plan, time_zone, metering_version, anchor_at, overrides as text, pool, and,
    where it was locked, moved and billed_until."""
    customer, seq, plan, time_zone, version, anchor, overrides, pool, *locked = row
    mine = () if overrides is None else read_overrides(overrides)
    return Head(customer, seq, plan, time_zone, version, anchor, mine, pool, *locked)


@lru_cache(maxsize=8192)
def read_overrides(text: str | None) -> tuple[Override, ...]:
    """The overrides that the column's text writes."""
    return tuple(
        [
            Override(one["limit"], None if one["max"] is None else Decimal(one["max"]), one["start"], one["end"])
            for one in (orjson.loads(text) if text else ())
        ]
    )


def write_overrides(overrides: Iterable[Override]) -> list[dict[str, Any]] | None:
    """What the column holds; None for none."""
    written = [
        {
            "limit": one.limit,
            "max": None if one.max is None else to_text(one.max),
            "start": one.start,
            "end": one.end,
        }
        for one in overrides
    ]
    return written or None
