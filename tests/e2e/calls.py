"""Calls over real gRPC channels, and what became of them: the code, the one reason, and its figures.

A failed call is checked here for what promise P12 says of every one of them: never UNKNOWN or INTERNAL, and where
the server answered, exactly one ErrorInfo with a published reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from metergate.adapters.postgres.connect import plain_url
from metergate.v1 import (
    backfill_pb2,
    billing_pb2,
    catalog_pb2,
    customer_data_pb2,
    customer_pb2,
    error_reason_pb2,
    notification_pb2,
    quota_pb2,
    usage_pb2,
)

FILES = (
    usage_pb2, backfill_pb2, quota_pb2, catalog_pb2, customer_pb2, customer_data_pb2, notification_pb2, billing_pb2,
)  # fmt: skip
METHODS: dict[str, MethodDescriptor] = {
    method.name: method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
BILLING = {method.name for method in billing_pb2.DESCRIPTOR.services_by_name["BillingService"].methods} | {
    "SetBudget", "GetBudget",
}  # fmt: skip
REASONS = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118
DOMAIN = "metergate.dev"
_DETAILS: dict[str, type[Message]] = {
    one.DESCRIPTOR.full_name: one
    for one in (
        error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.QuotaFailure,
        error_details_pb2.RetryInfo,
    )
}  # fmt: skip
# What the client's side of gRPC says by itself, when no answer of the server came in time.
_WITHOUT_ANSWER = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


@dataclass
class Answer:
    """How a call ended. `violations` are descriptions by field; `details` by the name of their type."""

    code: grpc.StatusCode
    message: str = ""
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    response: Any = None

    @property
    def field(self) -> str:
        """The field that is to blame."""
        return self.metadata.get("field", "")

    @property
    def short(self) -> tuple[str, str]:
        """The code's name and the reason."""
        return self.code.name, self.reason


def path_of(method: MethodDescriptor) -> str:
    """The method as gRPC names it."""
    return f"/{method.containing_service.full_name}/{method.name}"


def request_type(method: str) -> type[Any]:
    """The class of the method's requests."""
    kind: type[Any] = GetMessageClass(METHODS[method].input_type)
    return kind


def response_type(method: str) -> type[Any]:
    """The class of the method's responses."""
    kind: type[Any] = GetMessageClass(METHODS[method].output_type)
    return kind


def encoded(request: Message | bytes) -> bytes:
    """The request's bytes."""
    return request if isinstance(request, bytes) else request.SerializeToString()


