"""Numbers round-trip, digests stand for contents, tokens come back as they went."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metergate.app.tokens import Sealer
from metergate.domain import quantity
from metergate.domain.access import ApiKey, parse_key
from metergate.domain.errors import MetergateError
from metergate.domain.usage import compare, make_event
from tests.property.strategies import decimals, texts, times

SEALER = Sealer(b"secret")
NUMBER = r"-?[0-9]{1,18}(\.[0-9]{1,12})?"

contents = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["a", "ab", "b"]),
        "subject": st.sampled_from(["a", "ba", "b"]),
        "time": st.none() | st.integers(0, 3),
        "amount": st.sampled_from(["", "0", "-0", "1", "1.0", "10", "2"]),
        "values": st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "1.00", "2"]), max_size=2),
        "labels": st.dictionaries(st.sampled_from(["a", "b", "1"]), st.sampled_from(["", "1", "a"]), max_size=2),
        "settles": st.sampled_from(["", "a", "1"]),
    }
)


@given(decimals)
def test_p7_quantities_round_trip(number: Decimal) -> None:
    text = quantity.to_text(number)
    assert quantity.parse(text, "amount") == number
    assert quantity.to_text(quantity.parse(text, "amount")) == text


@given(st.from_regex(NUMBER, fullmatch=True).filter(str.isascii))
def test_p7_equal_quantities_are_written_alike(text: str) -> None:
    number = quantity.parse(text, "amount")
    written = quantity.to_text(number)
    assert Decimal(written) == number
    assert written == quantity.to_text(quantity.parse(text + ("" if "." in text else ".0"), "amount"))
    assert "E" not in written.upper()


@given(st.text(max_size=30))
def test_p12_any_text_is_a_quantity_or_refused(text: str) -> None:
    try:
        number = quantity.parse(text, "amount")
    except MetergateError:
        return
    assert number == Decimal(text)
    assert number.is_finite()


@given(st.lists(decimals, max_size=30))
def test_p7_sums_do_not_depend_on_order(numbers: list[Decimal]) -> None:
    def total(some: list[Decimal]) -> Decimal:
        result = quantity.ZERO
        for number in some:
            result = quantity.add(result, number)
        return result

    assert total(numbers) == total(numbers[::-1]) == total(sorted(numbers))


@given(contents, contents)
def test_p1_digests_are_equal_exactly_when_contents_are(one: dict[str, Any], two: dict[str, Any]) -> None:
    first, second = make_event("1", "s", **one), make_event("2", "t", **two)
    assert (first.digest == second.digest) is (compare(first, second) is None)


@given(
    texts, texts, texts, times, st.dictionaries(texts, texts, max_size=4), st.dictionaries(texts, decimals, max_size=3)
)
def test_p1_a_digest_does_not_depend_on_the_order_of_maps(
    id: str, type: str, subject: str, time: int | None, labels: dict[str, str], values: dict[str, Decimal]
) -> None:
    written = {name: quantity.to_text(number) for name, number in values.items()}
    backwards = dict(reversed(labels.items())), dict(reversed(written.items()))
    first = make_event(id, "s", type, subject, time, "", written, labels, "")
    second = make_event(id, "s", type, subject, time, "", backwards[1], backwards[0], "")
    assert first.digest == second.digest
    assert compare(first, second) is None


@given(st.text(max_size=40))
def test_p12_any_text_is_a_field_or_refused(text: str) -> None:
    for field in ("id", "source", "type", "subject", "settles"):
        fields = {"id": "1", "source": "s", "type": "t", "subject": "u", "settles": "", field: text}
        try:
            made = make_event(**fields, time=None, amount="", values={}, labels={text: text})
        except MetergateError:
            continue
        assert getattr(made, field) == text
        assert not any(character < " " or character == "\x7f" for character in text)


@given(st.text(max_size=10), st.binary(max_size=20), st.tuples(st.integers(0, 2**62), texts, texts))
def test_page_tokens_round_trip(tenant: str, request: bytes, place: tuple[int, str, str]) -> None:
    token = SEALER.page(tenant, request, list(place))
    assert SEALER.open_page(tenant, request, token) == list(place)


@given(st.dictionaries(texts, st.integers(0, 2**62), min_size=1, max_size=16))
def test_write_tokens_round_trip(seqs: dict[str, int]) -> None:
    assert SEALER.open_write("t", SEALER.write("t", seqs)) == seqs


@given(st.from_regex(r"[A-Za-z0-9]{12}", fullmatch=True), st.from_regex(r"[A-Za-z0-9]{32}", fullmatch=True))
def test_keys_round_trip(id: str, secret: str) -> None:
    key = ApiKey(id, secret)
    assert parse_key(str(key)) == key


@given(st.text(max_size=80))
def test_p12_any_text_is_a_key_or_none(text: str) -> None:
    found = parse_key(text)
    assert found is None or str(found) == text
