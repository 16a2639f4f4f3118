"""validate: the request is a message, and keeps the rules of its shape. What its fields mean, the verbs check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError, Message

from metergate.domain.errors import MetergateError, Reason, Violation
from metergate.domain.holding import DAY_MOST
from metergate.rpc.call import Call, Handler, Method

BATCH_MOST = 5_000
_TEXT_MOST = 256
_UNIT_MOST = 100

Rule = Callable[[Any], Iterable[Violation]]


def _required(*fields: str) -> Rule:
    def rule(request: Any) -> Iterable[Violation]:
        for field in fields:
            value = getattr(request, field)
            if (isinstance(value, Message) and not request.HasField(field)) or value == "":
                yield Violation(field, "is required")

    return rule


def _short(*fields: str, most: int = _TEXT_MOST) -> Rule:
    def rule(request: Any) -> Iterable[Violation]:
        for field in fields:
            text = getattr(request, field)
            if len(text.encode()) > most:
                yield Violation(field, f"must be at most {most} bytes long")
            elif not text.isprintable():
                yield Violation(field, "must not hold control characters")

    return rule


def _each_short(field: str) -> Rule:
    def rule(request: Any) -> Iterable[Violation]:
        for index, text in enumerate(getattr(request, field)):
            if len(text.encode()) > _TEXT_MOST or not text.isprintable():
                yield Violation(f"{field}[{index}]", f"must be at most {_TEXT_MOST} bytes without control characters")

    return rule


def _counted(field: str, least: int, most: int) -> Rule:
    def rule(request: Any) -> Iterable[Violation]:
        count = len(getattr(request, field))
        if not least <= count <= most:
            yield Violation(field, f"must have {least} to {most} entries, and has {count}")

    return rule


def _moments(*fields: str) -> Rule:
    def rule(request: Any) -> Iterable[Violation]:
        for field in fields:
            if not 0 <= getattr(request, field).nanos < 1_000_000_000:
                yield Violation(field, "nanos must lie between 0 and 999,999,999")

    return rule


def _page(request: Any) -> Iterable[Violation]:
    if request.page_size < 0:
        yield Violation("page_size", "must not be negative")


def _batch(field: str) -> Rule:
    def rule(request: Any) -> Iterable[Violation]:
        count = len(getattr(request, field))
        if count > BATCH_MOST:
            message = f"{field}: {count} entries; one call may carry {BATCH_MOST}"
            raise MetergateError(
                Reason.BATCH_TOO_LARGE,
                message,
                {"field": field, "maximum": str(BATCH_MOST)},
                (Violation(field, f"at most {BATCH_MOST} entries"),),
            )
        return ()

    return rule


def _units(request: Any) -> Iterable[Violation]:
    events = 0
    for index, unit in enumerate(request.consumes):
        events += len(unit.events)
        if not 1 <= len(unit.events) <= _UNIT_MOST:
            yield Violation(f"consumes[{index}].events", f"must have 1 to {_UNIT_MOST} entries")
    if events > BATCH_MOST:
        yield Violation("consumes", f"must have at most {BATCH_MOST} events together")


def _ttl(request: Any) -> Iterable[Violation]:
    if request.HasField("ttl"):
        length = request.ttl.seconds * 1_000_000 + request.ttl.nanos // 1_000
        if not 0 < length <= DAY_MOST:
            yield Violation("ttl", "must be more than 0 and at most 24 hours")


def _each_once(request: Any) -> Iterable[Violation]:
    ids = [mark.lease_id for mark in request.marks]
    if len(set(ids)) < len(ids):
        yield Violation("marks", "must name each lease once")
    for index, id_ in enumerate(ids):
        if not id_ or len(id_.encode()) > _TEXT_MOST:
            yield Violation(f"marks[{index}].lease_id", f"must be 1 to {_TEXT_MOST} bytes long")
        elif not id_.isprintable():
            yield Violation(f"marks[{index}].lease_id", "must not hold control characters")


def _page_of_events(request: Any) -> Iterable[Violation]:
    if request.events < 0:
        yield Violation("events", "must not be negative")


def _version(request: Any) -> Iterable[Violation]:
    if request.expected_version < 0:
        yield Violation("expected_version", "must not be negative")


def _hint(request: Any) -> Iterable[Violation]:
    if bool(request.customer) != request.HasField("count_time"):
        yield Violation("count_time", "must be given with customer, and only then")


_CORRECTION = (
    _short("customer"),
    _short("reason", most=500),
    _version,
    _moments("count_time"),
    _hint,
    _short("request_id", most=64),
)
_CHANGES_ONE = (_required("id"), _short("id"), _short("request_id", most=64))
RULES: dict[str, tuple[Rule, ...]] = {
    "ReconcileUsage": (_short("customer"),),
    "RecordUsage": (_required("event"),),
    "BatchRecordUsage": (_batch("events"),),
    "GetUsageSummary": (
        _moments("start_time", "end_time", "known_at_time"),
        _short("customer", "subject", "time_zone"),
    ),
    "WatchUsage": (_short("customer", "subject"),),
    "ListUsageEvents": (_page, _moments("start_time", "end_time"), _short("customer", "subject", "type")),
    "AmendUsage": (_required("event"), *_CORRECTION),
    "VoidUsage": (_required("id"), _short("id", "source"), *_CORRECTION),
    "GetUsageHistory": (_required("id"), _short("id", "source"), _page),
    "OpenBackfill": (_short("reason", most=500), _short("request_id", most=64)),
    "LoadBackfill": (_required("id"), _short("id"), _batch("events")),
    "PreviewBackfill": (_required("id"), _short("id"), _page),
    "CommitBackfill": (_required("id"), _short("id")),
    "DiscardBackfill": (_required("id"), _short("id")),
    "RevertBackfill": (_required("id"), _short("id")),
    "GetBackfill": (_required("id"), _short("id")),
    "ListBackfills": (_page,),
    "ListBackfillProblems": (_required("id"), _short("id"), _page),
    "BatchCheckQuota": (_batch("checks"),),
    "ConsumeQuota": (_counted("events", 1, 100),),
    "BatchConsumeQuota": (_batch("consumes"), _units),
    "ReserveQuota": (
        _required("subject"),
        _short("subject"),
        _counted("amounts", 1, 16),
        _ttl,
        _short("request_id", most=64),
    ),
    "ExtendReservation": (_required("reservation_id", "ttl"), _short("reservation_id"), _ttl),
    "CommitReservation": (_required("reservation_id"), _short("reservation_id"), _counted("events", 0, 100)),
    "ReleaseReservation": (_required("reservation_id"), _short("reservation_id")),
    "AcquireLease": (
        _required("subject", "meter", "holder", "amount"),
        _short("subject", "meter"),
        _short("holder", most=128),
        _short("request_id", most=64),
    ),
    "SyncLeases": (_counted("marks", 1, 1_000), _each_once),
    "ReturnLease": (_required("lease_id"), _short("lease_id")),
    "ReleaseLease": (_required("lease_id"), _short("lease_id")),
    "ExplainDecision": (_required("decision_id"), _short("decision_id", most=262_144), _page_of_events),
    "ListLimitEvents": (_short("customer"), _page),
    "ListLimits": (_required("subject"), _short("subject"), _counted("meters", 0, 100)),
    "ApplyCatalog": (_required("catalog"), _short("request_id", most=64)),
    "ListPrices": (_short("currency", most=3), _counted("plans", 0, 500), _each_short("plans")),
    "SetLimit": (_required("limit"), _short("plan"), _short("request_id", most=64)),
    "CreateCustomer": (_required("customer"), _short("request_id", most=64)),
    "GetCustomer": (_required("id"), _short("id")),
    "ListCustomers": (_page,),
    "UpdateCustomer": (_required("customer"), _short("request_id", most=64)),
    "SetLimitOverride": (
        _required("customer", "limit", "max"),
        _short("customer", "limit"),
        _moments("start_time", "end_time"),
        _short("request_id", most=64),
    ),
    "DeleteLimitOverride": (
        _required("customer", "limit"),
        _short("customer", "limit"),
        _moments("start_time"),
        _short("request_id", most=64),
    ),
    "AssignPool": (_required("customer"), _short("customer", "pool"), _short("request_id", most=64)),
    "AssignPlan": (_required("customer"), _short("customer", "plan"), _short("request_id", most=64)),
    "CreateSubject": (_required("subject"), _short("request_id", most=64)),
    "CheckFeature": (_required("subject", "feature"), _short("subject", "feature")),
    "ListSubjects": (_required("customer"), _short("customer"), _page),
    "CreateGrant": (
        _required("customer", "meter", "amount"),
        _short("customer", "meter"),
        _moments("start_time", "end_time"),
        _short("request_id", most=64),
    ),
    "VoidGrant": (_required("grant_id"), _short("grant_id")),
    "ListGrants": (_required("customer"), _short("customer", "meter"), _page),
    "ListGrantMoves": (_required("customer"), _short("customer", "meter", "grant_id"), _page),
    "MoveSubject": (_required("subject", "customer"), _short("subject", "customer"), _short("request_id", most=64)),
    "MergeCustomers": (_required("customer", "into"), _short("customer", "into"), _short("request_id", most=64)),
    "ListSubjectMoves": (_short("customer", "subject"), _page),
    "ExportCustomer": (_required("customer"), _short("customer"), _page),
    "EraseCustomer": (_required("customer"), _short("customer", "new_id"), _short("request_id", most=64)),
    "ListErasures": (_short("customer"), _page),
    "CreateEndpoint": (_required("endpoint"), _short("request_id", most=64)),
    "UpdateEndpoint": (_required("endpoint"), _short("request_id", most=64)),
    "DeleteEndpoint": (_required("id"), _short("id"), _short("request_id", most=64)),
    "RotateEndpointSecret": (_required("id"), _short("id"), _short("request_id", most=64)),
    "SendTestEvent": (_required("id"), _short("id")),
    "ListDeliveries": (_short("endpoint", "customer"), _page),
    "ReplayDeliveries": (_required("endpoint"), _short("endpoint", "customer"), _moments("start_time", "end_time")),
    "SetBudget": (_required("subscription"), _short("subscription", "amount"), _counted("thresholds", 0, 100)),
    "GetBudget": (_required("subscription"), _short("subscription")),
    "CreateSubscription": (
        _required("customer"),
        _short("customer"),
        _moments("start_time", "trial_end_time"),
        _short("request_id", most=64),
    ),
    "ChangeSubscription": _CHANGES_ONE,
    "ActivateSubscription": _CHANGES_ONE,
    "PauseSubscription": _CHANGES_ONE,
    "ResumeSubscription": _CHANGES_ONE,
    "CancelSubscription": _CHANGES_ONE,
    "UndoSubscription": _CHANGES_ONE,
    "ApplyCoupon": (_required("coupon"), _short("coupon"), *_CHANGES_ONE),
    "GetSubscription": (_required("id"), _short("id")),
    "ListSubscriptions": (_short("customer"), _page),
    "SetBillingDetails": (_required("customer", "details"), _short("customer"), _short("request_id", most=64)),
    "GetBillingDetails": (_required("customer"), _short("customer")),
    "PreviewInvoice": (_required("subscription"), _short("subscription")),
    "ClosePeriods": (_counted("subscriptions", 0, 100),),
    "ListInvoices": (_short("customer", "subscription"), _page),
    "GetInvoice": (_required("id"), _short("id")),
    "FinalizeInvoice": (_short("notes", most=2_000), *_CHANGES_ONE),
    "PayInvoice": (_short("method", most=64), _short("reference"), *_CHANGES_ONE),
    "VoidInvoice": _CHANGES_ONE,
    "MarkInvoiceUncollectible": _CHANGES_ONE,
    "CreateCreditNote": (
        _required("invoice"),
        _short("invoice", "reason"),
        _counted("lines", 0, 1_000),
        _short("request_id", most=64),
    ),
    "ListCreditNotes": (_required("invoice"), _short("invoice")),
    "ListPayments": (_required("invoice"), _short("invoice")),
    "GetInvoicePdf": (_required("id"), _short("id", "credit_note")),
    "ExplainInvoiceLine": (_required("invoice"), _short("invoice"), _page),
}


# Questions come alone and by the thousand; the servicer applies these to those that it hasn't seen before.
QUESTION_RULES = (_required("subject"), _short("subject"), _counted("amounts", 1, 16))


def validate(method: Method, handle: Handler) -> Handler:
    """Parses what came as bytes and applies the method's rules, all at once."""
    rules = RULES.get(method.name, ())
    parse = method.request_type.FromString

    async def validated(request: Any, call: Call) -> Any:
        if not isinstance(request, bytes):
            request = await request()
        if isinstance(request, bytes):
            call.raw = request
            try:
                request = parse(request)
            except DecodeError:
                message = f"the request is not a {method.request_type.DESCRIPTOR.name}"
                raise MetergateError(Reason.MESSAGE_MALFORMED, message) from None
        check(rules, request)
        return await handle(request, call)

    return validated


def check(rules: Iterable[Rule], request: Any) -> None:
    """Raises FIELD_INVALID with all violations, when there are any."""
    violations = tuple([violation for rule in rules for violation in rule(request)])
    if violations:
        first = violations[0]
        raise MetergateError(
            Reason.FIELD_INVALID, f"{first.field}: {first.description}", {"field": first.field}, violations
        )
