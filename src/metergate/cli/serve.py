"""`metergate serve`: the server, on real Postgres and Redis or on embedded ones in a data folder."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metergate.cli import profiles, server_file
from metergate.cli.addresses import check_free, reachable
from metergate.cli.catalog import DEV_CATALOG, read_catalog
from metergate.cli.errors import CliError, sentence
from metergate.cli.profiles import Profile
from metergate.cli.screen import screen
from metergate.cli.server_file import DEFAULT_DATA, ServerFile
from metergate.cli.targets import make_settings, on_database
from metergate.cli.welcome import print_welcome

if TYPE_CHECKING:
    from metergate.settings import Settings

_DEV_PROFILE = "dev"
Environment = Literal["dev", "production"]


def serve(
    postgres: Annotated[str, typer.Option(metavar="URL", help="A PostgreSQL server; by default an embedded one.")] = "",
    redis: Annotated[str, typer.Option(metavar="URL", help="A Redis or Valkey; by default an embedded one.")] = "",
    data: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the embedded servers.")] = DEFAULT_DATA,
    environment: Annotated[Environment | None, typer.Option(help="In dev a tenant, catalog and key are made.")] = None,
    grpc: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to serve gRPC.")] = "",
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to serve HTTP.")] = "",
) -> None:
    """Serves gRPC and HTTP until Ctrl-C or SIGTERM."""
    given = {
        "postgres_url": postgres,
        "redis_url": redis,
        "environment": environment,
        "grpc": grpc,
        "http": http,
    }
    settings = make_settings(**{name: value for name, value in given.items() if value})
    with _stopped_by_sigterm(), _servers(settings, data) as (complete, announce):
        _run(complete, announce)


def _run(settings: Settings, announce: Path | None) -> None:
    import uvloop

    from metergate.adapters.postgres.migrate import upgrade

    with on_database():
        upgrade(settings.postgres_url)
    uvloop.run(_serve(settings, announce))


@contextmanager
def _servers(settings: Settings, data: Path) -> Iterator[tuple[Settings, Path | None]]:
    """The settings with both URLs; what they do not name is started in the data folder and stopped afterwards.

    With them comes the data folder when it is used. Raises CliError when another server runs on it, a port is taken, or
    a program does not start.
    """
    from metergate.adapters.embedded.errors import EmbeddedError
    from metergate.adapters.embedded.folder import DataFolder
    from metergate.adapters.embedded.postgres import EmbeddedPostgres
    from metergate.adapters.embedded.redis import EmbeddedRedis

    used = not (settings.postgres_url and settings.redis_url)
    with ExitStack() as stack:
        try:
            if used:
                stack.enter_context(DataFolder(data))
                server_file.remove(data)
            check_free(settings.grpc, "--grpc")
            check_free(settings.http, "--http")
            # Left in the other order: first Redis stops, then Postgres, then the folder is free.
            postgres = settings.postgres_url or stack.enter_context(EmbeddedPostgres(data)).url
            redis = settings.redis_url or stack.enter_context(EmbeddedRedis(data)).url
        except EmbeddedError as error:
            raise CliError(sentence(str(error))) from error
        except OSError as error:
            raise CliError(f"The data folder {data} cannot be used: {error}.") from error
        yield settings.model_copy(update={"postgres_url": postgres, "redis_url": redis}), data if used else None


async def _serve(settings: Settings, announce: Path | None) -> None:
    from metergate import wiring

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    key = await _bootstrap(settings) if settings.environment == "dev" else None
    async with wiring.server(settings) as running:
        if key is not None:
            profiles.save(_DEV_PROFILE, Profile(reachable(running.grpc), key))
        bound = settings.model_copy(update={"grpc": running.grpc, "http": running.http})
        with _announced(bound, announce):
            print_welcome(grpc=bound.grpc, http=bound.http, profile=_DEV_PROFILE if key else None)
            await _first_of(running.wait(), stop.wait())
        if not screen.json:
            screen.line("Stopping.")


async def _bootstrap(settings: Settings) -> str:
    """Makes the dev tenant with the example catalog, and a key where the saved profile has none that works."""
    from metergate import wiring
    from metergate.rpc.convert_catalog import from_pb_catalog

    saved = profiles.load(_DEV_PROFILE)
    catalog = from_pb_catalog(read_catalog(DEV_CATALOG))
    with on_database():
        return await wiring.bootstrap(settings, existing_key=saved.key if saved else None, catalog=catalog)


async def _first_of(*waits: Coroutine[object, object, object]) -> None:
    """Waits for the first to end, and gives up the others; what it raised is raised here."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


@contextmanager
def _announced(settings: Settings, data: Path | None) -> Iterator[None]:
    """Says in the data folder where the server is, while it runs."""
    if data is None:
        yield
        return
    running = ServerFile(os.getpid(), settings.postgres_url, settings.redis_url, settings.grpc, settings.http)
    running.write(data)
    try:
        yield
    finally:
        server_file.remove(data)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM end this block as Ctrl-C does, so that embedded servers are stopped; the loop has its own way."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGTERM, before)
