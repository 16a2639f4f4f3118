"""The asyncio client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from weakref import WeakSet

import grpc
from grpc import aio

from metergate_client import watch as usage_watch
from metergate_client.calls import catalog, quota
from metergate_client.calls import consume as consume_calls
from metergate_client.calls import customers as customer_calls
from metergate_client.calls import explain as explain_calls
from metergate_client.calls import grants as grant_calls
from metergate_client.calls import reserve as reserve_calls
from metergate_client.calls import usage as usage_calls
from metergate_client.calls.call import Call, Pages
from metergate_client.channel import options
from metergate_client.config import Config, resolve
from metergate_client.errors import from_rpc_error
from metergate_client.leases.aio import AsyncLeaseHolder
from metergate_client.leases.model import EventForm, LeasePace
from metergate_client.methods import documented_as
from metergate_client.reservation import AsyncReservation, Reserving
from metergate_client.reserved import Answer
from metergate_client.v1 import usage_pb2
from metergate_client.watch import AsyncUsageWatch

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    build: Callable[P, Call[Any, T]],
) -> Callable[Concatenate[AsyncMetergate, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncMetergate, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(build(*args, **kwargs))

    return documented_as(build, method)


def _paged(build: Callable[P, Pages[T]]) -> Callable[Concatenate[AsyncMetergate, P], AsyncIterator[T]]:
    def method(self: AsyncMetergate, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.walk(build(*args, **kwargs))

    return documented_as(build, method)


def _reserving(build: Callable[P, Call[Any, Answer]]) -> Callable[Concatenate[AsyncMetergate, P], Reserving]:
    def method(self: AsyncMetergate, /, *args: P.args, **kwargs: P.kwargs) -> Reserving:
        call = build(*args, **kwargs)

        async def ask() -> AsyncReservation:
            return AsyncReservation(self.run, await self.run(call))

        return Reserving(ask)

    return documented_as(build, method)


class AsyncMetergate:
    """``Metergate`` for asyncio: the same calls, awaited; what iterates does so asynchronously.

    One client belongs to one event loop: that of its first call, where its channel is made. The arguments are those
    of ``Metergate``; ``channel`` is a ``grpc.aio.Channel``.

    Raises:
        MetergateConfigError: There is no address or no key; the message says what to do.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        profile: str | None = None,
        timeout: float = 5.0,
        channel: aio.Channel | None = None,
    ) -> None:
        self._config = resolve(url, key, profile, need_url=channel is None)
        self._config.target()  # a bad address is told here, not at the first call
        self._timeout = timeout
        self._metadata = (("authorization", f"Bearer {self._config.key}"),)
        self._owned = channel is None
        self._channel = channel
        self._callables: dict[str, Callable[..., Any]] = {}
        self._holders: WeakSet[AsyncLeaseHolder] = WeakSet()

    record = _awaited(usage_calls.record)
    record_batch = _awaited(usage_calls.record_batch)
    usage = _awaited(usage_calls.usage)
    events = _paged(usage_calls.events)
    check = _awaited(quota.check)
    check_batch = _awaited(quota.check_batch)
    limits = _awaited(quota.limits)
    consume = _awaited(consume_calls.consume)
    consume_unit = _awaited(consume_calls.consume_unit)
    consume_batch = _awaited(consume_calls.consume_batch)
    reserve = _reserving(reserve_calls.reserve)
    explain = _awaited(explain_calls.explain)
    limit_events = _paged(explain_calls.limit_events)
    release_lease = _awaited(explain_calls.release_lease)
    set_limit = _awaited(catalog.set_limit)
    create_customer = _awaited(customer_calls.create_customer)
    customer = _awaited(customer_calls.customer)
    customers = _paged(customer_calls.customers)
    update_customer = _awaited(customer_calls.update_customer)
    create_subject = _awaited(customer_calls.create_subject)
    subjects = _paged(customer_calls.subjects)
    assign_plan = _awaited(customer_calls.assign_plan)
    assign_pool = _awaited(customer_calls.assign_pool)
    set_limit_override = _awaited(customer_calls.set_limit_override)
    delete_limit_override = _awaited(customer_calls.delete_limit_override)
    create_grant = _awaited(grant_calls.create_grant)
    void_grant = _awaited(grant_calls.void_grant)
    grants = _paged(grant_calls.grants)
    grant_moves = _paged(grant_calls.grant_moves)

    async def run(self, call: Call[Any, T]) -> T:
        """Send a call of ``metergate_client.calls`` and read its answer.

        Raises:
            MetergateError: It failed.
        """
        try:
            reply = await self._callable(call)(call.request, timeout=self._timeout, metadata=self._metadata)
        except aio.AioRpcError as error:
            raise from_rpc_error(error, call.events) from error
        return call.read(reply)

    def lease_holder(
        self,
        holder: str,
        *,
        journal: str | os.PathLike[str] | None = None,
        patience: float = 0.5,
        pace: LeasePace | None = None,
        forms: Mapping[str, EventForm] | None = None,
    ) -> AsyncLeaseHolder:
        """Hold slices of capacity here, and spend them without a call: ``Metergate.lease_holder`` for asyncio."""
        made = AsyncLeaseHolder(self, holder, journal, patience, pace, forms)
        self._holders.add(made)
        return made

    def watch(
        self,
        *,
        customer: str = "",
        subject: str = "",
        after_seq: int | None = None,
        event_types: Sequence[str] = (),
        meters: Sequence[str] = (),
    ) -> AsyncUsageWatch:
        """Follow what is recorded of a customer or a subject: ``Metergate.watch`` for asyncio."""
        asked = usage_watch.request(customer, subject, after_seq, event_types, meters)
        return AsyncUsageWatch(usage_watch.Position(asked), self._stream)

    def _stream(self, request: Any) -> Any:
        if self._channel is None:
            self._channel = _connect(self._config)
        known = self._channel.unary_stream(
            usage_watch.PATH,
            request_serializer=type(request).SerializeToString,
            response_deserializer=usage_pb2.WatchUsageResponse.FromString,
        )
        return known(request, metadata=self._metadata)

    async def walk(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Go through a list, page by page.

        Raises:
            MetergateError: A page could not be fetched.
        """
        page = await self.run(pages.at(""))
        while True:
            for item in page.items:
                yield item
            if not page.next_page_token:
                return
            page = await self.run(pages.at(page.next_page_token))

    async def close(self) -> None:
        """Close the lease holders, then the channel, unless it was handed in. Calls in flight are cancelled."""
        for holder in list(self._holders):
            await holder.close()
        if self._owned and self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _callable(self, call: Call[Any, Any]) -> Callable[..., Any]:
        known = self._callables.get(call.path)
        if known is None:
            if self._channel is None:
                self._channel = _connect(self._config)
            known = self._callables[call.path] = self._channel.unary_unary(
                call.path,
                request_serializer=type(call.request).SerializeToString,
                response_deserializer=call.reply.FromString,
            )
        return known


def _connect(config: Config) -> aio.Channel:
    target, tls = config.target()
    if tls:
        return aio.secure_channel(target, grpc.ssl_channel_credentials(), options())
    return aio.insecure_channel(target, options())
