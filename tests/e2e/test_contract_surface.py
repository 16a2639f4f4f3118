"""What a server shows besides its methods: health, reflection in dev only, and a clear no to everything else."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.e2e.calls import FILES, Answer, Caller, read_failure

SERVICES = {service.full_name for file in FILES for service in file.DESCRIPTOR.services_by_name.values()}


async def _raw(api: Caller, path: str) -> Answer:
    """Calls any path with the key."""
    call = api.channel.unary_unary(path, empty_pb2.Empty.SerializeToString, lambda answer: answer)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(empty_pb2.Empty(), metadata=(("authorization", f"Bearer {api.key}"),), timeout=5)
    return read_failure(error.value)


@pytest.mark.parametrize(
    "path",
    [
        "/metergate.v1.QuotaService/ConsumeQuotas",
        "/metergate.v1.QuotaService/checkquota",
        "/metergate.v1.UsageService/CheckQuota",
        "/metergate.v2.UsageService/RecordUsage",
        "/RecordUsage",
        "/",
        "/" + "x" * 4_000,
    ],
)
async def test_p12_an_unknown_method(api: Caller, path: str) -> None:
    answer = await _raw(api, path)
    assert answer.short == ("UNIMPLEMENTED", "METHOD_NOT_FOUND")
    assert answer.metadata["method"] in (path, path[:253] + "…")


async def test_p12_a_stream_where_there_is_none(api: Caller) -> None:
    assert await _refusal(api, "/metergate.v1.UsageService/WatchEverything")


async def _refusal(api: Caller, path: str) -> bool:
    """Opens a stream and sends nothing: it is refused all the same."""
    call: Any = api.channel.stream_stream(path)(timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call.read()
    return read_failure(error.value).short == ("UNIMPLEMENTED", "METHOD_NOT_FOUND")


async def test_health_of_each_service(api: Caller, production: Caller) -> None:
    for channel in (api.channel, production.channel):
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)  # without a key
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await health.Check(health_pb2.HealthCheckRequest(service="metergate.v1.Nope"), timeout=5)
        assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def _reflected(api: Caller) -> set[str]:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(api.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5)
    async for answer in call:
        return {service.name for service in answer.list_services_response.service}
    raise AssertionError("no answer")


async def test_reflection_in_dev(api: Caller) -> None:
    assert await _reflected(api) >= SERVICES | {"grpc.health.v1.Health"}


async def test_no_reflection_in_production(production: Caller) -> None:
    assert await _refusal(production, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
