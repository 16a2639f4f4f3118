"""Metergate's Python client: meter usage, decide quotas, sum usage up.

>>> from metergate_client import Metergate
>>> mg = Metergate()                             # profile "dev", or METERGATE_URL and METERGATE_KEY
>>> mg.record("api_calls", subject="acme")       # doctest: +SKIP
accepted · 019a9f6e-6c1e-7d5b-8d0c-0c8f5a1b2c3d
>>> mg.check("api_calls", subject="acme")        # doctest: +SKIP
allowed · 1 used · 99 left · resets 2026-12-01T00:00Z
>>> mg.consume("api_calls", 100, subject="acme") # doctest: +SKIP
refused by api_calls/month · 99 would fit · nothing charged
"""

from __future__ import annotations

from metergate_client.admission import Admission, ConsumeResult, ConsumeResults
from metergate_client.aio import AsyncMetergate
from metergate_client.client import Metergate
from metergate_client.customers import Customer, LimitOverride, Subject
from metergate_client.errors import (
    Conflict,
    FieldViolation,
    InvalidArgument,
    MetergateConfigError,
    MetergateError,
    NotFound,
    QuotaRefused,
    Unauthenticated,
    Unavailable,
)
from metergate_client.events import Event, Receipt, Receipts, RecordedEvent
from metergate_client.exact import Amount, Span
from metergate_client.explained import BurnedGrant, ExplainedLimit, Explanation, HeldCapacity, RecordedId
from metergate_client.grants import Grant, GrantMove
from metergate_client.ids import new_id
from metergate_client.lease import Lease
from metergate_client.leases.aio import AsyncLeaseHolder
from metergate_client.leases.holder import LeaseHolder
from metergate_client.leases.model import EventForm, LeasePace
from metergate_client.limit import Limit
from metergate_client.limit_events import LimitEvent
from metergate_client.quota import Check, CheckResult, Decision, Limits, LimitState
from metergate_client.reservation import AsyncReservation, Reservation, Reserving
from metergate_client.reserved import Committed, Reserved, ReservedAmount
from metergate_client.summary import Point, Series, Usage
from metergate_client.watch import AsyncUsageWatch, UsageWatch

__all__ = [
    "Admission",
    "Amount",
    "AsyncLeaseHolder",
    "AsyncMetergate",
    "AsyncReservation",
    "AsyncUsageWatch",
    "BurnedGrant",
    "Check",
    "CheckResult",
    "Committed",
    "Conflict",
    "ConsumeResult",
    "ConsumeResults",
    "Customer",
    "Decision",
    "Event",
    "EventForm",
    "ExplainedLimit",
    "Explanation",
    "FieldViolation",
    "Grant",
    "GrantMove",
    "HeldCapacity",
    "InvalidArgument",
    "Lease",
    "LeaseHolder",
    "LeasePace",
    "Limit",
    "LimitEvent",
    "LimitOverride",
    "LimitState",
    "Limits",
    "Metergate",
    "MetergateConfigError",
    "MetergateError",
    "NotFound",
    "Point",
    "QuotaRefused",
    "Receipt",
    "Receipts",
    "RecordedEvent",
    "RecordedId",
    "Reservation",
    "Reserved",
    "ReservedAmount",
    "Reserving",
    "Series",
    "Span",
    "Subject",
    "Unauthenticated",
    "Unavailable",
    "Usage",
    "UsageWatch",
    "new_id",
]
