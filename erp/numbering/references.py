"""References of orders: each process holds a block, so that creating orders shares no row."""

import asyncio
from collections import defaultdict
from uuid import UUID

from erp.numbering.repository import ADVANCE
from erp.numbering.series import REFERENCES, written
from tenancy.work import UnitOfWork

#: References one process takes at a time; a restart leaves at most that many unused.
BLOCK = 50


class Blocks:
    """The unused references of this process, per tenant, series and year."""

    def __init__(self, size: int = BLOCK) -> None:
        self._size = size
        self._free: dict[tuple[UUID, str, int], range] = {}
        self._refill: defaultdict[tuple[UUID, str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def next(self, work: UnitOfWork, series: str) -> str:
        year = work.today.year
        key = (work.tenant_id, series, year)
        # One refill at a time: a hundred orders arriving at an empty block take one block, not a hundred.
        if not self._free.get(key):
            async with self._refill[key]:
                if not self._free.get(key):
                    self._free[key] = await self._block(work, series, year)
        free = self._free[key]
        self._free[key] = free[1:]
        return written(REFERENCES[series], year, free[0])

    async def _block(self, work: UnitOfWork, series: str, year: int) -> range:
        async def advance(own: UnitOfWork) -> int:
            [[taken]] = await own.load(
                ADVANCE(year=year, series=[series], prefixes=[REFERENCES[series]], counts=[self._size])
            )
            return taken.last_number

        last = (await work.database.run(work.caller, advance)).value
        return range(last - self._size + 1, last + 1)


#: This process's blocks.
blocks = Blocks()
