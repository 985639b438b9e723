"""The guide as a script: its pairs of request and answer, in the order of the page."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: A hidden remark before a request: the answer shown is the one it has in the end.
_AGAIN = re.compile(r"<!-- (polled|repeated) -->")

Again = Literal["polled", "repeated"]


class NoScript(ValueError):
    """The page cannot be played: a block is of no known kind, or a request has no answer."""


@dataclass(frozen=True, slots=True)
class Message:
    """One block, as it stands on the page: a first line, headers, and a body or none."""

    line: int
    first: str
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """`again`: the request is sent until its answer is the one shown, with pauses (polled) or without."""

    page: str
    request: Message
    answer: Message
    again: Again | None


@dataclass(frozen=True, slots=True)
class _Block:
    line: int
    kind: str
    text: str
    again: Again | None


def exchanges_of(page: Path, other_kinds: frozenset[str] = frozenset({"text", "console"})) -> list[Exchange]:
    """Every pair of the page. Raises NoScript."""
    blocks = [block for block in _blocks(page) if block.kind not in other_kinds]
    for block in blocks:
        if block.kind != "http":
            raise NoScript(f"{page.name}:{block.line}: a block of kind {block.kind or 'none'!r} is not played")
    if len(blocks) % 2:
        raise NoScript(f"{page.name}:{blocks[-1].line}: a request without an answer")
    return [_exchange(page, request, answer) for request, answer in zip(blocks[::2], blocks[1::2], strict=True)]


def _exchange(page: Path, request: _Block, answer: _Block) -> Exchange:
    asked, told = _message(request), _message(answer)
    if asked.first.startswith("HTTP/") or not told.first.startswith("HTTP/1.1 "):
        raise NoScript(f"{page.name}:{asked.line}: a request and its answer must follow each other")
    return Exchange(page.name, asked, told, request.again)


def _blocks(page: Path) -> list[_Block]:
    found: list[_Block] = []
    inside: tuple[int, str, list[str]] | None = None
    again: Again | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```") and inside is None:
            inside = (number, line[3:].strip(), [])
        elif line.startswith("```") and inside is not None:
            found.append(_Block(inside[0], inside[1], "\n".join(inside[2]), again))
            inside, again = None, None
        elif inside is not None:
            inside[2].append(line)
        elif remark := _AGAIN.fullmatch(line.strip()):
            again = "polled" if remark[1] == "polled" else "repeated"
    if inside is not None:
        raise NoScript(f"{page.name}:{inside[0]}: the block is not closed")
    return found


def _message(block: _Block) -> Message:
    head, _, body = block.text.partition("\n\n")
    first, *lines = head.splitlines()
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise NoScript(f"line {block.line}: {line!r} is no header")
        headers.append((name.strip(), value.strip()))
    return Message(block.line, first, tuple(headers), body.strip())
