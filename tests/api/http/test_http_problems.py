"""The catalogue of problems, the API reference and the health endpoints, as a client sees them."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

import httpx
import jsonschema
import pytest

from erp.http.openapi import declared_by, served_handlers
from tests.api.http.conftest import Rig, Tenant, client_of

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
async def document(stranger: httpx.AsyncClient) -> dict[str, Any]:
    answer = await stranger.get("/schema/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


# -- the catalogue ---------------------------------------------------------------------------------


async def test_every_problem_has_a_page(stranger: httpx.AsyncClient) -> None:
    entries = (await stranger.get("/problems")).json()["data"]
    assert [entry["code"] for entry in entries] == sorted(entry["code"] for entry in entries)
    assert {"not-found", "rate-limited", "idempotency-key-reused", "contention"} <= {e["code"] for e in entries}
    for entry in entries:
        assert (await stranger.get(f"/problems/{entry['code']}")).json() == entry


async def test_the_type_of_a_problem_leads_to_its_page(stranger: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    problem = (await api.get("/v1/nothing")).json()
    page = await stranger.get(problem["type"])
    assert page.json()["title"] == problem["title"]


async def test_people_get_the_pages_as_html(stranger: httpx.AsyncClient) -> None:
    for path in ("/problems", "/problems/invalid-amount"):
        page = await stranger.get(path, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "invalid-amount" in page.text


async def test_an_unknown_problem_is_not_found(stranger: httpx.AsyncClient) -> None:
    for code in ("nonsense", "<script>alert(1)</script>", "a%22b"):
        answer = await stranger.get(f"/problems/{code}", headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


# -- the API reference -----------------------------------------------------------------------------


async def test_the_document_names_itself_and_its_server_from_configuration(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "https://erp.example"}]
    assert document["security"] == [{"api_key": []}]


async def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


async def test_operations_have_unique_names(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


async def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        statuses = set(operation["responses"])
        assert {"429", "500", "503"} <= statuses
        if operation.get("security") != []:
            assert {"400", "401", "403", "422"} <= statuses, path
        if "requestBody" in operation:
            assert {"409", "413", "415"} <= statuses, path
        if "{" in path:
            assert "404" in statuses, path
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert response == {"$ref": f"#/components/responses/Problem{status}"}, (path, method)


async def test_the_document_says_what_the_command_does(document: dict[str, Any]) -> None:
    create = document["paths"]["/v1/notes"]["post"]
    parameters = {p["name"]: p for p in create["parameters"]}
    assert parameters["Idempotency-Key"]["required"] is True
    assert "If-Match" not in parameters
    assert {"ETag", "Location", "Consistency-Token"} <= set(create["responses"]["201"]["headers"])
    rename = document["paths"]["/v1/notes/{note_id}/rename"]["post"]
    parameters = {p["name"]: p for p in rename["parameters"]}
    assert parameters["If-Match"]["required"] is True
    assert parameters["Idempotency-Key"]["required"] is False
    assert {"412", "428"} <= set(rename["responses"])
    assert "200" in rename["responses"]


async def test_the_document_says_what_a_list_may_be_asked(document: dict[str, Any]) -> None:
    names = {p["name"] for p in document["paths"]["/v1/notes"]["get"]["parameters"]}
    assert {"state", "name", "name.prefix", "amount.gte", "sort", "limit", "cursor", "count", "fields"} <= names


async def test_inputs_take_no_further_members_and_views_have_all_of_theirs(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["CreateNoteInput"]["additionalProperties"] is False
    assert set(schemas["NoteView"]["required"]) == set(schemas["NoteView"]["properties"])
    assert schemas["CreateNoteInput"]["properties"]["amount"]["examples"]


async def test_answers_keep_to_the_document(api: httpx.AsyncClient, document: dict[str, Any]) -> None:
    made = await api.post(
        "/v1/notes", json={"name": "A", "amount": "1"}, headers={"idempotency-key": "0123456789abcdef"}
    )
    refused = await api.post("/v1/notes", json={"name": "A"}, headers={"idempotency-key": "0123456789abcdef0"})
    listed = await api.get("/v1/notes?count=exact")

    def check(schema: str, instance: Any) -> None:
        whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(instance)

    check("NoteView", made.json())
    check("Problem", refused.json())
    check("Page_NoteView_", listed.json())


async def test_every_route_declares_the_command_or_list_it_serves(rig: Rig) -> None:
    found = {
        (path, method): declared_by(handler)
        for path, method, handler in served_handlers(rig.gate._app)  # type: ignore[arg-type]
    }
    assert found["/v1/notes", "post"].command is not None
    assert found["/v1/notes", "get"].listing is not None


async def test_the_reference_for_people_asks_nobody_else(stranger: httpx.AsyncClient) -> None:
    page = await stranger.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "'self'" in page.headers["content-security-policy"]
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    for path in re.findall(r"(?:src|href)=\"(/[^\"]+)\"", page.text):
        part = await stranger.get(path)
        assert part.status_code == 200, path
        assert part.headers["cache-control"].startswith("public")
        if path.endswith(".css"):
            assert not re.search(r"url\(\s*[\"']?(https?:)?//", part.text)
    start = (await stranger.get("/docs/start.js")).text
    assert "/schema/openapi.json" in start
    assert "validatorUrl: null" in start


@pytest.mark.parametrize("name", ["LICENSE", "../../app.py", "..%2f..%2fapp.py", "index.htm", ""])
async def test_the_reference_serves_its_own_files_only(stranger: httpx.AsyncClient, name: str) -> None:
    answer = await stranger.get(f"/docs/nothing/{name}" if name == "" else f"/docs/{name}")
    assert answer.status_code in (401, 404)


async def test_nothing_else_is_under_the_schema(stranger: httpx.AsyncClient) -> None:
    for path in ("/schema", "/schema/openapi.yaml", "/schema/swagger", "/schema/x"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


# -- the front door --------------------------------------------------------------------------------


async def test_the_front_door_says_what_this_is_and_leads_on(stranger: httpx.AsyncClient) -> None:
    front = await stranger.get("/")
    assert (front.status_code, front.headers["content-type"]) == (200, "application/json")
    found = front.json()
    assert (found["name"], found["version"]) == ("ERP API", "1.0.0")
    assert {"reference", "openapi", "problems", "live", "ready"} <= set(found["links"])
    for name, link in found["links"].items():
        status = (await stranger.get(link["href"])).status_code
        assert status == (401 if name == "tenant" else 200), link


async def test_the_front_door_is_a_page_for_browsers(stranger: httpx.AsyncClient) -> None:
    front = await stranger.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert front.headers["content-type"] == "text/html; charset=utf-8"
    for path in ("/docs", "/schema/openapi.json", "/problems", "/health/ready"):
        assert f'href="{path}"' in front.text


async def test_the_style_of_a_page_is_the_one_its_policy_allows(stranger: httpx.AsyncClient) -> None:
    """Else a browser would show the page without it."""
    for path in ("/", "/problems", "/problems/invalid-amount"):
        page = await stranger.get(path, headers={"accept": "text/html"})
        [style] = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
        digest = b64encode(sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]
        assert "<script" not in page.text


async def test_the_front_door_takes_nothing_but_a_get(stranger: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await stranger.request(method, "/")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


# -- health ----------------------------------------------------------------------------------------


async def test_an_instance_that_drains_is_not_ready_but_alive(rig: Rig, stranger: httpx.AsyncClient) -> None:
    readiness = rig.services.readiness
    assert (await stranger.get("/health/ready")).json() == {"status": "ready"}
    wedged = [True]
    readiness.require("pool", lambda: wedged[0])
    wedged[0] = False
    answer = await stranger.get("/health/ready")
    assert (answer.status_code, answer.json()["code"], answer.json()["reasons"]) == (503, "not-ready", ["pool"])
    assert answer.headers["retry-after"] == "1"
    assert (await stranger.get("/health/live")).json() == {"status": "live"}
    wedged[0] = True
    assert (await stranger.get("/health/ready")).status_code == 200


async def test_the_deep_look_is_the_operators(rig: Rig, tenant: Tenant) -> None:
    async with client_of(rig.gate, tenant.owner) as api:
        assert (await api.get("/health")).status_code == 403
    async with client_of(rig.gate, rig.operator_key) as operator:
        report = (await operator.get("/health")).json()
    assert report["instance"] == "test-1"
    assert report["status"] in ("healthy", "degraded", "unhealthy")
