"""Sends events in batches, a few at a time, and sends a batch again with the same ids while the server is away."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from metergate.cli.connection import Connection
from metergate.cli.errors import CliError
from metergate.cli.importing.rows import Row
from metergate.cli.rpc_errors import is_passing, read_failure, to_cli_error
from metergate.v1.usage_event_pb2 import UsageEvent, UsageReceipt
from metergate.v1.usage_pb2 import BatchRecordUsageRequest, BatchRecordUsageResponse

BATCH_EVENTS = 1000
BATCH_BYTES = 1024 * 1024  # far below gRPC's usual limit of 4 MiB
IN_FLIGHT = 4
_TRY_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

OnReceipt = Callable[[Row, UsageReceipt], None]


@dataclass(slots=True)
class _Batch:
    rows: list[Row]
    request: BatchRecordUsageRequest
    call: Any


class Sender:
    """Holds at most IN_FLIGHT batches on their way and one that is filling."""

    def __init__(self, connection: Connection, *, backfill: bool, wait_seconds: float, on_receipt: OnReceipt) -> None:
        """`wait_seconds` is how long to go on trying while no server answers."""
        self._connection = connection
        self._backfill = backfill
        self._wait_seconds = wait_seconds
        self._on_receipt = on_receipt
        self._on_way: deque[_Batch] = deque()
        self._rows: list[Row] = []
        self._events: list[UsageEvent] = []
        self._bytes = 0

    def add(self, row: Row, event: UsageEvent) -> None:
        """Takes one event; sends a full batch. Raises CliError when the server stays away or refuses a batch."""
        self._rows.append(row)
        self._events.append(event)
        self._bytes += event.ByteSize() + 8
        if len(self._events) >= BATCH_EVENTS or self._bytes >= BATCH_BYTES:
            self._send()

    def finish(self) -> None:
        """Sends the rest and waits for all answers. Raises CliError as `add` does."""
        if self._events:
            self._send()
        while self._on_way:
            self._settle(self._on_way.popleft())

    def _send(self) -> None:
        if len(self._on_way) >= IN_FLIGHT:
            self._settle(self._on_way.popleft())
        request = BatchRecordUsageRequest(events=self._events, backfill=self._backfill)
        self._on_way.append(_Batch(self._rows, request, self._start(request)))
        self._rows, self._events, self._bytes = [], [], 0

    def _start(self, request: BatchRecordUsageRequest) -> Any:
        return self._connection.start("UsageService", "BatchRecordUsage", request, _TRY_SECONDS)

    def _settle(self, batch: _Batch) -> None:
        receipts = self._answer(batch).receipts
        if len(receipts) != len(batch.rows):
            raise CliError(f"The server answered {len(receipts)} receipts to {len(batch.rows)} events.")
        self._report(batch.rows, receipts)

    def _report(self, rows: Sequence[Row], receipts: Sequence[UsageReceipt]) -> None:
        for row, receipt in zip(rows, receipts, strict=True):
            self._on_receipt(row, receipt)

    def _answer(self, batch: _Batch) -> BatchRecordUsageResponse:
        pause, gives_up = _FIRST_PAUSE, 0.0
        while True:
            try:
                answer = batch.call.result()
            except grpc.RpcError as error:
                failure, now = read_failure(error), time.monotonic()
                gives_up = gives_up or now + self._wait_seconds
                if not is_passing(error, failure) or now >= gives_up:
                    raise to_cli_error(error, self._connection.url) from error
                time.sleep(min(max(failure.retry_seconds, pause * random.uniform(0.5, 1.0)), gives_up - now))
                pause = min(pause * 2, _LONGEST_PAUSE)
                batch.call = self._start(batch.request)
            else:
                if not isinstance(answer, BatchRecordUsageResponse):
                    raise TypeError(f"BatchRecordUsage answers {type(answer).__name__}")
                return answer
