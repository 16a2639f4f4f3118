"""How a customer reads: one line, and a table of its overrides."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from metergate.cli import times
from metergate.cli.screen import grouped, table
from metergate.v1 import customer_pb2 as pb


def in_words(customer: pb.Customer) -> str:
    """The customer in one line."""
    name = f" ({customer.name})" if customer.name else ""
    words = f"{customer.id}{name} is on {customer.plan or 'the default plan'}, in {customer.time_zone or 'UTC'}"
    words += f", anchored at {times.show(customer.anchor_time)}" if customer.HasField("anchor_time") else ""
    return f"{words}, and shares the limits of {customer.pool}" if customer.pool else words


def override_table(overrides: Iterable[pb.LimitOverride]) -> Table:
    """Overrides under their columns."""
    rows = [
        (
            one.limit,
            grouped(one.max),
            times.show(one.start_time),
            times.show(one.end_time) if one.HasField("end_time") else "for good",
        )
        for one in overrides
    ]
    return table(["limit", "max", "from", "to"], rows, right=["max"])
