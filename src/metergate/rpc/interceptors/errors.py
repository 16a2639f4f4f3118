"""errors: whatever goes wrong leaves as a status with exactly one ErrorInfo."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.protobuf.message import Message

from metergate.app.ports.ledger import LedgerUnavailableError, OutcomeUnknownError, RaceLostError
from metergate.domain.errors import MetergateError, Reason
from metergate.rpc.call import Call, Failure, Handler, Method
from metergate.rpc.errors import to_failure

log = logging.getLogger(__name__)


def errors(method: Method, handle: Handler) -> Handler:
    """Turns errors into failures; a fault of our own is logged and named by a correlation id."""

    async def answered(request: Any, call: Call) -> Any:
        try:
            return await handle(request, call)
        except Exception as error:
            raise _to_failure(method, error) from error

    async def streamed(request: Any, call: Call) -> AsyncGenerator[Message]:
        return _told(method, await answered(request, call))

    return streamed if method.streams else answered


async def _told(method: Method, stream: Any) -> AsyncGenerator[Message]:
    try:
        async with aclosing(stream):
            async for message in stream:
                yield message
    except Exception as error:
        raise _to_failure(method, error) from error


def _to_failure(method: Method, error: Exception) -> Failure:
    if isinstance(error, MetergateError):
        return to_failure(error)
    if isinstance(error, OutcomeUnknownError):
        message = "the database went away during the commit; repeat the call to learn what became of it"
        return to_failure(MetergateError(Reason.OUTCOME_UNKNOWN, message))
    if isinstance(error, (LedgerUnavailableError, RaceLostError)):
        message = "the database cannot be reached; nothing was done"
        return to_failure(MetergateError(Reason.LEDGER_UNAVAILABLE, message))
    correlation_id = secrets.token_hex(8)
    log.error("fault %s in %s", correlation_id, method.path, exc_info=error)
    message = f"a fault in the server; its log tells more under {correlation_id}"
    return to_failure(MetergateError(Reason.SERVER_FAULT, message, {"correlation_id": correlation_id}))
