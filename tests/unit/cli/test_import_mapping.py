"""From a row to an event: columns and constants, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from metergate.cli.errors import CliError
from metergate.cli.importing.mapping import ACCESS_LOG, Entry, RowMapping, check_columns, to_event
from metergate.cli.importing.mapping_file import read_mapping
from metergate.cli.importing.rows import BadRow, Row
from metergate.v1.usage_event_pb2 import UsageEvent

EXAMPLES = Path(__file__).parents[3] / "examples" / "mappings"
FIELDS = {"when": "2023-11-16 18:17:03.9799600", "in": " 4808 ", "out": "", "who": "acme", "n": "2"}
MAPPING = RowMapping(
    time=Entry(column="when"),
    subject=Entry(column="who"),
    type=Entry(constant="llm.request"),
    amount=Entry(column="n"),
    values={"input_tokens": Entry(column="in"), "output_tokens": Entry(column="out")},
    labels={"region": Entry(constant="eu")},
)


def event_of(mapping: RowMapping = MAPPING, **changed: str) -> UsageEvent | BadRow:
    return to_event(Row(7, b"raw", FIELDS | changed), mapping, "made-id")


def test_a_row_becomes_an_event() -> None:
    event = event_of()
    assert isinstance(event, UsageEvent)
    assert (event.id, event.source, event.type, event.subject, event.amount) == (
        "made-id", "import", "llm.request", "acme", "2",
    )  # fmt: skip
    assert (event.time.seconds, event.time.nanos) == (1700158623, 979960000)
    assert dict(event.values) == {"input_tokens": "4808"}  # an empty value is left out
    assert dict(event.labels) == {"region": "eu"}


def test_a_column_of_ids_goes_before_made_ids() -> None:
    event = event_of(RowMapping(id=Entry(column="n")).over(MAPPING))
    assert isinstance(event, UsageEvent)
    assert event.id == "2"


def test_without_a_time_it_is_arrival() -> None:
    event = event_of(RowMapping(subject=Entry(constant="acme"), type=Entry(constant="t")))
    assert isinstance(event, UsageEvent)
    assert not event.HasField("time")


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        ({"when": "yesterday"}, "time", "not a time"),
        ({"when": " "}, "time", "time is empty"),
        ({"who": ""}, "subject", "subject is empty"),
        ({"n": ""}, "amount", "amount is empty"),
    ],
)
def test_p12_what_would_be_counted_without_being_said_is_an_error(
    changed: dict[str, str], field: str, message: str
) -> None:
    bad = event_of(**changed)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.raw, bad.reason, bad.field) == (7, b"raw", "FIELD_INVALID", field)
    assert bad.message.startswith(message)


def test_flags_go_before_the_file() -> None:
    flags = RowMapping(type=Entry(constant="mine"), labels={"status": Entry(constant="x")})
    full = flags.over(ACCESS_LOG)
    assert full.type == Entry(constant="mine")
    assert full.time == Entry(column="time")
    assert full.labels == {"method": Entry(column="method"), "status": Entry(constant="x")}


def test_p12_an_unknown_column_is_named_with_those_there_are() -> None:
    with pytest.raises(CliError, match=r"no column 'who' for subject: the columns are a, b\."):
        check_columns(RowMapping(subject=Entry(column="who")), ["a", "b"])


def test_the_examples_are_read() -> None:
    trace = read_mapping(EXAMPLES / "llm_trace.yaml")
    assert trace.format == "csv"
    assert trace.mapping.values["output_tokens"] == Entry(column="GeneratedTokens")
    log = read_mapping(EXAMPLES / "access_log.yaml")
    assert log.mapping == RowMapping(subject=Entry(constant="my-site")).over(ACCESS_LOG)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "must be a mapping"),
        ("tiem: {column: a}", "'tiem' is not known"),
        ("time: a", "time must be either"),
        ("time: {column: a, constant: b}", "time must be either"),
        ("values: {a: b}", "values.a must be either"),
        ("values: [a]", "values must be a mapping"),
        ("time: {column", "is not YAML at line 1"),
    ],
)
def test_p12_a_wrong_mapping_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(CliError, match=said):
        read_mapping(path)
