"""Where commands print: rich tables for people, JSON with `--json`, and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

_BAR_CELLS = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"


class Screen:
    """The terminal of one invocation."""

    def __init__(self) -> None:
        self.json = False

    @property
    def out(self) -> Console:
        """Standard output; piped text keeps its full width, so that nothing is cut."""
        return Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)

    @property
    def err(self) -> Console:
        """Standard error, for progress and errors."""
        return Console(stderr=True, highlight=False)

    def data(self, value: Any) -> None:
        """Prints one JSON value on one line."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """Prints text as it is, without markup and without wrapping."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def error(self, message: str, reason: str = "") -> None:
        """Prints one error: a sentence, or with `--json` an object."""
        if self.json:
            sys.stderr.write(json.dumps({"error": {"message": message, "reason": reason}}, ensure_ascii=False) + "\n")
        else:
            self.err.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)

    def note(self, text: str) -> None:
        """Prints text on standard error, where standard output is for one value that scripts read."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """Prints rows under their columns; those named in `right` hold figures."""
        self.show(table(columns, rows, right=right))

    def show(self, made: RenderableType) -> None:
        """Prints what was made before, such as a table."""
        self.out.print(made)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """Rows under their columns; those named in `right` hold figures."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(escape(cell) for cell in row))
    return made


def bar(value: Decimal, most: Decimal) -> str:
    """A bar that is full when the value is the most; empty for nothing and for what is negative."""
    if most <= 0 or value <= 0:
        return ""
    eighths = min(int(value * _BAR_CELLS * 8 / most), _BAR_CELLS * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip() or _EIGHTHS[1]


def grouped(value: str) -> str:
    """A decimal with thousands separated, for people; words such as "unlimited" stay."""
    try:
        return f"{Decimal(value):,f}"
    except ArithmeticError:
        return value


screen = Screen()
