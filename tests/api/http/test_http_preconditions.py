"""Nobody overwrites what they have not seen."""

import asyncio
from uuid import uuid4

import httpx
import pytest


@pytest.fixture
async def path(api: httpx.AsyncClient) -> str:
    made = await api.post("/v1/notes", json={"name": "A", "amount": "1"}, headers={"idempotency-key": str(uuid4())})
    return str(made.headers["location"])


async def rename(api: httpx.AsyncClient, path: str, name: str, *tag: str) -> httpx.Response:
    headers = {"if-match": tag[0]} if tag else {}
    return await api.post(f"{path}/rename", json={"name": name}, headers=headers)


async def test_a_change_needs_the_version_it_is_based_on(api: httpx.AsyncClient, path: str) -> None:
    answer = await rename(api, path, "B")
    assert (answer.status_code, answer.json()["code"]) == (428, "precondition-required")


async def test_a_change_of_the_current_version_is_made(api: httpx.AsyncClient, path: str) -> None:
    seen = (await api.get(path)).headers["etag"]
    changed = await rename(api, path, "B", seen)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (await api.get(path)).headers["etag"] == '"2"'


async def test_a_change_of_an_old_version_is_refused_and_names_the_current_one(
    api: httpx.AsyncClient, path: str
) -> None:
    await rename(api, path, "B", '"1"')
    stale = await rename(api, path, "C", '"1"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version-conflict")
    assert stale.json()["current_version"] == 2
    assert (await api.get(path)).json()["name"] == "B"


async def test_of_two_tabs_one_wins(api: httpx.AsyncClient, path: str) -> None:
    answers = await asyncio.gather(*(rename(api, path, f"Tab {n}", '"1"') for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


@pytest.mark.parametrize(
    "tag", ["1", 'W/"1"', '"1", "2"', '"0"', '"-1"', '"1e3"', '""', "*", '"99999999999"', '"１"']
)
async def test_only_one_strong_tag_is_understood(api: httpx.AsyncClient, path: str, tag: str) -> None:
    answer = await api.post(f"{path}/rename", json={"name": "B"}, headers={b"if-match": tag.encode()})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-if-match")


async def test_a_precondition_is_never_ignored(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        "/v1/notes", json={"name": "X", "amount": "1"}, headers={"idempotency-key": str(uuid4()), "if-match": '"1"'}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-if-match")
