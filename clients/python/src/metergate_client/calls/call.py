"""What a call is, before anybody sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from metergate_client.events import Event
from metergate_client.exact import Amount, Span, amount_text, aware, span

ReplyT = TypeVar("ReplyT", bound=Message)
ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Call(Generic[ReplyT, ResultT]):
    """A unary call: its path, its request, its reply's type and how to read the reply.

    ``events`` are those that it carries, for the error should it fail.
    """

    path: str
    request: Message
    reply: type[ReplyT]
    read: Callable[[ReplyT], ResultT]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """A page of a list. ``next_page_token`` asks for the page after; empty at the end."""

    items: tuple[ItemT, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Pages(Generic[ItemT]):
    """A list that comes in pages: the call that gives the page at a token, "" for the first."""

    at: Callable[[str], Call[Any, Page[ItemT]]]


def paged(path: str, request: Message, reply: type[ReplyT], items: Callable[[ReplyT], Iterable[ItemT]]) -> Pages[ItemT]:
    """A list by the contract's convention: ``page_token`` in the request, ``next_page_token`` in the reply."""

    def at(token: str) -> Call[ReplyT, Page[ItemT]]:
        page: Any = type(request)()
        page.CopyFrom(request)
        page.page_token = token
        return Call(path, page, reply, read)

    def read(answer: Any) -> Page[ItemT]:
        return Page(tuple(items(answer)), answer.next_page_token)

    return Pages(at)


def to_pb_time(moment: datetime | None) -> Timestamp | None:
    """The moment on the wire; None stays None."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(aware(moment))
    return stamp


def to_pb_span(length: Span | None) -> Duration | None:
    """The length on the wire; None stays None."""
    if length is None:
        return None
    duration = Duration()
    duration.FromTimedelta(span(length))
    return duration


def to_pb_most(maximum: Amount | None) -> str:
    """A limit's maximum on the wire; None is unlimited."""
    return "unlimited" if maximum is None else amount_text(maximum)


def to_pb_word(enum: EnumTypeWrapper, prefix: str, word: str) -> Any:
    """The enum value that a lower-case word stands for.

    Raises:
        ValueError: There is none; the message lists those that there are.
    """
    name = prefix + word.upper()
    if name not in enum.keys():  # noqa: SIM118 - an enum wrapper is no dict
        known = ", ".join(key.removeprefix(prefix).lower() for key in enum.keys()[1:])
        raise ValueError(f"{word!r} is none of: {known}.")
    return enum.Value(name)
