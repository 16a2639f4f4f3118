"""`python -m metergate.cli` is the command `metergate`."""

from __future__ import annotations

from metergate.cli.main import main

main()