def read_failure(error: Any) -> Answer:
    """The failure in parts.

    Raises:
        AssertionError: it is not one that P12 allows.
    """
    code, message = error.code(), error.details() or ""
    assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), f"{code}: {message}"
    try:
        status = rpc_status.from_call(error)
    except ValueError as mismatch:
        raise AssertionError(f"the details do not fit the status: {mismatch}") from None
    if status is None:
        return Answer(code, message)
    infos = [one for one in status.details if one.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1, f"{code}: {message}: {len(infos)} ErrorInfos"
    details: dict[str, Any] = {}
    for one in status.details:
        kind = _DETAILS[one.TypeName()]
        details[kind.DESCRIPTOR.name] = kind.FromString(one.value)
    info = details["ErrorInfo"]
    assert info.domain == DOMAIN
    assert info.reason in REASONS
    violations = details["BadRequest"].field_violations if "BadRequest" in details else ()
    found = {one.field: one.description for one in violations}
    return Answer(code, message, info.reason, dict(info.metadata), found, details)


class Caller:
    """Calls one server with one key."""

    def __init__(self, grpc_url: str, key: str) -> None:
        self.key = key
        self.called: set[str] = set()
        self.channel = grpc.aio.insecure_channel(grpc_url)

    def __call__(self, method: str, /, **fields: Any) -> Awaitable[Any]:
        """Makes a call that has to succeed."""
        return self._must(method, fields)

    async def _must(self, method: str, fields: dict[str, Any]) -> Any:
        answer = await self.answer(method, request_type(method)(**fields))
        assert answer.code is grpc.StatusCode.OK, f"{method}: {answer}"
        return answer.response

    async def refused(self, method: str, /, **fields: Any) -> Answer:
        """Makes a call that has to fail, with a reason."""
        answer = await self.answer(method, request_type(method)(**fields))
        assert answer.code is not grpc.StatusCode.OK, f"{method} was answered: {answer.response}"
        assert answer.reason, f"{method}: no ErrorInfo: {answer}"
        return answer

    async def answer(
        self, method: str, request: Message | bytes, deadline: float = 20, authorization: str | None = None
    ) -> Answer:
        """Makes a call and says how it ended. `deadline` in seconds; `authorization` in place of the key, "" = none."""
        header = f"Bearer {self.key}" if authorization is None else authorization
        metadata = (("authorization", header),) if header else ()
        self.called.add(method)
        path, decode = path_of(METHODS[method]), response_type(method).FromString
        try:
            if METHODS[method].server_streaming:  # the first message, and that there is one
                stream = self.channel.unary_stream(path, encoded, decode)(request, timeout=deadline, metadata=metadata)
                response = await anext(aiter(stream))
                stream.cancel()
            else:
                response = await self.channel.unary_unary(path, encoded, decode)(
                    request, timeout=deadline, metadata=metadata
                )
        except grpc.aio.AioRpcError as error:
            answer = read_failure(error)
            assert answer.reason or answer.code in _WITHOUT_ANSWER or _too_large(answer), f"{method}: {answer}"
            return answer
        return Answer(grpc.StatusCode.OK, response=response)

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close()


def _too_large(answer: Answer) -> bool:
    """The one refusal that gRPC gives before any code of ours runs."""
    return answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in answer.message


def caller(grpc_url: str, key: str) -> AbstractAsyncContextManager[Caller]:
    """A caller whose channel is closed at the end."""

    @asynccontextmanager
    async def opened() -> Any:
        calling = Caller(grpc_url, key)
        try:
            yield calling
        finally:
            await calling.close()

    return opened()


def stamp(seconds_from_now: float) -> dict[str, int]:
    """A Timestamp so far from now."""
    nanos = time.time_ns() + int(seconds_from_now * 1e9)
    return {"seconds": nanos // 10**9, "nanos": nanos % 10**9}


async def total(api: Caller, meter: str, customer: str = "acme", **fields: Any) -> str:
    """What the summary says that the customer used, over all times that events may have."""
    span = {"start_time": stamp(-400 * 86_400), "end_time": stamp(3_600)}
    summary = await api("GetUsageSummary", customer=customer, meters=[meter], **{**span, **fields})
    [series] = summary.series
    return str(series.total)


async def used(api: Caller, meter: str, subject: str = "acme", **fields: Any) -> str:
    """What CheckQuota says that the first limit's counter holds."""
    decision = (await api("CheckQuota", subject=subject, amounts=[{"meter": meter}], **fields)).decision
    return str(decision.limits[0].used)


async def eventually(true: Callable[[], Awaitable[bool]], within: float) -> float:
    """Waits until it is true; returns the seconds that it took.

    Raises:
        AssertionError: it did not become true in time.
    """
    began = time.monotonic()
    while not await true():
        assert time.monotonic() - began < within, f"not within {within} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


@asynccontextmanager
async def holding(postgres_url: str, statement: str, *parameters: Any) -> Any:
    """A transaction of somebody else's that has run the statement, and is rolled back at the end."""
    connection = await asyncpg.connect(plain_url(postgres_url))
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(statement, *parameters)
        yield
        await transaction.rollback()
    finally:
        await connection.close()


def holding_head(postgres_url: str, tenant: str, customer: str) -> Any:
    """Holds the customer's head."""
    statement = "SELECT seq FROM customer_head WHERE tenant = $1 AND customer = $2 FOR UPDATE"
    return holding(postgres_url, statement, tenant, customer)
