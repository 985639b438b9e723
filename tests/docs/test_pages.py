"""The pages hold together: what they link to, name and promise to be tested by is there."""

import re

import pytest

from tests.docs.conftest import ROOT
from tests.docs.pages import PAGES, Link, anchors, codes, links

#: Files and folders of this repository, as prose names them.
_OURS = re.compile(r"(?:deploy|docs|erp|fleet|db|loadtests|nginx|tenancy|tests|workers)/[\w./-]+")

#: What only one machine or network knows.
_PRIVATE = {
    "a path of somebody's machine": re.compile(r"(?<![\w.~/-])/(?:home|root|Users|mnt|tmp|work\w*|opt|srv)\b"),
    "an address of a private network": re.compile(
        r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"
    ),
    "a host of a private network": re.compile(r"\b[\w-]+\.(?:internal|intranet|lan|corp|localdomain|local)\b"),
}


@pytest.mark.parametrize("link", [link for page in PAGES for link in links(page)], ids=str)
def test_every_link_leads_somewhere(link: Link) -> None:
    path, _, anchor = link.target.partition("#")
    target = (link.page.parent / path).resolve() if path else link.page
    assert target.is_relative_to(ROOT)
    assert target.exists()
    if anchor:
        assert anchor in anchors(target)


def test_no_page_knows_a_private_host_or_path() -> None:
    found = [
        f"{page.name}: {what}: {match[0]}"
        for page in PAGES
        for what, pattern in _PRIVATE.items()
        for match in pattern.finditer(page.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["see /home/ann/erp", "(/root/erp)", "http://10.0.3.7:80", "at 192.168.1.9", "db1.corp", "build.internal"],
)
def test_a_private_host_or_path_would_be_found(text: str) -> None:
    assert any(pattern.search(text) for pattern in _PRIVATE.values())


@pytest.mark.parametrize("text", ["~/.local/state/erp", "https://localhost:20443", "127.0.0.1", "/var/lib/erp-local"])
def test_what_every_machine_has_is_not_private(text: str) -> None:
    assert not any(pattern.search(text) for pattern in _PRIVATE.values())


def test_every_file_that_is_named_exists() -> None:
    named = {name for page in PAGES for name in codes(page) if _OURS.fullmatch(name)}
    assert any(name.startswith("tests/") for name in named)
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
