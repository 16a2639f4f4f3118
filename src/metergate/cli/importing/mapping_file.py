"""A small YAML file that says which columns are what, for those who import the same kind of file again and again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metergate.cli import yaml_files
from metergate.cli.errors import CliError
from metergate.cli.importing.mapping import SINGLE, Entry, RowMapping

_SETTINGS = ("format", "delimiter", "time_zone", "source", "series")
_MANY = ("values", "labels")


@dataclass(frozen=True, slots=True)
class MappingFile:
    """The entries of a mapping file and its settings; a setting that is not given is empty."""

    mapping: RowMapping = field(default_factory=RowMapping)
    format: str = ""
    delimiter: str = ""
    time_zone: str = ""
    source: str = ""
    series: str = ""


def read_mapping(path: Path) -> MappingFile:
    """Reads a mapping file. Raises CliError naming the place that is wrong."""
    plain = yaml_files.read(path)
    if not isinstance(plain, dict):
        raise CliError(f"{path} must be a mapping of fields: {', '.join(SINGLE + _MANY)}.")
    if unknown := sorted(set(plain) - {*_SETTINGS, *SINGLE, *_MANY}):
        raise CliError(f"{path}: {unknown[0]!r} is not known: use {', '.join(_SETTINGS + SINGLE + _MANY)}.")
    one = {name: _entry(plain[name], f"{path}: {name}") for name in SINGLE if name in plain}
    many = {name: _entries(plain[name], f"{path}: {name}") for name in _MANY if name in plain}
    mapping = RowMapping(
        id=one.get("id"),
        time=one.get("time"),
        subject=one.get("subject"),
        type=one.get("type"),
        amount=one.get("amount"),
        values=many.get("values", {}),
        labels=many.get("labels", {}),
    )
    settings = {name: str(plain[name]) for name in _SETTINGS if name in plain}
    return MappingFile(mapping=mapping, **settings)


def _entries(plain: Any, place: str) -> dict[str, Entry]:
    if not isinstance(plain, dict):
        raise CliError(f"{place} must be a mapping of names to `column: NAME` or `constant: VALUE`.")
    return {str(name): _entry(entry, f"{place}.{name}") for name, entry in plain.items()}


def _entry(plain: Any, place: str) -> Entry:
    if not isinstance(plain, dict) or set(plain) not in ({"column"}, {"constant"}):
        raise CliError(f"{place} must be either `column: NAME` or `constant: VALUE`.")
    return Entry(**plain)
