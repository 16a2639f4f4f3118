"""Between the contract's messages and the domain's values: `from_pb_x` and `to_pb_x`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from metergate.domain import quantity
from metergate.domain.decision import AnsweredBy, Decision, LimitState, counted
from metergate.domain.errors import MetergateError, Violation, invalid
from metergate.domain.period import LATEST, SECOND, Period, Window
from metergate.domain.quota import Kind, Limit, Policy, Scope, read_filter, text_of_max
from metergate.domain.usage import Event, Outcome, Receipt, make_event
from metergate.v1 import catalog_pb2, decision_pb2, usage_event_pb2

T = TypeVar("T")

POLICIES: Mapping[Policy, catalog_pb2.Policy] = {
    Policy.HARD: catalog_pb2.POLICY_HARD,
    Policy.SOFT: catalog_pb2.POLICY_SOFT,
    Policy.GRACE: catalog_pb2.POLICY_GRACE,
}
KINDS: Mapping[Kind, catalog_pb2.LimitKind] = {
    Kind.CALENDAR: catalog_pb2.LIMIT_KIND_CALENDAR,
    Kind.ANCHORED: catalog_pb2.LIMIT_KIND_ANCHORED,
    Kind.FIXED: catalog_pb2.LIMIT_KIND_FIXED,
    Kind.ROLLING: catalog_pb2.LIMIT_KIND_ROLLING,
    Kind.LIFETIME: catalog_pb2.LIMIT_KIND_LIFETIME,
    Kind.RATE: catalog_pb2.LIMIT_KIND_RATE,
    Kind.CONCURRENCY: catalog_pb2.LIMIT_KIND_CONCURRENCY,
    Kind.GRANTS: catalog_pb2.LIMIT_KIND_GRANTS,
}
SCOPES: Mapping[Scope, catalog_pb2.Scope] = {
    Scope.CUSTOMER: catalog_pb2.SCOPE_CUSTOMER,
    Scope.SUBJECT: catalog_pb2.SCOPE_SUBJECT,
}
PERIODS: Mapping[Period, catalog_pb2.Period] = {
    Period.MINUTE: catalog_pb2.PERIOD_MINUTE,
    Period.HOUR: catalog_pb2.PERIOD_HOUR,
    Period.DAY: catalog_pb2.PERIOD_DAY,
    Period.WEEK: catalog_pb2.PERIOD_WEEK,
    Period.MONTH: catalog_pb2.PERIOD_MONTH,
    Period.YEAR: catalog_pb2.PERIOD_YEAR,
}
_ANSWERED_BY: Mapping[AnsweredBy, decision_pb2.AnsweredBy] = {
    AnsweredBy.LEDGER: decision_pb2.ANSWERED_BY_LEDGER,
    AnsweredBy.VIEW: decision_pb2.ANSWERED_BY_VIEW,
    AnsweredBy.MEMORY: decision_pb2.ANSWERED_BY_MEMORY,
}
_OUTCOMES: Mapping[Outcome, usage_event_pb2.Outcome] = {
    Outcome.ACCEPTED: usage_event_pb2.OUTCOME_ACCEPTED,
    Outcome.DUPLICATE: usage_event_pb2.OUTCOME_DUPLICATE,
    Outcome.CONFLICT: usage_event_pb2.OUTCOME_CONFLICT,
    Outcome.REJECTED: usage_event_pb2.OUTCOME_REJECTED,
}


def named(known: Mapping[T, int], default: T) -> dict[int, T]:
    """The values of an enum by their numbers; 0 is the default."""
    return {number: value for value, number in known.items()} | {0: default}


def one_of(known: Mapping[int, T], number: int, field: str) -> T:
    """The value of this number; raises FIELD_INVALID where there is none."""
    if number not in known:
        raise invalid(field, f"{number} is not one of its values")
    return known[number]


def from_pb_max(text: str, field: str) -> Decimal | None:
    """A limit's maximum, None = unlimited.

    Raises:
        MetergateError: QUANTITY_INVALID or FIELD_INVALID.
    """
    if text == "unlimited":
        return None
    try:
        number = quantity.parse(text, field)
    except MetergateError as error:
        error.violations = (Violation(field, 'must be a plain decimal, or "unlimited"'),)
        raise
    if number < 0:
        raise invalid(field, "must not be negative")
    return number


def moment(request: Any, field: str) -> int | None:
    """The instant of a request's field; None where it has none."""
    return from_pb_time(getattr(request, field), field) if request.HasField(field) else None


