"""Web access logs in the common and combined formats, as Apache and nginx write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from metergate.cli.importing.rows import MAX_ROW_BYTES, BadRow, Row, malformed

COLUMNS = (
    "host", "ident", "user", "time", "request", "method", "target", "path", "query", "protocol", "status", "bytes",
    "referer", "agent",
)  # fmt: skip

_TEXT = r'(?:[^"\\]|\\.)*'  # up to a quote that is not quoted
_LINE = re.compile(
    r"(?P<host>\S+) (?P<ident>\S+) (?P<user>.+?) \[(?P<time>[^\]]+)\] "
    rf'"(?P<request>{_TEXT})" (?P<status>\d{{3}}|-) (?P<bytes>\d{{1,18}}|-)(?P<rest>(?: .*)?)',
    re.DOTALL,
)
# What follows the size may be cut off in the middle by the writer: the request counts all the same.
_REST = re.compile(rf'\s*"(?P<referer>{_TEXT})(?:"|$)(?:\s+"(?P<agent>{_TEXT})(?:"|$))?', re.DOTALL)
_REQUEST = re.compile(r"(?P<method>[A-Z][A-Z_-]*) (?P<target>.*?)(?: (?P<protocol>HTTP/\d(?:\.\d)?))?", re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\]|x22|x5[Cc])')


def looks_like_access_log(line: bytes) -> bool:
    """Whether a line has the common format's form."""
    return _LINE.fullmatch(line.decode("utf-8", "backslashreplace")) is not None


def access_log_rows(lines: Iterable[bytes]) -> Iterator[Row | BadRow]:
    """A row for each line that is not blank; a size of `-` is 0, all other `-` are empty."""
    for number, raw in enumerate(lines, 1):
        if raw.strip():
            yield _row(number, raw)


def _row(number: int, raw: bytes) -> Row | BadRow:
    if len(raw) > MAX_ROW_BYTES:
        return malformed(number, raw, f"longer than {MAX_ROW_BYTES:,} bytes")
    # Bytes that are not UTF-8 come out as `\xff`, which is how Apache itself writes them.
    found = _LINE.fullmatch(raw.decode("utf-8", "backslashreplace"))
    if found is None:
        return malformed(number, raw, "not a line of the common or combined log format")
    rest = _REST.match(found["rest"])
    parts = {name: found[name] for name in ("host", "ident", "user", "time", "request", "status")}
    parts |= _request_parts(_plain(found["request"]))
    parts |= {"referer": (rest and rest["referer"]) or "", "agent": (rest and rest["agent"]) or ""}
    fields = {name: "" if value == "-" else _plain(value) for name, value in parts.items()}
    fields["bytes"] = "0" if found["bytes"] == "-" else found["bytes"]
    return Row(number, raw, fields)


def _request_parts(request: str) -> dict[str, str]:
    found = _REQUEST.fullmatch(request)
    if found is None:  # nothing was sent, or no HTTP
        return dict.fromkeys(("method", "target", "path", "query", "protocol"), "")
    path, _, query = found["target"].partition("?")
    return {
        "method": found["method"],
        "target": found["target"],
        "path": path,
        "query": query,
        "protocol": found["protocol"] or "",
    }


def _plain(text: str) -> str:
    def unescaped(escape: re.Match[str]) -> str:
        return '"' if escape[1] in ('"', "x22") else "\\"

    return _ESCAPE.sub(unescaped, text) if "\\" in text else text
