"""Ids of reservations and leases: random, or made from the request's id so that its repeat finds the same hold."""

from __future__ import annotations

import json
import secrets
from base64 import b32encode
from hashlib import blake2b
from typing import Any

from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.hold import Kind

_BYTES = 15  # 24 characters
_PREFIX = {Kind.RESERVATION: "r_", Kind.LEASE: "l_"}


def hold_id(kind: Kind, principal: Principal, request_id: str) -> str:
    """The id of the hold that this request makes."""
    if request_id:
        name = json.dumps([principal.tenant, principal.service, kind, request_id]).encode()
        raw = blake2b(name, digest_size=_BYTES).digest()
    else:
        raw = secrets.token_bytes(_BYTES)
    return _PREFIX[kind] + b32encode(raw).decode().lower()


def digest_of(content: list[Any]) -> bytes:
    """What stands for the content of a request."""
    return blake2b(json.dumps(content, default=str).encode(), digest_size=16).digest()


def naming(error: MetergateError, request_id: str) -> MetergateError:
    """The error; one about a request id that was used before names it as the caller knows it."""
    if error.reason is Reason.REQUEST_ID_REUSED:
        error.metadata = {"request_id": request_id}
    return error
