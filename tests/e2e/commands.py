"""`metergate` in the test's own process: what it does and prints is the same, without half a second of imports.

That the installed command starts at all is for `test_cli_first_minutes` and `test_cli_serve`, which run it as a person
would.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from metergate.cli.main import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def command(server: Any, *arguments: str | Path) -> Ran:
    """Runs `metergate` against the test's server."""
    given = {"METERGATE_URL": server.grpc_url, "METERGATE_KEY": server.key, "COLUMNS": "200"}
    out, err, code = io.StringIO(), io.StringIO(), 0
    with patch.dict(os.environ, given), redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return Ran(code, out.getvalue(), err.getvalue())


def done(server: Any, *arguments: str | Path) -> str:
    """What a command that succeeds prints."""
    ran = command(server, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
