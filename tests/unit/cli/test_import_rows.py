"""CSV rows: what is read, and what of a broken file is still read."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metergate.cli.errors import CliError
from metergate.cli.importing.rows import MAX_ROW_BYTES, BadRow, CsvRows, Row, read_lines

HEADER = b"time,who,note\n"


def read(content: bytes, delimiter: str = ",") -> list[Row | BadRow]:
    return list(CsvRows(read_lines(io.BytesIO(content)), delimiter))


def test_rows_carry_line_bytes_and_columns() -> None:
    rows = read(b"\xef\xbb\xbf" + HEADER + b"1,acme,x\r\n\r\n2,globex,y")
    assert rows == [
        Row(2, b"1,acme,x", {"time": "1", "who": "acme", "note": "x"}),
        Row(4, b"2,globex,y", {"time": "2", "who": "globex", "note": "y"}),
    ]


def test_a_row_may_span_lines_and_hold_quotes() -> None:
    rows = read(HEADER + b'1,acme,"one\ntwo ""three"""\n2,globex,y\n')
    assert rows[0] == Row(2, b'1,acme,"one\ntwo ""three"""', {"time": "1", "who": "acme", "note": 'one\ntwo "three"'})
    assert (rows[1].line, rows[1].raw) == (4, b"2,globex,y")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1,acme", "2 columns where the first line has 3"),
        (b"1,acme,x,y", "4 columns where the first line has 3"),
        (b"1,\xff,x", "not UTF-8 text"),
        (b'1,"acme"s,x', "',' expected after '\"'"),
        (b"1,acme," + b"x" * MAX_ROW_BYTES, "longer than 262,144 bytes"),
    ],
)
def test_p12_a_bad_row_is_named_and_the_next_is_read(line: bytes, message: str) -> None:
    bad, good = read(HEADER + line + b"\n2,globex,y\n")
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.reason, bad.message) == (2, "ROW_MALFORMED", message)
    assert (good.line, good.raw) == (3, b"2,globex,y")


@pytest.mark.parametrize("end", [b"", b'5,"closed late",z\n'])
def test_p12_an_open_quote_swallows_no_other_row(end: bytes) -> None:
    rows = read(HEADER + b'1,"acme,x\n2,globex,y\n3,initech,z\n' + end)
    bad = [row for row in rows if isinstance(row, BadRow)]
    assert [row.line for row in bad] == [2]
    assert [row.line for row in rows if isinstance(row, Row)][:2] == [3, 4]


def test_a_row_without_line_end_is_the_same_row_with_one() -> None:
    assert read(HEADER + b"1,acme,x")[0].raw == read(HEADER + b"1,acme,x\n")[0].raw


@pytest.mark.parametrize(
    ("header", "said"),
    [(b"\n", "must name the columns"), (b"a,b,a\n", "'a' more than once"), (b'"a\n', "must name the columns")],
)
def test_p12_a_header_that_names_no_columns_is_refused(header: bytes, said: str) -> None:
    with pytest.raises(CliError, match=said):
        read(header + b"1,2,3\n")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.tuples(cells, cells, cells).filter(lambda row: any(cell.strip() for cell in row)), max_size=12))
def test_what_the_csv_module_writes_is_read(given_rows: list[tuple[str, str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("a", "b", "c"), *given_rows])
    rows = read(text.getvalue().encode())
    assert [tuple(row.fields.values()) for row in rows if isinstance(row, Row)] == given_rows


@given(st.binary(max_size=200))
def test_p12_any_bytes_are_read_or_named(content: bytes) -> None:
    lines = content.split(b"\n")
    rows = read(b"a,b\n" + content)
    assert all(row.raw for row in rows)
    assert {row.line for row in rows} <= set(range(2, len(lines) + 2))
