"""Reading answers: from protobuf messages to this package's types."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from metergate_client.customers import Customer, LimitOverride, Subject
from metergate_client.events import Event, Receipt, RecordedEvent
from metergate_client.limit import Limit
from metergate_client.quota import CheckResult, Decision, Limits, LimitState
from metergate_client.summary import Point, Series, Usage
from metergate_client.v1 import (
    catalog_pb2,
    customer_pb2,
    decision_pb2,
    error_reason_pb2,
    quota_pb2,
    usage_event_pb2,
    usage_pb2,
)


def from_pb_time(message: Message, field: str) -> datetime | None:
    """The moment in this field, in UTC; None when it was not given."""
    time: Timestamp = getattr(message, field)
    return time.ToDatetime(tzinfo=UTC) if message.HasField(field) else None


def from_pb_span(message: Message, field: str) -> timedelta | None:
    """The length in this field; None when it was not given."""
    length: Duration = getattr(message, field)
    return length.ToTimedelta() if message.HasField(field) else None


def from_pb_word(enum: EnumTypeWrapper, prefix: str, value: int) -> str:
    """An enum value as a lower-case word; empty when not given, its number when it is newer than this client."""
    if not value:
        return ""
    return enum.Name(value).removeprefix(prefix).lower() if value in enum.values() else str(value)


def from_pb_receipt(receipt: usage_event_pb2.UsageReceipt) -> Receipt:
    """What became of an event."""
    return Receipt(
        event_id=receipt.event_id,
        outcome=from_pb_word(usage_event_pb2.Outcome, "OUTCOME_", receipt.outcome),
        reason=from_pb_word(error_reason_pb2.ErrorReason, "ERROR_REASON_", receipt.reason).upper(),
        field=receipt.field,
        message=receipt.message,
        unmatched=receipt.unmatched,
        unsettled=receipt.unsettled,
        decision=from_pb_decision(receipt.decision) if receipt.HasField("decision") else None,
    )


def from_pb_recorded_event(recorded: usage_pb2.RecordedEvent) -> RecordedEvent:
    """An event as the ledger holds it."""
    event = recorded.event
    return RecordedEvent(
        event=Event(
            type=event.type,
            subject=event.subject,
            amount=Decimal(event.amount) if event.amount else None,
            values={name: Decimal(value) for name, value in event.values.items()},
            labels=event.labels,
            id=event.id,
            time=from_pb_time(event, "time"),
            source=event.source,
            settles=event.settles,
        ),
        customer=recorded.customer,
        count_time=from_pb_time(recorded, "count_time"),
        record_time=from_pb_time(recorded, "record_time"),
        seq=recorded.seq,
        meters=tuple(recorded.meters),
        unmatched=recorded.unmatched,
        taken_back=recorded.taken_back,
        version=recorded.version or 1,
    )


def from_pb_usage(answer: usage_pb2.GetUsageSummaryResponse) -> Usage:
    """Usage summed up."""
    return Usage(
        series=tuple(_series(series) for series in answer.series),
        start_time=from_pb_time(answer.window, "start_time"),
        end_time=from_pb_time(answer.window, "end_time"),
        as_of=from_pb_time(answer, "as_of"),
        seq=answer.seq,
        previous_start_time=from_pb_time(answer.previous_window, "start_time"),
        previous_end_time=from_pb_time(answer.previous_window, "end_time"),
        projected_end_time=from_pb_time(answer.projected_window, "end_time"),
    )


def from_pb_limit_state(limit: decision_pb2.LimitState) -> LimitState:
    """A limit and its counter."""
    return LimitState(
        name=limit.name,
        meter=limit.meter,
        start_time=from_pb_time(limit.window, "start_time"),
        end_time=from_pb_time(limit.window, "end_time"),
        max=_most(limit.max),
        used=from_pb_decimal(limit.used),
        reserved=from_pb_decimal(limit.reserved),
        leased=from_pb_decimal(limit.leased),
        forfeited=from_pb_decimal(limit.forfeited),
        remaining=_most(limit.remaining),
        would_fit=_most(limit.would_fit),
        policy=from_pb_word(catalog_pb2.Policy, "POLICY_", limit.policy),
        scope=from_pb_word(catalog_pb2.Scope, "SCOPE_", limit.scope),
        reset_time=from_pb_time(limit, "reset_time"),
        overrun=from_pb_decimal(limit.overrun),
        exhausted_in=from_pb_span(limit, "exhausted_in"),
        labels=dict(limit.labels),
        kind=from_pb_word(catalog_pb2.LimitKind, "LIMIT_KIND_", limit.kind),
        shadow=limit.shadow,
        would_refuse=limit.would_refuse,
        unknown=limit.unknown,
        overridden=limit.overridden,
        pool=limit.pool,
    )


def from_pb_decision(decision: decision_pb2.Decision) -> Decision:
    """The answer to a question about quota."""
    return Decision(
        allowed=decision.allowed,
        plan=decision.plan,
        reason=decision.reason,
        binding_limit=decision.binding_limit,
        limits=tuple(from_pb_limit_state(limit) for limit in decision.limits),
        retry_after=from_pb_span(decision, "retry_after"),
        as_of=from_pb_time(decision, "as_of"),
        answered_by=from_pb_word(decision_pb2.AnsweredBy, "ANSWERED_BY_", decision.answered_by),
        degraded=decision.degraded,
        decision_id=decision.decision_id,
    )


def from_pb_check_result(result: quota_pb2.CheckResult) -> CheckResult:
    """The answer to one question of a batch."""
    decision = from_pb_decision(result.decision) if result.HasField("decision") else None
    return CheckResult(decision, result.error_reason, result.error_message)


def from_pb_limits(answer: quota_pb2.ListLimitsResponse) -> Limits:
    """The limits of a subject."""
    limits = tuple(from_pb_limit_state(limit) for limit in answer.limits)
    return Limits(answer.customer, answer.plan, limits, from_pb_time(answer, "as_of"))


def from_pb_limit(answer: catalog_pb2.SetLimitResponse) -> Limit:
    """A limit of a plan."""
    limit = answer.limit
    return Limit(
        name=limit.name,
        meter=limit.meter,
        max=_most(limit.max),
        period=from_pb_word(catalog_pb2.Period, "PERIOD_", limit.period),
        policy=from_pb_word(catalog_pb2.Policy, "POLICY_", limit.policy),
        scope=from_pb_word(catalog_pb2.Scope, "SCOPE_", limit.scope),
        plan=answer.plan,
        labels=dict(limit.labels),
        per_labels=tuple(limit.per_labels),
        kind=from_pb_word(catalog_pb2.LimitKind, "LIMIT_KIND_", limit.kind),
        length=from_pb_span(limit, "length"),
        burst=Decimal(limit.burst) if limit.burst else None,
        grace=Decimal(limit.grace) if limit.grace else None,
        shadow=limit.shadow,
        thresholds=tuple(limit.thresholds),
    )


def from_pb_customer(customer: customer_pb2.Customer) -> Customer:
    """Who is billed."""
    return Customer(
        id=customer.id,
        name=customer.name,
        plan=customer.plan,
        time_zone=customer.time_zone,
        create_time=from_pb_time(customer, "create_time"),
        anchor_time=from_pb_time(customer, "anchor_time"),
        limit_overrides=tuple(_override(one) for one in customer.limit_overrides),
        pool=customer.pool,
    )


def from_pb_subject(subject: customer_pb2.Subject) -> Subject:
    """What is metered."""
    return Subject(subject.id, subject.customer, from_pb_time(subject, "create_time"))


def _override(override: customer_pb2.LimitOverride) -> LimitOverride:
    start, end = from_pb_time(override, "start_time"), from_pb_time(override, "end_time")
    return LimitOverride(override.limit, _most(override.max), start, end)


def _series(series: usage_pb2.UsageSeries) -> Series:
    points = tuple(
        Point(from_pb_time(point, "start_time"), from_pb_time(point, "end_time"), _figure(point.value))
        for point in series.points
    )
    return Series(
        meter=series.meter,
        group=dict(series.group),
        total=_figure(series.total),
        points=points,
        event_count=series.event_count,
        other=series.other,
        previous_total=_figure(series.previous_total),
        change_percent=_figure(series.change_percent),
        projected_total=_figure(series.projected_total),
    )


def _figure(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def from_pb_decimal(text: str) -> Decimal:
    """A quantity; 0 when not given."""
    return Decimal(text or 0)  # built from text, a Decimal is exact whatever the context


def _most(text: str) -> Decimal | None:
    return None if text in ("", "unlimited") else Decimal(text)
