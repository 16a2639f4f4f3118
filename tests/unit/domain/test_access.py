"""API keys: how one is written, and what catches a slip of the pen."""

from __future__ import annotations

import string

import pytest

from metergate.domain.access import ApiKey, new_key, parse_key

# Nobody's: the same for ever, so that a change of the format is seen.
KEY = ApiKey("AbCdEf123456", "0123456789abcdefghijKLMNOPQRSTUV")
TEXT = "mg_AbCdEf123456_0123456789abcdefghijKLMNOPQRSTUV0b800c40"


def test_a_key_reads_back() -> None:
    for _ in range(50):
        key = new_key()
        assert parse_key(str(key)) == key
    assert str(KEY) == TEXT
    assert parse_key(TEXT) == KEY


def test_any_one_character_slip_is_caught() -> None:
    for place, right in enumerate(TEXT):
        for wrong in string.ascii_letters + string.digits + "_-é":
            if wrong != right:
                assert parse_key(TEXT[:place] + wrong + TEXT[place + 1 :]) is None
        assert parse_key(TEXT[:place] + TEXT[place + 1 :]) is None
        assert parse_key(TEXT[:place] + "x" + TEXT[place:]) is None


def test_neighbours_that_changed_places_are_caught() -> None:
    for place in range(len(TEXT) - 1):
        swapped = TEXT[:place] + TEXT[place + 1] + TEXT[place] + TEXT[place + 2 :]
        if swapped != TEXT:
            assert parse_key(swapped) is None


@pytest.mark.parametrize(
    "text", ["", "mg", "mg_", "mg__", "_" * 60, "sk_" + TEXT[3:], TEXT + " ", " " + TEXT, TEXT * 2]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse_key(text) is None


def test_only_the_secret_proves_a_key() -> None:
    other = ApiKey(KEY.id, "x" * 32)
    assert KEY.proves(KEY.secret_hash)
    assert not other.proves(KEY.secret_hash)
    assert len(KEY.secret_hash) == 32
    assert KEY.secret.encode() not in KEY.secret_hash


def test_keys_do_not_repeat() -> None:
    keys = [new_key() for _ in range(200)]
    assert len({key.id for key in keys}) == len({key.secret for key in keys}) == 200
