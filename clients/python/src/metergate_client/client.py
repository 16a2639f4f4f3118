"""The blocking client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from weakref import WeakSet

import grpc

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
from metergate_client.errors import Unavailable, from_rpc_error
from metergate_client.leases.holder import LeaseHolder
from metergate_client.leases.model import EventForm, LeasePace
from metergate_client.methods import documented_as
from metergate_client.reservation import Reservation
from metergate_client.reserved import Answer
from metergate_client.v1 import usage_pb2
from metergate_client.watch import UsageWatch

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


def _reserving(build: Callable[P, Call[Any, Answer]]) -> Callable[Concatenate[Metergate, P], Reservation]:
    def method(self: Metergate, /, *args: P.args, **kwargs: P.kwargs) -> Reservation:
        return Reservation(self.run, self.run(build(*args, **kwargs)))

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
        self._holders: WeakSet[LeaseHolder] = WeakSet()

    record = _blocking(usage_calls.record)
    record_batch = _blocking(usage_calls.record_batch)
    usage = _blocking(usage_calls.usage)
    events = _paged(usage_calls.events)
    check = _blocking(quota.check)
    check_batch = _blocking(quota.check_batch)
    limits = _blocking(quota.limits)
    consume = _blocking(consume_calls.consume)
    consume_unit = _blocking(consume_calls.consume_unit)
    consume_batch = _blocking(consume_calls.consume_batch)
    reserve = _reserving(reserve_calls.reserve)
    explain = _blocking(explain_calls.explain)
    limit_events = _paged(explain_calls.limit_events)
    release_lease = _blocking(explain_calls.release_lease)
    set_limit = _blocking(catalog.set_limit)
    create_customer = _blocking(customer_calls.create_customer)
    customer = _blocking(customer_calls.customer)
    customers = _paged(customer_calls.customers)
    update_customer = _blocking(customer_calls.update_customer)
    create_subject = _blocking(customer_calls.create_subject)
    subjects = _paged(customer_calls.subjects)
    assign_plan = _blocking(customer_calls.assign_plan)
    assign_pool = _blocking(customer_calls.assign_pool)
    set_limit_override = _blocking(customer_calls.set_limit_override)
    delete_limit_override = _blocking(customer_calls.delete_limit_override)
    create_grant = _blocking(grant_calls.create_grant)
    void_grant = _blocking(grant_calls.void_grant)
    grants = _paged(grant_calls.grants)
    grant_moves = _paged(grant_calls.grant_moves)

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

    def lease_holder(
        self,
        holder: str,
        *,
        journal: str | os.PathLike[str] | None = None,
        patience: float = 0.5,
        pace: LeasePace | None = None,
        forms: Mapping[str, EventForm] | None = None,
    ) -> LeaseHolder:
        """Hold slices of capacity here, and spend them without a call.

        Args:
            holder: A stable name, the same after a restart, and no other process's.
            journal: A file that tells a later run of the same name what this one had, should it be killed: with it
                only what it may have spent stays taken; without it all that it held is forfeited until the window
                ends. On a disk that keeps what it was told to.
            patience: Seconds that ``allow`` waits at most for capacity that was asked for; 0 = never.
            pace: How eagerly it works.
            forms: How usage of some meters is written as events, by meter; by default events of the meter's own name
                with an amount. Meters that count events cannot be leased: one event stands for many decisions.

        Raises:
            MetergateConfigError: The journal is in use, another holder's, or damaged.
            OSError: It cannot be read or written.
        """
        made = LeaseHolder(self, holder, journal, patience, pace, forms)
        self._holders.add(made)
        return made

    def _begin(self, call: Call[Any, Any]) -> grpc.Future[Any]:
        """Send a call without waiting for its answer."""
        begun: grpc.Future[Any] = self._callable(call).future(  # type: ignore[attr-defined]
            call.request, timeout=self._timeout, metadata=self._metadata
        )
        return begun

    def _end(self, call: Call[Any, T], begun: grpc.Future[Any]) -> T:
        """Read the answer of a call that was begun.

        Raises:
            MetergateError: It failed.
        """
        try:
            return call.read(begun.result())
        except grpc.RpcError as error:
            raise from_rpc_error(error, call.events) from error
        except grpc.FutureCancelledError as error:
            raise Unavailable("", "the channel was closed", code=grpc.StatusCode.CANCELLED) from error

    def watch(
        self,
        *,
        customer: str = "",
        subject: str = "",
        after_seq: int | None = None,
        event_types: Sequence[str] = (),
        meters: Sequence[str] = (),
    ) -> UsageWatch:
        """Follow what is recorded of a customer or a subject: ``for event in client.watch(customer="acme")``.

        Args:
            customer: All its subjects.
            subject: Only this one.
            after_seq: What was recorded after this place in the customer's order; by default from now on.
            event_types: Only events of these types.
            meters: Only events that count in one of these meters.

        Raises:
            MetergateError: While iterating: what cannot be watched. A server that goes away is waited for.
        """
        asked = usage_watch.request(customer, subject, after_seq, event_types, meters)
        return UsageWatch(usage_watch.Position(asked), self._stream)

    def _stream(self, request: Any) -> Any:
        known = self._channel.unary_stream(
            usage_watch.PATH,
            request_serializer=type(request).SerializeToString,
            response_deserializer=usage_pb2.WatchUsageResponse.FromString,
        )
        return known(request, metadata=self._metadata)

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
        """Close the lease holders, then the channel, unless it was handed in. Calls in flight are cancelled."""
        for holder in list(self._holders):
            holder.close()
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
