"""`metergate migrate`: brings a database to the newest schema."""

from __future__ import annotations

from metergate.cli.screen import screen
from metergate.cli.server_file import DEFAULT_DATA
from metergate.cli.targets import DataOption, PostgresOption, on_database, settings_for


def migrate(postgres: PostgresOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Brings a database to the newest schema; does nothing when it is there. Servers of the last version go on."""
    settings = settings_for(postgres, "", data)
    from metergate.adapters.postgres.migrate import upgrade  # not at the top: other commands shall not wait for drivers

    with on_database():
        upgrade(settings.postgres_url)
    if screen.json:
        screen.data({"schema": "head"})
    else:
        screen.line("The schema is at head.")
