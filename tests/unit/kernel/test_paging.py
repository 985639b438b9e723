"""A cursor opens only where it was sealed, and only unaltered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.kernel.errors import InvalidCursor
from erp.kernel.paging import CursorCodec

codec = CursorCodec("secret")


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_a_sealed_payload_comes_back(scope: bytes, payload: bytes) -> None:
    assert codec.open(scope, codec.seal(scope, payload)) == payload


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_a_cursor_is_of_no_use_elsewhere(scope: bytes, other: bytes, payload: bytes) -> None:
    if scope != other:
        with pytest.raises(InvalidCursor):
            codec.open(other, codec.seal(scope, payload))


@given(st.text(max_size=60))
def test_invented_cursors_are_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        codec.open(b"scope", text)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 400))
def test_one_changed_bit_is_noticed(payload: bytes, position: int) -> None:
    sealed = bytearray(codec.seal(b"scope", payload).encode())
    index = position % len(sealed)
    sealed[index] = sealed[index] ^ 1
    try:
        opened = codec.open(b"scope", sealed.decode("latin-1"))
    except InvalidCursor:
        return
    assert opened == payload  # the bit was base64 padding


def test_bytes_cannot_move_between_scope_and_payload() -> None:
    sealed = codec.seal(b"ab", b"c")
    with pytest.raises(InvalidCursor):
        codec.open(b"a", sealed)


def test_another_instance_with_the_same_secret_reads_it() -> None:
    assert CursorCodec("secret").open(b"s", codec.seal(b"s", b"x")) == b"x"
    with pytest.raises(InvalidCursor):
        CursorCodec("other").open(b"s", codec.seal(b"s", b"x"))
