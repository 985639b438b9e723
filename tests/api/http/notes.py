"""A slice as small as one can be, with everything the HTTP layer offers: notes of a tenant."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import msgspec
from litestar import Router, get, post
from msgspec import Meta
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
    bindparam,
    insert,
    select,
    update,
)

from db.constraints import on_violation
from db.errors import DomainError
from db.identifiers import new_id
from db.statement import TENANT, Statement
from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, show
from erp.http.filters import eq, in_, prefix, span
from erp.http.listing import Listing, Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import InvalidState, NotFound
from erp.kernel.money import money, money_text
from erp.kernel.text import CurrencyCode, Name, PositiveAmount
from erp.kernel.text import Text as FreeText
from tenancy.trail import Event
from tenancy.work import UnitOfWork

DDL = """
CREATE TABLE IF NOT EXISTS test_notes (
    tenant_id uuid NOT NULL REFERENCES tenants, id uuid NOT NULL, name text NOT NULL,
    state text NOT NULL DEFAULT 'open',
    amount numeric NOT NULL, noted_on date NOT NULL, version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id), CONSTRAINT test_notes_name_key UNIQUE (tenant_id, name)
);
ALTER TABLE test_notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE test_notes FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS tenant_fence ON test_notes;
CREATE POLICY tenant_fence ON test_notes
    USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
    WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON test_notes TO erp_app;
"""

notes = Table(
    "test_notes", MetaData(),
    Column("tenant_id", Uuid, primary_key=True), Column("id", Uuid, primary_key=True), Column("name", Text),
    Column("state", Text), Column("amount", Numeric), Column("noted_on", Date), Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip


class NameTaken(DomainError):
    """Another note has this name."""

    code = "test-note-name-taken"
    title = "The name is taken"


on_violation("test_notes_name_key", NameTaken, pointer="/name")


class NoteRow(NamedTuple):
    id: UUID
    name: str
    state: Literal["open", "closed"]
    amount: Decimal
    noted_on: date
    version: int
    created_at: datetime


class NoteView(msgspec.Struct, frozen=True):
    """A note."""

    id: UUID
    name: str
    state: Literal["open", "closed"]
    amount: str
    noted_on: date
    version: int
    created_at: datetime

    @classmethod
    def of(cls, row: NoteRow) -> "NoteView":
        return cls(
            row.id, row.name, row.state, money_text(row.amount, "EUR"), row.noted_on, row.version, row.created_at
        )


class CreateNoteInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new note."""

    name: Name
    amount: PositiveAmount
    currency: CurrencyCode = "EUR"
    noted_on: date | None = None
    copies: Annotated[int, Meta(ge=1, le=9)] = 1
    text: FreeText = ""
    labels: dict[str, str] = {}


class RenameNoteInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new name."""

    name: Name


_columns = (
    notes.c.id, notes.c.name, notes.c.state, notes.c.amount, notes.c.noted_on, notes.c.version, notes.c.created_at
)  # fmt: skip
NOTE = Statement(
    select(*_columns).where(notes.c.tenant_id == TENANT, notes.c.id == bindparam("note_id")), NoteRow, register=False
)
LOCK_NOTE = Statement(
    select(*_columns).where(notes.c.tenant_id == TENANT, notes.c.id == bindparam("note_id")).with_for_update(),
    NoteRow,
    register=False,  # its table is made after the pooler's server connections
)
ADD_NOTE = Statement(
    insert(notes)
    .values(
        tenant_id=TENANT, id=bindparam("id"), name=bindparam("name"), amount=bindparam("amount"),
        noted_on=bindparam("noted_on"), created_at=bindparam("created_at"),
    )
    .returning(*_columns),
    NoteRow,
    register=False,
)  # fmt: skip
RENAME = Statement(
    update(notes)
    .where(notes.c.tenant_id == TENANT, notes.c.id == bindparam("note_id"))
    .values(name=bindparam("new_name"), version=notes.c.version + 1),
    register=False,
)


async def create_note(work: UnitOfWork, data: CreateNoteInput) -> NoteView:
    amount = money(data.amount, data.currency, pointer="/amount")
    [[row]] = await work.load(
        ADD_NOTE(
            id=new_id(),
            name=data.name,
            amount=amount,
            noted_on=data.noted_on or work.today,
            created_at=datetime.now(UTC),
        )
    )
    work.publish(Event("note", row.id, 1, "note.created"))
    work.audit("note.create", "note", row.id)
    return NoteView.of(row)


async def rename_note(work: UnitOfWork, note_id: UUID, data: RenameNoteInput) -> NoteView:
    [rows] = await work.load(LOCK_NOTE(note_id=note_id))
    if not rows:
        raise NotFound
    work.check_version(rows[0].version)
    if rows[0].state != "open":
        raise InvalidState("A closed note keeps its name.", state=rows[0].state)
    work.save(RENAME(note_id=note_id, new_name=data.name))
    work.publish(Event("note", note_id, rows[0].version + 1, "note.renamed"))
    work.audit("note.rename", "note", note_id)
    return NoteView.of(rows[0]._replace(name=data.name, version=rows[0].version + 1))


async def touch_note(work: UnitOfWork, note_id: UUID) -> NoteView:
    [rows] = await work.load(LOCK_NOTE(note_id=note_id))
    if not rows:
        raise NotFound
    return NoteView.of(rows[0])


async def break_note(work: UnitOfWork, note_id: UUID) -> NoteView:
    raise ZeroDivisionError("secret detail at 10.0.0.7")


CREATE = Command("notes.create", create_note, "notes:write", CreateNoteInput, status=201, key="required")
RENAME_NOTE = Command("notes.rename", rename_note, "notes:write", RenameNoteInput, target=True, match="required")
TOUCH = Command("notes.touch", touch_note, "notes:write", target=True)
BREAK = Command("notes.break", break_note, "notes:write", target=True)
COMMANDS = (CREATE, RENAME_NOTE, TOUCH, BREAK)

NOTES = Listing(
    select=select(*_columns).where(notes.c.tenant_id == TENANT),
    row=NoteRow,
    key=notes.c.id,
    sorts={"created_at": notes.c.created_at, "name": notes.c.name, "amount": notes.c.amount},
    default="-created_at",
    filters={
        "state": in_(notes.c.state), "name": (eq(notes.c.name), prefix(notes.c.name)), "amount": span(notes.c.amount),
        "noted_on": span(notes.c.noted_on), "created_at": span(notes.c.created_at), "version": eq(notes.c.version),
    },
)  # fmt: skip


@post("/notes", status_code=201)
async def create(request: ApiRequest, data: CreateNoteInput) -> Reply[NoteView]:
    """Create a note."""
    return await perform(request, CREATE, data)


@post("/notes/{note_id:uuid}/rename", status_code=200)
async def rename(request: ApiRequest, note_id: UUID, data: RenameNoteInput) -> Reply[NoteView]:
    """Give a note another name."""
    return await perform(request, RENAME_NOTE, data, note_id)


@post("/notes/{note_id:uuid}/touch", status_code=200)
async def touch(request: ApiRequest, note_id: UUID) -> Reply[NoteView]:
    """Do nothing to a note."""
    return await perform(request, TOUCH, target=note_id)


@post("/notes/{note_id:uuid}/break", status_code=200)
async def break_(request: ApiRequest, note_id: UUID) -> Reply[NoteView]:
    """Fail for a reason nobody foresaw."""
    return await perform(request, BREAK, target=note_id)


@get("/notes")
async def list_notes(request: ApiRequest) -> Reply[Page[NoteView]]:
    """Notes, newest first."""
    return await list_page(request, "notes:read", NOTES, NoteView.of)


@get("/notes/{note_id:uuid}")
async def get_note(request: ApiRequest, note_id: UUID) -> Reply[NoteView]:
    """One note."""
    [rows] = await read(request, "notes:read", NOTE(note_id=note_id))
    if not rows:
        raise NotFound
    return show(NoteView.of(rows[0]))


@get("/notes/summary")
async def summarize(request: ApiRequest, as_of: date | None = None) -> Reply[NoteView]:
    """A read with a parameter of its own."""
    await read(request, "notes:read", NOTE(note_id=UUID(int=0)))
    raise NotFound


router = Router("/v1", route_handlers=[create, rename, touch, break_, list_notes, get_note, summarize])
