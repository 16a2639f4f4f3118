"""`metergate usage amend`, `void` and `history`, and `metergate backfill`, against a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.commands import command, done


def test_amend_void_and_look_at_what_became_of_it(server: Any) -> None:
    done(server, "limit", "set", "calls", "100", "--per", "month")
    done(server, "usage", "record", "calls", "5", "--subject", "acme", "--id", "e", "--label", "model=a")
    amended = done(server, "usage", "amend", "e", "--amount", "7", "--reason", "miscounted")
    assert amended.startswith("e is at version 2 · counts for acme at ")
    assert done(server, "quota", "check", "calls", "--subject", "acme").startswith("allowed · 7 used")
    same = command(server, "usage", "amend", "e", "--amount", "x")
    assert (same.returncode, "QUANTITY" in same.stderr or "decimal" in same.stderr) == (1, True)
    assert done(server, "usage", "void", "e", "--reason", "never was").startswith(
        "e is at version 3 · no more for acme"
    )
    history = done(server, "usage", "history", "e").splitlines()
    assert [line.split()[1] for line in history[1:]] == ["recorded", "amended", "voided"]
    assert "model=a" in history[2]
    assert "miscounted" in history[2]
    versions = json.loads(done(server, "usage", "history", "e", "--json"))
    assert [one.get("event", {}).get("amount") for one in versions] == ["5", "7", None]
    for arguments in (["void", "e"], ["amend", "e", "--amount", "1"], ["void", "none"], ["history", "none"]):
        refused = command(server, "usage", *arguments)
        assert (refused.returncode, refused.stderr[:7]) == (1, "Error: "), arguments
    assert json.loads(command(server, "usage", "void", "e", "--json").stderr)["error"]["reason"] == "EVENT_VOIDED"


def test_a_backfill(server: Any, tmp_path: Path) -> None:
    done(server, "limit", "set", "calls", "100", "--per", "month")
    done(server, "usage", "record", "calls", "5", "--subject", "acme", "--id", "wrong")
    file = tmp_path / "events.jsonl"
    lines = [
        {"id": f"{n}", "type": "calls", "subject": "acme", "amount": "2", "time": "2024-02-29T12:00:00Z"}
        for n in range(3)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    id_ = done(server, "backfill", "open", "--reason", "from the archive", "--customer", "acme").strip()
    assert done(server, "backfill", "load", id_, file) == "3 accepted · 0 duplicate · 0 conflict · 0 rejected\n"
    assert done(server, "backfill", "load", id_, file) == "0 accepted · 3 duplicate · 0 conflict · 0 rejected\n"
    file.write_text(json.dumps({**lines[0], "amount": "3"}))
    again = command(server, "backfill", "load", id_, file)
    assert (again.returncode, again.stdout) == (3, "0 accepted · 0 duplicate · 1 conflict · 0 rejected\n")
    preview = done(server, "backfill", "preview", id_).splitlines()
    assert preview[1].split() == ["acme", "calls", "5", "6"]
    assert preview[2].startswith("3 new · 0 amended · 1 voided · 0 duplicate · 0 problem")
    assert done(server, "backfill", "commit", id_, "--wait") == f"{id_} is committed · 4 applied\n"
    assert "from the archive" in done(server, "backfill", "list", "--state", "committed")
    assert json.loads(done(server, "backfill", "show", id_, "--json"))["applied_count"] == "4"
    assert done(server, "backfill", "revert", id_, "--wait") == f"{id_} is reverted · 4 reverted\n"
    assert done(server, "quota", "check", "calls", "--subject", "acme").startswith("allowed · 5 used")
    assert json.loads(done(server, "backfill", "problems", id_, "--json")) == []
    other = done(server, "backfill", "open").strip()
    assert done(server, "backfill", "discard", other) == f"{other} is discarded\n"
    file.write_text("{no json")
    for arguments in (["load", other, file], ["commit", other], ["show", "b_none"], ["open", "--type", "calls"]):
        refused = command(server, "backfill", *arguments)
        assert (refused.returncode, refused.stderr[:7]) == (1, "Error: "), (arguments, refused)
