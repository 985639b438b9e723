"""Send the plan: masters first, then opening stock, then the documents over several connections at once."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from erp.exchange.api import (
    BYTES_PER_REQUEST,
    ROWS_PER_REQUEST,
    ROWS_PER_TRANSACTION,
    Api,
    ApiProblem,
    KeyedRow,
    RowAnswer,
)
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

T = TypeVar("T")

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
        party_ids, product_ids = await _together(
            self._masters("parties", [_supplier(), *party_rows(documents)]),
            self._masters("products", product_rows(found, tax_group)),
        )
        self.outcome.parties, self.outcome.products = len(party_ids), len(product_ids)
        first = min(document.day for document in documents)
        await self._opening(list(opening_rows(found, party_ids[SUPPLIER_KEY], product_ids, first, source)))
        await self._documents(documents, party_ids, product_ids)
        return self.outcome

    async def _tax_free_group(self) -> str:
        async for group in self._api.every("/v1/tax-groups"):
            if group["code"] == "zero":
                return str(group["id"])
        raise ApiProblem("The tenant has no tax group `zero` for sales without tax.")

    async def _masters(self, resource: str, rows: Sequence[Row]) -> dict[str, str]:
        """External id -> id of all rows: those already there, then those sent now, a hundred to a transaction."""
        ids = {
            record["external_id"]: record["id"]
            async for record in self._api.every(f"/v1/{resource}", fields="id,external_id")
            if record["external_id"]
        }
        missing = [row for row in rows if row.key not in ids]
        done = len(rows) - len(missing)
        self._progress(resource, done, len(rows))

        async def send(batch: list[_Ready]) -> None:
            nonlocal done
            for answer in await self._api.bulk_together(resource, _keyed(batch)):
                if answer.id is None:
                    raise ApiProblem(f"{resource} {answer.key}: {_reason(answer)}")
                ids[answer.key] = answer.id
            done += len(batch)
            self._progress(resource, done, len(rows))

        await self._drain(_batches(map(_ready, missing), ROWS_PER_TRANSACTION), send)
        return {row.key: ids[row.key] for row in rows}

    async def _opening(self, rows: Sequence[Row]) -> None:
        done = 0
        self._progress("opening stock", done, len(rows))

        async def send(batch: list[_Ready]) -> None:
            nonlocal done
            [answer] = await self._api.bulk("direct-receipts", _keyed(batch))
            if answer.id is None and not answer.already_there:
                raise ApiProblem(f"opening stock {answer.key}: {_reason(answer)}")
            done += 1
            self._progress("opening stock", done, len(rows))

        await self._drain(_batches(map(_ready, rows), 1), send)

    async def _documents(
        self, documents: Sequence[Document], party_ids: dict[str, str], product_ids: dict[str, str]
    ) -> None:
        total, done = sum(len(document.lines) for document in documents), 0
        self._progress("lines", 0, total)

        def planned(kind: Kind) -> Iterator[_Ready]:
            for document in documents:
                if document.kind is kind:
                    yield _ready(document_row(document, party_ids, product_ids), document)

        async def send(batch: list[_Ready]) -> None:
            nonlocal done
            answers = await self._api.bulk(batch[0].row.resource, _keyed(batch))
            for one, answer in zip(batch, answers, strict=True):
                if one.document is not None:
                    self._note(one.document, one.row, answer)
                    done += len(one.document.lines)
            self._progress("lines", done, total)

        for kind in _ORDER:
            await self._drain(_batches(planned(kind), ROWS_PER_REQUEST), send)

    async def _drain(
        self, batches: Iterator[list["_Ready"]], send: Callable[[list["_Ready"]], Awaitable[None]]
    ) -> None:
        """Send every batch, as many at once as there are streams; one is made when its turn comes."""

        async def stream() -> None:
            for batch in batches:
                await send(batch)

        await _together(*(stream() for _ in range(self._streams)))

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


class _Ready(NamedTuple):
    """A row as it is sent, and the document behind it."""

    row: Row
    content: msgspec.Raw
    document: Document | None = None


def _ready(row: Row, document: Document | None = None) -> _Ready:
    return _Ready(row, msgspec.Raw(msgspec.json.encode(row.data)), document)


def _keyed(batch: Sequence[_Ready]) -> list[KeyedRow]:
    return [(one.row.key, one.content) for one in batch]


def _batches(rows: Iterable[_Ready], most: int) -> Iterator[list[_Ready]]:
    """Rows in requests that stay below the bounds of one bulk request."""
    batch: list[_Ready] = []
    size = 0
    for one in rows:
        length = len(one.content) + 64
        if batch and (size + length > BYTES_PER_REQUEST or len(batch) >= most):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += length
    if batch:
        yield batch


async def _together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """What each returns. The first failure ends the others and is raised itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _reason(answer: RowAnswer) -> str:
    problem = answer.problem or {}
    where = f" at {problem['pointer']}" if problem.get("pointer") else ""
    return f"{problem.get('code', 'unknown')}{where}: {problem.get('detail', '')}"
