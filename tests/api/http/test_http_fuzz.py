"""A contract fuzzer over a real socket: no answer is a 5xx, and none differs from what the document says."""

import asyncio
import sys
from pathlib import Path

import pytest
import uvicorn

from tests.api.http.conftest import Rig, Tenant

ARGUMENTS = (
    "--phases=examples,coverage,fuzzing", "--max-examples=40", "--seed=7", "--workers=1", "--no-color",
    # One route fails on purpose; the other takes lines, which the fuzzer cannot write.
    "--exclude-path-regex=/break$|/bulk/",
)  # fmt: skip
#: What the schema cannot say (versions, known operations, texts) may refuse a request that fits it; a missing
#: If-Match is 428; and whoever keeps trying wrong credentials gets 429 instead of 401.
CONFIGURATION = """
[checks]
ignored_auth.enabled = false
positive_data_acceptance.enabled = false
missing_required_header.expected-statuses = [400, 401, 403, 406, 415, 422, 428]
"""


@pytest.mark.timeout(300)
async def test_no_request_breaks_the_contract(rig: Rig, tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    server = uvicorn.Server(uvicorn.Config(rig.build(), port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  # uvicorn tells no other way
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    fuzzer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", f"{url}/schema/openapi.json", "--url", url,
        "--header", f"Authorization: Bearer {tenant.owner}", *ARGUMENTS,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
    )  # fmt: skip
    try:
        report, _ = await fuzzer.communicate()
    finally:
        if fuzzer.returncode is None:
            fuzzer.kill()
        server.should_exit = True
        await serving
    assert fuzzer.returncode == 0, report.decode()[-20_000:]
