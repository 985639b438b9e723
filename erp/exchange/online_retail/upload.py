"""Send the plan: masters first, then opening stock, then the documents over several connections at once."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from erp.exchange.api import BYTES_PER_REQUEST, ROWS_PER_REQUEST, Api, ApiProblem, RowAnswer
from erp.exchange.online_retail.documents import Document, Kind
from erp.exchange.online_retail.plan import (
    Row,
    document_row,
    opening_rows,
    party_rows,
    product_rows,
    products,
)
from erp.exchange.online_retail.rows import Rejected

SUPPLIER_KEY: Final = "supplier:opening-stock"
#: How many documents of one kind go out before any of the next: credits bring back what sales took.
_ORDER: Final = (Kind.SALE, Kind.CREDIT, Kind.WRITE_OFF, Kind.GIVEN, Kind.FOUND, Kind.ADJUSTMENT)


@dataclass(slots=True)
class Outcome:
    """What an import did. Amounts exact as in the file."""

    booked: Counter[Kind] = field(default_factory=Counter)
    already_there: Counter[Kind] = field(default_factory=Counter)
    net: dict[Kind, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    rejected: list[Rejected] = field(default_factory=list)
    parties: int = 0
    products: int = 0
    lines: int = 0

    @property
    def documents(self) -> int:
        return sum(self.booked.values()) + sum(self.already_there.values())


#: Told how much of a stage is done: (stage, done, of).
Progress = Callable[[str, int, int], None]


class Upload:
    """One run over a file's documents. It may be cut off anywhere and run again: keys make it one import."""

    def __init__(self, api: Api, *, streams: int, progress: Progress) -> None:
        self._api = api
        self._streams = streams
        self._progress = progress
        self.outcome = Outcome()

    async def run(self, documents: Sequence[Document], source: str) -> Outcome:
        """Raises ApiProblem when masters or opening stock are refused: nothing after them could be right."""
        found = products(documents)
        tax_group = await self._tax_free_group()
        party_ids = await self._masters("parties", [_supplier(), *party_rows(documents)])
        product_ids = await self._masters("products", product_rows(found, tax_group))
        self.outcome.parties, self.outcome.products = len(party_ids), len(product_ids)
        first = min(document.day for document in documents)
        opening = list(opening_rows(found, party_ids[SUPPLIER_KEY], product_ids, first, source))
        await self._opening(opening)
        await self._documents(documents, party_ids, product_ids)
        return self.outcome

    async def _tax_free_group(self) -> str:
        async for group in self._api.every("/v1/tax-groups"):
            if group["code"] == "zero":
                return str(group["id"])
        raise ApiProblem("The tenant has no tax group `zero` for sales without tax.")

    async def _masters(self, resource: str, rows: Sequence[Row]) -> dict[str, str]:
        """External id -> id of all rows: those already there, then those sent now."""
        ids = {
            record["external_id"]: record["id"]
            async for record in self._api.every(f"/v1/{resource}", fields="id,external_id")
            if record["external_id"]
        }
        missing = [row for row in rows if row.key not in ids]
        done = len(rows) - len(missing)
        self._progress(resource, done, len(rows))
        for batch in _batches(missing):
            for answer in await self._api.bulk(resource, [(row.key, row.data) for row in batch]):
                if answer.id is None:
                    raise ApiProblem(f"{resource} {answer.key}: {_reason(answer)}")
                ids[answer.key] = answer.id
            done += len(batch)
            self._progress(resource, done, len(rows))
        return {row.key: ids[row.key] for row in rows}

    async def _opening(self, rows: Sequence[Row]) -> None:
        self._progress("opening stock", 0, len(rows))
        for number, row in enumerate(rows, 1):
            [answer] = await self._api.bulk("direct-receipts", [(row.key, row.data)])
            if answer.id is None and not answer.already_there:
                raise ApiProblem(f"opening stock {row.key}: {_reason(answer)}")
            self._progress("opening stock", number, len(rows))

    async def _documents(
        self, documents: Sequence[Document], party_ids: dict[str, str], product_ids: dict[str, str]
    ) -> None:
        total, done = sum(len(document.lines) for document in documents), 0
        self._progress("lines", 0, total)
        turns = asyncio.Semaphore(self._streams)

        async def send(resource: str, batch: list[tuple[Document, Row]]) -> None:
            nonlocal done
            async with turns:
                answers = await self._api.bulk(resource, [(row.key, row.data) for _, row in batch])
            for (document, row), answer in zip(batch, answers, strict=True):
                self._note(document, row, answer)
            done += sum(len(document.lines) for document, _ in batch)
            self._progress("lines", done, total)

        for kind in _ORDER:
            planned = [(d, document_row(d, party_ids, product_ids)) for d in documents if d.kind is kind]
            batches = _batches([(d, row) for d, (_, row) in planned], lambda pair: pair[1])
            async with asyncio.TaskGroup() as group:
                for batch in batches:
                    group.create_task(send(planned[0][1][0], batch))

    def _note(self, document: Document, row: Row, answer: RowAnswer) -> None:
        if answer.id is not None:
            counted = self.outcome.already_there if answer.replayed else self.outcome.booked
        elif answer.already_there:
            counted = self.outcome.already_there
        else:
            reason = f"{document.number}: {_reason(answer)}"
            self.outcome.rejected += [Rejected(number, reason) for number in row.lines]
            return
        counted[document.kind] += 1
        self.outcome.net[document.kind] += document.net
        self.outcome.lines += len(document.lines)


def _supplier() -> Row:
    data = {
        "code": "OPENING", "name": "Opening stock", "is_supplier": True, "is_customer": False,
        "external_id": SUPPLIER_KEY,
    }  # fmt: skip
    return Row(SUPPLIER_KEY, data)


def _batches(rows: Iterable[Any], row_of: Callable[[Any], Row] = lambda row: row) -> list[list[Any]]:
    """Rows in requests that stay below the bounds of one bulk request."""
    batches: list[list[Any]] = []
    size = BYTES_PER_REQUEST
    for item in rows:
        length = len(msgspec.json.encode(row_of(item).data)) + 64
        if size + length > BYTES_PER_REQUEST or len(batches[-1]) >= ROWS_PER_REQUEST:
            batches.append([])
            size = 0
        batches[-1].append(item)
        size += length
    return batches


def _reason(answer: RowAnswer) -> str:
    problem = answer.problem or {}
    where = f" at {problem['pointer']}" if problem.get("pointer") else ""
    return f"{problem.get('code', 'unknown')}{where}: {problem.get('detail', '')}"
