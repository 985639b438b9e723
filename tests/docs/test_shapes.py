"""The comparison notices what a reader would: a guide that passes is true."""

from typing import Any

import pytest

from tests.docs.shapes import Names

SHOWN = {
    "id": "<uuid order>",
    "number": "SO-<year>-000001",
    "date": "<today>",
    "at": "<timestamp>",
    "again": "<order>",
    "version": 1,
    "paid": False,
    "note": None,
    "lines": [{"line_no": 1, "…": "…"}],
}
REAL = {
    "id": "01a1fc65-c028-7075-8e35-f19e40300bb8",
    "number": "SO-2026-000001",
    "date": "2026-05-17",
    "at": "2026-05-17T10:00:00.123456Z",
    "again": "01a1fc65-c028-7075-8e35-f19e40300bb8",
    "version": 1,
    "paid": False,
    "note": None,
    "lines": [{"line_no": 1, "quantity": "2"}],
}


def names() -> Names:
    return Names(today="2026-05-17", year="2026")


def differences(shown: Any, real: Any) -> list[str]:
    return list(names().differences(shown, real))


def test_what_is_as_shown_passes() -> None:
    assert differences(SHOWN, REAL) == []


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"id": "not-a-uuid"}, "/id"),
        ({"number": "SO-2026-000002"}, "/number"),
        ({"number": "SO-2025-000001"}, "/number"),
        ({"date": "2026-05-20"}, "/date"),
        ({"date": "2026-02-30"}, "/date"),
        ({"at": "2026-05-17T10:00:00"}, "/at"),
        ({"again": "01a1fc65-c028-7075-8e35-f19e40300bb9"}, "/again"),
        ({"version": 2}, "/version"),
        ({"version": "1"}, "/version"),
        ({"version": True}, "/version"),
        ({"paid": 0}, "/paid"),
        ({"note": ""}, "/note"),
        ({"lines": []}, "/lines"),
        ({"lines": [{"line_no": 1}, {"line_no": 2}]}, "/lines"),
        ({"lines": [{"line_no": 2}]}, "/lines/0/line_no"),
        ({"lines": [{"position": 1}]}, "/lines/0/line_no"),
        ({"new": 1}, "/new"),
    ],
)
def test_a_changed_value_is_noticed_where_it_is(changed: dict[str, Any], where: str) -> None:
    found = differences(SHOWN, {**REAL, **changed})
    assert any(difference.startswith(where + ":") for difference in found)


@pytest.mark.parametrize("gone", sorted(REAL))
def test_a_missing_member_is_noticed(gone: str) -> None:
    found = differences(SHOWN, {name: value for name, value in REAL.items() if name != gone})
    assert f"/{gone}: is shown and did not come" in found


def test_midnight_between_asking_and_comparing_is_no_difference() -> None:
    assert differences({"date": "<today>"}, {"date": "2026-05-18"}) == []


def test_a_list_may_be_cut_short_and_an_object_too() -> None:
    assert differences([1, "…"], [1, 2, 3]) == []
    assert differences([1, "…"], []) != []
    assert differences({"a": 1, "…": "…"}, {"a": 1, "b": 2}) == []
    assert differences({"a": 1}, {"a": 1, "b": 2}) != []


def test_a_whole_number_may_be_any() -> None:
    assert differences("<int>", 7) == []
    assert differences("<int>", "7") != []
    assert differences("<int>", True) != []


def test_what_nobody_has_named_is_like_nothing() -> None:
    assert differences("<cusstomer>", "anything") != []
    with pytest.raises(KeyError):
        names().fill("GET /v1/parties/<cusstomer>")


def test_what_is_kept_is_used() -> None:
    known = names()
    assert list(known.differences({"id": "<uuid order>"}, {"id": REAL["id"]})) == []
    assert known.fill("GET /v1/sales-orders/<order>") == f"GET /v1/sales-orders/{REAL['id']}"
