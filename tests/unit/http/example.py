"""Three methods of the contract behind the real interceptors that need no ledger, with answers that a test chooses."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo

from metergate.http.server import HttpServer
from metergate.rpc.call import Call, Failure, Method
from metergate.rpc.errors import to_failure
from metergate.rpc.interceptors.chain import intercepted
from metergate.rpc.interceptors.errors import errors
from metergate.rpc.interceptors.validate import validate
from metergate.v1 import decision_pb2, quota_pb2, usage_pb2

CHECK = "/metergate.v1.QuotaService/CheckQuota"
RECORD = "/metergate.v1.UsageService/RecordUsage"
BATCH = "/metergate.v1.UsageService/BatchRecordUsage"
QUESTION = {"subject": "acme", "amounts": [{"meter": "api_calls", "amount": "1"}]}


class Example:
    """A server, what it was asked, and what it answers: a message, or an error to raise."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()
        table = [
            Method(
                "metergate.v1.QuotaService", "CheckQuota", quota_pb2.CheckQuotaRequest, quota_pb2.CheckQuotaResponse,
                self._handle, reads_only=True,
            ),
            Method(
                "metergate.v1.UsageService", "RecordUsage", usage_pb2.RecordUsageRequest,
                usage_pb2.RecordUsageResponse, self._handle,
            ),
            Method(
                "metergate.v1.UsageService", "BatchRecordUsage", usage_pb2.BatchRecordUsageRequest,
                usage_pb2.BatchRecordUsageResponse, self._handle,
            ),
        ]  # fmt: skip
        methods = [intercepted(method, [("errors", errors), ("validate", validate)]) for method in table]
        self.server = HttpServer(methods, Failure, Call, lambda: self.ready, to_failure)

    def reset(self) -> None:
        """Forgets what was asked and told."""
        self.answer: Message | Exception = quota_pb2.CheckQuotaResponse(
            decision=decision_pb2.Decision(allowed=True, plan="default", answered_by=decision_pb2.ANSWERED_BY_VIEW)
        )
        self.asked: list[tuple[Any, Call]] = []
        self.wait = 0.0  # seconds
        self.cancelled = asyncio.Event()
        self.ready = True

    async def _handle(self, request: Any, call: Call) -> Message:
        self.asked.append((request, call))
        try:
            await asyncio.sleep(self.wait)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def error_info(response: httpx.Response) -> ErrorInfo:
    """The one ErrorInfo of an error, which must be whole and alone."""
    assert response.headers["content-type"] == "application/json"
    found = [one for one in response.json()["details"] if one["type"] == "google.rpc.ErrorInfo"]
    assert len(found) == 1
    value = found[0]["value"]
    info = ErrorInfo.FromString(base64.b64decode(value + "=" * (-len(value) % 4)))
    assert info.domain == "metergate.dev"
    assert found[0]["debug"]["reason"] == info.reason
    return info
