"""The API reference for people: Swagger UI from our own files, without one request to anybody else."""

from importlib.resources import files
from typing import Any

from litestar import Router, get

from erp.http.answers import Headers, Reply
from erp.kernel.errors import NotFound

_FOLDER = files("erp.http").joinpath("static", "swagger-ui")
_MEDIA = {
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
}
_NAMES = ("index.html", "start.js", "swagger-ui-bundle.js", "swagger-ui.css")
_FILES = {name: _FOLDER.joinpath(name).read_bytes() for name in _NAMES}

#: Styles inline, because the bundle sets them so; everything else from this origin.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    b" connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS: Headers = [(b"cache-control", b"public, max-age=3600"), (b"content-security-policy", _POLICY)]


def _file(name: str) -> Reply[Any]:
    return Reply(_FILES[name], headers=_HEADERS, media=_MEDIA[name[name.rindex(".") :]])


@get("/docs", include_in_schema=False)
async def reference() -> Reply[str]:
    return _file("index.html")


@get("/docs/{name:str}", include_in_schema=False)
async def reference_file(name: str) -> Reply[str]:
    if name not in _FILES:
        raise NotFound("There is nothing under this path.")
    return _file(name)


router = Router("/", route_handlers=[reference, reference_file])
