"""Whatever can be created can be streamed and imported: each row answers with the id of what it made."""

import json
from typing import Any, get_type_hints

import pytest

from erp.exchange.imports import booking
from erp.exchange.imports.registry import IMPORTABLE
from erp.http.bulk import BulkRow, row_identity
from erp.http.commands import Command
from tests.api.whole.conftest import Tenant


@pytest.mark.parametrize("command", IMPORTABLE.values(), ids=IMPORTABLE.keys())
def test_what_a_row_makes_has_an_id(command: Command) -> None:
    made = get_type_hints(command.run)["return"]
    assert "id" in made.__struct_fields__, f"{command.name} makes a {made.__name__}"


async def test_periods_are_opened_in_a_stream(tenant: Tenant) -> None:
    rows = [
        {"key": "year:2031", "data": {"first_month": "2031-01-01", "months": 12}},
        {"key": "year:2031-again", "data": {"first_month": "2031-01-31", "months": 2}},
        {"key": "year:2032", "data": {"first_month": "2032-01-01", "months": 0}},
    ]

    async def stream() -> list[Any]:
        content = "".join(json.dumps(row) + "\n" for row in rows)
        headers = {"Content-Type": "application/x-ndjson"}
        reply = await tenant.client.post("/v1/bulk/periods", content=content, headers=headers)
        assert reply.status_code == 200, reply.text
        return sorted((json.loads(line) for line in reply.text.splitlines()), key=lambda answer: int(answer["line"]))

    first = await stream()
    assert [answer["status"] for answer in first] == [201, 201, 422]
    january = (await tenant.get("/v1/periods", start_date="2031-01-01"))["data"][0]
    assert [answer.get("id") for answer in first] == [january["id"], january["id"], None]
    again = await stream()
    assert [answer["replayed"] for answer in again] == [True, True, False]
    assert [answer.get("id") for answer in again] == [answer.get("id") for answer in first]


def test_streams_and_imports_know_a_row_by_the_same_key() -> None:
    assert vars(booking)["row_identity"] is row_identity
    command, row = IMPORTABLE["periods"], BulkRow("k", {"months": 1, "first_month": "2031-01-01"})
    other = BulkRow("k", {"first_month": "2031-01-01", "months": 1})
    assert row_identity(command, row) == row_identity(command, other), "the order of members means nothing"
    assert row_identity(command, row).key == "bulk:periods:k"
    assert row_identity(command, row) != row_identity(IMPORTABLE["parties"], row)
