"""Failures as Connect's error JSON, with Connect's HTTP statuses."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from metergate.domain.errors import MetergateError, Reason
from metergate.http.codecs import JSON
from metergate.http.contract import DetailLike, FailureLike

# Connect's name and HTTP status of each gRPC code.
_CODES: dict[int, tuple[str, int]] = {
    1: ("canceled", 499),
    2: ("unknown", 500),
    3: ("invalid_argument", 400),
    4: ("deadline_exceeded", 504),
    5: ("not_found", 404),
    6: ("already_exists", 409),
    7: ("permission_denied", 403),
    8: ("resource_exhausted", 429),
    9: ("failed_precondition", 400),
    10: ("aborted", 409),
    11: ("out_of_range", 400),
    12: ("unimplemented", 501),
    13: ("internal", 500),
    14: ("unavailable", 503),
    15: ("data_loss", 500),
    16: ("unauthenticated", 401),
}
_UNAUTHENTICATED = 16


class ProtocolError(MetergateError):
    """What HTTP itself has a status for, in place of Connect's: an unknown path, a wrong type, a body too large."""

    def __init__(
        self,
        status: int,
        reason: Reason,
        message: str,
        metadata: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, metadata)
        self.status = status
        self.headers = headers or {}


def malformed(message: str) -> MetergateError:
    """The error for a request that cannot be read."""
    return MetergateError(Reason.MESSAGE_MALFORMED, message)


def error_response(
    failure: FailureLike, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The failure as a response; `status` stands in for Connect's."""
    sent = dict(headers or {})
    if failure.pushback_ms is not None:
        sent["retry-after"] = str(math.ceil(failure.pushback_ms / 1000))
    if failure.code == _UNAUTHENTICATED:
        sent["www-authenticate"] = "Bearer"
    content = json.dumps(error_body(failure), ensure_ascii=False, indent=2) + "\n"
    return Response(content, status or _CODES[failure.code][1], sent, "application/json")


def error_body(failure: FailureLike) -> dict[str, Any]:
    """The failure as Connect writes it."""
    details = [_detail(detail) for detail in failure.status.details]
    return {"code": _CODES[failure.code][0], "message": failure.message, "details": details}


def _detail(detail: DetailLike) -> dict[str, Any]:
    debug = json.loads(JSON.encode(detail))
    del debug["@type"]
    return {
        "type": detail.type_url.rpartition("/")[2],
        "value": base64.b64encode(detail.value).decode().rstrip("="),
        "debug": debug,
    }
