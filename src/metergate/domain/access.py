"""Who calls, and how an API key is written and remembered."""

from __future__ import annotations

import hmac
import secrets
import string
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH, _SECRET_LENGTH = 12, 32


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: a tenant, the service in it that the key was made for, and the key."""

    tenant: str
    service: str
    key_id: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`mg_<id>_<secret><checksum>`: the id finds it, the secret proves it, the checksum catches a slip of the pen.

    Only the SHA-256 of the secret is stored; it is 190 random bits, so a slow hash would protect nothing.
    """

    id: str
    secret: str

    def __str__(self) -> str:
        return f"mg_{self.id}_{self.secret}{_checksum(self.id, self.secret)}"

    @property
    def secret_hash(self) -> bytes:
        """What the database keeps of the secret."""
        return sha256(self.secret.encode()).digest()

    def proves(self, secret_hash: bytes) -> bool:
        """Whether the secret is the one whose hash is stored; in constant time."""
        return hmac.compare_digest(self.secret_hash, secret_hash)


def new_key() -> ApiKey:
    """A key that nobody knows yet."""
    return ApiKey(_random(_ID_LENGTH), _random(_SECRET_LENGTH))


def parse_key(text: str) -> ApiKey | None:
    """The key that `text` writes; None when it is none or is mistyped."""
    prefix, _, rest = text.partition("_")
    key_id, _, tail = rest.partition("_")
    secret = tail[:_SECRET_LENGTH]
    well_formed = prefix == "mg" and len(key_id) == _ID_LENGTH and text.isascii()
    if not well_formed or tail != secret + _checksum(key_id, secret):
        return None
    return ApiKey(key_id, secret)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(key_id: str, secret: str) -> str:
    return f"{crc32(f'{key_id}_{secret}'.encode()):08x}"
