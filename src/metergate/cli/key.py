"""`metergate key`: the API keys."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from metergate.cli import profiles
from metergate.cli.errors import CliError
from metergate.cli.screen import screen
from metergate.cli.server_file import DEFAULT_DATA
from metergate.cli.targets import DataOption, PostgresOption, on_database, settings_for

app = typer.Typer(help="The profile's API key, and all keys of a tenant.")
Tenant = Annotated[str, typer.Option(help="The tenant.")]


@app.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Without a command: prints the key of the profile in use, for `$(metergate key)`."""
    if context.invoked_subcommand is not None:
        return
    profile = profiles.resolve()
    if not profile.key:
        cure = "start a dev server with `make run`, or set METERGATE_KEY"
        raise CliError(f"There is no key: {cure}.", reason="KEY_MISSING")
    if screen.json:
        screen.data({"url": profile.url, "key": profile.key})
    else:
        screen.line(profile.key)


@app.command("create")
def create(
    service: Annotated[str, typer.Argument(help="The service that the key is for; keys of a rotation share it.")],
    tenant: Tenant = "dev",
    postgres: PostgresOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Makes a key and prints it, this once."""
    settings = settings_for(postgres, "", data)
    from metergate import wiring

    with on_database():
        made = asyncio.run(wiring.create_key(settings, tenant, service))
    if screen.json:
        screen.data({"tenant": tenant, "service": service, "key": made})
    else:
        screen.line(made)


@app.command("list")
def list_keys(tenant: Tenant = "dev", postgres: PostgresOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Lists a tenant's keys, without their secrets."""
    settings = settings_for(postgres, "", data)
    from metergate import wiring

    with on_database():
        found = asyncio.run(wiring.list_keys(settings, tenant))
    rows = [asdict(key) for key in found]
    if screen.json:
        screen.data(rows)
    elif rows:
        screen.table([name.replace("_", " ") for name in rows[0]], [list(row.values()) for row in rows])
    else:
        screen.line(f"Tenant {tenant!r} has no keys.")


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `key list` shows it.")],
    postgres: PostgresOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Revokes a key; servers refuse it within seconds."""
    settings = settings_for(postgres, "", data)
    from metergate import wiring

    with on_database():
        ended = asyncio.run(wiring.revoke_key(settings, key_id))
    if not ended:
        raise CliError(f"There is no key {key_id!r}: `metergate key list` shows those of a tenant.")
    if screen.json:
        screen.data({"revoked": key_id})
    else:
        screen.line(f"Key {key_id} is revoked.")
