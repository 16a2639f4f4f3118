"""Who calls: the bearer's key becomes a principal."""

from __future__ import annotations

from metergate.app import clock
from metergate.app.directory import Directory, Memory
from metergate.domain.access import Principal, parse_key
from metergate.domain.errors import MetergateError, Reason

_SCHEME = "bearer "


class Authenticate:
    """The verb. A key that proved itself is not hashed again; revoking and expiry are looked at each time."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._proven: Memory[str, Principal] = Memory(10_000)

    def known(self, authorization: str | None) -> Principal | None:
        """The principal of a header that has proved itself and whose key is remembered, still good; asks nobody."""
        principal = self._proven.get(authorization) if authorization else None
        stored = self._directory.known_key(principal.key_id) if principal else None
        if stored is None or stored.revoked_at is not None or stored.expires_at is not None:
            return None
        return principal

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of an `authorization` header.

        Raises:
            MetergateError: KEY_MISSING, KEY_INVALID.
        """
        if not authorization:
            raise MetergateError(Reason.KEY_MISSING, "the call carries no API key: authorization: Bearer mg_…")
        principal = self._proven.get(authorization) or await self._prove(authorization)
        stored = await self._directory.key(principal.key_id)
        if stored is None or stored.revoked_at is not None:
            raise _invalid()
        if stored.expires_at is not None and stored.expires_at <= clock.now():
            raise _invalid()
        return principal

    async def _prove(self, authorization: str) -> Principal:
        scheme, text = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
        key = parse_key(text.strip()) if scheme.lower() == _SCHEME else None
        stored = await self._directory.key(key.id) if key else None
        if key is None or stored is None or not key.proves(stored.secret_hash):
            raise _invalid()
        return self._proven.keep(authorization, Principal(stored.tenant, stored.service, stored.id))


def _invalid() -> MetergateError:
    return MetergateError(Reason.KEY_INVALID, "the API key is mistyped, unknown here, expired or revoked")
