"""`metergate catalog`: all that a tenant measures and allows, as one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metergate.cli import messages, yaml_files
from metergate.cli.changes import print_changes
from metergate.cli.connection import connect
from metergate.cli.errors import CliError
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.v1.catalog_pb2 import (
    ApplyCatalogRequest,
    ApplyCatalogResponse,
    Catalog,
    GetCatalogRequest,
    GetCatalogResponse,
)

# Shown as examples/dev.yaml; it lies here so that an installed `metergate serve` has it too.
DEV_CATALOG = Path(__file__).with_name("dev.yaml")

app = typer.Typer(no_args_is_help=True, help="The catalog: meters, plans and their limits.")


@app.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(help="The whole catalog, in YAML.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would change.")] = False,
) -> None:
    """Puts a whole catalog in force; what the file does not have goes."""
    request = ApplyCatalogRequest(catalog=read_catalog(file), dry_run=dry_run, request_id=request_id())
    with connect() as connection:
        answer = connection.call("CatalogService", "ApplyCatalog", request, ApplyCatalogResponse)
    if screen.json:
        screen.data(messages.to_plain(answer) | {"dry_run": dry_run})
        return
    print_changes(answer.changes)
    count = len(answer.changes)
    done = "would change" if dry_run else "changed"
    screen.line(f"{count or 'Nothing'} {done}; version {answer.version} is in force.")


@app.command("get")
def get() -> None:
    """Prints the catalog in force as YAML, ready for `catalog apply`."""
    with connect() as connection:
        answer = connection.call("CatalogService", "GetCatalog", GetCatalogRequest(), GetCatalogResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(yaml_files.write(messages.to_plain(answer.catalog)).rstrip("\n"))


def read_catalog(path: Path) -> Catalog:
    """Reads a catalog file. Raises CliError naming the file and the place."""
    plain = yaml_files.read(path)
    if not isinstance(plain, dict) or not plain:
        raise CliError(f"{path} holds no catalog: write meters and plans, as examples/dev.yaml does.")
    try:
        return messages.from_plain(Catalog, plain)
    except CliError as error:
        raise CliError(f"{path}: {error.message}") from error
