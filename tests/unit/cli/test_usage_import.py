"""`usage import` against a server that fails as it is told."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer, refuse

DATA = Path(__file__).parents[2] / "data"
LLM = [
    "--time", "TIMESTAMP", "--value", "input_tokens=ContextTokens", "--value", "output_tokens=GeneratedTokens",
    "--label", "model=Model", "--type", "llm.request", "--subject", "acme",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copies of the made-up inputs, beside which bad rows may be written."""
    shutil.copytree(DATA, tmp_path / "data")
    return tmp_path / "data"


def rejected(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def counts(out: str) -> dict[str, Any]:
    summary = json.loads(out)
    return {name: summary[name] for name in ("rows", "accepted", "duplicates", "conflicts", "rejected", "unmatched")}


def test_a_csv_is_imported_once_and_bad_rows_are_set_aside(run: Run, fake: FakeServer, folder: Path) -> None:
    first = run("usage", "import", str(folder / "llm.csv"), *LLM, "--backfill", "--json")
    assert first.code == 3
    assert counts(first.out) == {
        "rows": 5, "accepted": 4, "duplicates": 0, "conflicts": 0, "rejected": 1, "unmatched": 0,
    }  # fmt: skip
    assert fake.backfill == {True}
    assert sum(int(event.values["input_tokens"]) for event in fake.events.values()) == 455
    assert {event.labels["model"] for event in fake.events.values()} == {"small", "large", 'a "quoted"\nname'}
    assert {event.source for event in fake.events.values()} == {"import"}
    (bad,) = rejected(folder / "llm.csv.rejected.csv")
    assert bad == {
        "line": "5", "reason": "ROW_MALFORMED", "field": "",
        "message": "3 columns where the first line has 4", "raw": "2026-03-01 10:01:00,7,3",
    }  # fmt: skip
    (folder / "llm.csv").rename(folder / "renamed.csv")
    second = run("--json", "usage", "import", str(folder / "renamed.csv"), *LLM)
    assert counts(second.out)["duplicates"] == 4
    assert len(fake.events) == 4


def test_an_access_log_needs_only_a_subject(run: Run, fake: FakeServer, folder: Path) -> None:
    done = run("usage", "import", str(folder / "access.log"), "--subject", "site")
    assert done.code == 3
    events = list(fake.events.values())
    assert sorted((event.labels["method"], event.labels["status"], event.values["bytes"]) for event in events) == [
        ("GET", "200", "120"), ("GET", "200", "120"), ("GET", "404", "17"), ("POST", "304", "0"),
    ]  # fmt: skip
    assert {event.type for event in events} == {"http.request"}
    assert min(event.time.seconds for event in events) == 1772355600
    bad = rejected(folder / "access.log.rejected.csv")
    assert [(row["line"], row["reason"], row["field"]) for row in bad] == [
        ("5", "ROW_MALFORMED", ""), ("7", "FIELD_INVALID", "time"),
    ]  # fmt: skip
    assert "2 rows were not taken" in done.out


def test_a_file_that_grew_adds_only_what_is_new(run: Run, fake: FakeServer, folder: Path) -> None:
    path = folder / "grows.csv"
    path.write_text("t,n\n2026-03-01,1\n2026-03-01,1")
    flags = ["--time", "t", "--amount", "n", "--type", "x", "--subject", "a", "--json"]
    assert counts(run("usage", "import", str(path), *flags).out)["accepted"] == 2
    with path.open("a") as file:
        file.write("\n2026-03-01,1\n2026-03-02,5\n")
    grown = run("usage", "import", str(path), *flags)
    assert grown.code == 0
    assert (counts(grown.out)["duplicates"], counts(grown.out)["accepted"]) == (2, 2)


def test_another_mapping_of_the_same_rows_is_a_conflict(run: Run, folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text("t,n\n2026-03-01,1\n")
    flags = ["--time", "t", "--amount", "n", "--subject", "a", "--json"]
    run("usage", "import", str(path), *flags, "--type", "x")
    done = run("usage", "import", str(path), *flags, "--type", "y")
    assert (done.code, counts(done.out)["conflicts"]) == (3, 1)
    (bad,) = rejected(folder / "a.csv.rejected.csv")
    assert (bad["line"], bad["reason"], bad["field"], bad["raw"]) == ("2", "EVENT_CONFLICT", "type", "2026-03-01,1")
    again = run("usage", "import", str(path), *flags, "--type", "x")
    assert again.code == 0
    assert not (folder / "a.csv.rejected.csv").exists()
    other = run("usage", "import", str(path), *flags, "--type", "y", "--series", "second")
    assert (other.code, counts(other.out)["accepted"]) == (0, 1)


def test_a_receipt_that_rejects_names_the_line(run: Run, folder: Path) -> None:
    path = folder / "a.csv"
    path.write_text("t,n\n2026-03-01,1\n2026-03-01,-2\n")
    where = folder / "bad.csv"
    done = run(
        "usage", "import", str(path), "--time", "t", "--value", "n=n", "--subject", "a", "--type", "x",
        "--rejected", str(where), "--json",
    )  # fmt: skip
    assert (done.code, counts(done.out)["rejected"]) == (3, 1)
    (bad,) = rejected(where)
    assert (bad["line"], bad["reason"], bad["message"]) == ("3", "QUANTITY_NEGATIVE", "it would shrink")


def many(folder: Path, rows: int) -> Path:
    path = folder / "many.csv"
    path.write_text("t,n\n" + "".join(f"2026-03-01T00:00:00.{n:06d},1\n" for n in range(rows)))
    return path


MANY = ["--time", "t", "--amount", "n", "--subject", "a", "--type", "x", "--json"]


def test_p1_a_batch_is_sent_again_with_the_same_ids(run: Run, fake: FakeServer, folder: Path) -> None:
    def unavailable(context: grpc.ServicerContext) -> None:
        delay = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=50_000_000))
        refuse(context, grpc.StatusCode.UNAVAILABLE, "OVERLOADED", "Too much.", delay)

    def broken(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNKNOWN, "Stream removed")

    fake.failures = [unavailable, broken, unavailable, unavailable]  # type: ignore[list-item]
    done = run("usage", "import", str(many(folder, 3500)), *MANY)
    assert done.code == 0, done.err
    assert counts(done.out)["accepted"] == 3500
    assert min(len(batch) for batch in fake.batches) == 500
    assert {len(set(batch)) for batch in fake.batches} == {1000, 500}
    assert len(fake.batches) == 8


