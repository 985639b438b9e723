"""The few pages for people: one look, no scripts, nothing from anybody else."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any, Final

from erp.http.answers import Headers, Reply
from erp.http.request import ApiRequest

_HTML = b"text/html; charset=utf-8"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    "code{background:#eef1f5;padding:.1rem .3rem;border-radius:.2rem}"
    "td,th{text-align:left;padding:.2rem .8rem .2rem 0}"
)
#: This one style and nothing else.
_POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
_HEADERS: Headers = [
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Accept, Authorization"),
    (b"content-security-policy", _POLICY.encode() + b"; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
]


def wants_html(request: ApiRequest) -> bool:
    """Whether the caller would rather have a page than JSON: a browser, as its Accept header tells."""
    accept = request.headers.get("accept", "")
    html, plain = accept.find("text/html"), accept.find("json")
    return html >= 0 and (plain < 0 or html < plain)


def marked(text: str) -> str:
    """Escaped, with `code` spans."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def page(title: str, content: str) -> Reply[Any]:
    """A page with the given HTML as its body."""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{content}</body></html>"
    )
    return Reply(text.encode(), headers=_HEADERS, media=_HTML)
