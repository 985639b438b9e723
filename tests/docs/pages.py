"""What the pages of the documentation say, as far as a program can read it: links, names, tables."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.conftest import DOCS, ROOT

PAGES = (
    ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "nginx" / "README.md",
    *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md")),
)  # fmt: skip

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


class Link(NamedTuple):
    page: Path
    target: str


class Row(NamedTuple):
    """One row of a table: its cells as they are written."""

    cells: tuple[str, ...]

    def codes(self, column: int) -> list[str]:
        """What stands between backticks in a cell."""
        return _CODE.findall(self.cells[column])


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[Link]:
    """The links of a page to other pages and places in them; addresses elsewhere are left out."""
    for target in _LINK.findall(prose(page)):
        if "://" not in target and not target.startswith("mailto:"):
            yield Link(page, target)


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to."""
    return {_anchor(heading) for heading in _HEADING.findall(prose(page))}


def _anchor(heading: str) -> str:
    plain = re.sub(r"[`*]", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def codes(page: Path) -> list[str]:
    """Everything between backticks, in order."""
    return _CODE.findall(prose(page))


def rows(page: Path, heading: str) -> list[Row]:
    """The rows of the first table under a heading, without its head."""
    _, found, rest = prose(page).partition(f" {heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    table: list[Row] = []
    for line in re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0].splitlines():
        if line.startswith("|"):
            table.append(Row(tuple(cell.strip() for cell in line.strip("|").split("|"))))
        elif table:
            break
    return table[2:]
