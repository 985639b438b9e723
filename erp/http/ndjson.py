"""A stream of lines out of a body that arrives in pieces, one line in memory at a time."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from litestar.types import Receive

from erp.http.errors import ClientDisconnected
from erp.http.request import receive_chunk


class Line(NamedTuple):
    """`content` is None for a line longer than the reader accepts."""

    number: int
    content: bytes | None


async def read_lines(receive: Receive, maximum: int) -> AsyncIterator[Line]:
    """The body's non-blank lines with their numbers, counted from 1. Raises ClientDisconnected.

    A line that the client broke off by disconnecting is not among them.
    """
    number, rest, skipping, more = 1, b"", False, True
    while more:
        try:
            chunk, more = await receive_chunk(receive)
        except ClientDisconnected:
            return
        *complete, rest = (rest + chunk).split(b"\n")
        for content in complete:
            if skipping or len(content) > maximum:
                yield Line(number, None)
            elif content.strip():
                yield Line(number, content)
            number, skipping = number + 1, False
        if len(rest) > maximum:
            # Forget what came so far, remember that the line is too long.
            rest, skipping = b"", True
    if skipping:
        yield Line(number, None)
    elif rest.strip():
        yield Line(number, rest)
