"""`metergate quota watch`: the limits as they move."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.quota_limits import ask, heading
from metergate.cli.quota_words import limit_table
from metergate.cli.screen import screen
from metergate.v1.quota_pb2 import ListLimitsResponse


def watch(
    *,
    subject: Annotated[str, typer.Option(help="The subject, or a customer's own id.")],
    meter: Annotated[list[str] | None, typer.Option(help="Only this meter's limits. Repeat for more.")] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    count: Annotated[int, typer.Option(min=0, help="How many looks; 0 = until Ctrl-C.")] = 0,
) -> None:
    """Shows each limit of a subject again and again, until Ctrl-C; with --json one line for each look."""
    looks = 0
    try:
        with connect() as connection, _shower() as show:
            while True:
                show(ask(connection, subject, meter or []))
                looks += 1
                if looks == count:
                    return
                time.sleep(every)
    except KeyboardInterrupt:
        return


@contextmanager
def _shower() -> Iterator[Callable[[ListLimitsResponse], None]]:
    """How an answer is shown: on a terminal in the place of the last one, else after it."""
    if screen.json:
        yield lambda answer: screen.data(messages.to_plain(answer))
    elif sys.stdout.isatty():
        with Live(console=screen.out, auto_refresh=False) as live:
            yield lambda answer: live.update(_picture(answer), refresh=True)
    else:
        yield lambda answer: screen.show(_picture(answer))


def _picture(answer: ListLimitsResponse) -> Group:
    return Group(Text(heading(answer)), limit_table(answer.limits))
