"""`metergate customer feature`: whether a subject's customer has a feature."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.quota_words import REFUSED, in_words
from metergate.cli.screen import grouped, screen
from metergate.v1 import customer_pb2 as pb


def feature(
    subject: Annotated[str, typer.Argument(help="The subject, or a customer's own id.")],
    name: Annotated[str, typer.Argument(metavar="FEATURE", help="The feature.")],
) -> None:
    """Asks whether a feature may be used; exit code 4 when it may not. Nothing is charged."""
    request = pb.CheckFeatureRequest(subject=subject, feature=name)
    with connect() as connection:
        answer = connection.call("CustomerService", "CheckFeature", request, pb.CheckFeatureResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(_in_words(name, answer))
    if not answer.allowed:
        raise typer.Exit(REFUSED)


def _in_words(name: str, answer: pb.CheckFeatureResponse) -> str:
    if answer.HasField("decision"):
        return f"{name} on plan {answer.plan}: {grouped(answer.included)} a month · {in_words(answer.decision)}"
    if not answer.allowed:
        return f"plan {answer.plan} does not give {name}"
    return f"plan {answer.plan} gives {name}" + (f": {answer.value}" if answer.value else "")
