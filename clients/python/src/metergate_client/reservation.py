"""Reservations in hand: what both clients share, and the object of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

from metergate_client.calls import reserve as calls
from metergate_client.calls.call import Call
from metergate_client.errors import Conflict, MetergateError, QuotaRefused, Unavailable
from metergate_client.events import Event
from metergate_client.exact import Amount, Span, decimal, span
from metergate_client.quota import Decision
from metergate_client.reserved import Answer, Committed, Reserved, ReservedAmount

T = TypeVar("T")
RunT = TypeVar("RunT")
Used: TypeAlias = Amount | Mapping[str, Amount] | None
_DEFAULT_TTL = timedelta(minutes=5)


class _Run(Protocol):
    def __call__(self, call: Call[Any, T], /) -> T: ...


class _Await(Protocol):
    def __call__(self, call: Call[Any, T], /) -> Awaitable[T]: ...


class _Held(Generic[RunT]):
    """What a reservation knows, and which calls it makes; who sends them is the subclass's business.

    Attributes:
        decision: The decision that it was made under.
        reserved: The reservation as the server told it last; None when refused.
        token: Hand it to a later read, and that read sees the reservation, or its commit.
    """

    def __init__(self, run: RunT, answer: Answer) -> None:
        self._run = run
        self._ttl = answer.ttl or _DEFAULT_TTL
        self._unanswered: tuple[object, tuple[Event, ...]] | None = None
        self.decision: Decision = answer.decision
        self.reserved: Reserved | None = answer.reserved
        self.token = answer.token

    @property
    def id(self) -> str:
        """The reservation's id; events name it in ``settles``.

        Raises:
            QuotaRefused: It was refused, so that there is nothing to extend, to commit or to release.
        """
        return self._held().id

    @property
    def amounts(self) -> tuple[ReservedAmount, ...]:
        """What it holds; nothing when refused."""
        return self.reserved.amounts if self.reserved else ()

    @property
    def state(self) -> str:
        """ "open", "committed", "released" or "expired", as the server told it last; "refused" where there is none."""
        return self.reserved.state if self.reserved else "refused"

    def __bool__(self) -> bool:
        return self.reserved is not None

    def __repr__(self) -> str:
        return f"{self.decision} · nothing held" if self.reserved is None else repr(self.reserved)

    def _held(self) -> Reserved:
        if self.reserved is None:
            raise QuotaRefused(self.decision)
        return self.reserved

    def _events(self, used: Used, events: Iterable[Event] | None) -> tuple[Event, ...]:
        """The events of a commit; those of the last one again, if that got no answer and this is the same."""
        held = self._held()
        if events is not None:
            if used is not None:
                raise ValueError("give amounts, or events, not both")
            given = tuple(replace(event, settles=held.id) for event in events)
            self._unanswered = None, given
            return given
        asked = {part: used_of(part, used, held) for part in range(len(held.amounts))}
        if self._unanswered is not None and self._unanswered[0] == asked:
            return self._unanswered[1]
        made = tuple(_event(held, held.amounts[part], much) for part, much in asked.items() if much)
        self._unanswered = asked, made
        return made

    def _extended(self, ttl: Span | None) -> timedelta:
        return self._ttl if ttl is None else span(ttl)

    def _committed(self, committed: Committed, events: tuple[Event, ...]) -> Committed:
        self._unanswered = None
        self.reserved, self.token = committed.reserved, committed.token
        for receipt in committed.failed:
            metadata = {"id": receipt.event_id, "field": receipt.field}
            raise Conflict(receipt.reason, receipt.message, metadata, events=events)
        return committed

    def _failed(self, error: MetergateError) -> None:
        """A commit that is known not to have happened leaves nothing to wait for."""
        if not isinstance(error, Unavailable):
            self._unanswered = None

    @property
    def _to_release(self) -> bool:
        """Whether leaving the block gives it back: not after a commit, nor while nobody knows whether there was one,
        since what is held then makes its repeat fit."""
        return self.state == "open" and self._unanswered is None


class Reservation(_Held[_Run]):
    """Capacity held for one piece of work, or the refusal to hold it, which is false.

    In a ``with`` block it is given back at the end, unless it was committed; a refused one raises ``QuotaRefused``.
    """

    def extend(self, ttl: Span | None = None) -> Reserved:
        """Hold it for ``ttl`` from now: by default for as long as was asked for at first.

        Raises:
            Conflict: It is over.
        """
        self.reserved = self._run(calls.extend(self.id, self._extended(ttl)))
        return self.reserved

    def commit(self, used: Used = None, *, events: Iterable[Event] | None = None) -> Committed:
        """Record what the work used, and give the rest back. It is recorded whatever it comes to, and even after the
        reservation's end; what does not fit is overrun.

        ``used`` is an amount, or amounts by meter; by default all that is held. Or give the ``events`` themselves, at
        most 100, where a meter takes more than an amount of its own name.

        Raises:
            Unavailable: No answer came. Repeat the call: it is recorded once.
            Conflict: An event was not taken.
        """
        fixed = self._events(used, events)
        try:
            committed = self._run(calls.commit(self.id, fixed))
        except MetergateError as error:
            self._failed(error)
            raise
        return self._committed(committed, fixed)

    def release(self) -> Reserved:
        """Give all of it back. May be repeated.

        Raises:
            Conflict: It was committed.
        """
        self.reserved = self._run(calls.release(self.id))
        return self.reserved

    def __enter__(self) -> Self:
        self._held()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._to_release:
            return
        try:
            self.release()
        except MetergateError as not_released:
            _tell(error, not_released)


class AsyncReservation(_Held[_Await]):
    """``Reservation`` for asyncio: the same, awaited, in an ``async with`` block."""

    async def extend(self, ttl: Span | None = None) -> Reserved:
        """See ``Reservation.extend``."""
        self.reserved = await self._run(calls.extend(self.id, self._extended(ttl)))
        return self.reserved

    async def commit(self, used: Used = None, *, events: Iterable[Event] | None = None) -> Committed:
        """See ``Reservation.commit``."""
        fixed = self._events(used, events)
        try:
            committed = await self._run(calls.commit(self.id, fixed))
        except MetergateError as error:
            self._failed(error)
            raise
        return self._committed(committed, fixed)

    async def release(self) -> Reserved:
        """See ``Reservation.release``."""
        self.reserved = await self._run(calls.release(self.id))
        return self.reserved

    async def __aenter__(self) -> Self:
        self._held()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._to_release:
            return
        try:
            await self.release()
        except MetergateError as not_released:
            _tell(error, not_released)


class Reserving:
    """A reservation on its way: ``await`` it, or enter it with ``async with``."""

    def __init__(self, ask: Callable[[], Awaitable[AsyncReservation]]) -> None:
        self._ask = ask
        self._made: AsyncReservation | None = None

    def __await__(self) -> Generator[Any, None, AsyncReservation]:
        return self._ask().__await__()

    async def __aenter__(self) -> AsyncReservation:
        self._made = await self._ask()
        return await self._made.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made is not None:
            await self._made.__aexit__(kind, error, trace)


def used_of(part: int, used: Used, held: Reserved) -> Decimal:
    """How much was used of the part of this number.

    Raises:
        ValueError: The amounts do not say which part they are of.
    """
    amounts = held.amounts
    if used is None:
        return amounts[part].amount
    meters = [each.meter for each in amounts]
    if not isinstance(used, Mapping):
        if len(amounts) > 1:
            raise ValueError(f"say how much of each meter was used: {{{', '.join(f'{m!r}: …' for m in meters)}}}")
        return decimal(used)
    if unknown := set(used) - set(meters):
        raise ValueError(f"{', '.join(sorted(unknown))} is not reserved here; give events for it")
    return decimal(used.get(meters[part], 0))


def _event(held: Reserved, part: ReservedAmount, much: Decimal) -> Event:
    # No time: it counts where the reservation does, and no clock of ours can have it refused.
    return Event(part.meter, held.subject, much, labels=part.labels, time=None, settles=held.id)


def _tell(error: BaseException | None, not_released: MetergateError) -> None:
    """What could not be given back ends by itself; that is worth an error only where there is none."""
    if error is None:
        raise not_released
    error.add_note(f"The reservation was not released either: {not_released}")
