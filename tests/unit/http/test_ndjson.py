"""Lines come out of a body however its pieces are cut."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.http.ndjson import Line, read_lines


def receiver(chunks: list[bytes], *, gone: bool = False) -> Any:
    def messages() -> Iterator[dict[str, Any]]:
        for index, chunk in enumerate(chunks):
            yield {"type": "http.request", "body": chunk, "more_body": gone or index < len(chunks) - 1}
        yield {"type": "http.disconnect"}

    source = messages()

    async def receive() -> dict[str, Any]:
        return next(source)

    return receive


async def lines(chunks: list[bytes], maximum: int = 1000, *, gone: bool = False) -> list[Line]:
    return [line async for line in read_lines(receiver(chunks or [b""], gone=gone), maximum)]


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"-"))), st.data())
async def test_the_cuts_make_no_difference(rows: list[bytes], data: st.DataObject) -> None:
    body = b"\n".join(rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    expected = [Line(n, row) for n, row in enumerate(rows, 1) if row.strip()]
    assert await lines(chunks) == expected


async def test_a_final_newline_is_no_row() -> None:
    assert await lines([b"a\n\n  \nb\n"]) == [Line(1, b"a"), Line(4, b"b")]


@pytest.mark.parametrize(
    "chunks", [[b"x" * 11 + b"\nok"], [b"x" * 6, b"x" * 6, b"x" * 6, b"\nok"], [b"x" * 11, b"\n", b"ok"]]
)
async def test_a_row_that_is_too_long_is_reported_and_skipped(chunks: list[bytes]) -> None:
    assert await lines(chunks, 10) == [Line(1, None), Line(2, b"ok")]


async def test_a_last_row_that_is_too_long_is_reported() -> None:
    assert await lines([b"ok\n", b"x" * 30], 10) == [Line(1, b"ok"), Line(2, None)]


async def test_a_row_broken_off_by_the_client_is_not_a_row() -> None:
    assert await lines([b"one\ntw"], gone=True) == [Line(1, b"one")]
