"""How decisions and limits read: a line for people, columns of a table, plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.table import Table

from metergate.cli import messages, times
from metergate.cli.screen import bar, grouped, table
from metergate.v1.decision_pb2 import Decision, LimitState

REFUSED = 4
"""The exit code of a refusal."""
HELD = ("reserved", "leased", "forfeited")
"""What is neither used nor left; shown where it is not zero."""


def in_words(decision: Decision) -> str:
    """The decision in one line, as the Python client prints it."""
    if not decision.limits:
        return "allowed · no limit" if decision.allowed else f"refused · {decision.reason}"
    limit = shown_limit(decision)
    if limit.unknown:
        words = ["allowed" if decision.allowed else f"refused by {decision.binding_limit}", "not looked up"]
    elif decision.allowed:
        words = ["allowed", f"{grouped(limit.used)} used"]
        words += [f"{grouped(getattr(limit, name))} {name}" for name in HELD if _is_some(getattr(limit, name))]
        words.append(f"{grouped(limit.remaining)} left" if limit.remaining else "unlimited")
    else:
        words = [f"refused by {decision.binding_limit}", f"{grouped(limit.would_fit or '0')} would fit"]
    words += [f"resets {resets}"] if (resets := _resets(limit)) else []
    words += [f"{grouped(limit.overrun)} over the limit"] if _is_some(limit.overrun) else []
    words += [f"{limit.name} would refuse" for limit in decision.limits if limit.would_refuse]
    words += ["degraded"] if decision.degraded else []
    return " · ".join(words)


def shown_limit(decision: Decision) -> LimitState:
    """The limit that binds, else the one with the least left; a shadow limit only where there are no others."""
    for limit in decision.limits:
        if limit.name == decision.binding_limit:
            return limit
    return min(decision.limits, key=lambda limit: (limit.shadow, Decimal(limit.remaining or "Infinity")))


def plain(decision: Decision) -> dict[str, Any]:
    """The decision as plain data, where a refusal says `"allowed": false` instead of nothing."""
    return messages.to_plain(decision) | {"allowed": decision.allowed}


def limit_table(limits: Sequence[LimitState]) -> Table:
    """The limits under their columns; what reservations and leases hold only where there is some."""
    held = [name for name in HELD if any(_is_some(getattr(limit, name)) for limit in limits)]
    columns = ["limit", "used", *held, "left", "max", "policy", "overrun", "resets", ""]
    rows = [_row(limit, held) for limit in limits]
    return table(columns, rows, right=["used", *held, "left", "max", "overrun"])


def labels_in_words(labels: Mapping[str, str]) -> str:
    """Label values, in order of their names."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _row(limit: LimitState, held: Sequence[str]) -> tuple[str, ...]:
    labels = labels_in_words(limit.labels)
    return (
        f"{limit.name} [{labels}]" if labels else limit.name,
        grouped(limit.used),
        *(_figure(getattr(limit, name)) for name in held),
        grouped(limit.remaining) if limit.remaining else "unlimited",
        grouped(limit.max),
        "shadow" if limit.shadow else messages.enum_name(limit, "policy"),
        _figure(limit.overrun),
        _resets(limit),
        bar(_taken(limit), Decimal(limit.max)) if limit.remaining else "",
    )


def _taken(limit: LimitState) -> Decimal:
    return sum((Decimal(getattr(limit, name) or "0") for name in ("used", *HELD)), Decimal(0))


def _figure(value: str) -> str:
    return grouped(value) if _is_some(value) else ""


def _is_some(value: str) -> bool:
    return Decimal(value or "0") != 0


def _resets(limit: LimitState) -> str:
    """Nothing for a limit that is never whole again."""
    return times.show(limit.reset_time) if limit.HasField("reset_time") else ""
