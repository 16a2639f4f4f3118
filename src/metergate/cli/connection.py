"""Calls to a Metergate server, over gRPC and without generated client code."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from metergate.cli import profiles
from metergate.cli.errors import CliError
from metergate.cli.profiles import Profile
from metergate.cli.rpc_errors import to_cli_error
from metergate.v1 import (
    backfill_pb2,
    billing_pb2,
    catalog_pb2,
    customer_data_pb2,
    customer_pb2,
    notification_pb2,
    quota_pb2,
    usage_pb2,
)

M = TypeVar("M", bound=Message)
TIMEOUT_SECONDS = 30.0
_TLS = {"https": True, "grpcs": True, "http": False, "grpc": False}
_FILES = (
    backfill_pb2, billing_pb2, catalog_pb2, customer_pb2, customer_data_pb2, notification_pb2, quota_pb2, usage_pb2,
)  # fmt: skip
# Every call can be repeated: usage has ids, changes carry a request_id, the rest reads.
_RETRIES = (
    '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s",'
    ' "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}'
)
_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", _RETRIES),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),  # a summary by the minute may be long
    # A server that comes back is found within a second, not after gRPC's usual two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Connection:
    """One channel to one server, with the profile's key."""

    def __init__(self, profile: Profile) -> None:
        self.url = profile.url
        self._channel = open_channel(profile.url)
        self._metadata = (("authorization", f"Bearer {profile.key}"),) if profile.key else ()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def call(self, service: str, method: str, request: Message, reply: type[M], timeout: float = TIMEOUT_SECONDS) -> M:
        """Calls one method and returns its reply. Raises CliError."""
        try:
            answer = self._method(service, method)(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise to_cli_error(error, self.url) from error
        if not isinstance(answer, reply):
            raise TypeError(f"{service}.{method} answers {type(answer).__name__}, not {reply.__name__}")
        return answer

    def stream(self, service: str, method: str, request: Message, reply: type[M]) -> Iterator[M]:
        """Calls a method that streams; its replies as they come. Raises CliError."""
        found = _find(service, method)
        open_stream: Any = self._channel.unary_stream(
            f"/{found.containing_service.full_name}/{found.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply.FromString,
        )
        answers = open_stream(request, metadata=self._metadata)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise to_cli_error(error, self.url) from error
        finally:
            answers.cancel()

    def start(self, service: str, method: str, request: Message, timeout: float) -> Any:
        """Begins a call without waiting for it; its `result()` raises `grpc.RpcError`."""
        return self._method(service, method).future(request, timeout=timeout, metadata=self._metadata)

    def _method(self, service: str, method: str) -> Any:
        found = _find(service, method)
        return self._channel.unary_unary(
            f"/{found.containing_service.full_name}/{found.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(found.output_type).FromString,
        )


def connect() -> Connection:
    """A connection as the environment and the profile say. Raises CliError."""
    return Connection(profiles.resolve())


def open_channel(url: str) -> grpc.Channel:
    """A channel to `host:port`, `http://host:port`, or with TLS `https://host:port`. Raises CliError."""
    scheme, mark, rest = url.rpartition("://")
    host = rest.rstrip("/")
    if not host or "/" in host or (mark and scheme not in _TLS):
        raise CliError(f"{url!r} is no server's address: write host:port, or https://host:port for TLS.")
    tls = _TLS.get(scheme, False)
    if mark and ":" not in host.rpartition("]")[2]:  # an IPv6 address stands in brackets
        host += ":443" if tls else ":80"
    if tls:
        return grpc.secure_channel(host, grpc.ssl_channel_credentials(), options=_OPTIONS)
    return grpc.insecure_channel(host, options=_OPTIONS)


def _find(service: str, method: str) -> MethodDescriptor:
    for file in _FILES:
        if service in file.DESCRIPTOR.services_by_name:
            return cast(MethodDescriptor, file.DESCRIPTOR.services_by_name[service].methods_by_name[method])
    raise KeyError(service)
