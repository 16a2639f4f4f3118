"""The examples that are scripts, against a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.test_cli_first_minutes import REPOSITORY, done


def test_billing_from_the_customer_to_the_pdf(server: Any, tmp_path: Path) -> None:
    done(server, "catalog", "apply", "examples/catalog-billing.yaml")
    environment = os.environ | {"METERGATE_URL": server.grpc_url, "METERGATE_KEY": server.key}
    program = [sys.executable, "examples/billing.py", str(tmp_path)]
    ran = subprocess.run(
        program, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stdout.splitlines() if not line.startswith(" ")]
    steps = [line.split()[0] for line in said]
    assert steps == [
        "customer", "subscription", "usage", "refusal", "upgrade", "status", "preview", "preview",
        *("invoice", "PDF", "payment") * 2,
    ]  # fmt: skip
    assert "refused by designs/month" in ran.stdout
    assert "the 51st on professional: allowed" in ran.stdout
    # A month of Solo in advance, with 19 % tax; then 200 calls beyond 1,000 and the change of plans in the next month.
    assert "EX-000001: 34.51 USD" in ran.stdout
    assert "0.00 USD left" in said[-1]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["EX-000001.pdf", "EX-000002.pdf"]
    assert all(path.read_bytes().startswith(b"%PDF") for path in tmp_path.iterdir())
