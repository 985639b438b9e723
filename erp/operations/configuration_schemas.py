"""The configuration on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Count, PositiveCount, Reason

#: Decimals are strings, as everywhere.
Scalar = bool | int | float | Annotated[str, Meta(max_length=4000)]
KeyName = Annotated[
    str,
    Meta(
        max_length=128, description="Name of a configuration key: lower-case words with dots between them.",
        examples=["sales.reservation_ttl"],
    ),
]  # fmt: skip


class SettingInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key and its new value; null takes the scope's own value back, so that the inherited one holds.

    With `expected_version` the change is refused unless the key was last changed in that version (0: never set
    in this scope).
    """

    key: KeyName
    value: Scalar | None
    expected_version: Count | UnsetType = UNSET


class ChangeConfigurationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of the settings become valid together, or none of them."""

    settings: Annotated[list[SettingInput], Meta(min_length=1, max_length=200)]
    reason: Reason


class RollbackInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`to_version`: the version whose values are to hold again; 1 takes back every value of the scope."""

    to_version: PositiveCount
    reason: Reason


class ImportConfigurationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`values` as an export has them. `replace` takes back what they do not name, `merge` leaves it."""

    values: Annotated[dict[KeyName, Scalar], Meta(max_length=2000)]
    reason: Reason
    mode: Literal["replace", "merge"] = "merge"


class ChangedSettingView(Struct, frozen=True, kw_only=True):
    """Null: the scope had, or has, no value of its own."""

    key: str
    before: Scalar | None
    after: Scalar | None


class ConfigurationChangeView(Struct, frozen=True, kw_only=True):
    """`changed` is empty, and the version the old one, when everything had its value already.

    `revision` numbers the changes of all scopes in the scope's database; an instance whose metric
    `configuration_revision` has reached it works with the new values.
    """

    version: int
    revision: int | None
    changed: list[ChangedSettingView]


class ConfigurationKeyView(Struct, frozen=True, kw_only=True):
    """A key and what holds for it in this scope.

    `value` is the scope's own value, else the inherited one, as `source` says: `tenant`, `tenant_record` (the
    settings of the tenant's own record), `system` or `default`. `version`: in which the scope's own value was last
    set or taken back, 0 for never; it is what `expected_version` is compared with.
    """

    key: str
    version: int
    value: Scalar
    source: Literal["tenant", "tenant_record", "system", "default"]
    default: Scalar
    type: Literal["integer", "number", "string", "boolean", "decimal"]
    unit: str
    minimum: Scalar | None
    maximum: Scalar | None
    choices: list[Scalar]
    per_tenant: bool
    description: str


class ConfigurationView(Struct, frozen=True, kw_only=True):
    """Every key the scope can set. `version` rises with every change, from 1, and is the ETag.

    `revision` is the newest change of any scope in the scope's database that the answering instance works with.
    """

    scope: Literal["system", "tenant"]
    version: int
    revision: int
    keys: list[ConfigurationKeyView]


class ConfigurationExportView(Struct, frozen=True, kw_only=True):
    """The scope's own values, inherited ones left out: what an import puts back."""

    scope: Literal["system", "tenant"]
    version: int
    values: dict[str, Scalar]


class ConfigurationDiffView(Struct, frozen=True, kw_only=True):
    """What has another value in `to_version` than in `from_version`, by key."""

    from_version: int
    to_version: int
    changed: list[ChangedSettingView]


class ConfigurationHistoryView(Struct, frozen=True, kw_only=True):
    """One key changed in one version of the scope: who, when, why, from what to what."""

    id: UUID
    version: int
    key: str
    revision: int
    action: Literal["changed", "rolled_back", "imported"]
    before: Scalar | None
    after: Scalar | None
    reason: str
    principal_id: UUID
    principal_kind: str
    principal_name: str
    correlation_id: str
    at: datetime
