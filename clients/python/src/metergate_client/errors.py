"""What may go wrong, as exceptions that carry the published reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from metergate_client.events import Event
    from metergate_client.quota import Decision

_DOMAIN = "metergate.dev"


class MetergateConfigError(Exception):
    """No server, no key or no profile was found, or it cannot be used. The message says what to do."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request that breaks a rule, and which."""

    field: str
    description: str


class MetergateError(Exception):
    """A call failed.

    Attributes:
        reason: A name from ``error_reason.proto`` without its prefix ("SUBJECT_NOT_FOUND"). Reasons never change.
            Empty when the server did not answer (no connection, deadline passed on this side).
        message: The same in words.
        metadata: What the reason is about, such as ``{"subject": "acme"}``.
        field_violations: Each field of the request that breaks a rule.
        code: The gRPC status code.
        retry_after: How long the server asks callers to wait; None when it does not say.
        events: The events that the call carried, with their ids and times. After an error whose outcome is unknown,
            hand them to ``record_batch``: what was recorded already comes back as a duplicate and counts once.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        field_violations: tuple[FieldViolation, ...] = (),
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        retry_after: timedelta | None = None,
        events: tuple[Event, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.field_violations = field_violations
        self.code = code
        self.retry_after = retry_after
        self.events = events

    def __str__(self) -> str:
        text = f"{self.message} ({self.reason or self.code.name})"
        return "\n".join([text, *(f"  {field.field}: {field.description}" for field in self.field_violations)])


class NotFound(MetergateError):
    """A question about a meter, subject, customer or plan that does not exist."""


class InvalidArgument(MetergateError):
    """The request breaks a rule; ``field_violations`` names each field. Repeating it does not help."""


class Conflict(MetergateError):
    """The id is known with other content, or the change contradicts what is there. Nothing was overwritten."""


class Unauthenticated(MetergateError):
    """The API key is missing, mistyped, expired or revoked."""


class Unavailable(MetergateError):
    """No answer: no server, one that is stopping or at its limit, or the deadline passed.

    Events may have been recorded or not: repeat them with the same ids (``events``) to learn it.
    """


class QuotaRefused(MetergateError):
    """A reservation was refused, and was used as if it had been made. ``decision`` says which limit refused it."""

    def __init__(self, decision: Decision) -> None:
        metadata = {"limit": decision.binding_limit} if decision.binding_limit else {}
        super().__init__("LIMIT_REACHED", repr(decision), metadata, code=grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.retry_after = decision.retry_after
        self.decision = decision


_CLASSES: dict[grpc.StatusCode, type[MetergateError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
}


def from_rpc_error(error: grpc.RpcError, events: tuple[Event, ...] = ()) -> MetergateError:
    """Read a failed call's status and its details."""
    call: Any = error  # both grpc's and grpc.aio's errors answer code(), details() and trailing_metadata()
    code: grpc.StatusCode = call.code()
    status = _status(call)
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    asked_to_wait = False
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
        elif detail.Is(retry.DESCRIPTOR):
            asked_to_wait = detail.Unpack(retry)
    return _CLASSES.get(code, MetergateError)(
        reason=info.reason if info.domain == _DOMAIN else "",
        message=call.details() or code.name,
        metadata=info.metadata,
        field_violations=tuple(FieldViolation(v.field, v.description) for v in bad.field_violations),
        code=code,
        retry_after=retry.retry_delay.ToTimedelta() if asked_to_wait else None,
        events=events,
    )


def _status(call: Any) -> status_pb2.Status:
    """The rich status; an empty one where there is none, or where something on the way damaged it."""
    try:
        return rpc_status.from_call(call) or status_pb2.Status()
    except (ValueError, DecodeError):
        return status_pb2.Status()  # the code and the message remain, and they are raised
