"""Rules of the house that a reader would otherwise have to remember."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("db", "fleet", "tenancy", "erp", "workers", "deploy", "loadtests")
MAX_LINES = 340
MAX_FUNCTION = 50
BANNED_NAMES = {"utils", "helpers", "manager", "common", "misc"}
#: A SET that is not LOCAL, or an advisory lock that is not the transaction's.
_SESSION_WIDE = re.compile(r"(^|;)\s*SET\s+(?!LOCAL\b)[\w.]+\s*(=|TO)\s|pg_advisory_lock\(", re.IGNORECASE)


def sources() -> Iterator[Path]:
    for room in ROOMS:
        yield from (path for path in (ROOT / room).rglob("*.py") if "versions" not in path.parts)


def test_modules_stay_small() -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert long == {}


def test_functions_stay_small() -> None:
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > MAX_FUNCTION:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = length
    assert long == {}


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    assert [str(p) for p in sources() if BANNED_NAMES & {p.stem, *p.relative_to(ROOT).parts}] == []


def test_imports_stand_at_the_top_and_are_real() -> None:
    """Litestar reads real types; an import inside a function means a wrong layer."""
    found = []
    for path in sources():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                found.append(f"{path}: from __future__")
            if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING":
                found.append(f"{path}: TYPE_CHECKING")
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found += [
                    f"{path}:{inner.lineno}"
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Import | ast.ImportFrom)
                ]
    assert found == []


def test_settings_of_a_session_never_outlive_a_transaction() -> None:
    """Behind a transaction pooler a session-level SET or advisory lock reaches other tenants."""
    found = []
    for path in (path for path in sources() if "deploy" not in path.parts):  # creates the roles, unpooled
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if _SESSION_WIDE.search(text):
                found.append(f"{path}: {text[:60]}")
    assert found == []
