"""Pages and request ids, as the AIPs want them (158, 155)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from google.protobuf.message import Message

from metergate.app.stores import Once

_DEFAULT, _MOST = 100, 1_000
_PAGE_FIELDS = {"page_token", "page_size"}


def page_size(asked: int) -> int:
    """0 = the default; more than the most = the most."""
    return min(asked, _MOST) if asked else _DEFAULT


def request_digest(request: Message) -> bytes:
    """Stands for a request of its method, but for where its page begins and how long it is."""
    bare = type(request)()
    bare.CopyFrom(request)
    for field in _PAGE_FIELDS.intersection(request.DESCRIPTOR.fields_by_name.keys()):
        bare.ClearField(field)
    method = request.DESCRIPTOR.full_name.encode()  # a request's bytes alone may be those of another method's
    return sha256(method + b"\0" + bare.SerializeToString(deterministic=True)).digest()


def once(request: Any, method: str, encode: Callable[[Any], Message]) -> Once | None:
    """What keeps a repeat of the call from doing it again; None without a request id."""
    if not request.request_id:
        return None
    digest = sha256(method.encode() + b"\0" + request.SerializeToString(deterministic=True)).digest()
    return Once(request.request_id, digest, lambda result: encode(result).SerializeToString())
