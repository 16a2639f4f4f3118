"""Watching usage as it is recorded: one call that goes on, begun again where it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import grpc
from grpc import aio

from metergate_client.decode import from_pb_recorded_event
from metergate_client.errors import MetergateError, Unavailable, from_rpc_error
from metergate_client.events import RecordedEvent
from metergate_client.v1 import usage_pb2

PATH = "/metergate.v1.UsageService/WatchUsage"
_PAUSE_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)

Open = Callable[[usage_pb2.WatchUsageRequest], Any]


class Position:
    """How far a watcher is: all up to ``seq``, and ``told`` events behind it, which come again after a break."""

    def __init__(self, request: usage_pb2.WatchUsageRequest) -> None:
        self.request = request
        self.breaks = 0
        self._began = False
        self._told = 0
        self._passed = 0

    @property
    def seq(self) -> int | None:
        """None before the first message of a watch from now on."""
        return self.request.after_seq if self.request.HasField("after_seq") else None

    def begin(self) -> usage_pb2.WatchUsageRequest:
        """A new call."""
        self._passed = 0
        return self.request

    def take(self, answer: usage_pb2.WatchUsageResponse) -> Iterator[RecordedEvent]:
        """The events that are new; when all are handed over, the position is behind them."""
        self.breaks = 0
        for event in answer.events:
            self._passed += 1
            if self._passed > self._told:
                self._told = self._passed
                yield from_pb_recorded_event(event)
        if not self._began or answer.seq > self.request.after_seq:
            self.request.after_seq = answer.seq
            self._began, self._told, self._passed = True, 0, 0

    def pause(self, error: MetergateError | None) -> float:
        """Seconds until the next call.

        Raises:
            MetergateError: It is not a break that passes, or nothing was heard yet.
        """
        if error is not None and not (self._began and _passes(error)):
            raise error
        self.breaks += 1
        return _PAUSE_SECONDS[min(self.breaks, len(_PAUSE_SECONDS)) - 1]


def _passes(error: MetergateError) -> bool:
    """Whether the server went away, or something on the way to it."""
    broken = (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    return isinstance(error, Unavailable) or (not error.reason and error.code in broken)


def request(
    customer: str, subject: str, after_seq: int | None, event_types: Sequence[str], meters: Sequence[str]
) -> usage_pb2.WatchUsageRequest:
    """What to watch."""
    types = (event_types,) if isinstance(event_types, str) else event_types
    names = (meters,) if isinstance(meters, str) else meters
    return usage_pb2.WatchUsageRequest(
        customer=customer, subject=subject, after_seq=after_seq, types=types, meters=names
    )


class UsageWatch:
    """Recorded events, each once, in the customer's order, for as long as one iterates; ``close`` it, or use ``with``.

    It goes on by itself when a server goes away. Keep ``seq`` where what you made of the events is kept, and give it
    as ``after_seq`` after a restart: all up to it was handed over, and what comes after it comes again.
    """

    def __init__(self, position: Position, open_stream: Open) -> None:
        self._position = position
        self._open = open_stream
        self._call: Any = None
        self._closed = False
        self._events = self._follow()

    @property
    def seq(self) -> int | None:
        """All up to it was handed over; None before the server's first word."""
        return self._position.seq

    def __iter__(self) -> Iterator[RecordedEvent]:
        return self._events

    def _follow(self) -> Iterator[RecordedEvent]:
        while not self._ended():
            error: MetergateError | None = None
            self._call = self._open(self._position.begin())
            try:
                for answer in self._call:
                    yield from self._position.take(answer)
            except grpc.RpcError as broken:
                if self._ended():
                    return
                error = from_rpc_error(broken, ())
            time.sleep(self._position.pause(error))

    def _ended(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End it, from any thread."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    def __enter__(self) -> UsageWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncUsageWatch:
    """``UsageWatch`` for asyncio."""

    def __init__(self, position: Position, open_stream: Open) -> None:
        self._position = position
        self._open = open_stream
        self._call: Any = None
        self._closed = False
        self._events = self._follow()

    @property
    def seq(self) -> int | None:
        """All up to it was handed over; None before the server's first word."""
        return self._position.seq

    def __aiter__(self) -> AsyncIterator[RecordedEvent]:
        return self._events

    async def _follow(self) -> AsyncIterator[RecordedEvent]:
        while not self._ended():
            error: MetergateError | None = None
            self._call = self._open(self._position.begin())
            try:
                async for answer in self._call:
                    for event in self._position.take(answer):
                        yield event
            except aio.AioRpcError as broken:
                if self._ended():
                    return
                error = from_rpc_error(broken, ())
            except asyncio.CancelledError:
                if self._ended():  # closing cancels the call, not who reads it
                    return
                raise
            await asyncio.sleep(self._position.pause(error))

    def _ended(self) -> bool:
        return self._closed

    async def close(self) -> None:
        """End it."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    async def __aenter__(self) -> AsyncUsageWatch:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
