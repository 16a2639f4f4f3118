"""The blocking client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from metergate_client.calls import catalog, customers, quota
from metergate_client.calls import usage as usage_calls
from metergate_client.calls.call import Call, Pages
from metergate_client.channel import options
from metergate_client.config import Config, resolve
from metergate_client.errors import from_rpc_error
from metergate_client.methods import documented_as

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(build: Callable[P, Call[Any, T]]) -> Callable[Concatenate[Metergate, P], T]:
    def method(self: Metergate, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(build(*args, **kwargs))

    return documented_as(build, method)


def _paged(build: Callable[P, Pages[T]]) -> Callable[Concatenate[Metergate, P], Iterator[T]]:
    def method(self: Metergate, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.walk(build(*args, **kwargs))

    return documented_as(build, method)


class Metergate:
    """A client of a Metergate server. Threads may share one; ``close`` it, or use it in a ``with`` block.

    Args:
        url: "host:port" (plain, for loopback and trusted networks) or "https://host:port" (TLS).
        key: An API key. ``url`` and ``key`` come, each by itself, from here, else from ``METERGATE_URL`` and
            ``METERGATE_KEY``, else from the profile.
        profile: A profile of the profile file; by default ``METERGATE_PROFILE``, else "dev". Named here, it goes
            before the two variables.
        timeout: Seconds that a call may take, its retries included.
        channel: A ``grpc.Channel`` to use instead of making one, for certificates or interceptors of your own. Retries
            are then as you configured them, and closing it is yours.

    Raises:
        MetergateConfigError: There is no address or no key; the message says what to do.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        profile: str | None = None,
        timeout: float = 5.0,
        channel: grpc.Channel | None = None,
    ) -> None:
        config = resolve(url, key, profile, need_url=channel is None)
        self._timeout = timeout
        self._metadata = (("authorization", f"Bearer {config.key}"),)
        self._owned = channel is None
        self._channel = _connect(config) if channel is None else channel
        self._callables: dict[str, Callable[..., Any]] = {}

    record = _blocking(usage_calls.record)
    record_batch = _blocking(usage_calls.record_batch)
    usage = _blocking(usage_calls.usage)
    events = _paged(usage_calls.events)
    check = _blocking(quota.check)
    check_batch = _blocking(quota.check_batch)
    limits = _blocking(quota.limits)
    set_limit = _blocking(catalog.set_limit)
    create_customer = _blocking(customers.create_customer)
    create_subject = _blocking(customers.create_subject)
    assign_plan = _blocking(customers.assign_plan)

    def run(self, call: Call[Any, T]) -> T:
        """Send a call of ``metergate_client.calls`` and read its answer.

        Raises:
            MetergateError: It failed.
        """
        try:
            reply = self._callable(call)(call.request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error, call.events) from error
        return call.read(reply)

    def walk(self, pages: Pages[T]) -> Iterator[T]:
        """Go through a list, page by page.

        Raises:
            MetergateError: A page could not be fetched.
        """
        page = self.run(pages.at(""))
        while True:
            yield from page.items
            if not page.next_page_token:
                return
            page = self.run(pages.at(page.next_page_token))

    def close(self) -> None:
        """Close the channel, unless it was handed in. Calls in flight are cancelled."""
        if self._owned:
            self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _callable(self, call: Call[Any, Any]) -> Callable[..., Any]:
        known = self._callables.get(call.path)
        if known is None:  # two threads may both make one; either will do
            known = self._callables[call.path] = self._channel.unary_unary(
                call.path,
                request_serializer=type(call.request).SerializeToString,
                response_deserializer=call.reply.FromString,
            )
        return known


def _connect(config: Config) -> grpc.Channel:
    target, tls = config.target()
    if tls:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(), options())
    return grpc.insecure_channel(target, options())
