"""Lists: every record once, in order, whatever is asked for; nothing outside the allow-lists."""

from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx
import psycopg
import pytest

from db.counting import RoundTrips, round_trips
from tests.api.http import notes
from tests.api.http.conftest import Tenant
from tests.services import Services

COUNT = 23


@pytest.fixture
def filled(services: Services, tenant: Tenant) -> Tenant:
    """23 notes, several with equal sort values."""
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO test_notes (tenant_id, id, name, state, amount, noted_on, created_at)"
            " SELECT %s, gen_random_uuid(), 'Note ' || lpad(n::text, 3, '0'), CASE n %% 3 WHEN 0 THEN 'closed'"
            " ELSE 'open' END, n / 4 + 0.5, DATE '2024-01-01' + n,"
            " TIMESTAMPTZ '2024-01-01 00:00Z' + (n / 5) * INTERVAL '1 hour'"
            f" FROM generate_series(1, {COUNT}) n",
            (tenant.id,),
        )
    return tenant


async def page(api: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await api.get("/v1/notes", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def walk(api: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    records, cursor = [], None
    for _ in range(100):
        found = await page(api, **query, **({"cursor": cursor} if cursor else {}))
        records += found["data"]
        cursor = found["next_cursor"]
        assert found["has_more"] == (cursor is not None)
        if cursor is None:
            return records
    raise AssertionError("the list never ended")


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "name", "-name", "amount", "-amount"])
@pytest.mark.parametrize("limit", [1, 4, 23, 200])
async def test_every_record_comes_once_and_in_order(
    api: httpx.AsyncClient, filled: Tenant, sort: str, limit: int
) -> None:
    found = await walk(api, sort=sort, limit=limit)
    assert len({record["id"] for record in found}) == len(found) == COUNT
    field = sort.removeprefix("-")
    values = [float(r[field]) if field == "amount" else r[field] for r in found]
    assert values == sorted(values, reverse=sort.startswith("-"))


async def test_records_added_meanwhile_shift_nothing(
    api: httpx.AsyncClient, filled: Tenant, services: Services
) -> None:
    first = await page(api, sort="name", limit=10)
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO test_notes (tenant_id, id, name, amount, noted_on) VALUES (%s, %s, 'Aaa', 1, '2024-01-01')",
            (filled.id, uuid4()),
        )
    second = await page(api, sort="name", limit=10, cursor=first["next_cursor"])
    assert [r["name"] for r in first["data"] + second["data"]] == [f"Note {n:03}" for n in range(1, 21)]


async def test_the_newest_fifty_come_first_unless_asked_otherwise(api: httpx.AsyncClient, filled: Tenant) -> None:
    found = await page(api)
    assert len(found["data"]) == COUNT
    assert found["data"][0]["created_at"] == max(r["created_at"] for r in found["data"])
    assert set(found) == {"data", "has_more", "next_cursor"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "Note 007"}, ["Note 007"]),
        ({"name.prefix": "Note 02"}, ["Note 020", "Note 021", "Note 022", "Note 023"]),
        ({"name.prefix": "note"}, []),
        ({"name.prefix": "%"}, []),
        ({"noted_on.gte": "2024-01-20", "noted_on.lt": "2024-01-22"}, ["Note 019", "Note 020"]),
        ({"amount.gt": "5.5", "state": "open"}, []),
        ({"amount.gte": "5.50", "state": "open,closed"}, ["Note 020", "Note 021", "Note 022", "Note 023"]),
        ({"created_at.lt": "2024-01-01T01:00:00Z", "state": "closed"}, ["Note 003"]),
        ({"created_at.lt": "2024-01-01T02:00:00+01:00", "state": "closed"}, ["Note 003"]),
        ({"version": "1", "name": "Note 001"}, ["Note 001"]),
        ({"version": "2"}, []),
    ],
)
async def test_filters_select(
    api: httpx.AsyncClient, filled: Tenant, query: dict[str, str], names: list[str]
) -> None:
    assert [r["name"] for r in await walk(api, sort="name", limit=3, **query)] == names


async def test_records_are_counted_only_when_asked(api: httpx.AsyncClient, filled: Tenant) -> None:
    exact = await page(api, count="exact", limit=2, state="closed")
    assert (exact["count"], exact["count_kind"]) == (7, "exact")
    guess = await page(api, count="estimated", limit=2, **{"name.prefix": "N"})
    assert guess["count_kind"] == "estimated"
    assert guess["count"] >= 0


async def test_a_list_and_its_count_are_one_round_trip(api: httpx.AsyncClient, filled: Tenant) -> None:
    await page(api)
    counter = RoundTrips()
    token = round_trips.set(counter)
    try:
        await page(api, count="exact")
    finally:
        round_trips.reset(token)
    assert counter.postgres == 1
    assert counter.redis <= 1


