"""errors: whatever goes wrong leaves as a status with exactly one ErrorInfo."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from google.protobuf.message import Message

from metergate.app.ports.ledger import LedgerUnavailableError, OutcomeUnknownError, RaceLostError
from metergate.domain.errors import MetergateError, Reason
from metergate.rpc.call import Call, Handler, Method
from metergate.rpc.errors import to_failure

log = logging.getLogger(__name__)


def errors(method: Method, handle: Handler) -> Handler:
    """Turns errors into failures; a fault of our own is logged and named by a correlation id."""

    async def answered(request: Any, call: Call) -> Message:
        try:
            return await handle(request, call)
        except MetergateError as error:
            raise to_failure(error) from error
        except OutcomeUnknownError as error:
            message = "the database went away during the commit; repeat the call to learn what became of it"
            raise to_failure(MetergateError(Reason.OUTCOME_UNKNOWN, message)) from error
        except (LedgerUnavailableError, RaceLostError) as error:
            message = "the database cannot be reached; nothing was done"
            raise to_failure(MetergateError(Reason.LEDGER_UNAVAILABLE, message)) from error
        except Exception as error:
            correlation_id = secrets.token_hex(8)
            log.exception("fault %s in %s", correlation_id, method.path)
            message = f"a fault in the server; its log tells more under {correlation_id}"
            metadata = {"correlation_id": correlation_id}
            raise to_failure(MetergateError(Reason.SERVER_FAULT, message, metadata)) from error

    return answered
