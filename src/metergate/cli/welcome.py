"""What `metergate serve` says when it is up: where it listens, and three commands to try."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from rich.markup import escape
from rich.panel import Panel

from metergate.cli.screen import screen

_COMMANDS = (
    "limit set api_calls 100 --per month",
    "usage record api_calls --subject acme",
    "quota check api_calls --subject acme",
)


def print_welcome(*, grpc: str, http: str, profile: str | None) -> None:
    """A panel in a terminal, plain lines elsewhere, one object with `--json`."""
    command = own_name()
    commands = [f"{command} {rest}" for rest in _COMMANDS]
    if screen.json:
        screen.data({"grpc": grpc, "http": http, "profile": profile, "commands": commands})
        return
    lines = [f"gRPC on {grpc}", f"HTTP on http://{http} (health, metrics, Connect/JSON)"]
    if profile:
        lines.append(f'The key is saved as profile "{profile}".')
    if screen.out.is_terminal:
        body = "\n".join([*map(escape, lines), "", "Try:", *(f"  [bold]{escape(line)}[/]" for line in commands)])
        screen.out.print(Panel.fit(body, title="Metergate is serving", subtitle="Ctrl-C stops it"))
    else:
        screen.line("\n".join(["Metergate is serving.", *lines, "Try:", *(f"  {line}" for line in commands)]))


def own_name() -> str:
    """How this command is called from here: `metergate` when the shell finds it, else its path."""
    own = Path(sys.argv[0]).absolute()
    found = shutil.which("metergate")
    if own.name != "metergate" or (found is not None and Path(found).absolute() == own):
        return "metergate"
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))
