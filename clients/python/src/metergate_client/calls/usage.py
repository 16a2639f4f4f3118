"""Calls of UsageService."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import grpc

from metergate_client.calls.call import Call, Pages, paged, to_pb_time, to_pb_word
from metergate_client.decode import from_pb_limit_state, from_pb_receipt, from_pb_recorded_event, from_pb_usage
from metergate_client.errors import Conflict, InvalidArgument
from metergate_client.events import Event, Receipt, Receipts, RecordedEvent
from metergate_client.exact import Amount, amount_text, utc_now
from metergate_client.ids import new_id
from metergate_client.summary import Granularity, Projection, Usage
from metergate_client.v1 import usage_event_pb2, usage_pb2

_SERVICE = "/metergate.v1.UsageService/"


def record(
    event_type: str,
    amount: Amount | None = None,
    *,
    subject: str,
    values: Mapping[str, Amount] | None = None,
    labels: Mapping[str, str] | None = None,
    time: datetime | None = None,
    event_id: str | None = None,
    source: str = "",
    include_limits: bool = False,
    backfill: bool = False,
) -> Call[usage_pb2.RecordUsageResponse, Receipt]:
    """Record one fact: ``subject`` used ``amount`` (1) of ``event_type``. It is durable when this returns.

    Its id and time are fixed before the first try, so that every retry is the same event and it counts once.
    ``include_limits`` puts the state of the limits that it counts in on the receipt; ``backfill`` lifts the age limit.

    Raises:
        Conflict: The id is known with other content.
        InvalidArgument: It breaks a rule.
        Unavailable: No answer came. Give the error's ``events`` to ``record_batch`` later: they count once.
    """
    event = Event(
        type=event_type,
        subject=subject,
        amount=amount,
        values=values or {},
        labels=labels or {},
        id=new_id() if event_id is None else event_id,
        time=utc_now() if time is None else time,
        source=source,
    )
    request = usage_pb2.RecordUsageRequest(event=to_pb_event(event), include_limits=include_limits, backfill=backfill)

    def read(reply: usage_pb2.RecordUsageResponse) -> Receipt:
        limits = tuple(from_pb_limit_state(limit) for limit in reply.limits)
        return _taken(replace(from_pb_receipt(reply.receipt), limits=limits, token=reply.token), event)

    return Call(f"{_SERVICE}RecordUsage", request, usage_pb2.RecordUsageResponse, read, (event,))


def record_batch(
    events: Iterable[Event], *, backfill: bool = False
) -> Call[usage_pb2.BatchRecordUsageResponse, Receipts]:
    """Record up to 5,000 facts in one call, each on its own: a bad one neither raises nor stops the others.

    Returns a receipt for each event, in order; look at ``failed``. ``backfill`` lifts the age limit, for imports.

    Raises:
        Unavailable: No answer came. Repeat the call with the same events (the error's ``events``): they count once.
    """
    fixed = tuple(events)
    request = usage_pb2.BatchRecordUsageRequest(events=map(to_pb_event, fixed), backfill=backfill)

    def read(reply: usage_pb2.BatchRecordUsageResponse) -> Receipts:
        return Receipts(tuple(from_pb_receipt(receipt) for receipt in reply.receipts), reply.token)

    return Call(f"{_SERVICE}BatchRecordUsage", request, usage_pb2.BatchRecordUsageResponse, read, fixed)


def usage(
    *meters: str,
    subject: str = "",
    customer: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    granularity: Granularity = "none",
    time_zone: str = "",
    group_by: Sequence[str] = (),
    filters: Mapping[str, str | Sequence[str]] | None = None,
    token: str = "",
    top: int = 0,
    compare: bool = False,
    projection: Projection | None = None,
    known_at_seq: int | None = None,
    known_at: datetime | None = None,
) -> Call[usage_pb2.GetUsageSummaryResponse, Usage]:
    """Sum up usage of a subject or of a whole customer: of these meters, or of all.

    From ``start`` (the current month's) to just before ``end`` (now). ``granularity`` asks for points; ``time_zone``
    (the customer's) says where days, weeks and months begin. ``group_by`` takes dimensions of the meter, "subject", or
    other labels, at the cost of reading the events; ``filters`` keeps only usage with this value, or one of these, of
    them. ``token``, from a receipt: the answer knows that write. ``top`` keeps the groups with the greatest totals, and
    one series for all others. ``compare`` adds the period before, ``projection`` what is expected at ``end``, or at the
    end of the month. ``known_at_seq`` (an earlier answer's ``seq``) or ``known_at``: as it was known then.

    Raises:
        NotFound: No such subject, customer or meter.
        InvalidArgument: The range or a name is wrong, or there would be too many points.
        FailedPrecondition: Too many events would have to be read; the message says what to do (TOO_EXPENSIVE).
    """
    asked = filters or {}
    request = usage_pb2.GetUsageSummaryRequest(
        customer=customer,
        subject=subject,
        meters=meters,
        start_time=to_pb_time(start),
        end_time=to_pb_time(end),
        granularity=to_pb_word(usage_pb2.Granularity, "GRANULARITY_", granularity),
        time_zone=time_zone,
        group_by=_names(group_by),
        filters={label: one for label, one in asked.items() if isinstance(one, str)},
        filters_any={
            label: usage_pb2.LabelValues(values=one) for label, one in asked.items() if not isinstance(one, str)
        },
        token=token,
        top=top,
        compare=compare,
        projection=to_pb_word(usage_pb2.ProjectionMethod, "PROJECTION_METHOD_", projection or "unspecified"),
        known_at_seq=known_at_seq,
        known_at_time=to_pb_time(known_at),
    )
    return Call(f"{_SERVICE}GetUsageSummary", request, usage_pb2.GetUsageSummaryResponse, from_pb_usage)


def events(
    *,
    subject: str = "",
    customer: str = "",
    event_type: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    unmatched_only: bool = False,
    page_size: int = 500,
) -> Pages[RecordedEvent]:
    """Iterate over recorded events; pages of ``page_size`` (at most 1,000) are fetched as they are needed.

    With a subject or customer: its events in order of their time, counted from ``start`` to just before ``end``.
    With neither: all of the tenant's in order of arrival. ``unmatched_only``: those that count nowhere yet.
    """
    request = usage_pb2.ListUsageEventsRequest(
        customer=customer,
        subject=subject,
        type=event_type,
        start_time=to_pb_time(start),
        end_time=to_pb_time(end),
        unmatched_only=unmatched_only,
        page_size=page_size,
    )

    return paged(
        f"{_SERVICE}ListUsageEvents",
        request,
        usage_pb2.ListUsageEventsResponse,
        lambda reply: map(from_pb_recorded_event, reply.events),
    )


def to_pb_event(event: Event) -> usage_event_pb2.UsageEvent:
    """The event on the wire."""
    return usage_event_pb2.UsageEvent(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=to_pb_time(event.time),
        amount=None if event.amount is None else amount_text(event.amount),
        values={name: amount_text(value) for name, value in event.values.items()},
        labels=event.labels,
        settles=event.settles,
    )


def _names(names: Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names  # group_by="region" is meant as one name, not as letters


def _taken(receipt: Receipt, event: Event) -> Receipt:
    """The receipt of a single event that was taken; one that was not raises, whichever way the server said so."""
    metadata = {"id": receipt.event_id, "field": receipt.field}
    if receipt.outcome == "conflict":
        code = grpc.StatusCode.ALREADY_EXISTS
        raise Conflict(receipt.reason, receipt.message, metadata, code=code, events=(event,))
    if receipt.outcome == "rejected":
        code = grpc.StatusCode.INVALID_ARGUMENT
        raise InvalidArgument(receipt.reason, receipt.message, metadata, code=code, events=(event,))
    return receipt
