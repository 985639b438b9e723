"""Write-side statements of the chart of accounts."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, cast, func, insert, or_, select, update

from db.statement import TENANT, Statement, any_of, rows_of
from erp.accounting.models import account_roles, accounts, journals


class AccountRow(NamedTuple):
    id: UUID
    code: str
    name: str
    type: str
    active: bool
    external_id: str | None
    version: int
    created_at: datetime
    roles: list[str]


class NamedAccount(NamedTuple):
    """An account a request names by its code or by one of its roles."""

    code: str
    active: bool
    roles: list[str]


_roles_of_account = (
    select(func.coalesce(func.array_agg(account_roles.c.role), cast([], ARRAY(Text))))
    .where(account_roles.c.tenant_id == accounts.c.tenant_id, account_roles.c.account_code == accounts.c.code)
    .scalar_subquery()
)
_named = account_roles.alias("named")
NAMED_ACCOUNTS: Statement[NamedAccount] = Statement(
    select(accounts.c.code, accounts.c.active, _roles_of_account).where(
        accounts.c.tenant_id == TENANT,
        or_(
            accounts.c.code == any_of("codes", Text),
            accounts.c.code.in_(
                select(_named.c.account_code).where(
                    _named.c.tenant_id == TENANT, _named.c.role == any_of("roles", Text)
                )
            ),
        ),
    ),
    NamedAccount,
)

ACCOUNT_COLUMNS = (*(accounts.c[name] for name in AccountRow._fields[:-1]), _roles_of_account.label("roles"))

LOCK_ACCOUNT: Statement[AccountRow] = Statement(
    select(*ACCOUNT_COLUMNS)
    .where(accounts.c.tenant_id == TENANT, accounts.c.id == bindparam("id", type_=Uuid))
    .with_for_update(of=accounts),
    AccountRow,
)

ADD_ACCOUNT: Statement[tuple[()]] = Statement(
    insert(accounts).values(
        tenant_id=TENANT,
        id=bindparam("id"),
        code=bindparam("code"),
        name=bindparam("name"),
        type=bindparam("type"),
        external_id=bindparam("external_id"),
        created_at=bindparam("created_at"),
    )
)

SET_ACCOUNT: Statement[tuple[()]] = Statement(
    update(accounts)
    .where(accounts.c.tenant_id == TENANT, accounts.c.id == bindparam("account_id", type_=Uuid))
    .values(name=bindparam("new_name"), active=bindparam("new_active"), version=accounts.c.version + 1)
)

_account = rows_of(ids=Uuid, codes=Text, names=Text, types=Text)
SEED_ACCOUNTS: Statement[tuple[()]] = Statement(
    insert(accounts).from_select(["tenant_id", "id", "code", "name", "type"], select(cast(TENANT, Uuid), *_account.c))
)

_role = rows_of(roles=Text, codes=Text)
SEED_ROLES: Statement[tuple[()]] = Statement(
    insert(account_roles).from_select(["tenant_id", "role", "account_code"], select(cast(TENANT, Uuid), *_role.c))
)

_journal = rows_of(codes=Text, names=Text)
SEED_JOURNALS: Statement[tuple[()]] = Statement(
    insert(journals).from_select(["tenant_id", "code", "name"], select(cast(TENANT, Uuid), *_journal.c))
)
