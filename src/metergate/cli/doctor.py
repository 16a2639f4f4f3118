"""`metergate doctor`: is all well, and what to do where it is not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import grpc
import typer
from grpc_health.v1 import health_pb2
from rich.markup import escape

from metergate.cli import profiles
from metergate.cli.addresses import reachable
from metergate.cli.connection import open_channel
from metergate.cli.errors import CliError
from metergate.cli.rpc_errors import to_cli_error
from metergate.cli.screen import screen
from metergate.cli.server_file import DEFAULT_DATA
from metergate.cli.targets import DataOption, PostgresOption, RedisOption, make_settings, on_database, settings_for

_HEALTH_SECONDS = 3.0


def doctor(
    liveness: Annotated[bool, typer.Option("--liveness", help="Only ask the server's health service.")] = False,
    postgres: PostgresOption = "",
    redis: RedisOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Checks Postgres, Redis, clocks, schema, and that counters equal the ledger; exit code 1 if not all is well."""
    if liveness:
        _ask_health(_server_url())
        return
    settings = settings_for(postgres, redis, data)
    from metergate import wiring

    with on_database():
        findings = asyncio.run(wiring.diagnose(settings))
    if screen.json:
        screen.data([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            sign = "[green]✓[/]" if finding.ok else "[bold red]✗[/]"
            screen.out.print(f"{sign} {escape(finding.name)}: {escape(finding.detail)}")
            if not finding.ok and finding.cure:
                screen.out.print(f"  → {escape(finding.cure)}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _server_url() -> str:
    """The server of the environment or of a profile, else where one listens on this machine by its settings."""
    return profiles.named_url() or reachable(make_settings().grpc)


def _ask_health(url: str) -> None:
    with open_channel(url) as channel:
        check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
        except grpc.RpcError as error:
            raise to_cli_error(error, url) from error
    state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise CliError(f"The server at {url} is {state}: wait until it has started, or see its log.", reason=state)
    if screen.json:
        screen.data({"url": url, "status": state})
    else:
        screen.line(state)
