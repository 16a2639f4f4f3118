"""Papers: read again from the files that typst made of them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from pypdf import PdfReader

from metergate.adapters.pdf import paper
from metergate.adapters.pdf.render import TypstRenderer
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import Invoice, InvoiceState, Tax
from metergate.domain.offer import NO_DETAILS, NO_SELLER, BillingDetails
from metergate.domain.period import Window, to_datetime
from tests.unit.adapters.papers import BUYER, LINES, NOTE, SELLER, SVG, VAT, at, invoice, line, png


@pytest.fixture(scope="module")
def renderer() -> Iterator[TypstRenderer]:
    made = TypstRenderer()
    yield made
    made.close()


def _pages(pdf: bytes) -> list[str]:
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(io.BytesIO(pdf)).pages]


async def _text(renderer: TypstRenderer, one: Invoice, time_zone: str = "UTC") -> str:
    return " ".join(_pages(await renderer.invoice(one, time_zone)))


async def test_it_says_who_what_and_how_much(renderer: TypstRenderer) -> None:
    text = await _text(renderer, invoice(taxes=(VAT,), total=38_616, paid=10_000, credited=616))
    for said in ("INV-000042", "1 Nov 2026", "15 Nov 2026", "1 – 31 Oct 2026", "acme", "USD 280.00 due on 15 Nov 2026"):
        assert said in text
    for said in (*SELLER.address, *SELLER.tax_ids, SELLER.email, SELLER.notes, *BUYER.address, BUYER.name, BUYER.notes):
        assert said in text
    for row in ("1 Pro plan", "1 199.00 199.00", "1,250 0.10 125.00", "50,000 0.00001 + 5.00 0.50"):
        assert row in text
    for row in ("Subtotal 324.50", "VAT 19% on 324.50 61.66", "Total USD 386.16", "Paid -100.00", "Credited -6.16"):
        assert row in text
    assert "Amount due USD 280.00" in text
    assert "IBAN DE89 3704 0044 0532 0130 00" in text
    assert "days are those of UTC Page 1 of 1" in text


async def test_the_same_data_makes_the_same_bytes_in_another_process_too(renderer: TypstRenderer) -> None:
    one = invoice(seller=replace(SELLER, logo=png(40, 10)), taxes=(VAT,))
    here = await renderer.invoice(one, "Asia/Tokyo")
    assert await renderer.invoice(one, "Asia/Tokyo") == here
    assert await renderer.invoice(replace(one, notes="x"), "Asia/Tokyo") != here
    told = PdfReader(io.BytesIO(here)).metadata
    assert told is not None
    assert told.creation_date == to_datetime(one.finalized_at or 0)
    there = (
        "import asyncio, hashlib; from dataclasses import replace\n"
        "from metergate.adapters.pdf.render import TypstRenderer\n"
        "from tests.unit.adapters.papers import *\n"
        "one = invoice(seller=replace(SELLER, logo=png(40, 10)), taxes=(VAT,))\n"
        "print(hashlib.sha256(asyncio.run(TypstRenderer().invoice(one, 'Asia/Tokyo'))).hexdigest())"
    )
    env = {"PYTHONPATH": ":".join(sys.path), "TZ": "America/Lima", "PYTHONHASHSEED": "7"}
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", there, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, wrong = await other.communicate()
    assert said.decode().strip() == hashlib.sha256(here).hexdigest(), wrong.decode()


async def test_it_is_for_the_archive(renderer: TypstRenderer) -> None:
    made = await renderer.invoice(invoice(seller=replace(SELLER, logo=SVG)), "UTC")
    metadata = PdfReader(io.BytesIO(made)).xmp_metadata
    assert metadata is not None
    xmp = metadata.stream.get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in xmp
    assert "<pdfaid:conformance>U</pdfaid:conformance>" in xmp


HOSTILE = (
    '#eval("1")', "*bold* _it_ $x^2$ `raw`", "= heading @ref <label> [x] #panic()", "\\u{41} // not a comment /* */",
    "#image(\"/etc/passwd\") #read('/etc/passwd')", "{{ 7 * 7 }} %s {0} ${HOME}", "fi ffl office --- '\"",
)  # fmt: skip


async def test_texts_are_literal_wherever_they_stand(renderer: TypstRenderer) -> None:
    for text in HOSTILE:
        lines = (line(1, text, 100), line(2, "Second", 200))
        seller = replace(SELLER, name=text, address=(text,), notes=text, payment_instructions=text)
        buyer = BillingDetails(text, (text,), text, text, text, (text,), notes=text)
        tax = Tax(text, Decimal(1), False, 300, 3)
        said = await _text(renderer, invoice(
            lines=lines, seller=seller, buyer=buyer, taxes=(tax,), notes=text, number=text, customer=text,
            subscription=text, id=text,
        ))  # fmt: skip
        # Long ones are broken over lines, at spaces and elsewhere.
        assert "".join(said.split()).count("".join(text.split())) >= 14, said


async def test_what_steers_the_text_is_not_in_it(renderer: TypstRenderer) -> None:
    text = await _text(renderer, invoice(lines=(line(1, "a\x00b\x1b[31m c\r\nd \u202e0.01 DSU\u202c\u2066e", 100),)))
    assert "a b [31m c d 0.01 DSUe" in text


async def test_long_words_stay_in_their_column(renderer: TypstRenderer) -> None:
    lines = (line(1, "x" * 300, 100), line(2, "https://example.com/" + "path/" * 50, 200))
    made = await renderer.invoice(invoice(lines=lines, buyer=replace(BUYER, name="W" * 200)), "UTC")
    for long in ("x" * 300, "W" * 200, "path/" * 50):
        assert long in _pages(made)[0].replace(" ", "")
    rows = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(made)).pages)
    assert max(map(len, re.findall(r"x+|W+|[path/]+", rows))) < 80, "a word was not broken"


async def test_long_tables_break_over_pages_under_their_head(renderer: TypstRenderer) -> None:
    lines = tuple(line(number, f"Calls of project {number}", number) for number in range(1, 201))
    pages = _pages(await renderer.invoice(invoice(lines=lines), "UTC"))
    assert len(pages) > 4
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert "INV-000042" in page
        assert ("Calls of project" in page) == ("DESCRIPTION" in page)
    text = " ".join(pages)
    assert re.findall(r"Calls of project (\d+)", text) == [str(number) for number in range(1, 201)]
    assert "Total USD 201.00" in text


async def test_lines_beyond_the_bound_stand_in_one(renderer: TypstRenderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "MOST_LINES", 5)
    text = await _text(renderer, invoice(lines=tuple(line(number, f"Project {number}", 1) for number in range(1, 13))))
    assert "Project 5 " in text
    assert "Project 6 " not in text
    assert "7 further lines, listed in full on request 0.07" in text
    assert "Total USD 0.12" in text


@pytest.mark.parametrize(
    ("currency", "said"),
    [("JPY", ("0.1 12,500", "Total JPY 32,450")), ("KWD", ("0.100 12.500", "Total KWD 32.450"))],
)
async def test_amounts_have_the_currencys_places(renderer: TypstRenderer, currency: str, said: tuple[str, ...]) -> None:
    text = await _text(renderer, invoice(currency=currency))
    for one in said:
        assert one in text


async def test_figures_have_all_their_digits(renderer: TypstRenderer) -> None:
    huge = Decimal("123456789012345678.123456789012")
    text = await _text(renderer, invoice(lines=(line(1, "Tokens", -5, quantity=huge, unit_amount=Decimal("2.5e-6")),)))
    assert "123,456,789,012,345,678.123456789012 0.0000025 -0.05" in text


async def test_inclusive_taxes_and_discounts_are_told_apart_from_what_is_added(renderer: TypstRenderer) -> None:
    inclusive, added = Tax("ust", Decimal(19), True, 31_450, 5_021), Tax("fee", Decimal("5.5"), False, 31_450, 1_730)
    lines = (replace(LINES[0], discount=1_000), *LINES[1:])
    text = await _text(renderer, invoice(lines=lines, discount=1_000, taxes=(inclusive, added), total=33_180))
    assert "1 – 30 Nov 2026 · discount -10.00" in text
    assert "Discount -10.00 fee 5.5% on 314.50 17.30 Total USD 331.80 ust 19% within 314.50 50.21 Amount due" in text


async def test_days_are_those_of_the_subscriptions_zone(renderer: TypstRenderer) -> None:
    local = Window(at(2026, 9, 30, 15), at(2026, 10, 31, 15))  # midnights of Tokyo
    text = await _text(renderer, invoice(period=local), "Asia/Tokyo")
    assert "Period 1 – 31 Oct 2026" in text
    assert "days are those of Asia/Tokyo" in text
    one = Window(at(2026, 12, 20, 8), at(2027, 1, 20, 8))
    assert "Period 20 Dec 2026 – 20 Jan 2027" in await _text(renderer, invoice(period=one))
    assert "Period 1 Nov 2026 " in await _text(renderer, invoice(period=Window(at(2026, 11, 1), at(2026, 11, 1))))


async def test_marks_say_what_became_of_it(renderer: TypstRenderer) -> None:
    paid = await _text(renderer, invoice(state=InvoiceState.PAID, paid=32_450, paid_at=at(2026, 11, 9)))
    assert "PAID 9 Nov 2026" in paid
    assert "Amount due USD 0.00" in paid
    void = await _text(renderer, invoice(state=InvoiceState.VOID, voided_at=at(2026, 11, 3)))
    assert void.count("VOID") == 2  # the stamp and the watermark
    assert "Nothing due" in void
    draft = await _text(renderer, invoice(state=InvoiceState.DRAFT, number="", finalized_at=None, due_at=None))
    assert draft.count("DRAFT") == 2
    assert "USD 324.50, not due yet" in draft
    assert "Date of issue" not in draft
    for text, pays in ((paid, False), (void, False), (draft, True), (await _text(renderer, invoice()), True)):
        assert ("IBAN" in text) is pays


async def test_a_negative_total_is_carried(renderer: TypstRenderer) -> None:
    lines = (line(1, "Unused time of Enterprise", -29_900), line(2, "Pro plan", 9_900))
    text = await _text(renderer, invoice(lines=lines, state=InvoiceState.PAID, paid_at=at(2026, 11, 1, 1)))
    assert "Nothing due: USD 200.00 is carried to the next invoice" in text
    assert "Total USD -200.00" in text


async def test_nobody_named_leaves_no_empty_places(renderer: TypstRenderer) -> None:
    text = await _text(renderer, invoice(seller=NO_SELLER, buyer=NO_DETAILS))
    assert "FROM" not in text
    assert "NOTES" not in text


SCRIPTS = (
    "Ελληνική Εταιρεία", "Українська компанія", "Công ty Đà Nẵng", "株式会社東京計測", "深圳市科技有限公司",
    "한국전력공사", "臺灣股份有限公司", "Հայկական", "ქართული",
)  # fmt: skip
# Their letters change places or join when they are set; pypdf reads them as they stand.
SHAPED = ("บริษัท", "हिन्दी कंपनी", "شركة الاتصالات", "חברת החשמל")


async def test_names_in_many_scripts_have_their_letters(
    renderer: TypstRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [line(number, name, 100) for number, name in enumerate((*SCRIPTS, *SHAPED), 1)]
    text = await _text(renderer, invoice(lines=tuple(lines)))
    assert not caplog.records, "a letter of these is in no font"
    for name in SCRIPTS:
        assert name in text
    await renderer.invoice(invoice(buyer=replace(BUYER, name="Acme 😀 தமிழ்")), "UTC")
    assert "INV-000042 has characters that no font has" in caplog.text


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("logo", "why"),
    [
        (png(40, 10)[:50], "is a damaged PNG"),
        (b"GIF89a", "neither a PNG nor an SVG"),
        (SVG.replace(b"0 0 24 6", b"0 0 0 0").replace(b"<svg", b"<svg width='-1'"), "cannot be drawn"),
        # Whole chunks with something else in them than pixels; and a palette of one and two thirds of a colour, over
        # which typst 0.15.0 panics.
        (png(4, 4)[:33] + _chunk(b"IDAT", b"\xff" * 9) + _chunk(b"IEND", b""), "cannot be drawn"),
        (
            png(4, 4)[:8]
            + _chunk(b"IHDR", bytes([0, 0, 0, 4, 0, 0, 0, 4, 8, 3, 0, 0, 0]))
            + _chunk(b"PLTE", b"12345")
            + _chunk(b"tRNS", b"1")
            + _chunk(b"IDAT", zlib.compress(b"\0" * 20))
            + _chunk(b"IEND", b""),
            "cannot be drawn",
        ),
    ],
)
async def test_a_logo_that_cannot_be_drawn_is_named(renderer: TypstRenderer, logo: bytes, why: str) -> None:
    with pytest.raises(MetergateError, match=why) as caught:
        await renderer.invoice(invoice(seller=replace(SELLER, logo=logo)), "UTC")
    assert caught.value.reason is Reason.FIELD_INVALID
    assert caught.value.field == "seller.logo"
    assert "INV-000042" in await _text(renderer, invoice()), "the next paper is none the worse"


async def test_a_credit_note_names_its_invoice(renderer: TypstRenderer) -> None:
    text = " ".join(_pages(await renderer.credit_note(NOTE, invoice(), "UTC")))
    for said in ("Credit note", "CN-000001", "For invoice INV-000042", "Date of issue 20 Nov 2026", NOTE.reason):
        assert said in text
    assert "2 Orders 1 – 31 Oct 2026 50 5.00 1 Two hours without service 1 – 30 Nov 2026 10.00" in text
    assert "VAT 19% on 15.00 2.85 Total credited USD 17.85" in text
    assert await renderer.credit_note(NOTE, invoice(), "UTC") == await renderer.credit_note(NOTE, invoice(), "UTC")


async def test_the_loop_goes_on_while_a_long_one_is_set(renderer: TypstRenderer) -> None:
    lines = tuple(line(number, f"Project {number}", 1) for number in range(1, 301))
    making = asyncio.ensure_future(renderer.invoice(invoice(lines=lines), "UTC"))
    turns = 0
    while not making.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    assert (await making).startswith(b"%PDF")
