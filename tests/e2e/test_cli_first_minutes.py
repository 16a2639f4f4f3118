"""The commands that a newcomer types first, against a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "tests" / "data"


def command(server: Any, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `metergate` as a person would, against the test's server."""
    environment = os.environ | {"METERGATE_URL": server.grpc_url, "METERGATE_KEY": server.key, "COLUMNS": "200"}
    program = [sys.executable, "-m", "metergate.cli", *map(str, arguments)]
    return subprocess.run(
        program, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def done(server: Any, *arguments: str | Path) -> str:
    """What a command that succeeds prints."""
    ran = command(server, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_limit_record_check_and_look(server: Any) -> None:
    meter, customer = f"calls-{uuid.uuid4().hex[:8]}", f"customer-{uuid.uuid4().hex[:8]}"
    assert f"{meter}/month: hard 100 a month per customer" in done(
        server, "limit", "set", meter, "100", "--per", "month"
    )
    done(server, "customer", "create", customer, "--name", "First")
    event = ["--subject", customer, "--id", f"e-{customer}"]
    assert done(server, "usage", "record", meter, *event).startswith(f"accepted · e-{customer}")
    assert done(server, "usage", "record", meter, *event).startswith(f"duplicate · e-{customer}")
    conflict = command(server, "usage", "record", meter, "7", *event)
    assert (conflict.returncode, "Traceback" in conflict.stderr) == (1, False)
    checked = done(server, "quota", "check", meter, "--subject", customer)
    assert checked.startswith("allowed · 1 used · 99 left · resets ")
    refused = command(server, "quota", "check", meter, "100", "--subject", customer)
    assert (refused.returncode, refused.stdout[:40]) == (4, f"refused by {meter}/month · 99 would fit"[:40])
    assert f"{meter}/month" in done(server, "quota", "limits", customer)
    assert meter in done(server, "usage", "summary", "--customer", customer)
    assert meter in done(server, "usage", "events", "--customer", customer)
    assert f"→ {meter}" in done(server, "usage", "tail", "--once")
    assert customer in done(server, "customer", "show", customer)


def test_the_catalog_got_is_the_catalog_applied(server: Any, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(done(server, "catalog", "get"))
    assert done(server, "catalog", "apply", path, "--dry-run").startswith("Nothing would change")
    applied = json.loads(done(server, "catalog", "apply", path, "--json"))
    assert applied.get("changes", []) == []


def test_p12_bad_rows_are_set_aside_and_the_others_count(server: Any, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    shutil.copy(DATA / "access.log", log)
    customer = f"site-{uuid.uuid4().hex[:8]}"
    done(server, "customer", "create", customer)
    ran = command(server, "usage", "import", log, "--subject", customer, "--series", customer, "--backfill", "--json")
    assert ran.returncode == 3, ran.stderr
    summary = json.loads(ran.stdout)
    assert (summary["rows"], summary["accepted"], summary["rejected"]) == (6, 4, 2)
    assert (tmp_path / "access.log.rejected.csv").read_text().count("\n") == 3


def test_p12_what_the_server_refuses_is_one_sentence(server: Any) -> None:
    nobody = f"nobody-{uuid.uuid4().hex[:8]}"
    for arguments in (
        ["quota", "check", "no-such-meter", "--subject", nobody],
        ["customer", "show", nobody],
        ["limit", "set", "bad", "-1"],
        ["usage", "summary", "--subject", "x", "--from", "2026-03-02", "--to", "2026-03-01"],
    ):
        ran = command(server, *arguments)
        assert ran.returncode in (1, 2), ran
        assert "Traceback" not in ran.stderr
