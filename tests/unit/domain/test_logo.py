"""Logos: what is drawn inside the server is looked at first."""

from __future__ import annotations

import struct
import zlib

import pytest

from metergate.domain.errors import MetergateError, Reason
from metergate.domain.logo import MOST_BYTES, LogoFormat, check_logo
from tests.unit.adapters.papers import SVG, png


def _refusal(logo: bytes) -> str:
    with pytest.raises(MetergateError) as caught:
        check_logo(logo, "seller.logo")
    assert caught.value.reason is Reason.FIELD_INVALID
    assert caught.value.field == "seller.logo"
    return caught.value.message


def _svg(body: str, head: str = "") -> bytes:
    return f'{head}<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{body}</svg>'.encode()


def test_a_png_and_an_svg_are_taken() -> None:
    assert check_logo(png(40, 10), "logo") is LogoFormat.PNG
    assert check_logo(SVG, "logo") is LogoFormat.SVG
    with_type = '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">'
    assert check_logo(_svg("<g/>", with_type), "logo") is LogoFormat.SVG


@pytest.mark.parametrize(
    ("logo", "why"),
    [
        (b"GIF89a", "neither a PNG nor an SVG"),
        (b"\xff\xd8\xff\xe0 JFIF", "neither a PNG nor an SVG"),
        (b"<html><body/></html>", "neither a PNG nor an SVG"),
        (b"<svg><g></svg>", "mismatched tag"),
        (png(4, 4)[:-6], "ends too early"),
        (png(4, 4)[:40] + b"\0" + png(4, 4)[41:], "checksum"),
        (png(4, 4)[:33], "lacks its picture"),
        (b" " * (MOST_BYTES + 1), "larger than 256 KiB"),
    ],
)
def test_what_is_no_picture_is_refused(logo: bytes, why: str) -> None:
    assert why in _refusal(logo)


def test_a_small_png_that_would_fill_the_memory_is_refused() -> None:
    whole = png(1, 1)
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = whole[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
    assert "3,600,000,000" in _refusal(bomb)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        # Nested so deep, typst 0.15.0 ends the process with a stack overflow.
        ("<g>" * 5_000 + "</g>" * 5_000, "in each other"),
        ("<g/>" * 6_000, "5,000 elements"),
        ('<use href="#a"/>' * 9, "uses, masks"),
        ('<g style="clip-path: url(#a)"/>' * 9, "uses, masks"),
        ("<style>.a { mask: url(#a) }</style>", "style sheet"),
        ('<image href="/etc/passwd"/>', "<image>"),
        ('<image href="http://example.com/"/>', "<image>"),
        ("<script>1</script>", "<script>"),
    ],
)
def test_an_svg_that_leads_out_or_has_no_bound_is_refused(body: str, why: str) -> None:
    assert why in _refusal(_svg(body))


def test_an_svg_with_entities_is_refused() -> None:
    laughs = '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    assert "entities" in _refusal(_svg("<g>&b;</g>", laughs))
