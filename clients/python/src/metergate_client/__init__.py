"""Metergate's Python client: meter usage, ask about quota, sum usage up.

>>> from metergate_client import Metergate
>>> mg = Metergate()                             # profile "dev", or METERGATE_URL and METERGATE_KEY
>>> mg.record("api_calls", subject="acme")       # doctest: +SKIP
accepted · 019a9f6e-6c1e-7d5b-8d0c-0c8f5a1b2c3d
>>> mg.check("api_calls", subject="acme")        # doctest: +SKIP
allowed · 1 used · 99 left · resets 2026-12-01T00:00Z
"""

from __future__ import annotations

from metergate_client.aio import AsyncMetergate
from metergate_client.client import Metergate
from metergate_client.customers import Customer, Subject
from metergate_client.errors import (
    Conflict,
    FieldViolation,
    InvalidArgument,
    MetergateConfigError,
    MetergateError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from metergate_client.events import Event, Receipt, Receipts, RecordedEvent
from metergate_client.exact import Amount
from metergate_client.ids import new_id
from metergate_client.quota import Check, CheckResult, Decision, Limit, Limits, LimitState
from metergate_client.summary import Point, Series, Usage

__all__ = [
    "Amount",
    "AsyncMetergate",
    "Check",
    "CheckResult",
    "Conflict",
    "Customer",
    "Decision",
    "Event",
    "FieldViolation",
    "InvalidArgument",
    "Limit",
    "LimitState",
    "Limits",
    "Metergate",
    "MetergateConfigError",
    "MetergateError",
    "NotFound",
    "Point",
    "Receipt",
    "Receipts",
    "RecordedEvent",
    "Series",
    "Subject",
    "Unauthenticated",
    "Unavailable",
    "Usage",
    "new_id",
]
