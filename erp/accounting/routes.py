"""The ledger over HTTP."""

from datetime import date
from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.accounting import service
from erp.accounting.accounts import account_view
from erp.accounting.claims import claims_of_closings, claims_of_entries
from erp.accounting.entries import entry_view
from erp.accounting.lists import (
    ACCOUNT,
    ACCOUNTS,
    ENTRIES,
    LEDGER,
    OPEN_ITEM,
    OPEN_ITEMS,
    PERIOD,
    PERIODS,
)
from erp.accounting.periods import period_view
from erp.accounting.queries import ACCOUNT_BALANCE, AGED_PAYABLES, AGED_RECEIVABLES, TRIAL_BALANCE
from erp.accounting.repository import ENTRY, LINES
from erp.accounting.schemas import (
    AccountBalanceView,
    AccountView,
    AgedView,
    ClosePeriodInput,
    CreateAccountInput,
    CreateEntryInput,
    CreatePeriodsInput,
    EntrySummary,
    EntryView,
    LedgerLineView,
    OpenItemView,
    PeriodsView,
    PeriodView,
    ReopenPeriodInput,
    ReverseEntryInput,
    TrialBalanceView,
    UpdateAccountInput,
)
from erp.accounting.views import (
    account_balance,
    aged,
    entry_summaries,
    ledger_lines,
    open_item_view,
    today,
    trial_balance,
)
from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, read_one, read_rows, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound

CREATE_ACCOUNT = Command("accounts.create", service.create_account, "ledger:write", CreateAccountInput, status=201)
UPDATE_ACCOUNT = Command(
    "accounts.update", service.update_account, "ledger:write", UpdateAccountInput, target=True, match="required"
)
CREATE_PERIODS = Command("periods.create", service.create_periods, "periods:write", CreatePeriodsInput, status=201)
CLOSE_PERIOD = Command(
    "periods.close", service.close_period, "periods:close", ClosePeriodInput, target=True, match="accepted",
    claims=claims_of_closings,
)  # fmt: skip
REOPEN_PERIOD = Command(
    "periods.reopen", service.reopen_period, "periods:reopen", ReopenPeriodInput, target=True, match="accepted",
    claims=claims_of_closings,
)  # fmt: skip
CREATE_ENTRY = Command(
    "journal_entries.create", service.create_entry, "ledger:write", CreateEntryInput, status=201, key="required",
    claims=claims_of_entries,
)  # fmt: skip
REVERSE_ENTRY = Command(
    "journal_entries.reverse", service.reverse_entry, "ledger:write", ReverseEntryInput,
    status=201, target=True, key="required", made_in="/v1/journal-entries", claims=claims_of_entries,
)  # fmt: skip
COMMANDS = (
    CREATE_ACCOUNT, UPDATE_ACCOUNT, CREATE_PERIODS, CLOSE_PERIOD, REOPEN_PERIOD, CREATE_ENTRY, REVERSE_ENTRY,
)  # fmt: skip


@post("/accounts", summary="Add an account")
async def create_account(request: ApiRequest, data: CreateAccountInput) -> Reply[AccountView]:
    return await perform(request, CREATE_ACCOUNT, data)


@patch("/accounts/{account_id:uuid}", summary="Rename or deactivate an account")
async def update_account(request: ApiRequest, account_id: UUID, data: UpdateAccountInput) -> Reply[AccountView]:
    """Accounts are never removed or renumbered. One that a role needs stays active."""
    return await perform(request, UPDATE_ACCOUNT, data, account_id)


@get("/accounts", summary="List the chart of accounts", opt={"listing": ACCOUNTS})
async def list_accounts(request: ApiRequest) -> Reply[Page[AccountView]]:
    page: Reply[Any] = await list_page(request, "ledger:read", ACCOUNTS, account_view)
    return page


@get("/accounts/{account_id:uuid}", summary="Read an account")
async def get_account(request: ApiRequest, account_id: UUID) -> Reply[AccountView]:
    found = await read_one(request, "ledger:read", ACCOUNT(account_id=account_id), account_id=account_id)
    return show(account_view(found))


@get("/accounts/{account_id:uuid}/balance", summary="Balance of an account")
async def get_account_balance(
    request: ApiRequest, account_id: UUID, as_of: date | None = None
) -> Reply[AccountBalanceView]:
    """Debits, credits and their difference up to and including `as_of` (today without it)."""
    tenant = request.caller.tenant
    day = as_of or today(tenant)
    [found] = await read(request, "ledger:read", ACCOUNT_BALANCE(account_id=account_id, as_of=day))
    if not found:
        raise NotFound(account_id=str(account_id))
    return show(account_balance(found[0], day, tenant.base_currency))


@get("/accounts/{account_id:uuid}/ledger", summary="General ledger of an account", opt={"listing": LEDGER})
async def list_ledger(request: ApiRequest, account_id: UUID) -> Reply[Page[LedgerLineView]]:
    """The lines booked on the account, by date. An account nothing was booked on has none."""
    [found] = await read_rows(request, ACCOUNT(account_id=account_id))
    if not found:
        raise NotFound(account_id=str(account_id))
    view = ledger_lines(request.caller.tenant.base_currency)
    page: Reply[Any] = await list_page(request, "ledger:read", LEDGER, view, account_id=account_id)
    return page


