"""Ids of what is billed: UUIDs of version 7 (RFC 9562, 5.7), so that they sort by when they were made."""

from __future__ import annotations

import secrets

_RANDOM_BITS = 74


def new_id(prefix: str, at: int) -> str:
    """`<prefix>_` and 32 hexadecimal digits of a UUID that was made at that instant."""
    random = secrets.randbits(_RANDOM_BITS)
    number = (at // 1000) << 80 | 7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    return f"{prefix}_{number:032x}"
