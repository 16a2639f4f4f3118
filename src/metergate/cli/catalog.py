"""`metergate catalog`: all that a tenant measures and allows, as one YAML file."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any

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

_PICTURES = (".png", ".svg")

app = typer.Typer(no_args_is_help=True, help="The catalog: meters, plans, prices and limits.")


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
        return messages.from_plain(Catalog, _with_logo(plain, path.parent))
    except CliError as error:
        raise CliError(f"{path}: {error.message}") from error


def _with_logo(plain: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same with the seller's logo as its bytes, where the file names a picture beside it."""
    seller = plain.get("seller")
    if not isinstance(seller, dict):
        return plain
    logo = seller.get("logo")
    if not isinstance(logo, str) or not logo.endswith(_PICTURES):
        return plain
    try:
        content = (folder / logo).read_bytes()
    except OSError as error:
        raise CliError(f"seller.logo: {logo} cannot be read: {error.strerror}.") from error
    return plain | {"seller": {**seller, "logo": b64encode(content).decode()}}
