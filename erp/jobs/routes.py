"""Jobs and notices over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, read_one, read_rows, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.jobs.notices import acknowledge_notice, notice_view
from erp.jobs.queries import FAILED_ROWS, JOB, JOB_ROWS, JOBS, NOTICE, NOTICES
from erp.jobs.schemas import JobDetailView, JobRowView, JobView, NoticeView
from erp.jobs.service import detail_view, discard_job, job_view, replay_job, row_view
from erp.kernel.errors import NotFound

#: Failed rows a job shows of itself; the rest is a list of its own.
SHOWN_ROWS = 50

REPLAY = Command("jobs.replay", replay_job, "jobs:write", target=True, match="accepted")
DISCARD = Command("jobs.discard", discard_job, "jobs:write", target=True, match="accepted")
ACKNOWLEDGE = Command("notices.acknowledge", acknowledge_notice, "notices:write", target=True, match="accepted")
COMMANDS = (REPLAY, DISCARD, ACKNOWLEDGE)


@get("/jobs", summary="List jobs", opt={"listing": JOBS})
async def list_jobs(request: ApiRequest) -> Reply[Page[JobView]]:
    """Newest first. The failed-jobs table is `?state=failed`."""
    page: Reply[Any] = await list_page(request, "jobs:read", JOBS, job_view)
    return page


@get("/jobs/{job_id:uuid}", summary="Read a job")
async def get_job(request: ApiRequest, job_id: UUID) -> Reply[JobDetailView]:
    """State, progress, result and the reason of the last failure; an import also shows its first failed rows."""
    failed_rows = FAILED_ROWS(job_id=job_id, at_most=SHOWN_ROWS)
    found, failed = await read(request, "jobs:read", JOB(job_id=job_id), failed_rows)
    if not found:
        raise NotFound(job_id=str(job_id))
    return show(detail_view(found[0], failed))


@get("/jobs/{job_id:uuid}/rows", summary="List the rows of a job", opt={"listing": JOB_ROWS})
async def list_job_rows(request: ApiRequest, job_id: UUID) -> Reply[Page[JobRowView]]:
    """The lines of an import with their outcomes; `?outcome=failed` for those to correct."""
    request.caller.require("jobs:read")
    [found] = await read_rows(request, JOB(job_id=job_id))
    if not found:
        raise NotFound(job_id=str(job_id))
    page: Reply[Any] = await list_page(request, "jobs:read", JOB_ROWS, row_view, job_id=job_id)
    return page


@post("/jobs/{job_id:uuid}/replay", summary="Run a failed job again", status_code=200)
async def replay(request: ApiRequest, job_id: UUID) -> Reply[JobView]:
    """From the start and with all its attempts. Jobs are safe to repeat: what they have done is not done twice."""
    return await perform(request, REPLAY, target=job_id)


@post("/jobs/{job_id:uuid}/discard", summary="Give a job up", status_code=200)
async def discard(request: ApiRequest, job_id: UUID) -> Reply[JobView]:
    """For failed jobs and for queued ones that should not run. It can still be replayed."""
    return await perform(request, DISCARD, target=job_id)


@get("/notices", summary="List notices", opt={"listing": NOTICES})
async def list_notices(request: ApiRequest) -> Reply[Page[NoticeView]]:
    """What the system found worth telling, such as products that fell below their reorder point."""
    page: Reply[Any] = await list_page(request, "notices:read", NOTICES, notice_view)
    return page


@get("/notices/{notice_id:uuid}", summary="Read a notice")
async def get_notice(request: ApiRequest, notice_id: UUID) -> Reply[NoticeView]:
    found = await read_one(request, "notices:read", NOTICE(notice_id=notice_id), notice_id=notice_id)
    return show(notice_view(found))


@post("/notices/{notice_id:uuid}/acknowledge", summary="Acknowledge a notice", status_code=200)
async def acknowledge(request: ApiRequest, notice_id: UUID) -> Reply[NoticeView]:
    """Takes it off the list of open notices."""
    return await perform(request, ACKNOWLEDGE, target=notice_id)


router = Router(
    "/v1",
    route_handlers=[
        list_jobs, get_job, list_job_rows, replay, discard, list_notices, get_notice, acknowledge,
    ],
    tags=["Jobs"],
)  # fmt: skip
