"""Changes to the chart of accounts: accounts are added, renamed and deactivated, never removed."""

from typing import cast
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.accounts_repository import ADD_ACCOUNT, LOCK_ACCOUNT, SET_ACCOUNT, AccountRow
from erp.accounting.chart import CONTROL_ROLES, NORMAL_SIDE
from erp.accounting.errors import AccountInUse
from erp.accounting.schemas import AccountType, AccountView, CreateAccountInput, UpdateAccountInput
from erp.kernel.errors import NotFound
from tenancy.trail import Event
from tenancy.work import UnitOfWork


async def create_account(work: UnitOfWork, data: CreateAccountInput) -> AccountView:
    row = AccountRow(new_id(), data.code, data.name, data.type, True, data.external_id, 1, work.now, [])
    work.save(
        ADD_ACCOUNT(
            id=row.id,
            code=row.code,
            name=row.name,
            type=row.type,
            external_id=row.external_id,
            created_at=row.created_at,
        )
    )
    facts = {"code": row.code, "name": row.name, "type": row.type}
    work.publish(Event("account", row.id, 1, "account.created", facts))
    work.audit("account.create", "account", row.id, after=facts)
    return account_view(row)


async def update_account(work: UnitOfWork, account_id: UUID, data: UpdateAccountInput) -> AccountView:
    """Rename or (de)activate. Raises AccountInUse when a role needs the account."""
    [found] = await work.load(LOCK_ACCOUNT(id=account_id))
    if not found:
        raise NotFound(account_id=str(account_id))
    before = found[0]
    work.check_version(before.version)
    after = before._replace(
        name=before.name if data.name is None else data.name,
        active=before.active if data.active is None else data.active,
        version=before.version + 1,
    )
    if before.roles and not after.active:
        raise AccountInUse(f"Account {before.code} is @{min(before.roles)}.", roles=sorted(before.roles))
    work.save(SET_ACCOUNT(account_id=account_id, new_name=after.name, new_active=after.active))
    changed = {"code": after.code, "name": after.name, "active": after.active}
    work.publish(Event("account", account_id, after.version, "account.updated", changed))
    work.audit(
        "account.update", "account", account_id,
        before={"name": before.name, "active": before.active}, after={"name": after.name, "active": after.active},
    )  # fmt: skip
    return account_view(after)


def account_view(row: AccountRow) -> AccountView:
    return AccountView(
        id=row.id,
        version=row.version,
        code=row.code,
        name=row.name,
        type=cast(AccountType, row.type),
        normal_side="debit" if NORMAL_SIDE[row.type] == "debit" else "credit",
        active=row.active,
        control=not CONTROL_ROLES.isdisjoint(row.roles),
        roles=sorted(row.roles),
        external_id=row.external_id,
        created_at=row.created_at,
    )
