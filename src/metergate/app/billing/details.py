"""To whom a customer's invoices go: what may be said of that."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, Violation
from metergate.domain.offer import BillingDetails

_TEXT_MOST = 200
_NOTES_MOST = 2_000
_ENTRIES_MOST = 10
_COUNTRY = re.compile(r"[A-Z]{2}")


def check_details(details: BillingDetails, catalog: Catalog) -> None:
    """Raises FIELD_INVALID with a violation for each rule that the details break."""
    violations = tuple(_violations(details, {rate.name for rate in catalog.tax_rates}))
    if violations:
        first = violations[0]
        message = f"{first.field}: {first.description}"
        raise MetergateError(Reason.FIELD_INVALID, message, {"field": first.field}, violations)


def _violations(details: BillingDetails, rates: set[str]) -> Iterator[Violation]:
    for field, text in (("name", details.name), ("region", details.region), ("email", details.email)):
        yield from _check_text(f"details.{field}", text, _TEXT_MOST)
    yield from _check_text("details.notes", details.notes, _NOTES_MOST)
    if details.country and not _COUNTRY.fullmatch(details.country):
        yield Violation("details.country", "must be two capital letters, as ISO 3166-1 has it")
    if details.region and not details.country:
        yield Violation("details.region", "needs a country")
    for field, texts in (
        ("address", details.address), ("tax_ids", details.tax_ids), ("tax_rates", details.tax_rates)
    ):  # fmt: skip
        if len(texts) > _ENTRIES_MOST:
            yield Violation(f"details.{field}", f"must have at most {_ENTRIES_MOST} entries, and has {len(texts)}")
        for at, text in enumerate(texts[:_ENTRIES_MOST]):
            yield from _check_text(f"details.{field}[{at}]", text, _TEXT_MOST)
    for at, name in enumerate(details.tax_rates[:_ENTRIES_MOST]):
        if name not in rates:
            yield Violation(f"details.tax_rates[{at}]", f"the catalog has no tax rate called {name[:80]!r}")
        elif name in details.tax_rates[:at]:
            yield Violation(f"details.tax_rates[{at}]", "is there twice")


def _check_text(field: str, text: str, most: int) -> Iterator[Violation]:
    if len(text) > most:
        yield Violation(field, f"must have at most {most} characters, and has {len(text)}")
    if "\0" in text:
        yield Violation(field, "must not hold a NUL")
