"""The published catalogue of problems: every refusal's code, status, meaning and remedy, from its class."""

import inspect
from functools import cache
from html import escape

import msgspec
from litestar import Router, get

from db.errors import DomainError
from erp.http import balancer as _declares  # noqa: F401  # its problems are looked up by code
from erp.http.answers import Reply
from erp.http.pages import marked, page, wants_html
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound


class ProblemView(msgspec.Struct, frozen=True):
    """One kind of problem."""

    code: str
    title: str
    status: int
    retryable: bool
    meaning: str
    remedy: str


class ProblemList(msgspec.Struct, frozen=True):
    """Every kind of problem this API answers with."""

    data: list[ProblemView]


def problem_classes() -> dict[str, type[DomainError]]:
    """Code -> the class that declares it, for every refusal of the imported program."""
    found: dict[str, type[DomainError]] = {}
    waiting = list(DomainError.__subclasses__())
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if "code" in vars(error):
            found.setdefault(error.code, error)
    return dict(sorted(found.items()))


def describe(error: type[DomainError]) -> ProblemView:
    """The catalogue entry of a class: its docstring, split where the paragraph "Fix: ..." begins."""
    text = inspect.cleandoc(vars(error).get("__doc__") or "")
    meaning, _, remedy = text.partition("Fix: ")
    return ProblemView(
        code=error.code, title=error.title, status=error.status, retryable=error.retryable,
        meaning=" ".join(meaning.split()), remedy=" ".join(remedy.split()) or _usual_remedy(error),
    )  # fmt: skip


def _usual_remedy(error: type[DomainError]) -> str:
    if error.retryable or error.status == 503:
        return "Wait for Retry-After, then repeat the request with the same Idempotency-Key."
    if error.status == 422:
        return "Correct the request as `detail` and `pointer` say."
    return "Read the current state of the resource and decide again."


@cache
def _catalogue() -> dict[str, ProblemView]:
    return {code: describe(error) for code, error in problem_classes().items()}


@get("/problems", summary="List the problems of this API", tags=["Problems"], security=[{}])
async def list_problems(request: ApiRequest) -> Reply[ProblemList]:
    entries = list(_catalogue().values())
    if not wants_html(request):
        return Reply(msgspec.json.encode(ProblemList(entries)))
    rows = "".join(
        f'<tr><td><a href="/problems/{e.code}"><code>{e.code}</code></a></td><td>{e.status}</td>'
        f"<td>{escape(e.title)}</td></tr>"
        for e in entries
    )
    return page("Problems", f"<h1>Problems</h1><table><tr><th>Code<th>Status<th>Title</tr>{rows}</table>")


@get("/problems/{code:str}", summary="Explain a problem", tags=["Problems"], security=[{}])
async def show_problem(request: ApiRequest, code: str) -> Reply[ProblemView]:
    entry = _catalogue().get(code)
    if entry is None:
        raise NotFound("There is no problem with this code.")
    if not wants_html(request):
        return Reply(msgspec.json.encode(entry))
    retry = "Yes, repeat it unchanged." if entry.retryable else "No, not unchanged."
    return page(
        entry.title,
        f"<h1>{escape(entry.title)}</h1><p><code>{entry.code}</code>, status {entry.status}</p>"
        f"<h2>Meaning</h2><p>{marked(entry.meaning)}</p><h2>How to fix</h2><p>{marked(entry.remedy)}</p>"
        f'<h2>Worth repeating?</h2><p>{retry}</p><p><a href="/problems">All problems</a></p>',
    )


router = Router("/", route_handlers=[list_problems, show_problem])
