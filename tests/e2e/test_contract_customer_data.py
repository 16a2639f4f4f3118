"""CustomerDataService over gRPC and in the command: moves, merges, exports, erasures, and bad input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.calls import Caller
from tests.e2e.commands import command, done


async def _begin(api: Caller) -> None:
    await api("ApplyCatalog", catalog={"meters": [{"name": "calls"}], "plans": [{"name": "default"}]})
    for customer in ("data-a", "data-b"):
        await api("CreateCustomer", customer={"id": customer, "name": f"{customer} Ltd"})
    for subject in ("data-x", "data-y"):
        await api("CreateSubject", subject={"id": subject, "customer": "data-a"})
    for number, subject in enumerate(("data-a", "data-x", "data-y")):
        event = {"id": f"data-{number}", "type": "calls", "subject": subject, "amount": "5"}
        await api("RecordUsage", event=event)


async def _total(api: Caller, customer: str) -> str:
    answer = await api("GetUsageSummary", customer=customer, meters=["calls"])
    return str(answer.series[0].total) if answer.series else "0"


async def test_a_customer_moves_merges_leaves_and_is_forgotten(api: Caller) -> None:
    await _begin(api)
    before = await _total(api, "data-a")
    move = (await api("MoveSubject", subject="data-x", customer="data-b", request_id="m1")).move
    assert (move.from_customer, move.to_customer, move.merged) == ("data-a", "data-b", False)
    assert (await api("MoveSubject", subject="data-x", customer="data-b", request_id="m1")).move == move
    assert not (await api("MoveSubject", subject="data-x", customer="data-b")).HasField("move")
    reused = await api.refused("MoveSubject", subject="data-y", customer="data-b", request_id="m1")
    assert reused.short == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    page = await api("ListSubjectMoves", customer="data-b", page_size=1)
    assert [one.subject for one in page.moves] == ["data-x"]

    lines: list[dict[str, Any]] = []
    token = ""
    while True:
        answer = await api("ExportCustomer", customer="data-a", page_size=2, page_token=token)
        lines += [json.loads(line) for line in answer.lines]
        if not (token := answer.next_page_token):
            break
    assert [line["id"] for line in lines if line["record"] == "event"] == ["data-0", "data-1", "data-2"]
    assert lines[-1]["counts"]["event"] == 3

    erased = (await api("EraseCustomer", customer="data-a", request_id="e1")).erasure
    assert erased.HasField("finish_time")
    assert erased.rows["usage_event"] == 3
    assert (await api("EraseCustomer", customer="data-a", request_id="e1")).erasure == erased
    assert [one.id for one in (await api("ListErasures", customer="data-a")).erasures] == [erased.id]
    assert await _total(api, "data-a") == before
    assert (await api("GetCustomer", id="data-a")).customer.name == ""
    subjects = [one.id for one in (await api("ListSubjects", customer="data-a")).subjects]
    assert subjects[0] == "data-a"
    assert subjects[1].startswith("erased-")

    merged = await api("MergeCustomers", customer="data-a", into="data-b", request_id="g1")
    assert merged.moved_subjects == 2
    assert await api("MergeCustomers", customer="data-a", into="data-b", request_id="g1") == merged
    assert (await api("GetCustomer", id="data-a")).customer.merged_into == "data-b"
    closed = await api.refused("AssignPlan", customer="data-a")
    assert closed.short == ("FAILED_PRECONDITION", "CUSTOMER_MERGED")


@pytest.mark.parametrize(
    ("method", "fields", "code", "reason"),
    [
        ("MoveSubject", {}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ("MoveSubject", {"subject": "nobody", "customer": "nobody"}, "NOT_FOUND", "SUBJECT_NOT_FOUND"),
        ("MergeCustomers", {"customer": "a", "into": "a"}, "FAILED_PRECONDITION", "MERGE_NOT_POSSIBLE"),
        ("MergeCustomers", {"customer": "nobody", "into": "other"}, "NOT_FOUND", "CUSTOMER_NOT_FOUND"),
        ("ListSubjectMoves", {"customer": "nobody"}, "NOT_FOUND", "CUSTOMER_NOT_FOUND"),
        ("ListSubjectMoves", {"page_token": "x"}, "INVALID_ARGUMENT", "TOKEN_INVALID"),
        ("ExportCustomer", {"customer": "nobody"}, "NOT_FOUND", "CUSTOMER_NOT_FOUND"),
        ("ExportCustomer", {"customer": ""}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ("ExportCustomer", {"customer": "nobody", "page_token": "x"}, "INVALID_ARGUMENT", "TOKEN_INVALID"),
        ("EraseCustomer", {"customer": "nobody"}, "NOT_FOUND", "CUSTOMER_NOT_FOUND"),
        ("EraseCustomer", {"customer": "a\x00"}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ("EraseCustomer", {"customer": "nobody", "new_id": "x" * 129}, "INVALID_ARGUMENT", "FIELD_INVALID"),
        ("ListErasures", {"page_token": "x"}, "INVALID_ARGUMENT", "TOKEN_INVALID"),
    ],
)
async def test_p12_bad_input(production: Caller, method: str, fields: dict[str, Any], code: str, reason: str) -> None:
    assert (await production.refused(method, **fields)).short == (code, reason)


def test_the_command(server: Any, tmp_path: Path) -> None:
    done(server, "customer", "create", "cmd-a", "--name", "Someone")
    done(server, "customer", "create", "cmd-b")
    done(server, "customer", "subject", "add", "cmd-a", "cmd-x")
    done(server, "usage", "record", "calls", "3", "--subject", "cmd-x")
    assert done(server, "customer", "move-subject", "cmd-x", "cmd-b") == "cmd-x moved from cmd-a to cmd-b\n"
    assert "already" in done(server, "customer", "move-subject", "cmd-x", "cmd-b")
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    assert "of which 1 are events" in done(server, "customer", "export", "cmd-a", str(plain))
    done(server, "customer", "export", "cmd-a", str(packed))
    for text in (plain.read_text(), gzip.decompress(packed.read_bytes()).decode()):
        records = [json.loads(line)["record"] for line in text.splitlines()]
        assert (records[0], records[-1]) == ("export", "manifest")
    erased = done(server, "customer", "erase", "cmd-a", "--yes", "--event-ids", "--new-id", "cmd-gone")
    assert erased.startswith("cmd-gone: personal data erased (")
    assert done(server, "customer", "merge", "cmd-gone", "cmd-b").startswith("cmd-gone is closed: 1 subjects")
    listed = done(server, "customer", "history", "cmd-gone").splitlines()
    assert listed[0].split() == ["when", "what", "subject", "from", "to", "by", "key"]
    assert listed[-1].startswith("erased ")
    for arguments in (
        ["export", "nobody", str(tmp_path / "none.jsonl")], ["export", "cmd-b", "/nowhere/at/all.jsonl"],
        ["erase", "nobody", "--yes"], ["merge", "cmd-b", "cmd-b"], ["move-subject", "nobody", "cmd-b"],
        ["history", "nobody"],
    ):  # fmt: skip
        ran = command(server, "customer", *arguments)
        assert (ran.returncode, ran.stderr[:7]) == (1, "Error: "), (arguments, ran)
    assert not (tmp_path / "none.jsonl").exists()
    assert list(tmp_path.glob(".*")) == []
