"""An import on the wire."""

from uuid import UUID

import msgspec

from erp.kernel.text import PositiveCount


class ImportView(msgspec.Struct, frozen=True, kw_only=True):
    """An import that was accepted: `id` is the job that books its rows, to be read under `job`."""

    id: UUID
    job: str
    resource: str
    rows: PositiveCount
