"""Access logs in the common and combined formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metergate.cli.importing.access_log import access_log_rows, looks_like_access_log
from metergate.cli.importing.rows import BadRow, Row

COMMON = b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif?x=1 HTTP/1.0" 200 2326'
PREFIX = b'127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5'


def one(line: bytes) -> Row:
    (row,) = access_log_rows([line])
    assert isinstance(row, Row), row
    return row


def test_a_common_line() -> None:
    assert looks_like_access_log(COMMON)
    assert one(COMMON).fields == {
        "host": "127.0.0.1", "ident": "", "user": "frank", "time": "10/Oct/2000:13:55:36 -0700",
        "request": "GET /apache_pb.gif?x=1 HTTP/1.0", "method": "GET", "target": "/apache_pb.gif?x=1",
        "path": "/apache_pb.gif", "query": "x=1", "protocol": "HTTP/1.0", "status": "200", "bytes": "2326",
        "referer": "", "agent": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rest", "referer", "agent"),
    [
        (b' "http://a/" "Mozilla/5.0 (X)"', "http://a/", "Mozilla/5.0 (X)"),
        (b' "-" "-"', "", ""),
        (b' "-" "a \\"quoted\\" \\\\ agent"', "", 'a "quoted" \\ agent'),
        (b' "-" "nginx \\x22quotes\\x22"', "", 'nginx "quotes"'),
        (b' "-" "cut off by the writer', "", "cut off by the writer"),
        (b' "-" "agent" 0.003 "more"', "", "agent"),
        (b' "-" "\xff"', "", "\\xff"),
        (b" 17 unquoted", "", ""),
    ],
)
def test_a_combined_line(rest: bytes, referer: str, agent: str) -> None:
    row = one(PREFIX + rest)
    assert (row.fields["referer"], row.fields["agent"], row.fields["bytes"]) == (referer, agent, "5")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (PREFIX.replace(b"200 5", b"304 -"), {"status": "304", "bytes": "0"}),
        (PREFIX.replace(b"127.0.0.1", b"2001:db8::1"), {"host": "2001:db8::1"}),
        (PREFIX.replace(b"- - [", b"- John Doe ["), {"user": "John Doe"}),
        (PREFIX.replace(b"GET / HTTP/1.1", b'GET /a\\"b c HTTP/1.1'), {"method": "GET", "path": '/a"b c'}),
        (PREFIX.replace(b"GET / HTTP/1.1", b"GET /"), {"method": "GET", "path": "/", "protocol": ""}),
        (PREFIX.replace(b"GET / HTTP/1.1", b"-"), {"method": "", "request": ""}),
        (PREFIX.replace(b"GET / HTTP/1.1", b"\\x16\\x03\\x01"), {"method": "", "path": ""}),
        (PREFIX.replace(b"200 5", b"- 5"), {"status": ""}),
    ],
)
def test_unusual_lines(line: bytes, expected: dict[str, str]) -> None:
    fields = one(line).fields
    assert {name: fields[name] for name in expected} == expected


@pytest.mark.parametrize(
    "line", [b"garbage", COMMON[:40], PREFIX + b"x", PREFIX.replace(b"200 5", b"200 1e3"), PREFIX.replace(b'"', b"")]
)
def test_p12_a_line_of_another_form_is_named(line: bytes) -> None:
    first, second, third = access_log_rows([COMMON, line, COMMON])
    assert isinstance(second, BadRow)
    assert (second.line, second.reason, second.raw) == (2, "ROW_MALFORMED", line)
    assert isinstance(first, Row)
    assert isinstance(third, Row)
    assert not looks_like_access_log(line)


@given(st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b""))))
def test_p12_any_bytes_are_read_or_named(lines: list[bytes]) -> None:
    assert len(list(access_log_rows(lines))) == sum(bool(line.strip()) for line in lines)
