"""Moments as people and files write them. Everything is cut to microseconds and comes back in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from metergate.cli.errors import CliError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?"
    r" ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE | re.ASCII,
)
_ACCESS_LOG = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})", re.ASCII)
_UNIX = re.compile(r"(-?)(\d{1,19})(?:\.(\d+))?", re.ASCII)
# Logs are written in English wherever they are read.
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def zone(name: str) -> tzinfo:
    """An IANA time zone. Raises CliError when it is not known."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError; "Europe" is a folder
        raise CliError(f"{name!r} is not a time zone: give an IANA name such as Europe/Berlin.") from error


def read_moment(text: str, local: tzinfo = UTC) -> datetime:
    """Reads ISO 8601, an access log's time, or Unix time (seconds; whole milli-, micro- or nanoseconds by size).

    A time without a zone is `local`; of an hour that clocks repeat the first is meant. Raises ValueError.
    """
    text = text.strip()
    if found := _ISO.fullmatch(text):
        return _iso_moment(found, local)
    if found := _ACCESS_LOG.fullmatch(text):
        day, month, year, hour, minute, second, offset = found.groups()
        moment = datetime(int(year), _MONTHS.index(month), int(day), int(hour), int(minute), int(second))  # noqa: DTZ001
        return moment.replace(tzinfo=_offset(offset)).astimezone(UTC)
    if found := _UNIX.fullmatch(text):
        return _unix_moment(*found.groups())
    raise ValueError("not a time: ISO 8601, Unix time or 17/May/2015:10:05:03 +0000 is read")


def _iso_moment(found: re.Match[str], local: tzinfo) -> datetime:
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    own = _offset(offset) if offset else local
    moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micros, own)
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # the first and last hours of the calendar
        raise ValueError("outside the years 1 to 9999") from error


def _offset(text: str) -> tzinfo:
    if text.upper() in ("Z", "UTC"):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-span if text[0] == "-" else span)


def _unix_moment(sign: str, whole: str, fraction: str | None) -> datetime:
    """Seconds up to the year 5138 have 11 digits, milliseconds from 1973 on have 12: so the size tells the unit."""
    scale = next(power for limit, power in ((11, 0), (14, 3), (17, 6), (19, 9)) if len(whole) <= limit)
    digits = whole + (fraction or "")
    micros = int(digits) * 10**6 // 10 ** (scale + len(fraction or ""))
    try:
        return _EPOCH + timedelta(microseconds=-micros if sign else micros)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999") from error


def moment_option(text: str, local: tzinfo = UTC) -> Timestamp:
    """A time given on the command line. Raises CliError."""
    try:
        return to_timestamp(read_moment(text, local))
    except ValueError as error:
        raise CliError(f"{text!r} is {error}." if str(error).startswith("not ") else f"{text!r}: {error}.") from error


def duration_option(text: str) -> timedelta:
    """A stretch such as 30s, 10m, 2h or 1d. Raises CliError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise CliError(f"{text!r} is not a stretch of time: write 30s, 10m, 2h or 1d.")
    return timedelta(seconds=int(found[1]) * _UNIT_SECONDS[found[2]])


def show_length(length: Duration) -> str:
    """A stretch of whole seconds as `duration_option` reads it, in its largest whole unit."""
    for unit in ("d", "h", "m"):
        if length.seconds % _UNIT_SECONDS[unit] == 0:
            return f"{length.seconds // _UNIT_SECONDS[unit]}{unit}"
    return f"{length.seconds}s"


def to_timestamp(moment: datetime) -> Timestamp:
    """Exact to the microsecond, without passing through a float."""
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    return Timestamp(seconds=micros // 10**6, nanos=micros % 10**6 * 1000)


def from_timestamp(stamp: Timestamp, local: tzinfo = UTC) -> datetime:
    """The moment in a zone, cut to microseconds."""
    return (_EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)).astimezone(local)


def show(stamp: Timestamp, local: tzinfo = UTC) -> str:
    """A moment for people: no seconds where there are none."""
    moment = from_timestamp(stamp, local)
    text = moment.strftime("%Y-%m-%dT%H:%M" if not (moment.second or moment.microsecond) else "%Y-%m-%dT%H:%M:%S")
    return text + ("Z" if moment.utcoffset() == timedelta(0) else moment.strftime("%z"))
