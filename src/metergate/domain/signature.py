"""Signatures of webhooks, as Standard Webhooks say: HMAC-SHA256 of id, timestamp and payload.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence

_PREFIX = "whsec_"
_BYTES = 32  # the specification wants 24 to 64


def new_secret() -> str:
    """A secret that nobody knows yet."""
    return _PREFIX + b64encode(secrets.token_bytes(_BYTES)).decode()


def headers(id: str, seconds: int, payload: bytes, signing: Sequence[str]) -> dict[str, str]:
    """What a message carries: `seconds` since 1970 is when it is sent, `signing` the secrets that sign it."""
    return {
        "webhook-id": id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join([sign(secret, id, seconds, payload) for secret in signing]),
    }


def sign(secret: str, id: str, seconds: int, payload: bytes) -> str:
    """One signature of a message."""
    signed = b"%b.%d.%b" % (id.encode(), seconds, payload)
    return "v1," + b64encode(hmac.digest(b64decode(secret.removeprefix(_PREFIX)), signed, "sha256")).decode()
