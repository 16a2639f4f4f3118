"""Which database the commands mean that work on it directly, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metergate.cli import server_file
from metergate.cli.errors import CliError

if TYPE_CHECKING:
    from metergate.settings import Settings

PostgresOption = Annotated[str, typer.Option("--postgres", metavar="URL", help="The PostgreSQL server.")]
RedisOption = Annotated[str, typer.Option("--redis", metavar="URL", help="The Redis or Valkey server.")]
DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The data folder of a running `metergate serve`.")
]


def settings_for(postgres: str, redis: str, data: Path) -> Settings:
    """Settings with the URLs given, else of the server that runs on the data folder, else of the environment.

    Raises CliError when there is no database in any of these.
    """
    given = make_settings(**_given(postgres_url=postgres, redis_url=redis))
    if given.postgres_url:
        return given
    running = server_file.read(data)
    if running is None:
        raise CliError(
            f"No server runs on {data}: start one with `make run`, or name a database with --postgres URL --redis URL."
        )
    return make_settings(postgres_url=running.postgres, redis_url=redis or running.redis)


def make_settings(**given: Any) -> Settings:
    """The environment's settings under those given. Raises CliError naming what is wrong."""
    from pydantic import ValidationError  # not at the top: the commands that only call a server do without

    from metergate.settings import Settings

    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "METERGATE_" + "_".join(str(part) for part in wrong["loc"]).upper()
        raise CliError(f"The setting {name} is wrong: {wrong['msg']}.") from error


def _given(**urls: str) -> dict[str, str]:
    return {name: url for name, url in urls.items() if url}
