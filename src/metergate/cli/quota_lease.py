"""`metergate quota write-off`: what a silent holder never reported, freed by an operator."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.screen import grouped, screen
from metergate.v1 import quota_pb2 as pb


def write_off(
    lease: Annotated[str, typer.Argument(metavar="LEASE", help="Its id, as `quota explain` lists it.")],
) -> None:
    """Frees what is forfeited of a lease. Should its holder have spent it after all, the limit is passed by as much."""
    request = pb.ReleaseLeaseRequest(lease_id=lease)
    with connect() as connection:
        answer = connection.call("QuotaService", "ReleaseLease", request, pb.ReleaseLeaseResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        found = answer.lease
        screen.line(
            f"{found.id} of {found.holder} is {messages.enum_name(found, 'state')} · {grouped(found.settled)} used"
        )
