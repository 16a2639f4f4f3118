"""Options that several commands share."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import typer


def pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """Reads NAME=VALUE options. Raises a usage error naming the option."""
    result: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint=option)
        if name in result:
            raise typer.BadParameter(f"{name!r} is given twice.", param_hint=option)
        result[name] = value
    return result


def request_id() -> str:
    """Makes a repeat of one call recognizable: the channel may send it twice."""
    return str(uuid.uuid4())
