"""Every refusal of the program has a code of its own and a page that explains it."""

import importlib
import pkgutil
import re
from collections import defaultdict
from http import HTTPStatus
from typing import Any

import pytest

import db
import erp
import fleet
import tenancy
from db.errors import DomainError
from erp.http.catalogue import describe, problem_classes
from erp.http.problems import as_refusal, problem_body, problem_headers

for room in (db, fleet, tenancy, erp):
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if not module.name.endswith("__main__") and ".migrations." not in module.name:
            importlib.import_module(module.name)


def declared() -> list[type[DomainError]]:
    found, waiting = [], list(DomainError.__subclasses__())
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if not error.__module__.startswith("tests."):
            found.append(error)
    return found


CODES = sorted(code for code, error in problem_classes().items() if not error.__module__.startswith("tests."))


def test_no_two_refusals_share_a_code() -> None:
    owners = defaultdict(set)
    for error in declared():
        if "code" in vars(error):
            owners[error.code].add(f"{error.__module__}.{error.__qualname__}")
    assert {code: names for code, names in owners.items() if len(names) > 1} == {}


def test_every_refusal_has_a_code_of_its_own_or_of_a_documented_parent() -> None:
    assert [error for error in declared() if error.code == DomainError.code] == []


@pytest.mark.parametrize("code", CODES)
def test_each_problem_is_explained(code: str) -> None:
    error = problem_classes()[code]
    page = describe(error)
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", code)
    assert 400 <= page.status < 600
    HTTPStatus(page.status)
    assert len(page.meaning) >= 20, f"{error.__qualname__} needs a docstring that says what happened"
    assert page.remedy
    assert page.title
    assert not page.title.endswith(".")


def test_only_unavailability_and_defects_are_5xx() -> None:
    status = {code: problem_classes()[code].status for code in CODES}
    others = {code for code, found in status.items() if found >= 500 and found != 503}
    # The last two are the load balancer's: the application never says them.
    assert others == {"internal-error", "instance-lost", "instance-timeout"}


def test_facts_never_displace_what_every_problem_has() -> None:
    class Odd(DomainError):
        """For this test only: facts named like standard members."""

        code = "test-odd"
        title = "Odd"

    facts: dict[str, Any] = {
        "status": 200,
        "code": "x",
        "type": "evil",
        "retryable": True,
        "correlation_id": "y",
        "n": 1,
    }
    error = Odd("Really.", **facts)
    body = problem_body(error, "/p", "cid")
    assert b'"status":409' in body
    assert b'"code":"test-odd"' in body
    assert b'"type":"/problems/test-odd"' in body
    assert b'"retryable":false' in body
    assert b'"correlation_id":"cid"' in body
    assert b'"n":1' in body


def test_what_is_worth_repeating_says_when() -> None:
    for code in CODES:
        error = problem_classes()[code]
        if error.status in (429, 503):
            assert any(name == b"retry-after" for name, _ in problem_headers(error())), code


def test_anything_else_is_a_defect_of_ours_and_says_nothing() -> None:
    refusal = as_refusal(ValueError("postgresql://user:secret@10.0.0.1/erp"))
    assert (refusal.code, refusal.status) == ("internal-error", 500)
    assert b"secret" not in problem_body(refusal, "/p", "cid")