def test_p12_a_server_that_stays_away_ends_it_in_one_sentence(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERGATE_URL", "127.0.0.1:9")
    done = run("usage", "import", str(many(folder, 3)), *MANY[:-1], "--wait", "0.3")
    assert done.code == 1
    assert done.err.startswith("Error: No Metergate server answers at 127.0.0.1:9: start one with `make run`")
    assert "0 rows are in; run it again to go on." in done.err
    assert "Traceback" not in done.err


def test_p12_a_lasting_error_is_not_tried_again(run: Run, fake: FakeServer, folder: Path) -> None:
    def refuses(context: grpc.ServicerContext) -> None:
        refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "BATCH_TOO_LARGE", "Too many.")

    fake.failures = [refuses]  # type: ignore[list-item]
    done = run("usage", "import", str(many(folder, 3)), *MANY)
    assert done.code == 1
    assert json.loads(done.err)["error"]["reason"] == "BATCH_TOO_LARGE"
    assert len(fake.batches) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.csv"], "cannot be read: No such file"),
        (["."], "is a directory"),
        (["llm.csv"], "Say whose usage it is"),
        (["llm.csv", "--subject", "a"], "Say what the usage is"),
        (["llm.csv", "--subject", "a", "--type", "x"], "Say when it happened"),
        (["llm.csv", "--subject", "a", "--type", "x", "--time", "when"], "There is no column 'when' for time"),
        (["llm.csv", *LLM, "--time-zone", "Mars"], "'Mars' is not a time zone"),
        (["empty.csv"], "The file is empty"),
    ],
)
def test_p12_what_is_missing_is_said(run: Run, folder: Path, arguments: list[str], said: str) -> None:
    (folder / "empty.csv").touch()
    done = run("usage", "import", str(folder / arguments[0]), *arguments[1:])
    assert done.code == 1
    assert said.lower() in done.err.lower()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--subject", "a", "--subject-column", "b"],
        ["--value", "novalue"],
        ["--format", "xml"],
        ["--value", "a=b", "--value", "a=c"],
    ],
)
def test_p12_wrong_usage_is_exit_code_2(run: Run, folder: Path, arguments: list[str]) -> None:
    assert run("usage", "import", str(folder / "llm.csv"), *arguments).code == 2
