"""Sealed tokens: what a caller can and cannot do with one."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from metergate.app.tokens import EVERYTHING, Sealer
from metergate.domain.errors import MetergateError, Reason

SEALER = Sealer(b"s" * 32)
PLACE = [1_795_000_000_000_000, "api", "é-1"]


def refused(field: str, *arguments: Any) -> None:
    opener: Any = SEALER.open_page if field == "page_token" else SEALER.open_write
    with pytest.raises(MetergateError) as error:
        opener(*arguments)
    assert (error.value.reason, error.value.field) == (Reason.TOKEN_INVALID, field)


def test_a_page_token_opens_for_its_tenant_and_request() -> None:
    token = SEALER.page("acme", b"request", PLACE)
    assert SEALER.open_page("acme", b"request", token) == PLACE
    assert SEALER.open_page("acme", b"request", "") is None
    assert all(character.isalnum() or character in "-_" for character in token)


def test_p9_a_token_of_another_tenant_or_request_is_refused() -> None:
    token = SEALER.page("acme", b"request", PLACE)
    refused("page_token", "beta", b"request", token)
    refused("page_token", "acme", b"another", token)
    refused("page_token", "acmer", b"equest", token)
    refused("token", "acme", token)
    refused("token", "beta", SEALER.write("acme", {"c": 3}))
    refused("page_token", "acme", b"", SEALER.write("acme", {"c": 3}))


def test_a_token_of_another_installation_is_refused() -> None:
    refused("token", "acme", Sealer(b"t" * 32).write("acme", {"c": 3}))


def test_p12_a_changed_token_never_opens_to_something_else() -> None:
    token = SEALER.page("acme", b"request", PLACE)
    for place in range(len(token)):
        for wrong in "Aa0-_=!é\x00":
            changed = token[:place] + wrong + token[place + 1 :]
            with contextlib.suppress(MetergateError):  # nothing but this may be raised
                assert SEALER.open_page("acme", b"request", changed) == PLACE


@pytest.mark.parametrize("token", ["x", "====", "é", "\ud800", "A" * 15, "A" * 16, "A" * 10_000, "a b", "\x00"])
def test_p12_what_is_no_token_is_refused(token: str) -> None:
    refused("page_token", "acme", b"request", token)
    refused("token", "acme", token)


def test_p5_a_write_token_names_what_a_read_must_have_seen() -> None:
    assert SEALER.open_write("acme", SEALER.write("acme", {"a": 1, "b": 9})) == {"a": 1, "b": 9}
    assert SEALER.write("acme", {}) == ""
    assert SEALER.open_write("acme", "") == {}


def test_p5_a_write_to_many_customers_asks_for_everything_in_a_short_token() -> None:
    token = SEALER.write("acme", {f"customer-{number}": number for number in range(5000)})
    assert SEALER.open_write("acme", token) == {EVERYTHING: 0}
    assert len(token) < 100
