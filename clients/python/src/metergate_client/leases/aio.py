"""The lease holder of the asyncio client: everything happens in one event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from grpc import aio

from metergate_client.calls.call import Call
from metergate_client.errors import MetergateError
from metergate_client.exact import Amount
from metergate_client.leases import common
from metergate_client.leases.common import boot, key_of, now, wall
from metergate_client.leases.model import AnyKey, EventForm, Failure, LeasePace, Request, Verdict, Write
from metergate_client.leases.units import ONE, to_units
from metergate_client.leases.wire import to_call, to_failure

T = TypeVar("T")


class _Client(Protocol):
    def run(self, call: Call[Any, T]) -> Awaitable[T]: ...


class AsyncLeaseHolder:
    """``LeaseHolder`` for asyncio: the same, awaited. Made by ``AsyncMetergate.lease_holder``.

    It belongs to the event loop of its first ``allow``. ``close`` it, or use it in an ``async with`` block: nobody
    else gives back what it holds.
    """

    def __init__(
        self,
        client: _Client,
        holder: str,
        journal: str | os.PathLike[str] | None = None,
        patience: float = 0.5,
        pace: LeasePace | None = None,
        forms: Mapping[str, EventForm] | None = None,
    ) -> None:
        self.holder = holder
        self._client = client
        self._patience = patience
        self._forms = dict(forms or {})
        self._machine, self._journal = common.open_machine(holder, journal, pace, forms)
        self._to_do = asyncio.Event()
        self._news = asyncio.Event()  # set, and replaced by a new one, whenever waiting may have come to an end
        self._worker: asyncio.Task[None] | None = None
        common.watch_forks(self)

    async def allow(
        self,
        meter: str,
        amount: Amount = 1,
        *,
        subject: str,
        labels: Mapping[str, str] | None = None,
        fallback: bool = False,
    ) -> bool:
        """See ``LeaseHolder.allow``."""
        key = key_of(meter, subject, labels) if labels else (meter, subject, ())
        units = amount * ONE if type(amount) is int and amount > 0 else to_units(amount)
        verdict = self._machine.spend(key, units, boot(), wall())
        if verdict is Verdict.ALLOWED:
            return True
        if verdict is Verdict.ALERT or (verdict is Verdict.WAIT and await self._wait(key, units)):
            self._wake()
            return True
        if not fallback:
            return False
        admission = await self._client.run(common.fallback_call(self._forms, meter, amount, subject, labels))
        return admission.allowed

    @property
    def left(self) -> Decimal:
        """What is at hand, over all slices."""
        return common.left_of(self._machine)

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._machine.sent

    async def close(self, timeout: float = 10.0) -> bool:  # noqa: ASYNC109 - what is not done by then is left undone
        """See ``LeaseHolder.close``."""
        self._machine.stop()
        self._wake()
        self._tell_news()
        worker = self._worker
        if worker is not None and not worker.done():
            await asyncio.wait([worker], timeout=timeout)
            worker.cancel()
            await asyncio.wait([worker])
        if self._journal is not None:
            self._journal.close()
        return self._machine.done

    async def __aenter__(self) -> Self:
        self._wake()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _wait(self, key: AnyKey, units: int) -> bool:
        """Wait for what is missing."""
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    self._wake()
                    await self._news.wait()
                    verdict = self._machine.spend(key, units, boot(), wall())
                    if verdict is not Verdict.WAIT:
                        return verdict is not Verdict.REFUSED
        except TimeoutError:
            return False

    # --- the worker ---------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
        self._to_do.set()

    def _tell_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _work(self) -> None:
        flight: asyncio.Task[None] | None = None
        try:
            while not self._machine.done:
                common.tell(self._machine)
                moment = now()
                task = self._machine.next(moment)
                if isinstance(task, Write):
                    await self._write(task)
                elif task is not None:
                    flight = asyncio.get_running_loop().create_task(self._send(task))
                else:
                    await self._sleep(common.seconds_until(self._machine.wake_at(moment)))
        finally:
            if flight is not None:
                flight.cancel()
            common.tell(self._machine)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._to_do.wait()
        except TimeoutError:
            pass  # it is time
        self._to_do.clear()

    async def _write(self, write: Write) -> None:
        """Write to the journal, in a thread: what is marked may be spent on meanwhile."""
        assert self._journal is not None, "only a machine with a journal writes"
        try:
            await asyncio.to_thread(self._journal.write, write.entries)
        except OSError as error:
            self._machine.not_written(str(error), now())
        else:
            self._machine.written()
        self._tell_news()

    async def _send(self, request: Request) -> None:
        try:
            reply = await self._client.run(to_call(request, self.holder))
        except MetergateError as error:
            self._machine.failed(request, to_failure(error), now())
        except (aio.UsageError, asyncio.CancelledError) as error:  # the channel is closed
            self._machine.failed(request, Failure(repr(error), answered=False), now())
        else:
            self._machine.answer(request, reply, now())
        self._tell_news()
        self._to_do.set()

    def _in_child(self) -> None:
        self._machine.abandon()
        if self._journal is not None:
            self._journal.close()
