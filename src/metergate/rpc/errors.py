"""Reasons become statuses: one table, one ErrorInfo, never UNKNOWN or INTERNAL."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from metergate.domain.errors import MetergateError, Reason, Violation
from metergate.rpc.call import Failure

DOMAIN = "metergate.dev"

CODES: dict[Reason, int] = {
    Reason.KEY_MISSING: Code.UNAUTHENTICATED,
    Reason.KEY_INVALID: Code.UNAUTHENTICATED,
    Reason.FIELD_INVALID: Code.INVALID_ARGUMENT,
    Reason.QUANTITY_INVALID: Code.INVALID_ARGUMENT,
    Reason.QUANTITY_NEGATIVE: Code.INVALID_ARGUMENT,
    Reason.TIME_TOO_OLD: Code.INVALID_ARGUMENT,
    Reason.TIME_IN_FUTURE: Code.INVALID_ARGUMENT,
    Reason.EVENT_CONFLICT: Code.ALREADY_EXISTS,
    Reason.BATCH_TOO_LARGE: Code.INVALID_ARGUMENT,
    Reason.METER_NOT_FOUND: Code.NOT_FOUND,
    Reason.SUBJECT_NOT_FOUND: Code.NOT_FOUND,
    Reason.CUSTOMER_NOT_FOUND: Code.NOT_FOUND,
    Reason.PLAN_NOT_FOUND: Code.NOT_FOUND,
    Reason.CUSTOMER_EXISTS: Code.ALREADY_EXISTS,
    Reason.SUBJECT_EXISTS: Code.ALREADY_EXISTS,
    Reason.CATALOG_INVALID: Code.INVALID_ARGUMENT,
    Reason.PLAN_IN_USE: Code.FAILED_PRECONDITION,
    Reason.TOO_MANY_POINTS: Code.INVALID_ARGUMENT,
    Reason.TOKEN_INVALID: Code.INVALID_ARGUMENT,
    Reason.OVERLOADED: Code.UNAVAILABLE,
    Reason.LEDGER_UNAVAILABLE: Code.UNAVAILABLE,
    Reason.OUTCOME_UNKNOWN: Code.UNAVAILABLE,
    Reason.SHUTTING_DOWN: Code.UNAVAILABLE,
    Reason.MESSAGE_MALFORMED: Code.INVALID_ARGUMENT,
    Reason.DEADLINE_PASSED: Code.DEADLINE_EXCEEDED,
    Reason.LIMIT_REACHED: Code.RESOURCE_EXHAUSTED,
    Reason.REQUEST_ID_REUSED: Code.INVALID_ARGUMENT,
    Reason.SERVER_FAULT: Code.UNAVAILABLE,
    Reason.MESSAGE_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    Reason.METHOD_NOT_FOUND: Code.UNIMPLEMENTED,
    Reason.UNIT_PARTLY_KNOWN: Code.ALREADY_EXISTS,
    Reason.RESERVATION_NOT_FOUND: Code.NOT_FOUND,
    Reason.RESERVATION_CLOSED: Code.FAILED_PRECONDITION,
    Reason.LEASE_NOT_FOUND: Code.NOT_FOUND,
    Reason.LEASE_MARK_INVALID: Code.INVALID_ARGUMENT,
    Reason.LEASE_NOT_POSSIBLE: Code.FAILED_PRECONDITION,
    Reason.METER_CAN_SHRINK: Code.FAILED_PRECONDITION,
    Reason.LEASE_NOT_FORFEITED: Code.FAILED_PRECONDITION,
    Reason.POOL_NOT_POSSIBLE: Code.FAILED_PRECONDITION,
    Reason.GRANT_NOT_FOUND: Code.NOT_FOUND,
    Reason.GRANT_ENDED: Code.FAILED_PRECONDITION,
    Reason.EVENT_NOT_FOUND: Code.NOT_FOUND,
    Reason.EVENT_VOIDED: Code.FAILED_PRECONDITION,
    Reason.EVENT_CHANGED: Code.FAILED_PRECONDITION,
    Reason.BACKFILL_NOT_FOUND: Code.NOT_FOUND,
    Reason.BACKFILL_CLOSED: Code.FAILED_PRECONDITION,
    Reason.ENDPOINT_NOT_FOUND: Code.NOT_FOUND,
    Reason.TOO_MANY_ENDPOINTS: Code.FAILED_PRECONDITION,
    Reason.ADDRESS_REFUSED: Code.INVALID_ARGUMENT,
    Reason.ENDPOINT_DISABLED: Code.FAILED_PRECONDITION,
    Reason.ERASURE_NOT_POSSIBLE: Code.FAILED_PRECONDITION,
    Reason.MERGE_NOT_POSSIBLE: Code.FAILED_PRECONDITION,
    Reason.CUSTOMER_MERGED: Code.FAILED_PRECONDITION,
    Reason.TOO_EXPENSIVE: Code.FAILED_PRECONDITION,
    Reason.EVENTS_DROPPED: Code.FAILED_PRECONDITION,
    Reason.PLAN_VERSION_IN_USE: Code.FAILED_PRECONDITION,
    Reason.FEATURE_NOT_FOUND: Code.NOT_FOUND,
    Reason.SUBSCRIPTION_NOT_FOUND: Code.NOT_FOUND,
    Reason.SUBSCRIPTION_STATE: Code.FAILED_PRECONDITION,
    Reason.PLAN_HAS_NO_PRICES: Code.FAILED_PRECONDITION,
    Reason.PLAN_FROM_SUBSCRIPTION: Code.FAILED_PRECONDITION,
    Reason.COUPON_NOT_FOUND: Code.NOT_FOUND,
    Reason.CURRENCY_MISMATCH: Code.FAILED_PRECONDITION,
    Reason.INVOICE_NOT_FOUND: Code.NOT_FOUND,
    Reason.INVOICE_STATE: Code.FAILED_PRECONDITION,
    Reason.CREDIT_TOO_LARGE: Code.FAILED_PRECONDITION,
    Reason.PAYMENT_TOO_LARGE: Code.FAILED_PRECONDITION,
    Reason.PERIOD_OPEN: Code.FAILED_PRECONDITION,
    Reason.AMOUNT_TOO_LARGE: Code.FAILED_PRECONDITION,
}
RETRY_AFTER_MS = 200  # with UNAVAILABLE

# gRPC carries a failure in trailers, of which clients take 8 KiB, else they see another status than ours. The message
# travels twice, once with each byte as up to three, and base64 makes the details a third longer. Bytes:
_MESSAGE_MOST = 512
_VALUE_MOST = 256
_VIOLATIONS_MOST = 2_048


def to_failure(error: MetergateError) -> Failure:
    """The error as it goes over the wire."""
    code, text = CODES[error.reason], _cut(error.message, _MESSAGE_MOST)
    metadata = {name: _cut(value, _VALUE_MOST) for name, value in error.metadata.items()}
    info = ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=metadata)
    details: list[Message] = [info]
    if error.violations:
        details.append(BadRequest(field_violations=_fitting(error.violations)))
    if error.reason is Reason.LIMIT_REACHED:
        violation = QuotaFailure.Violation(subject=metadata.get("subject", ""), description=text)
        details.append(QuotaFailure(violations=[violation]))
    pushback = RETRY_AFTER_MS if code == Code.UNAVAILABLE else None
    if pushback is not None:
        details.append(RetryInfo(retry_delay=Duration(nanos=pushback * 1_000_000)))
    return Failure(Status(code=code, message=text, details=[_packed(one) for one in details]), pushback)


def _fitting(violations: Iterable[Violation]) -> Iterable[BadRequest.FieldViolation]:
    """The first violations, as many as there is room for."""
    left = _VIOLATIONS_MOST
    for one in violations:
        field, description = _cut(one.field, _VALUE_MOST), _cut(one.description, _MESSAGE_MOST)
        violation = BadRequest.FieldViolation(field=field, description=description)
        left -= violation.ByteSize()
        if left < 0:
            return
        yield violation


def _cut(text: str, most: int) -> str:
    """The text, or as much of it as `most` bytes hold, with a mark that something is missing."""
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "…"


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
