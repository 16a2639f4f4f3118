"""The seller's logo: a PNG or SVG picture that is drawn on every invoice, so it is looked at before it is kept.

A picture comes from outside and is drawn inside the server: what would take memory or time without a bound, or lead
out of the picture, is refused here. What passes may still be a broken picture; only drawing it proves that it is not.
"""

from __future__ import annotations

import struct
import zlib
from enum import StrEnum
from xml.parsers import expat

from metergate.domain.errors import invalid

MOST_BYTES = 256 * 1024
# Pixels are held in memory as four bytes each.
_MOST_PIXELS = 4_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
# Each level of an SVG is a level of its reader's stack; each reference draws what it refers to once more, references in
# that as well, so that some dozens of nested ones already are millions of elements.
_MOST_DEPTH, _MOST_ELEMENTS, _MOST_REFERENCES = 64, 5_000, 8
_REFUSED = frozenset({"filter", "foreignObject", "image", "pattern", "script", "text"})
_REPEATS = frozenset({"clip-path", "mask", "marker", "marker-start", "marker-mid", "marker-end", "filter"})


class LogoFormat(StrEnum):
    """What a logo is."""

    PNG = "png"
    SVG = "svg"


def check_logo(logo: bytes, field: str) -> LogoFormat:
    """What the logo is.

    Raises:
        MetergateError: FIELD_INVALID, naming `field`: neither PNG nor SVG, damaged, or more than may be drawn.
    """
    if len(logo) > MOST_BYTES:
        raise invalid(field, f"the logo must not be larger than {MOST_BYTES // 1024} KiB")
    try:
        if logo.startswith(_PNG):
            _check_png(logo)
            return LogoFormat.PNG
        _check_svg(logo)
    except _Refused as refused:
        raise invalid(field, f"the logo {refused}") from None
    return LogoFormat.SVG


class _Refused(Exception):
    """Why a picture is not taken; the rest of a sentence."""


def _check_png(logo: bytes) -> None:
    """Every chunk is whole (PNG 5.3: length, type, data, CRC of type and data), and the picture is not too large."""
    at, kinds = len(_PNG), []
    while at < len(logo):
        if at + 12 > len(logo):
            raise _Refused("is a damaged PNG file: it ends too early")
        length, kind = struct.unpack_from(">I4s", logo, at)
        body, check = logo[at + 4 : at + 8 + length], logo[at + 8 + length : at + 12 + length]
        if len(check) < 4 or zlib.crc32(body) != int.from_bytes(check, "big"):
            raise _Refused("is a damaged PNG file: a checksum does not match")
        kinds.append(kind)
        at += 12 + length
    if kinds[:1] != [b"IHDR"] or kinds[-1:] != [b"IEND"] or b"IDAT" not in kinds:
        raise _Refused("is a damaged PNG file: it lacks its picture")
    width, height = struct.unpack_from(">II", logo, len(_PNG) + 8)
    if not 0 < width * height <= _MOST_PIXELS:
        raise _Refused(f"must have from 1 to {_MOST_PIXELS:,} pixels, and has {width * height:,}")


class _Svg:
    """Counts, while it is read, what makes drawing an SVG dear."""

    def __init__(self) -> None:
        self.root = ""
        self._depth = self._elements = self._references = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        self.root = self.root or local
        self._depth += 1
        self._elements += 1
        self._references += (local == "use") + len(_REPEATS.intersection(attributes))
        self._references += sum(attributes.get("style", "").count(one) for one in _REPEATS)
        if local in _REFUSED:
            raise _Refused(f"must not have <{local}> elements; draw them as paths")
        if self._depth > _MOST_DEPTH or self._elements > _MOST_ELEMENTS:
            raise _Refused(f"must not have more than {_MOST_ELEMENTS:,} elements, or {_MOST_DEPTH} in each other")
        if self._references > _MOST_REFERENCES:
            raise _Refused(f"must not have more than {_MOST_REFERENCES} uses, masks, clip paths and markers")

    def end(self, _name: str) -> None:
        self._depth -= 1

    def text(self, data: str) -> None:
        # In a style sheet one rule refers from many elements.
        if "\\" in data or any(one in data for one in _REPEATS):
            raise _Refused("must not have masks, clip paths and markers in a style sheet")

    def doctype(self, _name: str, _system: str | None, _public: str | None, subset: int) -> None:
        if subset:
            raise _Refused("must not declare entities")


def _check_svg(logo: bytes) -> None:
    svg = _Svg()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.CharacterDataHandler = svg.text
    parser.StartElementHandler, parser.EndElementHandler = svg.begin, svg.end
    parser.StartDoctypeDeclHandler = svg.doctype
    try:
        parser.Parse(logo, True)
    except expat.ExpatError as error:
        raise _Refused(f"is neither a PNG nor an SVG file: {error}") from None
    if svg.root != "svg":
        raise _Refused("is neither a PNG nor an SVG file")
