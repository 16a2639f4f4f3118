"""`metergate subscription budget`: how much a period's usage should cost, and how much of that it has come to."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.screen import screen
from metergate.v1.notification_pb2 import (
    Budget,
    GetBudgetRequest,
    GetBudgetResponse,
    SetBudgetRequest,
    SetBudgetResponse,
)

_SERVICE = "NotificationService"


def budget(
    subscription: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="The subscription's id.")],
    amount: Annotated[
        str, typer.Argument(metavar="[AMOUNT]", help="Per period, in its currency: 100.00; without one it is shown.")
    ] = "",
    at: Annotated[list[int] | None, typer.Option(help="Tell at so many per cent. Repeatable; 80 and 100.")] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take the budget away.")] = False,
) -> None:
    """Sets a budget, or shows it; webhooks hear billing.threshold_exceeded when parts of it are reached."""
    answer: SetBudgetResponse | GetBudgetResponse
    with connect() as connection:
        if amount or remove:
            given = SetBudgetRequest(subscription=subscription, amount="" if remove else amount, thresholds=at or [])
            answer = connection.call(_SERVICE, "SetBudget", given, SetBudgetResponse)
        else:
            answer = connection.call(
                _SERVICE, "GetBudget", GetBudgetRequest(subscription=subscription), GetBudgetResponse
            )
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(_in_words(answer.budget) if answer.HasField("budget") else f"{subscription} has no budget")


def _in_words(budget: Budget) -> str:
    spent = f"{budget.spent} {budget.currency} spent" if budget.spent else "not looked at yet"
    told = f" · reached {', '.join(f'{one} %' for one in budget.reached)}" if budget.reached else ""
    return f"{budget.amount} {budget.currency} a period · {spent}{told}"
