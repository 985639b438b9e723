"""Lists: keyset pages with signed cursors, filters and sort orders from an allow-list, sparse fields, counts.

Every combination of sort order, filters and cursor is one statement, compiled when first asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Select, bindparam, func, select, tuple_

from db.statement import Bound, Statement
from erp.http.answers import Reply
from erp.http.cached import through_cache
from erp.http.commands import encode_json, read_rows
from erp.http.filters import Filter, Parameter, wire_type
from erp.http.parameters import query_of, unknown_parameter
from erp.http.request import ApiRequest
from erp.http.views import record_of, words_of
from erp.kernel.errors import Invalid, InvalidCursor, LimitExceeded, UnknownField
from erp.kernel.paging import CursorCodec
from fleet.configuration.keys import Key
from tenancy.cache.entries import listed
from tenancy.platform import PlatformDatabase

R = TypeVar("R")
V = TypeVar("V")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
#: Combinations kept compiled; more than any honest set of clients uses.
_MAX_VARIANTS = 256

_RESERVED = ("sort", "limit", "cursor", "count", "fields")
CountKind = Literal["exact", "estimated"]


class Page(msgspec.Struct, Generic[V], frozen=True, kw_only=True):
    """One page of a list. `count` is only there when it was asked for."""

    data: list[V]
    has_more: bool
    next_cursor: str | None
    count: int | UnsetType = UNSET
    count_kind: CountKind | UnsetType = UNSET


class Shape(NamedTuple):
    """What makes two requests need different SQL."""

    sort: str
    filters: tuple[str, ...]
    after: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A list request, read from its query string; `values` are the filters' SQL parameters."""

    shape: Shape
    values: dict[str, Any]
    limit: int
    cursor: str | None
    count: CountKind | None
    fields: tuple[str, ...] | None
    #: Everything but the cursor and how much to show: what a cursor is bound to.
    identity: bytes


