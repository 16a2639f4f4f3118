"""A call as every face hands it to the interceptors, and the failure that comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from metergate.domain.access import Principal


@dataclass(slots=True)
class Call:
    """What is known of a call besides its request. `metadata` keys are lower case.

    `principal` is set by the authenticate interceptor; nothing behind it runs without one. `raw` is the request as it
    came over the wire, empty where it did not come as protobuf.
    """

    metadata: Mapping[str, str]
    principal: Principal | None = None
    raw: bytes = b""

    @property
    def caller(self) -> Principal:
        """The authenticated caller."""
        assert self.principal is not None, "authenticate comes first"
        return self.principal


class Failure(Exception):
    """A call that failed, as it goes over the wire: code, message and details."""

    def __init__(self, status: Status, pushback_ms: int | None = None) -> None:
        super().__init__(status.message)
        self.status = status
        self.pushback_ms = pushback_ms

    @property
    def code(self) -> int:
        """The gRPC code."""
        code: int = self.status.code
        return code

    @property
    def message(self) -> str:
        """The sentence for people."""
        message: str = self.status.message
        return message


# The request comes as bytes from gRPC, and from the HTTP face as a coroutine function that decodes it.
# What a method answers with is a message, or of one that streams an async generator of messages.
Handler = Callable[[Any, Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the contract and what answers it, interceptors included."""

    service: str
    name: str
    request_type: type[Message]
    response_type: type[Message]
    handle: Handler
    reads_only: bool = field(default=False)
    streams: bool = field(default=False)

    @property
    def path(self) -> str:
        """The method as gRPC and Connect name it."""
        return f"/{self.service}/{self.name}"
