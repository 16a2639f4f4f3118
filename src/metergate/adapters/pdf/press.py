"""Typst with its template and fonts: turns a paper into a PDF file.

The same data makes the same bytes: the file's time is the paper's, no font of the machine is looked at, and nothing is
asked of the network.
"""

from __future__ import annotations

import json
import logging
from importlib import resources
from pathlib import Path
from typing import cast

import typst

from metergate.adapters.pdf.paper import Paper
from metergate.domain.errors import invalid
from metergate.domain.logo import check_logo
from metergate.domain.period import SECOND

log = logging.getLogger(__name__)

_TEMPLATE = Path(__file__).with_name("invoice.typ")
# Wheels that hold nothing but fonts under the SIL Open Font License; the template says what each is for.
_FONTS = ("fontpkg_noto_sans", "fontpkg_noto_sans_arabic", "fontpkg_noto_sans_thai", "noto_cjk_sans_otc")
_LOGO = "seller.logo"
# Typst keeps what it computed for one paper over the next ten, in case they are alike: some 90 KB a line (measured,
# 0.15.0). After a long paper it is made to forget by as many blank ones, 2 ms each.
_LONG, _REMEMBERED = 50, 11


class _CannotSetError(Exception):
    """Typst's reason why it cannot set a paper."""


class Press:
    """Sets one paper at a time; not for several threads at once."""

    def __init__(self) -> None:
        places = [str(resources.files(name)) for name in _FONTS]
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=places)
        self._blank = typst.Compiler(font_paths=typst.Fonts(include_system_fonts=False, include_embedded_fonts=False))
        self._compiler = typst.Compiler(_TEMPLATE, root=_TEMPLATE.parent, font_paths=fonts)

    def pdf(self, paper: Paper, logo: bytes, at: int) -> bytes:
        """The paper as a file that was made at that instant, for the archive (PDF/A-2u, ISO 19005-2) where it can be.

        Raises:
            MetergateError: FIELD_INVALID on `seller.logo`: it is no picture that can be drawn.
        """
        picture = {"format": check_logo(logo, _LOGO), "data": list(logo)} if logo else None
        inputs = {"paper": json.dumps(paper), "logo": json.dumps(picture)}
        try:
            return self._for_the_archive(inputs, at, f"{paper['title']} {paper['name']}")
        except _CannotSetError as error:
            if picture is None:
                raise
            raise invalid(_LOGO, f"the logo cannot be drawn: {error}") from None
        finally:
            if len(paper["lines"]) > _LONG:
                self._forget()

    def _for_the_archive(self, inputs: dict[str, str], at: int, name: str) -> bytes:
        try:
            return self._set(inputs, at, ["a-2u"])
        except _CannotSetError:
            made = self._set(inputs, at, [])
        # A character that no font has must not leave a customer without an invoice: it is drawn as a box.
        log.warning("%s has characters that no font has: it is not for the archive", name)
        return made

    def _forget(self) -> None:
        for _ in range(_REMEMBERED):
            self._blank.compile(input=b"", format="svg")

    def _set(self, inputs: dict[str, str], at: int, standards: list[typst.PDFStandard]) -> bytes:
        try:
            made = self._compiler.compile(
                format="pdf", sys_inputs=inputs, pdf_standards=standards, timestamp=at // SECOND
            )
        except typst.TypstError as error:
            raise _CannotSetError(error.message) from None
        except BaseException as panic:
            # So says PyO3 that Rust gave up, which typst 0.15.0 does over some broken pictures; it is no Exception.
            if type(panic).__name__ != "PanicException":
                raise
            raise _CannotSetError("typst gave up on it") from None
        return cast("bytes", made)
