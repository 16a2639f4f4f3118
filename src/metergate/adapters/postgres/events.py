"""Events as rows: to and from columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from metergate.adapters.postgres.holds import as_json
from metergate.domain.quantity import to_text
from metergate.domain.usage import Event

# No id stands in a slice that begins later; partitions made ahead are not looked into.
_AHEAD = timedelta(days=32)


def ids_ahead(now: datetime) -> date:
    """The last slice that may hold an id by now."""
    return now.date() + _AHEAD


def event_columns(events: Sequence[Event]) -> list[list[str]]:
    """The contents of events by column: type, subject, amount, values, labels, settles."""
    return [
        [event.type for event in events],
        [event.subject for event in events],
        ["" if event.amount is None else to_text(event.amount) for event in events],
        [_values_text(event) if event.values else "" for event in events],
        [as_json(event.labels) if event.labels else "" for event in events],
        [event.settles for event in events],
    ]


def _values_text(event: Event) -> str:
    return as_json({name: to_text(number) for name, number in event.values.items()})


def to_event(row: Any) -> Event:
    """The event that a row of `usage_event` holds, as the client made it."""
    values = {name: Decimal(number) for name, number in _object(row["values"]).items()}
    labels = _object(row["labels"])
    return Event(
        row["id"], row["source"], row["type"], row["subject"], row["time"], row["amount"],
        values, labels, row["settles"] or "", b"",
    )  # fmt: skip


def _object(value: Any) -> dict[str, str]:
    """SQLAlchemy's connections hand JSON out decoded, the driver's own do not."""
    if isinstance(value, str):
        value = orjson.loads(value)
    return value or {}
