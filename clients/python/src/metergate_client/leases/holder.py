"""The lease holder of the blocking client: any number of threads spend, one thread works."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping
from decimal import Decimal
from threading import Condition, Lock, Thread
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from weakref import WeakSet

import grpc

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
    def run(self, call: Call[Any, T]) -> T: ...

    def _begin(self, call: Call[Any, Any]) -> grpc.Future[Any]: ...

    def _end(self, call: Call[Any, T], begun: grpc.Future[Any]) -> T: ...


class LeaseHolder:
    """Holds slices of capacity and spends them without a call. Made by ``Metergate.lease_holder``.

    Threads may share one. ``close`` it, or use it in a ``with`` block: what was not spent is then free for others at
    once. The child of a fork gets nothing from its parent's holder; make one there.
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
        self._give_up_at: float | None = None
        self._prepare()
        common.watch_forks(self)
        _open.add(self)
        self._thread = Thread(target=self._work, name=f"metergate-leases-{holder}", daemon=True)
        self._thread.start()

    def _prepare(self) -> None:
        self._lock = Lock()
        self._to_do = Condition(self._lock)  # the worker waits for it
        self._news = Condition(self._lock)  # callers wait for it
        self._flight: tuple[Request, Call[Any, Any], grpc.Future[Any]] | None = None

    def allow(
        self,
        meter: str,
        amount: Amount = 1,
        *,
        subject: str,
        labels: Mapping[str, str] | None = None,
        fallback: bool = False,
    ) -> bool:
        """Whether ``subject`` may use ``amount`` of ``meter``; if so it has used it.

        Decided from the slice at hand, without a call. Where there is none yet, or it is spent, more is asked for and
        waited for, at most ``patience``. Nothing left, nothing to be leased, or no server: False; with ``fallback``
        the server is asked to consume it instead.

        Raises:
            ValueError: The amount is not above zero, or has more than 12 digits after the point.
            MetergateError: With ``fallback``: as ``consume``.
        """
        key = key_of(meter, subject, labels) if labels else (meter, subject, ())
        units = amount * ONE if type(amount) is int and amount > 0 else to_units(amount)
        with self._lock:
            verdict = self._machine.spend(key, units, boot(), wall())
            if verdict is Verdict.ALLOWED:
                return True
            if verdict is Verdict.ALERT or (verdict is Verdict.WAIT and self._wait(key, units)):
                self._to_do.notify()
                return True
        if not fallback:
            return False
        return self._client.run(common.fallback_call(self._forms, meter, amount, subject, labels)).allowed

    @property
    def left(self) -> Decimal:
        """What is at hand, over all slices."""
        with self._lock:
            return common.left_of(self._machine)

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._machine.sent

    def close(self, timeout: float = 10.0) -> bool:
        """Spend nothing more, send the usage, give back what was not spent. May be repeated.

        Returns whether all of that is done. What is not, within ``timeout`` seconds, is the next holder's of this name
        and journal; without a journal it is forfeited.
        """
        with self._lock:
            if self._give_up_at is None:
                self._give_up_at = time.monotonic() + timeout
            self._machine.stop()
            self._to_do.notify()
            self._news.notify_all()
        self._thread.join(timeout + 1)
        _open.discard(self)
        return self._machine.done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, key: AnyKey, units: int) -> bool:
        """Wait for what is missing; the lock is held."""
        until = time.monotonic() + self._patience
        while True:
            self._to_do.notify()
            left = until - time.monotonic()
            if left <= 0 or not self._news.wait(left):
                return False
            verdict = self._machine.spend(key, units, boot(), wall())
            if verdict is not Verdict.WAIT:
                return verdict is not Verdict.REFUSED

    # --- the worker ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        with self._lock:
            while not self._finished():
                common.tell(self._machine)
                if self._flight is not None and self._flight[2].done():
                    self._land()
                    continue
                moment = now()
                task = self._machine.next(moment)
                if isinstance(task, Write):
                    self._write(task)
                elif task is not None:
                    self._send(task)
                else:
                    self._to_do.wait(common.seconds_until(self._machine.wake_at(moment)))
        if self._journal is not None:
            self._journal.close()

    def _finished(self) -> bool:
        if self._give_up_at is None:
            return False
        return self._machine.done or time.monotonic() >= self._give_up_at

    def _write(self, write: Write) -> None:
        """Write to the journal. The lock is let go of meanwhile: what is marked may be spent on."""
        assert self._journal is not None, "only a machine with a journal writes"
        problem = ""
        self._lock.release()
        try:
            self._journal.write(write.entries)
        except OSError as error:
            problem = str(error)
        finally:
            self._lock.acquire()
        if problem:
            self._machine.not_written(problem, now())
        else:
            self._machine.written()
        self._news.notify_all()

    def _send(self, request: Request) -> None:
        call = to_call(request, self.holder)
        try:
            begun = self._client._begin(call)
        except ValueError as error:  # the channel is closed
            self._machine.failed(request, Failure(str(error), answered=False), now())
            return
        self._flight = request, call, begun
        # Called at once, by this thread, where it is done already; hence not under the lock.
        self._lock.release()
        try:
            begun.add_done_callback(self._landed)
        finally:
            self._lock.acquire()

    def _landed(self, _: grpc.Future[Any]) -> None:
        with self._lock:
            self._to_do.notify()

    def _land(self) -> None:
        assert self._flight is not None
        (request, call, begun), self._flight = self._flight, None
        try:
            reply = self._client._end(call, begun)
        except MetergateError as error:
            self._machine.failed(request, to_failure(error), now())
        else:
            self._machine.answer(request, reply, now())
        self._news.notify_all()

    def _in_child(self) -> None:
        self._prepare()  # the parent's locks may be held by threads that this process does not have
        self._machine.abandon()
        if self._journal is not None:
            self._journal.close()
        self._give_up_at = 0.0
        _open.discard(self)


_open: WeakSet[LeaseHolder] = WeakSet()


def _close_all() -> None:
    """A process that ends in order gives back what it holds."""
    for holder in list(_open):
        holder.close(timeout=2.0)


atexit.register(_close_all)