async def test_only_the_asked_fields_come_with_the_id(api: httpx.AsyncClient, filled: Tenant) -> None:
    found = await page(api, fields="name,version", limit=1, sort="name")
    assert list(found["data"][0]) == ["id", "name", "version"]
    assert set((await page(api, fields="id", limit=1))["data"][0]) == {"id"}


HOSTILE = ["name; DROP TABLE test_notes", "created_at DESC, (SELECT 1)", "tenant_id", "id", "--", "'", "\\"]


@pytest.mark.parametrize("value", HOSTILE)
async def test_names_outside_the_allow_lists_are_unknown(api: httpx.AsyncClient, value: str) -> None:
    for query in ({"sort": value}, {value: "1"}, {"fields": f"name,{value}"}):
        if query == {"fields": "name,id"}:
            continue
        answer = await api.get("/v1/notes", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown-field"), query


@pytest.mark.parametrize("value", [*HOSTILE, "1 OR 1=1", "${7*7}", "a" * 200])
async def test_values_are_values(api: httpx.AsyncClient, filled: Tenant, value: str) -> None:
    assert (await page(api, name=value))["data"] == []
    assert (await page(api, **{"name.prefix": value}))["data"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid-value"), ("limit=-1", "invalid-value"), ("limit=1e3", "invalid-value"),
        ("limit=%D9%A3", "invalid-value"), ("limit=201", "limit-exceeded"), ("limit=1000000000", "limit-exceeded"),
        ("limit=999999999", "limit-exceeded"), ("count=yes", "invalid-value"), ("version=x", "invalid-value"),
        ("version=2147483648", "invalid-value"), ("amount.gte=NaN", "invalid-amount"),
        ("amount.gte=1e999999999", "invalid-amount"), ("noted_on.gte=yesterday", "invalid-value"),
        ("created_at.gte=2024-01-01T00:00:00", "invalid-value"), ("state=" + ",".join("x" * 101), "limit-exceeded"),
        ("state=opne", "invalid-value"), ("state=open,", "invalid-value"),
        ("name=" + "x" * 201, "limit-exceeded"), ("name=a%00b", "invalid-text"), ("name=%E2%80%AE", "invalid-text"),
        ("name=%ff", "bad-request"), ("name=a&name=b", "duplicate-key"), ("offset=1000000", "unknown-field"),
        ("&".join(f"x{n}=1" for n in range(70)), "bad-request"), ("expand=lines", "unknown-field"),
    ],
)  # fmt: skip
async def test_wrong_values_are_named(api: httpx.AsyncClient, query: str, code: str) -> None:
    answer = await api.get(f"/v1/notes?{query}")
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] == code, answer.text
    if "pointer" in answer.json():
        assert answer.json()["source"] == "query", "else it would be a pointer into the body"


async def test_a_cursor_serves_only_the_list_it_came_from(api: httpx.AsyncClient, filled: Tenant) -> None:
    cursor = (await page(api, sort="name", limit=2, state="open"))["next_cursor"]
    good = {"sort": "name", "state": "open", "cursor": cursor}
    assert (await api.get("/v1/notes", params=good)).status_code == 200
    for change in ({"sort": "-name"}, {"sort": "amount"}, {"state": "closed"}, {"name.prefix": "N"}):
        answer = await api.get("/v1/notes", params={**good, **change})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-cursor"), change
    for forged in (cursor[:-2], cursor + "AA", "AAAA", "", "../../etc", quote(cursor[::-1])):
        answer = await api.get("/v1/notes", params={**good, "cursor": forged})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-cursor"), forged
        assert (answer.json()["pointer"], answer.json()["source"]) == ("cursor", "query")


async def test_a_page_may_have_another_size_than_the_one_before(api: httpx.AsyncClient, filled: Tenant) -> None:
    first = await page(api, sort="name", limit=2)
    rest = await page(api, sort="name", limit=200, cursor=first["next_cursor"])
    assert len(rest["data"]) == COUNT - 2


async def test_a_route_knows_its_own_parameters(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/notes/summary?as_of=2024-01-01")).status_code == 404
    for query in ("asof=2024-01-01", "as_of=2024-01-01&x=1", "request=1"):
        answer = await api.get(f"/v1/notes/summary?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown-field")
    answer = await api.get("/v1/notes/summary?as_of=yesterday")
    assert (answer.status_code, answer.json()["code"], answer.json()["pointer"]) == (422, "invalid-value", "as_of")
    answer = await api.get(f"/v1/notes/{uuid4()}?{urlencode({'note_id': uuid4()})}")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-field")


def test_statements_are_compiled_once_and_their_number_is_bounded() -> None:
    listing = notes.NOTES
    shape = listing.parse({"state": "open"}, None).shape
    assert listing.statement(shape) is listing.statement(shape)
    for number in range(600):
        listing.statement(shape._replace(filters=tuple(["state"] * (number % 300 + 1))))
    assert len(listing._variants) <= 256
