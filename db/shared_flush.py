"""Look-ups of different callers in one flush: while one is under way, whoever comes waits for it and goes together.

A flush costs the process, the pooler and the server some hundred microseconds however little it asks. Alone, a
look-up is sent at once; under load those that gather behind a flush share the next one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

from psycopg import Error, InterfaceError, OperationalError
from psycopg.errors import QueryCanceled, SerializationFailure

from db.errors import Overloaded
from db.pipeline import exchange
from db.pool import Pool, observed
from db.statement import Bound

#: Look-ups in one flush at most: the first one waits for the last.
_MOST = 8
#: Seconds to wait behind a flush; one that takes longer no longer keeps the others.
_PATIENCE = 0.025
#: What says that the server is lost, full or busy with replay, not that a statement is wrong: true of all of a flush.
_OF_THE_SERVER = (OperationalError, InterfaceError, SerializationFailure, Overloaded)

Rows = list[Any]


class _Seat:
    """A look-up in line. `turn`: its rows, or the look-ups it is to send (its own first), or None: send it alone."""

    __slots__ = ("came", "opening", "turn", "wanted")

    def __init__(self, opening: Bound[Any], wanted: Bound[Any]) -> None:
        loop = asyncio.get_running_loop()
        self.opening = opening
        self.wanted = wanted
        self.came = loop.time()
        self.turn: asyncio.Future[Rows | tuple[_Seat, ...] | None] = loop.create_future()


class SharedFlushes:
    """Look-ups over one pool. Only for statements that read a few rows by key and depend on nothing before them.

    Each is sent behind its own `opening`, which sets the tenant; equal openings next to each other are sent once.
    Statements of one flush share a transaction and no snapshot. One that fails costs the others a second flush.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._under_way = 0
        self._line: deque[_Seat] = deque()
        self._watch: asyncio.TimerHandle | None = None

    async def rows(self, opening: Bound[Any], wanted: Bound[Any]) -> Rows:
        """The rows of `wanted`. Raises Overloaded and psycopg's errors, as a flush does."""
        return await observed((opening, wanted), self._rows(opening, wanted))

    async def _rows(self, opening: Bound[Any], wanted: Bound[Any]) -> Rows:
        if not self._under_way:
            self._under_way = 1
            try:
                return await self._alone(opening, wanted)
            finally:
                self._ended()
        seat = _Seat(opening, wanted)
        self._line.append(seat)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(_PATIENCE, self._relieve)
        try:
            turn = await seat.turn
        except asyncio.CancelledError:
            self._left(seat)
            raise
        if type(turn) is tuple:
            turn = await self._together(turn)
        return await self._alone(opening, wanted) if turn is None else cast(Rows, turn)

    async def _alone(self, opening: Bound[Any], wanted: Bound[Any]) -> Rows:
        async with self._pool.connection() as connection:
            return (await exchange(connection, (opening, wanted)))[1]

    async def _together(self, seats: Sequence[_Seat]) -> Rows | None:
        """The rows of the first; the others find theirs in their seats. None: each is to be sent alone."""
        statements, places = _joined(seats)
        try:
            async with self._pool.connection() as connection:
                results = await exchange(connection, statements)
        except (Error, Overloaded) as error:
            if _of_the_server(error):
                _refuse(seats[1:], error)
                raise
            _answer(seats, None)
            return None
        except BaseException:  # cancelled: the others did not ask for that
            _answer(seats, None)
            raise
        finally:
            self._ended()
        for seat, place in zip(seats[1:], places[1:], strict=True):
            _answer((seat,), results[place])
        return results[places[0]]

    def _ended(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._next()

    def _next(self) -> None:
        """Have the first in line send what waits there."""
        seats: list[_Seat] = []
        while self._line and len(seats) < _MOST:
            if not (seat := self._line.popleft()).turn.done():
                seats.append(seat)
        if seats:
            self._under_way += 1
            seats[0].turn.set_result(tuple(seats))

    def _left(self, seat: _Seat) -> None:
        """Cancelled while it waited; those it was told to send for in that instant send for themselves."""
        turn = seat.turn
        if turn.cancelled() or turn.exception() is not None:
            return
        if type(seats := turn.result()) is tuple:
            _answer(seats[1:], None)
            self._ended()

    def _relieve(self) -> None:
        """Whoever has waited for long goes beside the flush that is under way."""
        loop = asyncio.get_running_loop()
        self._watch = None
        while self._line and loop.time() - self._line[0].came >= _PATIENCE:
            self._next()
        if self._line:
            self._watch = loop.call_at(self._line[0].came + _PATIENCE, self._relieve)


def _joined(seats: Sequence[_Seat]) -> tuple[list[Bound[Any]], list[int]]:
    """What is sent, and where in it each look-up stands."""
    statements: list[Bound[Any]] = []
    places: list[int] = []
    opened: Bound[Any] | None = None
    for seat in seats:
        if opened is None or seat.opening != opened:
            statements.append(opened := seat.opening)
        places.append(len(statements))
        statements.append(seat.wanted)
    return statements, places


def _of_the_server(error: Exception) -> bool:
    return isinstance(error, _OF_THE_SERVER) and not isinstance(error, QueryCanceled)


def _answer(seats: Sequence[_Seat], turn: Rows | None) -> None:
    for seat in seats:
        if not seat.turn.done():
            seat.turn.set_result(turn)


def _refuse(seats: Sequence[_Seat], error: Exception) -> None:
    for seat in seats:
        if not seat.turn.done():
            seat.turn.set_exception(error)
