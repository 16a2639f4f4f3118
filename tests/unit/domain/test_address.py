"""Which URLs and addresses webhooks may go to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from metergate.domain.address import Target, is_refused, literal, target_of
from metergate.domain.errors import MetergateError, Reason

LOCAL = (ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.9",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1",
        "198.18.0.1", "198.19.9.9", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
        "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::",
        "3fff::1",
        "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(text: str) -> None:
    assert is_refused(ip_address(text), ())


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.255",
     "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"],
)  # fmt: skip
def test_what_is_public_is_called_but_only_with_tls(text: str) -> None:
    assert not is_refused(ip_address(text), ())
    assert is_refused(ip_address(text), (), secure=False)
    assert is_refused(ip_address(text), LOCAL, secure=False)


def test_networks_that_the_operator_allows() -> None:
    for text in ("127.0.0.1", "10.1.2.3", "fd00::5"):
        assert not is_refused(ip_address(text), LOCAL)
        assert not is_refused(ip_address(text), LOCAL, secure=False)
    for text in ("10.2.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"):
        assert is_refused(ip_address(text), LOCAL)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target(True, "example.com", 443)),
        ("https://EXAMPLE.com:8443/hook?a=b", Target(True, "example.com", 8443)),
        ("https://[2606:4700:4700::1111]/x", Target(True, "2606:4700:4700::1111", 443)),
    ],
)
def test_where_a_url_leads(url: str, target: Target) -> None:
    assert target_of(url, "url", ()) == target


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com/", "ftp://example.com/", "file:///etc/passwd", "https://", "https:///x",
        "http://example.com/", "https://me@example.com/", "https://me:secret@example.com/", "https://example.com/#part",
        "https://example.com:0/", "https://example.com:65536/", "https://example.com:x/", "https://[::1",
        "https://exa mple.com",
        "https://example.com/\n", "https://bücher.example/", "https://[fe80::1%25eth0]/", "https://example.com\\@10.0.0.1/",
        "https://example.com/" + "x" * 2_048, "unix:///tmp/socket", "gopher://example.com/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_p12_what_is_no_url_for_webhooks(url: str) -> None:
    with pytest.raises(MetergateError) as error:
        target_of(url, "endpoint.url", ())
    assert (error.value.reason, error.value.field) == (Reason.FIELD_INVALID, "endpoint.url")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "100.64.0.1", "[fe80::1]"]
)
def test_p12_a_url_with_a_private_address(host: str) -> None:
    with pytest.raises(MetergateError) as error:
        target_of(f"https://{host}:8080/x", "endpoint.url", ())
    assert error.value.reason is Reason.ADDRESS_REFUSED
    assert error.value.metadata["address"] == str(ip_address(host.strip("[]")))


def test_http_is_for_allowed_networks() -> None:
    assert target_of("http://127.0.0.1:8080/", "url", LOCAL) == Target(False, "127.0.0.1", 8080)
    assert target_of("http://inside.example/", "url", LOCAL) == Target(False, "inside.example", 80)
    with pytest.raises(MetergateError) as error:
        target_of("http://8.8.8.8/", "url", LOCAL)
    assert error.value.reason is Reason.ADDRESS_REFUSED


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "localhost"])
def test_other_ways_to_write_an_address_are_names(host: str) -> None:
    """They are looked up, and what comes of it is checked."""
    assert literal(host) is None
