"""ReconcileUsage over gRPC and from the command line: what it compares, what it finds and what it puts right."""

from __future__ import annotations

import pytest

from tests.e2e.calls import Caller


async def usage(api: Caller, customer: str, number: int = 3) -> None:
    """Some usage of a customer of its own."""
    events = [
        {"id": f"{customer}-{place}", "type": f"m-{customer}", "subject": customer, "amount": "2"}
        for place in range(number)
    ]
    limit = {"name": f"l-{customer}", "meter": f"m-{customer}", "max": "100", "period": 5, "policy": 1}
    await api("SetLimit", limit=limit)
    await api("BatchRecordUsage", events=events)


async def test_all_is_well(api: Caller) -> None:
    await usage(api, "well")
    one = await api("ReconcileUsage", customer="well")
    assert (list(one.differences), dict(one.counts), one.customers) == ([], {}, 1)
    assert one.view_compared
    assert one.HasField("as_of")
    compared, token = 0, ""
    while True:
        page = await api("ReconcileUsage", page_token=token)
        compared += page.customers
        token = page.next_page_token
        if not token:
            break
    assert compared >= 1


@pytest.mark.parametrize("text", ["nobody", "x" * 257, "a\x07b"])
async def test_p12_bad_input_gets_a_clear_answer(api: Caller, text: str) -> None:
    answer = await api.refused("ReconcileUsage", customer=text)
    expected = ("NOT_FOUND", "CUSTOMER_NOT_FOUND") if text == "nobody" else ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert answer.short == expected


async def test_p12_a_token_of_another_request_is_refused(api: Caller) -> None:
    await usage(api, "token")
    answer = await api.refused("ReconcileUsage", page_token="AAAA")
    assert answer.short == ("INVALID_ARGUMENT", "TOKEN_INVALID")
