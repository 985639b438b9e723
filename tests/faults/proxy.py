"""A TCP proxy in a process of its own that can be slow, swallow everything, or be gone.

python -m tests.faults.proxy LISTEN TARGET      obeys lines on its standard input, and answers each with `done`:
    pass        hands on what comes
    delay S     hands it on so many seconds later, each way half of them
    hole        takes connections and bytes, and hands nothing on
    refuse      breaks what is open and takes no connection
"""

import asyncio
import contextlib
import sys
from asyncio import StreamReader, StreamWriter

_PIECE = 65_536


class Proxy:
    """In front of one port of this machine."""

    def __init__(self, listen: int, target: int) -> None:
        self._listen = listen
        self._target = target
        self._delay = 0.0
        self._through = asyncio.Event()
        self._through.set()
        self._server: asyncio.Server | None = None
        self._open: set[StreamWriter] = set()

    async def obey(self, order: str, seconds: float = 0.0) -> None:
        self._delay = seconds / 2
        if order == "hole":
            self._through.clear()
        else:
            self._through.set()
        if order == "refuse":
            self._break_off()
        elif self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._listen)

    def _break_off(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError):
            upstream, onward = await asyncio.open_connection("127.0.0.1", self._target)
            self._open |= {writer, onward}
            await asyncio.gather(self._carry(reader, onward), self._carry(upstream, writer))
            self._open -= {writer, onward}

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        """In their order: a piece that is held back holds back what comes behind it, as a slow line does not."""
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._through.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()


class Faulty:
    """The running proxy as the fault suite sees it."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.port = port
        self._process = process

    async def obey(self, order: str, seconds: float = 0.0) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order} {seconds}\n".encode())
        async with asyncio.timeout(10):
            assert await self._process.stdout.readline() == b"done\n", "the proxy has ended"

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def start_proxy(listen: int, target: int) -> Faulty:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.proxy", str(listen), str(target)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    found = Faulty(listen, process)
    await found.obey("pass")
    return found


async def main(listen: int, target: int) -> None:
    proxy = Proxy(listen, target)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order, seconds = line.split()
        await proxy.obey(order, float(seconds))
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
