"""The gRPC server: methods, health per service, reflection in dev, and an orderly end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from metergate.domain.errors import MetergateError, Reason
from metergate.rpc.call import Call, Failure, Method
from metergate.rpc.errors import to_failure

MESSAGE_MOST = 4 * 1024 * 1024  # bytes

# Clients may ping every 30 s; connections are closed after some minutes so that clients spread over processes.
# A second server on one port is an error: by default both would bind it, and share its connections in silence.
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_MOST),
    ("grpc.max_concurrent_streams", 1_000),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_age_ms", 15 * 60_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
]


class GrpcServer:
    """Serves methods on one address."""

    def __init__(self, methods: Sequence[Method], reflect: bool) -> None:
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = HealthServicer()
        self._services = sorted({method.service for method in methods})
        self._server.add_generic_rpc_handlers((_Methods(methods),))  # the first to be asked
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if reflect:
            names = [*self._services, "grpc.health.v1.Health", reflection.SERVICE_NAME]
            reflection.enable_server_reflection(names, self._server)
        self._server.add_generic_rpc_handlers((_NoSuchMethod(),))  # the last to be asked

    async def start(self, address: str) -> str:
        """Binds and serves; returns the address with the port that was bound.

        Raises:
            OSError: the address cannot be bound.
        """
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address} for gRPC: is something else listening there?") from error
        await self._server.start()
        await self.set_health(True)
        return f"{address.rpartition(':')[0]}:{port}"

    async def set_health(self, serving: bool) -> None:
        """Tells health checks whether calls are welcome."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *self._services):
            await self._health.set(service, status)

    async def stop(self, grace: float) -> None:
        """Takes no new calls, lets those under way finish for `grace` seconds, and closes."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


class _Methods(grpc.GenericRpcHandler):
    """Finds the method of a call. The metadata that gRPC has made for that is used for the call as well: asking the
    context for it would make it anew."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self._methods = {method.path: method for method in methods}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """From gRPC: the handler of one call, or None when it is not ours."""
        method = self._methods.get(handler_call_details.method)
        if method is None:
            return None
        handle, call = method.handle, Call(_metadata(handler_call_details.invocation_metadata))

        async def answer(request: bytes, context: Any) -> Any:
            try:
                return await handle(request, call)
            except Failure as failure:
                await _abort(context, failure)

        async def stream(request: bytes, context: Any) -> Any:
            try:
                async with aclosing(await handle(request, call)) as messages:
                    async for message in messages:
                        yield message  # waits until the client has room for it
            except Failure as failure:
                await _abort(context, failure)

        # Requests stay bytes until the caller is known; see the validate interceptor.
        if method.streams:
            return grpc.unary_stream_rpc_method_handler(stream, None, method.response_type.SerializeToString)
        return grpc.unary_unary_rpc_method_handler(answer, None, method.response_type.SerializeToString)


async def _abort(context: Any, failure: Failure) -> None:
    if failure.pushback_ms is not None:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", str(failure.pushback_ms)),))
    await context.abort_with_status(rpc_status.to_status(failure.status))


def _metadata(pairs: Any) -> dict[str, str]:
    """Only what the interceptors look at."""
    for key, value in pairs or ():
        if key == "authorization":
            return {key: value}
    return {}


class _NoSuchMethod(grpc.GenericRpcHandler):
    """Answers what nothing else answers: gRPC itself would give no ErrorInfo."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """From gRPC: the handler of any method."""
        path = handler_call_details.method
        failure = to_failure(MetergateError(Reason.METHOD_NOT_FOUND, f"there is no {path}", {"method": path}))

        async def refuse(requests: Any, context: Any) -> None:
            await context.abort_with_status(rpc_status.to_status(failure.status))

        return grpc.stream_stream_rpc_method_handler(refuse)