@get("/trial-balance", summary="Trial balance")
async def get_trial_balance(request: ApiRequest, as_of: date | None = None) -> Reply[TrialBalanceView]:
    """Every account that moved up to and including `as_of` (today without it)."""
    tenant = request.caller.tenant
    day = as_of or today(tenant)
    [rows] = await read(request, "ledger:read", TRIAL_BALANCE(as_of=day))
    return show(trial_balance(rows, day, tenant.base_currency))


@get("/aged-receivables", summary="Aged receivables")
async def get_aged_receivables(request: ApiRequest, as_of: date | None = None) -> Reply[AgedView]:
    """What customers owed at the end of `as_of` (today without it), by days past the due date."""
    tenant = request.caller.tenant
    day = as_of or today(tenant)
    [rows] = await read(request, "invoices:read", AGED_RECEIVABLES(as_of=day))
    return show(aged(rows, day, tenant.base_currency))


@get("/aged-payables", summary="Aged payables")
async def get_aged_payables(request: ApiRequest, as_of: date | None = None) -> Reply[AgedView]:
    """What suppliers were owed at the end of `as_of` (today without it), by days past the due date."""
    tenant = request.caller.tenant
    day = as_of or today(tenant)
    [rows] = await read(request, "bills:read", AGED_PAYABLES(as_of=day))
    return show(aged(rows, day, tenant.base_currency))


@get("/open-items", summary="List open items", opt={"listing": OPEN_ITEMS})
async def list_open_items(request: ApiRequest) -> Reply[Page[OpenItemView]]:
    """Posted invoices, credit notes and bills with what is open of them; `open=true` leaves out what is settled."""
    page: Reply[Any] = await list_page(request, "payments:read", OPEN_ITEMS, open_item_view)
    return page


@get("/open-items/{open_item_id:uuid}", summary="Read an open item")
async def get_open_item(request: ApiRequest, open_item_id: UUID) -> Reply[OpenItemView]:
    found = await read_one(request, "payments:read", OPEN_ITEM(open_item_id=open_item_id), open_item_id=open_item_id)
    return show(open_item_view(found))


@post("/journal-entries", summary="Post a journal entry")
async def create_entry(request: ApiRequest, data: CreateEntryInput) -> Reply[EntryView]:
    """Balanced, numbered at once and never changed. Accounts kept by documents take no entries by hand."""
    return await perform(request, CREATE_ENTRY, data)


@post("/journal-entries/{entry_id:uuid}/reverse", summary="Reverse a journal entry")
async def reverse_entry(request: ApiRequest, entry_id: UUID, data: ReverseEntryInput) -> Reply[EntryView]:
    """Posts the opposite entry, linked both ways, in an open period. Once only; documents reverse their own."""
    return await perform(request, REVERSE_ENTRY, data, entry_id)


@get("/journal-entries", summary="List journal entries", opt={"listing": ENTRIES})
async def list_entries(request: ApiRequest) -> Reply[Page[EntrySummary]]:
    view = entry_summaries(request.caller.tenant.base_currency)
    page: Reply[Any] = await list_page(request, "ledger:read", ENTRIES, view)
    return page


@get("/journal-entries/{entry_id:uuid}", summary="Read a journal entry")
async def get_entry(request: ApiRequest, entry_id: UUID) -> Reply[EntryView]:
    found, lines = await read(request, "ledger:read", ENTRY(id=entry_id), LINES(id=entry_id))
    if not found:
        raise NotFound(entry_id=str(entry_id))
    return show(entry_view(found[0], lines, request.caller.tenant.base_currency))


@post("/periods", summary="Open accounting periods")
async def create_periods(request: ApiRequest, data: CreatePeriodsInput) -> Reply[PeriodsView]:
    """Creates the months that do not exist yet."""
    return await perform(request, CREATE_PERIODS, data)


@get("/periods", summary="List accounting periods", opt={"listing": PERIODS})
async def list_periods(request: ApiRequest) -> Reply[Page[PeriodView]]:
    page: Reply[Any] = await list_page(request, "ledger:read", PERIODS, period_view)
    return page


@get("/periods/{period_id:uuid}", summary="Read an accounting period")
async def get_period(request: ApiRequest, period_id: UUID) -> Reply[PeriodView]:
    found = await read_one(request, "ledger:read", PERIOD(period_id=period_id), period_id=period_id)
    return show(period_view(found))


@post("/periods/{period_id:uuid}/close", summary="Close an accounting period", status_code=200)
async def close_period(request: ApiRequest, period_id: UUID, data: ClosePeriodInput) -> Reply[PeriodView]:
    """`soft_closed` can be reopened, `closed` never. Waits for postings under way; later ones see it closed."""
    return await perform(request, CLOSE_PERIOD, data, period_id)


@post("/periods/{period_id:uuid}/reopen", summary="Reopen a soft-closed period", status_code=200)
async def reopen_period(request: ApiRequest, period_id: UUID, data: ReopenPeriodInput) -> Reply[PeriodView]:
    return await perform(request, REOPEN_PERIOD, data, period_id)


router = Router(
    "/v1",
    route_handlers=[
        create_account, update_account, list_accounts, get_account, get_account_balance, list_ledger,
        get_trial_balance, get_aged_receivables, get_aged_payables, list_open_items, get_open_item, create_entry,
        reverse_entry, list_entries, get_entry, create_periods, list_periods, get_period, close_period, reopen_period,
    ],
    tags=["Ledger"],
)  # fmt: skip
