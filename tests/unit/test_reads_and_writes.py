"""A refusal is stored in its own command's transaction when that one has only read so far."""

import pytest

from db.statement import only_reads
from erp.invoicing.repository import LOCK_INVOICE, PERIOD_OF_INVOICE
from erp.numbering.repository import ADVANCE


@pytest.mark.parametrize("sql", [LOCK_INVOICE.sql, PERIOD_OF_INVOICE.sql])
def test_reading_and_locking_leave_nothing_to_roll_back(sql: str) -> None:
    assert only_reads(sql)


@pytest.mark.parametrize(
    "sql",
    [
        ADVANCE.sql,
        "UPDATE stock_levels SET version = version + 1 RETURNING version",
        "WITH gone AS (DELETE FROM outbox RETURNING position) SELECT position FROM gone",
        "WITH told AS (INSERT INTO events SELECT 1) SELECT 1",
        "WITH moved AS (UPDATE stock_levels AS level SET version = 2 RETURNING 1) SELECT 1",
    ],
)
def test_a_write_is_one_wherever_it_stands(sql: str) -> None:
    assert not only_reads(sql)
