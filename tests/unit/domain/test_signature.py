"""Signatures of webhooks, against the examples of the Standard Webhooks reference libraries."""

from __future__ import annotations

from base64 import b64decode

import pytest

from metergate.domain.signature import headers, new_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, SECONDS, PAYLOAD = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_the_example_of_the_reference_libraries(secret: str) -> None:
    assert sign(secret, ID, SECONDS, PAYLOAD) == SIGNATURE


def test_all_three_parts_are_signed() -> None:
    others = {
        sign(SECRET, ID + "x", SECONDS, PAYLOAD),
        sign(SECRET, ID, SECONDS + 1, PAYLOAD),
        sign(SECRET, ID, SECONDS, PAYLOAD + b" "),
        sign(new_secret(), ID, SECONDS, PAYLOAD),
    }
    assert len(others | {SIGNATURE}) == 5


def test_two_secrets_sign_side_by_side() -> None:
    other = new_secret()
    sent = headers(ID, SECONDS, PAYLOAD, [other, SECRET])
    assert sent == {
        "webhook-id": ID,
        "webhook-timestamp": str(SECONDS),
        "webhook-signature": f"{sign(other, ID, SECONDS, PAYLOAD)} {SIGNATURE}",
    }


def test_secrets_are_long_and_new() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert secret.startswith("whsec_")
        assert 24 <= len(b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
