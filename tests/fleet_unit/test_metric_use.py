"""The code uses the metrics as they are defined: as many label values as labels, and only allowed ones."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import metrics
from fleet.instruments import Family

ROOT = Path(__file__).parents[2]
PACKAGES = ("fleet", "tenancy", "erp", "workers")
FAMILIES: dict[str, Family[Any]] = {
    name: family for name, family in vars(metrics).items() if isinstance(family, Family)
}


def misuses(source: str) -> Iterator[str]:
    """Problems in `<family>.at(...)` calls, by literal arguments; names and expressions are let pass."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "at"):
            continue
        owner = node.func.value
        name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
        if (family := FAMILIES.get(name)) is None:
            continue
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            continue
        if len(node.args) != len(family.labels):
            yield f"line {node.lineno}: {name} has {len(family.labels)} labels, not {len(node.args)}"
            continue
        for label, argument in zip(family.labels, node.args, strict=True):
            for value in _literals(argument):
                if label.values is not None and value not in label.values:
                    yield f"line {node.lineno}: {name}: {label.name} is never {value!r}"


def _literals(argument: ast.expr) -> list[str]:
    if isinstance(argument, ast.IfExp):
        return _literals(argument.body) + _literals(argument.orelse)
    return [argument.value] if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else []


@pytest.mark.parametrize("package", PACKAGES)
def test_metrics_are_used_as_they_are_defined(package: str) -> None:
    found = {
        f"{file.relative_to(ROOT)}: {problem}"
        for file in (ROOT / package).rglob("*.py")
        for problem in misuses(file.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        'jobs_total.at("high", "kind").inc()',
        'jobs_total.at("urgent", kind, outcome).inc()',
        'metrics.jobs_total.at(queue, kind, "done" if good else "exploded").inc()',
    ],
)
def test_a_misuse_is_caught(line: str) -> None:
    assert list(misuses(line))
