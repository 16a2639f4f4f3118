"""Which database the commands mean that work on it directly, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metergate.app.ports.ledger import DataRefusedError, LedgerUnavailableError
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
        made = Settings(**given)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "METERGATE_" + "_".join(str(part) for part in wrong["loc"]).upper()
        raise CliError(f"The setting {name} is wrong: {wrong['msg']}.") from error
    _check_scheme(made.postgres_url, "--postgres", ("postgresql", "postgres"))
    _check_scheme(made.redis_url, "--redis", ("redis", "rediss", "unix"))
    return made


@contextmanager
def on_database() -> Iterator[None]:
    """For work on the database itself: turns what its driver says into CliError."""
    from metergate.adapters.postgres.errors import engine_errors

    try:
        with engine_errors():
            yield
    except (LedgerUnavailableError, DataRefusedError) as error:
        said = str(error).rstrip(".")
        raise CliError(f"The database cannot be used ({said}): see that it runs and that its URL is right.") from error


def _check_scheme(url: str, option: str, schemes: tuple[str, ...]) -> None:
    if url and url.partition("://")[0] not in schemes:  # the URL itself is not shown: it may hold a password
        raise CliError(f"The URL of {option} must begin with {schemes[0]}://.")


def _given(**urls: str) -> dict[str, str]:
    return {name: url for name, url in urls.items() if url}
