"""Rows of one transaction through the importer's client, against the whole application."""

from typing import Any

import pytest

from erp.exchange.api import Api, ApiProblem
from tests.api.whole.conftest import Tenant


@pytest.fixture
async def api(newcomer: Any) -> Api:
    trader: Tenant = await newcomer()
    return Api(trader.client)


def party(code: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return f"party:{code}", {"code": code, "name": code, "is_customer": True, "external_id": f"party:{code}", **more}


async def codes(api: Api) -> list[str]:
    """Of the parties made here; a tenant begins with one of its own."""
    return sorted(
        [one["code"] async for one in api.every("/v1/parties") if (one["external_id"] or "").startswith("party:")]
    )


async def test_rows_together_have_one_id_each_and_are_booked_once(api: Api) -> None:
    rows = [party("A"), party("B"), party("C")]
    first = await api.bulk_together("parties", rows)
    assert [answer.key for answer in first] == ["party:A", "party:B", "party:C"]
    assert len({answer.id for answer in first} - {None}) == 3
    assert await api.bulk_together("parties", rows) == first
    assert await codes(api) == ["A", "B", "C"]


async def test_one_refused_row_is_named_and_none_is_booked(api: Api) -> None:
    with pytest.raises(ApiProblem, match=r"parties party:B: .*unknown-field at /data/colour") as refused:
        await api.bulk_together("parties", [party("A"), party("B", colour="red"), party("C")])
    assert refused.value.line == 2
    assert await codes(api) == []
    await api.bulk_together("parties", [party("A"), party("B"), party("C")])
    assert await codes(api) == ["A", "B", "C"]


async def test_a_row_that_is_there_already_refuses_all(api: Api) -> None:
    await api.bulk_together("parties", [party("B")])
    with pytest.raises(ApiProblem, match="parties party:B: 409"):
        await api.bulk_together("parties", [party("A"), party("B")])
    assert await codes(api) == ["B"]
