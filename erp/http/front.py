"""`GET /`: what this is and where to go from here, for people and programs, without a credential."""

from typing import Any

import msgspec
from litestar import Router, get

from erp.http.answers import Reply
from erp.http.pages import page, wants_html
from erp.http.request import ApiRequest

NAME = "ERP API"


class Link(msgspec.Struct, frozen=True):
    """A path of this server and what is there."""

    href: str
    title: str


class FrontView(msgspec.Struct, frozen=True, kw_only=True):
    """The service and its entry points."""

    name: str
    version: str
    links: dict[str, Link]


_LINKS = {
    "reference": Link("/docs", "API reference to browse"),
    "openapi": Link("/schema/openapi.json", "OpenAPI 3.1 document"),
    "problems": Link("/problems", "Every error code, its meaning and remedy"),
    "live": Link("/health/live", "Whether this instance is alive"),
    "ready": Link("/health/ready", "Whether this instance takes requests"),
    "tenant": Link("/v1/tenant", "Your own tenant: the first thing to ask with an API key"),
}


def front_router(version: str) -> Router:
    """The route, for a program of this version."""
    front = FrontView(name=NAME, version=version, links=_LINKS)
    body = msgspec.json.encode(front)
    rows = "".join(
        f'<tr><td><a href="{link.href}"><code>{link.href}</code></a></td><td>{link.title}</td></tr>'
        for link in _LINKS.values()
    )
    text = (
        f"<h1>{NAME}</h1><p>Version {version}</p><table>{rows}</table>"
        "<p>Requests carry <code>Authorization: Bearer</code> and an API key.</p>"
    )

    @get("/", summary="What this is and where to go from here", tags=["Entry"], security=[{}])
    async def show_front(request: ApiRequest) -> Reply[FrontView]:
        """A page for browsers, JSON for everybody else."""
        found: Reply[Any] = page(NAME, text) if wants_html(request) else Reply(body)
        return found

    return Router("/", route_handlers=[show_front])
