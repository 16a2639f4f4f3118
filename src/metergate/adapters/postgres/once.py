"""Answers of calls that carry a request id, kept in the transaction that they are the answers of."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from metergate.adapters.postgres import schema
from metergate.app.stores import Once
from metergate.domain.errors import MetergateError, Reason

_requests = schema.requests.c


class PostgresOnce:
    """`app.stores.OnceStore`; the tenant's lock that each change holds keeps two calls of one id apart."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def repeated(self, once: Once | None) -> bool:
        """See `app.stores.OnceStore`."""
        if once is None:
            return False
        mine = select(_requests.digest, _requests.answer).where(
            _requests.tenant == self._tenant, _requests.request_id == once.request_id
        )
        found = (await self._connection.execute(mine)).one_or_none()
        if found is None:
            return False
        if found.digest != once.digest:
            message = f"request id {once.request_id!r} was used before with another body"
            raise MetergateError(Reason.REQUEST_ID_REUSED, message, {"request_id": once.request_id})
        once.answer = found.answer
        return True

    async def remember(self, once: Once | None, result: object) -> None:
        """See `app.stores.OnceStore`."""
        if once is not None:
            row = {"tenant": self._tenant, "request_id": once.request_id, "digest": once.digest}
            await self._connection.execute(insert(schema.requests), row | {"answer": once.encode(result)})
