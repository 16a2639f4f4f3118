"""A client whose server is the test, over grpcio-testing's channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf.message import Message
from grpc_status import rpc_status

from metergate_client import Metergate
from metergate_client.channel import services

METHODS = {method.full_name.split(".v1.")[1]: method for service in services() for method in service.methods}


@dataclass
class Play:
    """A client on a channel whose server is the test."""

    channel: Any
    client: Metergate
    pool: ThreadPoolExecutor

    def call(
        self, method: str, work: Callable[[Metergate], Any], reply: Message | None = None, error: Any = None
    ) -> tuple[Any, Any]:
        """Run ``work``; answer the call that it makes; return the request that came and the work's future."""
        done: Future[Any] = self.pool.submit(work, self.client)
        metadata, request, rpc = self.channel.take_unary_unary(METHODS[method])
        assert ("authorization", "Bearer mg_test") in metadata
        if error is None:
            rpc.terminate(reply, (), grpc.StatusCode.OK, "")
        else:
            rich = rpc_status.to_status(error)
            rpc.terminate(None, rich.trailing_metadata, rich.code, rich.details)
        return request, done


@pytest.fixture
def play() -> Iterator[Play]:
    channel = grpc_testing.channel(services(), grpc_testing.strict_real_time())
    with ThreadPoolExecutor(1) as pool:
        yield Play(channel, Metergate(key="mg_test", channel=channel), pool)
