"""`python -m erp.sandbox.payments`: a payment provider to develop and test against. Never moves real money.

HTTP of its own, down to the socket: only so can an answer come twice, late or not at all.

    PUT    /v1/operations/{key}      do it, once per key      GET the same: what became of it
    GET    /v1/payments?account=     its books                GET /v1/operations?account=: what was asked
    POST   /v1/faults                misbehave next time      DELETE /v1/faults: behave again
    GET    /health/ready
"""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from erp.fulfilment.port import PaymentAnswer, PaymentRequest
from erp.sandbox.faults import Fault, Faults
from erp.sandbox.ledger import KeyReused, Ledger

_LARGEST = 64 * 1024
_REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 402: "Payment Required", 404: "Not Found", 409: "Conflict"}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """`times`: how often it is written; 0 breaks the connection instead."""

    status: int
    body: bytes
    times: int = 1


class Sandbox:
    """One provider on one ledger."""

    def __init__(self, file: Path) -> None:
        self._ledger = Ledger(file)
        self._faults = Faults()

    async def serve(self, host: str, port: int, ending: asyncio.Event) -> None:
        server = await asyncio.start_server(self._connected, host, port)
        async with server:
            await ending.wait()
            server.close()
        self._ledger.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            while (request := await _read(reader)) is not None:
                answer = await self._answer(request)
                for _ in range(answer.times):
                    writer.write(_encode(answer))
                if not answer.times:
                    break
                await writer.drain()
        writer.close()

    async def _answer(self, request: Request) -> Answer:
        path = request.path
        try:
            if path.startswith("/v1/operations/"):
                return await self._operation(unquote(path.removeprefix("/v1/operations/")), request)
            return self._other(request)
        except KeyReused:
            return Answer(422, b'{"code":"key-reused"}')
        except (msgspec.DecodeError, KeyError, ArithmeticError) as error:
            return Answer(400, msgspec.json.encode({"code": "bad-request", "detail": str(error)}))

    def _other(self, request: Request) -> Answer:
        query = request.query
        match request.method, request.path:
            case "GET", "/v1/payments":
                found = self._ledger.payments(
                    query["account"], query.get("after", ""), int(query.get("limit", "100"))
                )
                return Answer(200, msgspec.json.encode(found))
            case "GET", "/v1/operations":
                return Answer(200, msgspec.json.encode(self._ledger.operations(query["account"])))
            case "POST", "/v1/faults":
                self._faults.tell(msgspec.json.decode(request.body, type=Fault))
                return Answer(201, b"{}")
            case "DELETE", "/v1/faults":
                self._faults.clear()
                return Answer(200, b"{}")
            case "GET", "/health/ready" | "/health/live":
                return Answer(200, b'{"status":"ok"}')
        return Answer(404, b'{"code":"not-found"}')

    async def _operation(self, key: str, request: Request) -> Answer:
        if request.method == "GET":
            fault = self._faults.take("", "", looking=True)
            if fault is not None:
                return await self._wrong(fault, Answer(500, b"{}"))
            found = self._ledger.find(key)
            return Answer(404, b"{}") if found is None else Answer(200, msgspec.json.encode(found))
        asked = msgspec.json.decode(request.body, type=PaymentRequest)
        fault = self._faults.take(asked.operation, asked.payment)
        if fault is None:
            return _shown(self._ledger.perform(key, asked))
        match fault.mode:
            case "fail" | "hang":
                return await self._wrong(fault, Answer(500, b"{}"))
            case "late_effect":
                await asyncio.sleep(fault.seconds)
                return _shown(self._ledger.perform(key, asked))
            case "twice":
                self._ledger.perform(key, asked)
        answer = _shown(self._ledger.perform(key, asked, decline=fault.mode == "decline"))
        return await self._wrong(fault, answer)

    @staticmethod
    async def _wrong(fault: Fault, answer: Answer) -> Answer:
        match fault.mode:
            case "hang":
                await asyncio.sleep(fault.seconds)
                return Answer(500, b"{}", times=0)
            case "late":
                await asyncio.sleep(fault.seconds)
            case "fail_after" | "fail":
                return Answer(500, b"{}")
            case "twice":
                return Answer(answer.status, answer.body, times=2)
            case "drop":
                return Answer(500, b"{}", times=0)
        return answer


def _shown(answer: PaymentAnswer) -> Answer:
    return Answer(200 if answer.accepted else 402, msgspec.json.encode(answer))


def _encode(answer: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(answer.body)}\r\n\r\n"
    )
    return head.encode() + answer.body


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None when the client is done. Bodies come with their length."""
    first = await reader.readline()
    if not first:
        return None
    method, target, _ = first.decode("latin-1").split(" ", 2)
    length = 0
    while (line := await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "content-length":
            length = int(value)
    if length > _LARGEST:
        raise ValueError("too large")
    body = await reader.readexactly(length)
    parts = urlsplit(target)
    return Request(method, parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}, body)


async def run(host: str, port: int, file: Path) -> None:
    """Until SIGTERM or SIGINT."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    await Sandbox(file).serve(host, port, ending)


def main() -> None:
    """Where it listens and keeps its books comes from the environment, as for every process."""
    env = os.environ
    asyncio.run(
        run(
            env.get("ERP_SANDBOX_HOST", "127.0.0.1"),
            int(env.get("ERP_SANDBOX_PORT", "20700")),
            Path(env.get("ERP_SANDBOX_LEDGER", "payments.sqlite3")),
        )
    )


if __name__ == "__main__":
    main()
