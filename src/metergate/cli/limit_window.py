"""The windows and rates of limits, as they are given on the command line and read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import typer

from metergate.cli import messages, times
from metergate.cli.errors import CliError
from metergate.cli.screen import grouped
from metergate.v1 import catalog_pb2 as pb

GRANTS = "grants"
PERIODS = ("minute", "hour", "day", "week", "month", "year")
PER_HELP = (
    "The window: minute, hour, day, week, month (by default), year or lifetime; "
    "or a length such as 90s, 10m, 2h or 30d (1s by default with --rate)."
)
# Months and years have no fixed length.
_LENGTHS = {"minute": "1m", "hour": "1h", "day": "24h", "week": "7d"}


def fill_in(limit: pb.Limit, per: str, options: Sequence[str]) -> None:
    """Sets what the limit holds down, by `--per` and at most one of --anchored, --rolling, --rate and --concurrent.

    Raises a usage error.
    """
    if len(options) > 1:
        raise typer.BadParameter(f"{options[0]} is another kind of limit.", param_hint=options[1])
    option = options[0] if options else ""
    if option == "--concurrent":
        if per:
            raise typer.BadParameter("what is held at once has no window.", param_hint="--per")
        limit.kind = pb.LIMIT_KIND_CONCURRENCY
    elif option in ("--rolling", "--rate"):
        limit.kind = pb.LIMIT_KIND_ROLLING if option == "--rolling" else pb.LIMIT_KIND_RATE
        default = "1s" if option == "--rate" else ""
        limit.length.FromTimedelta(length(_LENGTHS.get(per, per) or default))
    elif not per or per in PERIODS:
        limit.kind = pb.LIMIT_KIND_ANCHORED if option == "--anchored" else pb.LIMIT_KIND_CALENDAR
        limit.MergeFrom(pb.Limit(period=f"PERIOD_{(per or 'month').upper()}"))
    elif option == "--anchored":
        raise typer.BadParameter("an anchored window is a day, week, month or year.", param_hint="--per")
    elif per == "lifetime":
        limit.kind = pb.LIMIT_KIND_LIFETIME
    else:
        limit.kind = pb.LIMIT_KIND_FIXED
        limit.length.FromTimedelta(length(per))


def fill_in_grants(limit: pb.Limit, per: str, options: Sequence[str]) -> None:
    """Makes it a limit of what grants hold, which has no window. Raises a usage error."""
    if per or options:
        raise typer.BadParameter("what grants hold has no window.", param_hint=options[0] if options else "--per")
    limit.kind = pb.LIMIT_KIND_GRANTS
    limit.max = ""


def length(text: str, option: str = "--per") -> timedelta:
    """A length of time that an option gives. Raises a usage error."""
    try:
        return times.duration_option(text)
    except CliError as error:
        message = f"{text!r} has no fixed length: write 90s, 10m, 2h or 30d."
        raise typer.BadParameter(message, param_hint=option) from error


def in_words(limit: pb.Limit) -> str:
    """What follows the maximum: "a month", "in any 1h", "per 1s, 20 at once"."""
    period, length = messages.enum_name(limit, "period"), times.show_length(limit.length)
    week = f" from {messages.enum_name(limit, 'week_start')}" if limit.week_start else ""
    burst = f", {grouped(limit.burst)} at once" if limit.burst else ""
    return {
        pb.LIMIT_KIND_ANCHORED: f"a {period} from the customer's anchor",
        pb.LIMIT_KIND_FIXED: f"each {length}",
        pb.LIMIT_KIND_ROLLING: f"in any {length}",
        pb.LIMIT_KIND_LIFETIME: "in all",
        pb.LIMIT_KIND_RATE: f"per {length}{burst}",
        pb.LIMIT_KIND_CONCURRENCY: "at once",
        pb.LIMIT_KIND_GRANTS: "what grants hold",
    }.get(limit.kind, f"{_article(period)} {period}{week}")


def _article(word: str) -> str:
    return "an" if word == "hour" else "a"
