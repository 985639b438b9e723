"""An import on the wire."""

from uuid import UUID

import msgspec

from erp.kernel.text import PositiveCount


class ImportView(msgspec.Struct, frozen=True, kw_only=True):
    """An import that was accepted: followed and cancelled under `operation`; `job` shows the rows that were refused.

    All three name the same job: `id` is its id.
    """

    id: UUID
    operation: str
    job: str
    resource: str
    rows: PositiveCount
