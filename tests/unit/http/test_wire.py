"""The raw request: duplicate headers, correlation ids, and where a request really came from."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.http.context import SINGLE_HEADERS
from erp.http.errors import BadRequest
from erp.http.wire import Proxies, correlation_id, read_headers


def address(proxies: Proxies, peer: str, *forwarded: bytes) -> str:
    headers = read_headers([(b"x-forwarded-for", value) for value in forwarded])
    return proxies.address({"client": (peer, 1)}, headers)


def test_only_a_trusted_peer_may_say_who_it_speaks_for() -> None:
    proxies = Proxies(["10.0.0.1"])
    assert address(proxies, "10.0.0.1", b"198.51.100.7") == "198.51.100.7"
    assert address(proxies, "203.0.113.9", b"198.51.100.7") == "203.0.113.9"


def test_only_the_last_hop_counts_because_the_client_wrote_the_others() -> None:
    proxies = Proxies(["10.0.0.0/8"])
    assert address(proxies, "10.1.2.3", b"6.6.6.6, 198.51.100.7") == "198.51.100.7"
    assert address(proxies, "10.1.2.3", b"6.6.6.6", b"198.51.100.7") == "198.51.100.7"


@pytest.mark.parametrize("garbage", [b"", b"unknown", b"1.2.3.4:80", b"evil\r\nx", b"999.1.1.1", b"\xff"])
def test_an_address_that_is_none_is_not_believed(garbage: bytes) -> None:
    assert address(Proxies(["10.0.0.1"]), "10.0.0.1", garbage) == "10.0.0.1"


def test_a_unix_socket_has_no_peer() -> None:
    assert Proxies(["10.0.0.1"]).address({"client": None}, {}) == ""


def test_ipv6_addresses_have_one_spelling() -> None:
    assert address(Proxies(["::1"]), "::1", b"2001:DB8:0:0::1") == "2001:db8::1"


@pytest.mark.parametrize("name", sorted(SINGLE_HEADERS))
def test_a_header_two_readers_could_disagree_on_comes_once(name: bytes) -> None:
    with pytest.raises(BadRequest):
        read_headers([(name, b"1"), (name, b"1")])


@pytest.mark.parametrize("length", [b"abc", b"-1", b"1e3", b"", b"9" * 30, b"0x10"])
def test_a_content_length_is_a_number(length: bytes) -> None:
    with pytest.raises(BadRequest):
        read_headers([(b"content-length", length)])


@pytest.mark.parametrize("given_id", [b"abcdefgh", b"A" * 64, b"5f0c0a52-b3b1-4f7f"])
@pytest.mark.parametrize("header", [b"x-correlation-id", b"x-request-id"])
def test_a_harmless_correlation_id_is_kept(header: bytes, given_id: bytes) -> None:
    assert correlation_id({header: given_id}) == given_id.decode()


def test_the_first_harmless_of_two_ids_counts() -> None:
    both = {b"x-correlation-id": b"correlation-1", b"x-request-id": b"request-0001"}
    assert correlation_id(both) == "correlation-1"
    assert correlation_id({**both, b"x-correlation-id": b"a;b"}) == "request-0001"


@given(st.binary(max_size=80).filter(lambda value: not re.fullmatch(rb"[A-Za-z0-9-]{8,64}", value)))
def test_any_other_is_replaced(given_id: bytes) -> None:
    found = correlation_id({b"x-correlation-id": given_id})
    assert re.fullmatch(r"[0-9a-f]{32}", found)