def from_pb_time(time: Timestamp, field: str) -> int:
    """The instant, cut to microseconds.

    Raises:
        MetergateError: FIELD_INVALID.
    """
    nanos = time.nanos
    if not 0 <= nanos < 1_000_000_000:
        raise invalid(field, "nanos must lie between 0 and 999,999,999")
    return time.seconds * SECOND + nanos // 1000


def to_pb_time(instant: int) -> Timestamp:
    """The Timestamp of an instant."""
    return Timestamp(seconds=instant // SECOND, nanos=instant % SECOND * 1000)


def to_pb_duration(length: int) -> Duration:
    """The Duration of that many microseconds."""
    return Duration(seconds=length // SECOND, nanos=length % SECOND * 1000)


def from_pb_duration(length: Duration, field: str) -> int:
    """The length in microseconds.

    Raises:
        MetergateError: FIELD_INVALID where it is negative or finer than microseconds.
    """
    if length.seconds < 0 or not 0 <= length.nanos < 1_000_000_000 or length.nanos % 1000:
        raise invalid(field, "must be a length of time in whole microseconds")
    return length.seconds * SECOND + length.nanos // 1000


def from_pb_event(event: usage_event_pb2.UsageEvent, service: str, subject: str = "", settles: str = "") -> Event:
    """The event. One without a subject, or what it settles, has the given ones.

    Raises:
        MetergateError: FIELD_INVALID or QUANTITY_INVALID.
    """
    return make_event(
        event.id,
        event.source or service,
        event.type,
        event.subject or subject,
        from_pb_time(event.time, "time") if event.HasField("time") else None,
        event.amount,
        event.values,
        event.labels,
        event.settles or settles,
    )


def to_pb_event(event: Event) -> usage_event_pb2.UsageEvent:
    """The event as a message."""
    return usage_event_pb2.UsageEvent(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=None if event.time is None else to_pb_time(event.time),
        amount="" if event.amount is None else quantity.to_text(event.amount),
        values={name: quantity.to_text(value) for name, value in event.values.items()},
        labels=event.labels,
        settles=event.settles,
    )


def from_pb_fact(event: usage_event_pb2.UsageEvent, service: str) -> Event | Receipt:
    """The event, or, where it breaks a rule, the receipt that says so."""
    try:
        return from_pb_event(event, service)
    except MetergateError as error:
        return Receipt(event.id[:256], Outcome.REJECTED, error)


def to_pb_receipt(receipt: Receipt) -> usage_event_pb2.UsageReceipt:
    """The receipt as a message."""
    error = receipt.error
    if error is None:
        return usage_event_pb2.UsageReceipt(
            event_id=receipt.event_id,
            outcome=_OUTCOMES[receipt.outcome],
            unmatched=receipt.unmatched,
            unsettled=receipt.unsettled,
        )
    return usage_event_pb2.UsageReceipt(
        event_id=receipt.event_id,
        outcome=_OUTCOMES[receipt.outcome],
        reason=f"ERROR_REASON_{error.reason.name}",
        field=error.field,
        message=error.message,
    )


def from_pb_amount(amount: str, index: int) -> Decimal:
    """The amount that stands in that place of the request; none = 1.

    Raises:
        MetergateError: QUANTITY_INVALID, or FIELD_INVALID when it is negative.
    """
    if not amount or amount == "1":
        return quantity.ONE
    number = quantity.parse(amount, f"amounts[{index}].amount")
    if number < 0:
        raise invalid(f"amounts[{index}].amount", "must not be negative")
    return number


_FIGURES = ("used", "reserved", "leased", "forfeited", "overrun")
_TEMPLATES_MOST = 10_000
_templates: dict[tuple[int, int, int, str], tuple[Limit, decision_pb2.LimitState]] = {}


def _template(limit: Limit, window: Window, filter_: str) -> decision_pb2.LimitState:
    """What is the same in all answers about a limit in one window. The limit is kept so that its id stays its own."""
    place = (id(limit), window.start, window.end, filter_)
    found = _templates.get(place)
    if found is not None:
        return found[1]
    message = decision_pb2.LimitState(
        name=limit.name,
        meter=limit.meter,
        max=text_of_max(limit.max),
        reserved="0",
        leased="0",
        forfeited="0",
        overrun="0",
        policy=POLICIES[limit.policy],
        scope=SCOPES[limit.scope],
        labels=read_filter(filter_),
        kind=KINDS[limit.kind],
        shadow=limit.shadow,
        overridden=limit.overridden,
    )
    if window.end < LATEST:
        end = to_pb_time(window.end)
        message.window.CopyFrom(decision_pb2.Window(start_time=to_pb_time(window.start), end_time=end))
        message.reset_time.CopyFrom(end)
    if len(_templates) >= _TEMPLATES_MOST:
        _templates.clear()
    _templates[place] = (limit, message)
    return message


def to_pb_limit_state(state: LimitState, message: decision_pb2.LimitState | None = None) -> decision_pb2.LimitState:
    """The state of a limit as a message, or in the given empty one."""
    message = decision_pb2.LimitState() if message is None else message
    message.CopyFrom(_template(state.limit, state.window, state.filter))
    text, resets_at = quantity.to_text, state.resets_at
    figures = counted(state)
    if state.limit.kind is Kind.GRANTS and not state.unknown:
        message.max = text(figures.granted)
    message.used = text(figures.used)
    if figures.taken is not figures.used:
        message.reserved = text(figures.reserved)
        message.leased = text(figures.leased)
        message.forfeited = text(figures.forfeited)
    if state.overrun:
        message.overrun = text(state.overrun)
    if state.unknown:
        message.unknown = True
        for name in _FIGURES:
            message.ClearField(name)
    if resets_at is not None and resets_at != state.window.end:
        message.reset_time.seconds = resets_at // SECOND
        message.reset_time.nanos = resets_at % SECOND * 1000
    _add_rare(state, message)
    if state.remaining is not None:
        message.remaining = text(state.remaining)
    if state.would_fit is not None:
        message.would_fit = text(state.would_fit)
    ahead = state.exhausted_in
    if ahead is not None:
        message.exhausted_in.seconds = ahead // SECOND
        message.exhausted_in.nanos = ahead % SECOND * 1000
    return message


def _add_rare(state: LimitState, message: decision_pb2.LimitState) -> None:
    if state.pool:
        message.pool = state.pool
    if state.would_refuse:
        message.would_refuse = True
    if state.grace_ends_at is not None:
        message.grace_end_time.CopyFrom(to_pb_time(state.grace_ends_at))


_encoded: dict[int, tuple[Decision, decision_pb2.Decision]] = {}


def to_pb_decision(decision: Decision, message: decision_pb2.Decision) -> None:
    """Writes the decision into an empty message. One that is given again is not built again."""
    found = _encoded.get(id(decision))
    if found is None:
        build_decision(decision, message)
        if len(_encoded) >= _TEMPLATES_MOST:
            _encoded.clear()
        kept = decision_pb2.Decision()
        kept.CopyFrom(message)
        _encoded[id(decision)] = (decision, kept)
    else:
        message.CopyFrom(found[1])


def build_decision(decision: Decision, message: decision_pb2.Decision) -> None:
    """Writes a decision that is given once into an empty message."""
    message.allowed = decision.allowed
    message.plan = decision.plan
    for state in decision.states:
        to_pb_limit_state(state, message.limits.add())
    message.as_of.seconds = decision.as_of // SECOND
    message.as_of.nanos = decision.as_of % SECOND * 1000
    message.answered_by = _ANSWERED_BY[decision.answered_by]
    if decision.degraded:
        message.degraded = True
    if decision.binding is not None:
        message.reason = decision.reason
        message.binding_limit = decision.binding.limit.name
    if decision.retry_after is not None:
        message.retry_after.CopyFrom(to_pb_duration(decision.retry_after))
