"""The load generator's HTTP client reads replies that arrive in any pieces."""

import asyncio

import pytest

from loadtests.bench.client import BrokenReply, Wire, finish, header, opening, parse, prepare, unchunk

PLAIN = (
    b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 11\r\nETag: "1"\r\n\r\n{"id":"a1"}'
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"5\r\nhello\r\n6;note=x\r\n world\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(("raw", "status", "body"), [(PLAIN, 201, b'{"id":"a1"}'), (CHUNKED, 200, b"hello world")])
def test_a_reply_is_only_there_when_its_last_byte_is(raw: bytes, status: int, body: bytes) -> None:
    for length in range(len(raw)):
        assert parse(bytearray(raw[:length])) is None
    reply = parse(bytearray(raw))
    assert reply is not None
    assert (reply.status, reply.body) == (status, body)


def test_a_reply_without_a_body_ends_with_its_head() -> None:
    reply = parse(bytearray(b"HTTP/1.1 204 No Content\r\nServer: nginx\r\n\r\n"))
    assert reply is not None
    assert (reply.status, reply.body) == (204, b"")


def test_headers_are_found_whatever_their_case() -> None:
    reply = parse(bytearray(PLAIN))
    assert reply is not None
    assert reply.header("ETag") == '"1"'
    assert reply.header("Location") == ""
    assert header(b"http/1.1 200 ok\r\nage:  7 ", b"age") == b"7"


def test_a_header_is_not_found_inside_another_ones_name() -> None:
    assert header(b"http/1.1 200 ok\r\nx-content-length: 9\r\ncontent-length: 2", b"content-length") == b"2"


def test_chunks_that_are_missing_are_waited_for() -> None:
    assert unchunk(b"3\r\nabc\r\n") is None
    assert unchunk(b"3\r\nabc\r\n0\r\n\r\n") == b"abc"


def test_a_prepared_request_is_its_opening_and_its_end() -> None:
    raw = prepare("POST", "/v1/x", "secret", b"{}", "key-1")
    assert raw == opening("POST", "/v1/x", "secret") + finish(b"{}", "key-1")
    assert raw.startswith(b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n")
    assert raw.endswith(b"Idempotency-Key: key-1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


def test_a_request_without_a_body_ends_with_an_empty_line() -> None:
    assert prepare("GET", "/v1/x", "secret").endswith(b"Bearer secret\r\n\r\n")


async def test_a_connection_that_ends_inside_a_reply_is_broken() -> None:
    async def half_a_reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PLAIN[:-3])
        writer.close()

    server = await asyncio.start_server(half_a_reply, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port)
        with pytest.raises(BrokenReply):
            await wire.exchange(prepare("GET", "/", "secret"))
        assert not wire.open
