"""What can be wrong, as a published vocabulary: the names are those of `error_reason.proto`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto


class Reason(StrEnum):
    """Why a call failed or an event was not accepted; never renamed."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name

    KEY_MISSING = auto()
    KEY_INVALID = auto()
    FIELD_INVALID = auto()
    QUANTITY_INVALID = auto()
    QUANTITY_NEGATIVE = auto()
    TIME_TOO_OLD = auto()
    TIME_IN_FUTURE = auto()
    EVENT_CONFLICT = auto()
    BATCH_TOO_LARGE = auto()
    METER_NOT_FOUND = auto()
    SUBJECT_NOT_FOUND = auto()
    CUSTOMER_NOT_FOUND = auto()
    PLAN_NOT_FOUND = auto()
    CUSTOMER_EXISTS = auto()
    SUBJECT_EXISTS = auto()
    CATALOG_INVALID = auto()
    PLAN_IN_USE = auto()
    TOO_MANY_POINTS = auto()
    TOKEN_INVALID = auto()
    OVERLOADED = auto()
    LEDGER_UNAVAILABLE = auto()
    OUTCOME_UNKNOWN = auto()
    SHUTTING_DOWN = auto()
    MESSAGE_MALFORMED = auto()
    DEADLINE_PASSED = auto()
    LIMIT_REACHED = auto()
    REQUEST_ID_REUSED = auto()
    SERVER_FAULT = auto()
    MESSAGE_TOO_LARGE = auto()
    METHOD_NOT_FOUND = auto()
    UNIT_PARTLY_KNOWN = auto()
    RESERVATION_NOT_FOUND = auto()
    RESERVATION_CLOSED = auto()
    LEASE_NOT_FOUND = auto()
    LEASE_MARK_INVALID = auto()
    LEASE_NOT_POSSIBLE = auto()
    METER_CAN_SHRINK = auto()
    LEASE_NOT_FORFEITED = auto()
    POOL_NOT_POSSIBLE = auto()
    GRANT_NOT_FOUND = auto()
    GRANT_ENDED = auto()
    EVENT_NOT_FOUND = auto()
    EVENT_VOIDED = auto()
    EVENT_CHANGED = auto()
    BACKFILL_NOT_FOUND = auto()
    BACKFILL_CLOSED = auto()
    ENDPOINT_NOT_FOUND = auto()
    TOO_MANY_ENDPOINTS = auto()
    ADDRESS_REFUSED = auto()
    ENDPOINT_DISABLED = auto()
    ERASURE_NOT_POSSIBLE = auto()
    MERGE_NOT_POSSIBLE = auto()
    CUSTOMER_MERGED = auto()
    TOO_EXPENSIVE = auto()
    EVENTS_DROPPED = auto()
    PLAN_VERSION_IN_USE = auto()
    FEATURE_NOT_FOUND = auto()
    SUBSCRIPTION_NOT_FOUND = auto()
    SUBSCRIPTION_STATE = auto()
    PLAN_HAS_NO_PRICES = auto()
    PLAN_FROM_SUBSCRIPTION = auto()
    COUPON_NOT_FOUND = auto()
    CURRENCY_MISMATCH = auto()
    INVOICE_NOT_FOUND = auto()
    INVOICE_STATE = auto()
    CREDIT_TOO_LARGE = auto()
    PAYMENT_TOO_LARGE = auto()
    PERIOD_OPEN = auto()
    AMOUNT_TOO_LARGE = auto()


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that breaks a rule."""

    field: str
    description: str


class MetergateError(Exception):
    """The one exception for what a caller must know: a reason, a sentence, and its figures as metadata."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        metadata: dict[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata or {}
        self.violations = violations

    @property
    def field(self) -> str:
        """The field that is to blame, or the empty string."""
        return self.metadata.get("field", "")


def invalid(field: str, description: str, reason: Reason = Reason.FIELD_INVALID, **metadata: str) -> MetergateError:
    """The error for one field that breaks a rule."""
    return MetergateError(
        reason, f"{field}: {description}", {"field": field, **metadata}, (Violation(field, description),)
    )


def subject_not_found(subject: str) -> MetergateError:
    """Nobody is called so."""
    message = f"no subject or customer is called {subject!r}"
    return MetergateError(Reason.SUBJECT_NOT_FOUND, message, {"subject": subject})
