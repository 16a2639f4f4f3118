"""A server that remembers events by id, and fails as it is told: for what a real one does only by chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from metergate.v1 import catalog_pb2, customer_pb2, quota_pb2, usage_pb2
from metergate.v1.usage_event_pb2 import Outcome, UsageEvent, UsageReceipt

Handler = Callable[[Any, grpc.ServicerContext], Any]


class FakeServer:
    """Answers BatchRecordUsage by itself, and other methods as `handlers` says, by "Service/Method"."""

    def __init__(self) -> None:
        self.url = ""
        self.key = "mg_fake"
        self.events: dict[str, UsageEvent] = {}
        self.batches: list[list[str]] = []
        self.backfill: set[bool] = set()
        self.failures: list[Callable[[grpc.ServicerContext], NoReturn]] = []
        self.handlers: dict[str, Handler] = {"UsageService/BatchRecordUsage": self._batch}

    def _batch(self, request: usage_pb2.BatchRecordUsageRequest, context: grpc.ServicerContext) -> Any:
        self.batches.append([event.id for event in request.events])
        self.backfill.add(request.backfill)
        if self.failures:
            self.failures.pop(0)(context)
        return usage_pb2.BatchRecordUsageResponse(receipts=[self._receipt(event) for event in request.events])

    def _receipt(self, event: UsageEvent) -> UsageReceipt:
        known = self.events.setdefault(event.id, event)
        if any(value.startswith("-") for value in event.values.values()):
            del self.events[event.id]
            return UsageReceipt(
                event_id=event.id,
                outcome=Outcome.OUTCOME_REJECTED,
                reason="ERROR_REASON_QUANTITY_NEGATIVE",
                field="values",
                message="it would shrink",
            )
        if known is event:
            return UsageReceipt(event_id=event.id, outcome=Outcome.OUTCOME_ACCEPTED)
        if known == event:
            return UsageReceipt(event_id=event.id, outcome=Outcome.OUTCOME_DUPLICATE)
        return UsageReceipt(
            event_id=event.id,
            outcome=Outcome.OUTCOME_CONFLICT,
            reason="ERROR_REASON_EVENT_CONFLICT",
            field="type",
            message="it is known with another type",
        )

    def answer(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers one call of "Service/Method"."""
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {self.key}":
            refuse(context, grpc.StatusCode.UNAUTHENTICATED, "KEY_INVALID", "The API key is not valid.")
        return self.handlers[name](request, context)


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, reason: str, message: str, *details: Any) -> NoReturn:
    """Ends a call as the real server does: a status with an ErrorInfo."""
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain="metergate.dev"), *details):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort raises")


class _Router(grpc.GenericRpcHandler):
    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        service, _, method = str(details.method).removeprefix("/metergate.v1.").partition("/")
        for file in (catalog_pb2, customer_pb2, quota_pb2, usage_pb2):
            if service in file.DESCRIPTOR.services_by_name:
                kind = file.DESCRIPTOR.services_by_name[service].methods_by_name[method].input_type
                return grpc.unary_unary_rpc_method_handler(
                    lambda request, context: self._fake.answer(f"{service}/{method}", request, context),
                    request_deserializer=message_factory.GetMessageClass(kind).FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
        return None


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    """A fake server on a port of its own."""
    fake = FakeServer()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((_Router(fake),))
    fake.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()
