"""What this room needs of the methods that it serves; it knows neither gRPC nor protobuf."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from metergate.domain.errors import MetergateError


class MethodLike(Protocol):
    """A method of the contract. `handle` takes a function that decodes the request, and what `MakeCall` made; of
    one that streams it answers with an async generator."""

    @property
    def path(self) -> str: ...
    @property
    def request_type(self) -> type[Any]: ...
    @property
    def reads_only(self) -> bool: ...
    @property
    def streams(self) -> bool: ...
    @property
    def handle(self) -> Callable[[Any, Any], Awaitable[Any]]: ...


class DetailLike(Protocol):
    """A google.protobuf.Any."""

    type_url: str
    value: bytes


class StatusLike(Protocol):
    """A google.rpc.Status."""

    @property
    def details(self) -> Iterable[DetailLike]: ...


class FailureLike(Protocol):
    """How a call failed: the gRPC code, a sentence, details, and when to come back (milliseconds)."""

    status: StatusLike
    pushback_ms: int | None

    @property
    def code(self) -> int: ...
    @property
    def message(self) -> str: ...


MakeCall = Callable[[dict[str, str]], Any]  # from header fields, their names in lower case
ToFailure = Callable[[MetergateError], Exception]  # the exception is a FailureLike
