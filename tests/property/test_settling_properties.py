"""What becomes of an invoice: whatever is tried, states go forwards and sums are those of what was accepted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain import settling
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import Invoice, InvoiceState
from metergate.domain.offer import NO_DETAILS, NO_SELLER
from metergate.domain.period import DAY, Window

RANK = {state: rank for rank, state in enumerate(["draft", "open", "uncollectible", "paid", "void"])}
DONE = (InvoiceState.PAID, InvoiceState.VOID)
amounts = st.one_of(st.integers(-3, 30), st.none())
steps = st.lists(
    st.tuples(st.sampled_from(["finalize", "pay", "credit", "void", "uncollectible"]), amounts), max_size=12
)


def step(invoice: Invoice, verb: str, amount: int | None, now: int) -> tuple[Invoice, int, int]:
    """The invoice after it, what was paid, and what was credited."""
    if verb == "pay":
        return *settling.paid(invoice, amount, now), 0
    if verb == "credit":
        given_back = min(abs(amount or 1), invoice.total - invoice.credited)
        return settling.credited(invoice, max(given_back, 0), now), 0, max(given_back, 0)
    changed = {
        "finalize": lambda: settling.finalized(invoice, "INV-000001", NO_SELLER, NO_DETAILS, now),
        "void": lambda: settling.voided(invoice, (), now),
        "uncollectible": lambda: settling.uncollectible(invoice),
    }[verb]()
    return changed, 0, 0


@given(st.integers(-20, 40), steps)
def test_p6_states_go_forwards_and_sums_are_of_what_was_accepted(
    total: int, tried: list[tuple[str, int | None]]
) -> None:
    invoice = Invoice(
        "inv", "acme", "sub", "USD", Window(0, DAY), InvoiceState.DRAFT, (), 1, total, 0, (), total, 0,
    )  # fmt: skip
    paid = credited = 0
    refused: set[Reason] = set()
    for now, (verb, amount) in enumerate(tried, DAY):
        before = invoice
        try:
            invoice, more, back = step(invoice, verb, amount, now)
        except MetergateError as error:
            refused.add(error.reason)
            continue
        paid, credited = paid + more, credited + back
        assert (invoice.paid, invoice.credited) == (paid, credited)
        assert max(paid, credited) <= max(total, 0)
        assert RANK[invoice.state] >= RANK[before.state]
        assert before.state not in DONE or (invoice.state is before.state and verb == "credit")
        assert (invoice.state is InvoiceState.PAID) == (
            settling.rest(invoice) == 0
        ) or invoice.state is InvoiceState.VOID
        assert (invoice.paid_at is None) == (invoice.state is not InvoiceState.PAID)
        assert (invoice.voided_at is None) == (invoice.state is not InvoiceState.VOID)
        assert before.paid_at in (None, invoice.paid_at)
        assert invoice.due == (settling.rest(invoice) if invoice.state is InvoiceState.OPEN else 0)
        assert invoice.finalized_at is not None
        assert invoice.due_at == invoice.finalized_at + 14 * DAY
    assert refused <= {Reason.INVOICE_STATE, Reason.PAYMENT_TOO_LARGE, Reason.FIELD_INVALID}


def test_numbers_are_written_with_six_digits_and_more_where_there_are_more() -> None:
    numbers = [settling.number_of("INV", place) for place in (1, 999_999, 1_000_000)]
    assert numbers == ["INV-000001", "INV-999999", "INV-1000000"]
