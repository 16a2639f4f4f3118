"""What a change of the catalog did or would do."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape

from metergate.cli import messages
from metergate.cli.screen import screen
from metergate.v1.catalog_pb2 import CatalogChange

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}


def print_changes(changes: Iterable[CatalogChange]) -> None:
    """One line for each thing that differs, and one for each of its fields."""
    for change in changes:
        sign, colour = _SIGNS.get(messages.enum_name(change, "action"), ("?", "white"))
        screen.out.print(f"[{colour}]{sign}[/] {escape(change.kind)} {escape(change.name)}")
        for difference in change.differences:
            screen.out.print(f"    {escape(difference)}")
