"""Sealed tokens: what a caller carries from one answer to the next call and cannot change.

A page token is bound to the tenant and to the request that it continues; a write token names customers and
the `seq` that a later read must have seen.
"""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson

from metergate.domain.errors import MetergateError, Reason

_MAC = 12  # bytes; enough against guessing, since a token opens nothing by itself
# A write to more customers than this is named by its highest seq of none: reads with it go to the ledger.
_CUSTOMERS_MOST = 16
EVERYTHING = "*"
_DECISION = "d_"


class Sealer:
    """Seals and opens tokens with the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def page(self, tenant: str, request: bytes, place: list[Any]) -> str:
        """The token of the page after `place`, for this tenant and this request only."""
        return self._seal(b"page", tenant, request, json.dumps(place))

    def open_page(self, tenant: str, request: bytes, token: str) -> list[Any] | None:
        """The place that a page token names; None without a token.

        Raises:
            MetergateError: TOKEN_INVALID.
        """
        if not token:
            return None
        place: list[Any] = json.loads(self._open(b"page", tenant, request, token, "page_token"))
        return place

    def write(self, tenant: str, seqs: Mapping[str, int]) -> str:
        """The token of a write; empty when nothing was written."""
        if not seqs:
            return ""
        named = seqs if len(seqs) <= _CUSTOMERS_MOST else {EVERYTHING: 0}
        # No customer's id holds a control character, so that they keep the parts apart.
        return self._seal(b"write", tenant, b"", "\x1e".join([f"{name}\x1f{seq}" for name, seq in named.items()]))

    def open_write(self, tenant: str, token: str) -> dict[str, int]:
        """The least `seq` by customer that a read must have seen; `EVERYTHING` = ask the ledger.

        Raises:
            MetergateError: TOKEN_INVALID.
        """
        if not token:
            return {}
        pairs = [part.split("\x1f") for part in self._open(b"write", tenant, b"", token, "token").split("\x1e")]
        return {name: int(seq) for name, seq in pairs}

    def decision(self, tenant: str, content: list[Any]) -> str:
        """The id of a decision: what it was, so that nothing has to be stored for it. It never looks like an option of
        a command."""
        return _DECISION + self._seal(b"decision", tenant, b"", orjson.dumps(content).decode())

    def open_decision(self, tenant: str, id: str) -> list[Any]:
        """What the decision of that id was.

        Raises:
            MetergateError: TOKEN_INVALID.
        """
        sealed = id.removeprefix(_DECISION)
        content: list[Any] = orjson.loads(self._open(b"decision", tenant, b"", sealed, "decision_id"))
        return content

    def _seal(self, kind: bytes, tenant: str, request: bytes, content: str) -> str:
        body = content.encode()
        return _write(self._mac(kind, tenant, request, body) + body)

    def _open(self, kind: bytes, tenant: str, request: bytes, token: str, field: str) -> str:
        try:
            raw = urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        mac, body = raw[:_MAC], raw[_MAC:]
        # The decoder overlooks what base64 doesn't know; a token is good in the one way that it was written.
        whole = bool(body) and _write(raw) == token
        if not whole or not hmac.compare_digest(mac, self._mac(kind, tenant, request, body)):
            message = f"{field}: was made for another tenant or another request, or is damaged"
            raise MetergateError(Reason.TOKEN_INVALID, message, {"field": field})
        return body.decode()

    def _mac(self, kind: bytes, tenant: str, request: bytes, body: bytes) -> bytes:
        # Lengths keep the parts apart.
        name = tenant.encode()
        head = b"%b %d %d " % (kind, len(name), len(request))
        return blake2b(b"".join((head, name, request, body)), key=self._secret, digest_size=_MAC).digest()


def _write(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
