"""Between the contract's messages and plain data, as YAML files and `--json` show them.

Field names are those of the protos; enums are short and lower case ("month"), except the published error reasons.
"""

from __future__ import annotations

import difflib
from datetime import timedelta
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from metergate.cli.errors import CliError
from metergate.cli.times import duration_option

M = TypeVar("M", bound=Message)
# The descriptors of protobuf's C and Python halves have no type in common.
Descriptor = Any
EnumDescriptor = Any
_UNSPECIFIED = "UNSPECIFIED"


def to_plain(message: Message) -> dict[str, Any]:
    """The message as plain data; absent fields are left out."""
    plain = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return _shortened(message.DESCRIPTOR, plain)


def from_plain(kind: type[M], plain: Any) -> M:
    """Reads plain data into a message. Raises CliError naming the place that is wrong."""
    full = _full(kind.DESCRIPTOR, plain, "")
    try:
        return json_format.ParseDict(full, kind())
    except json_format.ParseError as error:
        raise CliError(f"The data is not a {kind.DESCRIPTOR.name}: {error}.") from error


def enum_name(message: Message, field: str) -> str:
    """The short name of an enum field's value; empty when it is not given."""
    kind: EnumDescriptor = message.DESCRIPTOR.fields_by_name[field].enum_type
    value = kind.values_by_number.get(getattr(message, field))
    return "" if value is None or value.number == 0 else _short(kind, value.name)


def _prefix(kind: EnumDescriptor) -> str:
    return str(kind.values_by_number[0].name).removesuffix(_UNSPECIFIED)


def _short(kind: EnumDescriptor, name: str) -> str:
    short = name.removeprefix(_prefix(kind))
    return short if kind.name == "ErrorReason" else short.lower()


def _full_name(kind: EnumDescriptor, name: Any, place: str) -> str:
    full = _prefix(kind) + str(name).upper()
    if full not in kind.values_by_name:
        choices = ", ".join(_short(kind, value.name) for value in kind.values if value.number)
        raise CliError(f"{place} is {name!r}, but must be one of {choices}.")
    return full


def _is_message(field: FieldDescriptor) -> bool:
    inner = field.message_type
    return inner is not None and not inner.GetOptions().map_entry and inner.file.package != "google.protobuf"


def _shortened(kind: Descriptor, plain: dict[str, Any]) -> dict[str, Any]:
    def one(field: FieldDescriptor, value: Any) -> Any:
        if field.enum_type is not None:
            return _short(field.enum_type, value) if isinstance(value, str) else value
        return _shortened(field.message_type, value) if _is_message(field) else value

    return {
        name: [one(kind.fields_by_name[name], item) for item in value]
        if isinstance(value, list)
        else one(kind.fields_by_name[name], value)
        for name, value in plain.items()
    }


def _full(kind: Descriptor, plain: Any, place: str) -> dict[str, Any]:
    if plain in ("", None):
        return {}
    if not isinstance(plain, dict):
        raise CliError(f"{place or kind.name} must be a mapping of fields, not {plain!r}.")
    result = {}
    for name, value in plain.items():
        at = f"{place}.{name}" if place else str(name)
        field = kind.fields_by_name.get(name)
        if field is None:
            raise CliError(_unknown(kind, str(name), at))
        if value not in ("", None):
            result[name] = _full_field(field, value, at)
    return result


def _full_field(field: FieldDescriptor, value: Any, at: str) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if not isinstance(value, dict):
            raise CliError(f"{at} must be a mapping, not {value!r}.")
        return {str(key): str(item) for key, item in value.items()}
    if not field.is_repeated:
        return _full_item(field, value, at)
    if not isinstance(value, list):
        raise CliError(f"{at} must be a list, not {value!r}.")
    return [_full_item(field, item, f"{at}[{index}]") for index, item in enumerate(value)]


def _full_item(field: FieldDescriptor, value: Any, at: str) -> Any:
    if field.enum_type is not None:
        return _full_name(field.enum_type, value, at)
    if _is_message(field):
        return _full(field.message_type, value, at)
    if isinstance(value, dict | list):
        raise CliError(f"{at} must be one value, not {value!r}.")
    if field.message_type is not None and field.message_type.full_name == Duration.DESCRIPTOR.full_name:
        return _full_length(str(value), at)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if str(value).lower() not in ("true", "false"):
            raise CliError(f"{at} must be true or false, not {value!r}.")
        return str(value).lower() == "true"
    return str(value)


def _full_length(text: str, at: str) -> str:
    try:
        return f"{duration_option(text) // timedelta(seconds=1)}s"
    except CliError as error:
        raise CliError(f"{at}: {error.message}") from error


def _unknown(kind: Descriptor, name: str, at: str) -> str:
    near = difflib.get_close_matches(name, kind.fields_by_name.keys(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"a {kind.name} has {', '.join(kind.fields_by_name.keys())}."
    return f"{at} is not known: {hint}"