@dataclass(eq=False)
class Listing(Generic[R]):
    """A list resource. `select` has its tenant condition and returns rows for `row`; the rest is added here.

    `key` is the unique id column (a tuple's last column counts), which breaks ties of the sort columns; those
    must be NOT NULL and indexed as (tenant_id, column, id). `default` is a sort order: "-created_at".
    """

    select: Select[Any]
    row: Callable[..., R]
    key: ColumnElement[Any] | Sequence[ColumnElement[Any]]
    sorts: Mapping[str, ColumnElement[Any]]
    default: str
    filters: Mapping[str, Filter | Sequence[Filter]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._variants: dict[Shape, Statement[Any]] = {}
        self._counts: dict[tuple[str, ...], Statement[Any]] = {}
        self.id_column = self.key[-1] if isinstance(self.key, Sequence) else self.key
        self._ends = {
            name: msgspec.json.Decoder(tuple[wire_type(column), wire_type(self.id_column)])  # type: ignore[misc]
            for name, column in self.sorts.items()
        }
        if self.default.lstrip("-") not in self.sorts:
            raise ValueError(f"{self.default} is not one of the sort orders")
        for after in (False, True):  # what most clients ask is known at import, the rest when asked for
            shape = Shape(self.default, (), after)
            self._variants[shape] = Statement(self._page(shape))

    def __deepcopy__(self, memo: object) -> "Listing[R]":
        """Itself: a constant of its module, which Litestar would copy with every router."""
        return self

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Query parameter -> filter."""
        found: dict[str, Parameter] = {}
        for name, filters in self.filters.items():
            for one in (filters,) if isinstance(filters, Filter) else filters:
                found.update({parameter.name: parameter for parameter in one.parameters(name)})
        return found

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.parameters) | frozenset(_RESERVED)

    # -- reading the request -------------------------------------------------------------------

    def parse(self, query: Mapping[str, str], record: type[msgspec.Struct] | None) -> Asked:
        """`record`: what is listed. Raises UnknownField, Invalid, InvalidAmount, LimitExceeded with the
        parameter's name.
        """
        for name in query:
            if name not in self.known:
                raise unknown_parameter(name, self.known)
        sort = self._sort(query.get("sort") or self.default)
        used = sorted(name for name in query if name in self.parameters)
        words = words_of(record) if used else {}
        values = {self.parameters[name].bind: self._value(name, query[name], words.get(name)) for name in used}
        cursor = query.get("cursor")
        return Asked(
            shape=Shape(sort, tuple(used), cursor is not None),
            values=values,
            limit=read_limit(query.get("limit")),
            cursor=cursor,
            count=_count(query.get("count")),
            fields=_fields(query.get("fields"), record),
            identity=encode_json([sort, [[name, query[name]] for name in used]]),
        )

    def _value(self, name: str, text: str, words: Sequence[str] | None) -> Any:
        """What a filter asks for. Where records hold one of a few `words`, any other is a slip, not an empty list."""
        value = self.parameters[name].parse(text)
        for one in value if isinstance(value, list) else (value,):
            if words is not None and one not in words:
                raise Invalid(
                    f"`{one[:64]}` is none of {', '.join(words)}.", pointer=name, source="query", known=list(words)
                )
        return value

    def _sort(self, asked: str) -> str:
        if asked.removeprefix("-") not in self.sorts:
            orders = [order for name in self.sorts for order in (name, f"-{name}")]
            raise UnknownField(
                f"`{asked[:64]}` is not a sort order of this list.", pointer="sort", source="query", known=orders
            )
        return asked

    # -- building SQL --------------------------------------------------------------------------

    def statement(self, shape: Shape) -> Statement[Any]:
        """Rows followed by the sort value and the id, which become the next cursor."""
        found = self._variants.get(shape)
        if found is None:
            if len(self._variants) >= _MAX_VARIANTS:
                self._variants.clear()
            found = self._variants[shape] = Statement(self._page(shape), register=False)
        return found

    def _page(self, shape: Shape) -> Select[Any]:
        column, key = self.sorts[shape.sort.removeprefix("-")], self.id_column
        falling = shape.sort.startswith("-")
        query = self._filtered(shape.filters).add_columns(column.label("sort_value"), key.label("sort_key"))
        if shape.after:
            end = tuple_(bindparam("after_value", type_=column.type), bindparam("after_key", type_=key.type))
            place = tuple_(column, key)
            query = query.where(place < end if falling else place > end)
        order = (column.desc(), key.desc()) if falling else (column.asc(), key.asc())
        return query.order_by(None).order_by(*order).limit(bindparam("page_size"))

    def _filtered(self, names: Sequence[str]) -> Select[Any]:
        return self.select.where(*(self.parameters[name].condition for name in names))

    def counting(self, names: tuple[str, ...]) -> Statement[Any]:
        """The number of rows behind the filters, in one row of one column."""
        found = self._counts.get(names)
        if found is None:
            if len(self._counts) >= _MAX_VARIANTS:
                self._counts.clear()
            rows = self._filtered(names).order_by(None).subquery()
            found = self._counts[names] = Statement(select(func.count()).select_from(rows), register=False)
        return found

    def estimating(self, names: tuple[str, ...], values: dict[str, Any]) -> Bound[Any]:
        """The planner's guess for the same rows: free, however many there are."""
        rows = Statement(self._filtered(names).order_by(None), register=False)(**values)
        return Bound("EXPLAIN (FORMAT JSON) " + rows.sql, rows.parameters, None, rows.scoped)

    # -- cursors -------------------------------------------------------------------------------

    def end(self, sort: str, payload: bytes) -> tuple[Any, Any]:
        """The sort value and id a page ended with. Raises InvalidCursor."""
        try:
            value, key = self._ends[sort.removeprefix("-")].decode(payload)
        except msgspec.DecodeError:
            raise InvalidCursor(pointer="cursor", source="query") from None
        return value, key


async def list_page(
    request: ApiRequest,
    permission: str,
    listing: Listing[R],
    view: Callable[[R], V],
    cached: tuple[str, Key[float]] | None = None,
    platform: tuple[str, PlatformDatabase] | None = None,
    **parameters: Any,
) -> Reply[Any]:
    """One page of the list for the caller. Raises Forbidden and what `Listing.parse` raises.

    `cached`: the kind of record whose changes end a cached page, and how long one may live; pages with a count
    are always read. `platform`: read this database by the platform's role, the parameter `database` having named it.
    `parameters` are further SQL parameters of the listing's select (a parent's id from the path).
    """
    caller = request.caller
    caller.require(permission)
    query = query_of(request.scope)
    home = () if platform is None else (platform[0].encode(),)
    if platform is not None:
        query.pop("database", None)
    asked = listing.parse(query, record_of(request.route_handler))
    cursors = request.context.services.cursors
    scope = b"\n".join((caller.tenant.id.bytes, request.scope["path"].encode(), asked.identity, *home))
    values = {**parameters, **asked.values, "page_size": asked.limit + 1}
    if asked.cursor is not None:
        sealed = cursors.open(scope, asked.cursor)
        values["after_value"], values["after_key"] = listing.end(asked.shape.sort, sealed)
    statements = (listing.statement(asked.shape)(**values), *_count_statement(listing, asked, parameters))
    body = partial(_body, listing, asked, view, cursors, scope)
    if platform is not None:
        return Reply(body(await platform[1].ask(*statements)))
    if cached is None or asked.count is not None:
        return Reply(body(await read_rows(request, *statements)))

    database = request.database

    async def load(after: int | None) -> tuple[bytes, int]:
        results, seen = await database.read_with_position(caller, *statements, consistency=after)
        return body(results), seen

    kind, ttl = cached
    form = "search" if "search" in asked.shape.filters else "list"
    entry = listed(kind, b"\n".join((scope, encode_json([asked.limit, asked.cursor, asked.fields]))), form)
    return Reply((await through_cache(request, entry, ttl, load)).value)


def _body(
    listing: Listing[R], asked: Asked, view: Callable[[R], Any], cursors: CursorCodec, scope: bytes, results: Any
) -> bytes:
    """The page as JSON, from its rows (one more than shown when there are more) and the count's."""
    rows, *counts = results
    has_more = len(rows) > asked.limit
    shown = rows[: asked.limit]
    following = cursors.seal(scope, encode_json(shown[-1][-2:])) if has_more else None
    views: list[Any] = [view(listing.row(*row[:-2])) for row in shown]
    if asked.fields is not None:
        views = [{name: getattr(one, name) for name in asked.fields} for one in views]
    page: Page[Any] = Page(data=views, has_more=has_more, next_cursor=following)
    if asked.count is not None:
        page = msgspec.structs.replace(page, count=_counted(counts[0]), count_kind=asked.count)
    return encode_json(page)


def _count_statement(listing: Listing[Any], asked: Asked, parameters: dict[str, Any]) -> tuple[Bound[Any], ...]:
    values = {**parameters, **asked.values}
    if asked.count == "exact":
        return (listing.counting(asked.shape.filters)(**values),)
    if asked.count == "estimated":
        return (listing.estimating(asked.shape.filters, values),)
    return ()


def _counted(rows: list[Any]) -> int:
    [[found]] = rows
    return int(found[0]["Plan"]["Plan Rows"] if isinstance(found, list) else found)


def read_limit(text: str | None) -> int:
    """The `limit` parameter of a list. Raises Invalid, LimitExceeded."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 20 and int(text) > 0):
        raise Invalid("`limit` is a whole number from 1 to 200.", pointer="limit", source="query")
    if int(text) > MAX_LIMIT:
        raise LimitExceeded(
            f"A page has at most {MAX_LIMIT} records.", pointer="limit", source="query", maximum=MAX_LIMIT
        )
    return int(text)


def _count(text: str | None) -> CountKind | None:
    match text:
        case None | "exact" | "estimated":
            return text
    raise Invalid("`count` is `exact` or `estimated`.", pointer="count", source="query")


def _fields(text: str | None, view: type[msgspec.Struct] | None) -> tuple[str, ...] | None:
    """The named fields, `id` always first. Raises UnknownField."""
    if text is None:
        return None
    known = view.__struct_fields__ if view is not None else ()
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    for name in names:
        if name not in known:
            raise UnknownField(
                f"`{name[:64]}` is not a field of these records.", pointer="fields", source="query",
                known=list(known),
            )  # fmt: skip
    return tuple(dict.fromkeys((*(("id",) if "id" in known else ()), *names)))
