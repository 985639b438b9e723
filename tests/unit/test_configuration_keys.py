"""Declared keys: which values they take, and what a process makes of values it cannot take."""

import ast
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

import erp.app
from fleet.configuration.keys import KEYS, DuplicateKey, InvalidValue, Key
from fleet.configuration.snapshot import SYSTEM, Configuration, Snapshot, current, known_value, retire, use

ROOT = Path(__file__).parents[2]
assert erp.app.COMMANDS  # importing the application declares its keys


@pytest.fixture
def key() -> Any:
    """Declares keys for one test."""
    before = dict(KEYS)

    def declare(**options: Any) -> Key[Any]:
        return Key(**{"name": "test.key", "describe": "A key of a test.", **options})

    yield declare
    KEYS.clear()
    KEYS.update(before)


def test_two_keys_of_one_name_are_refused(key: Any) -> None:
    key(kind=int, default=1)
    with pytest.raises(DuplicateKey):
        key(kind=int, default=1)


@pytest.mark.parametrize("name", ["plain", "Upper.case", "two..dots", ".leading", "trailing.", "a.b-c", "a.b c"])
def test_a_name_that_is_none_is_refused(key: Any, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        key(name=name, kind=int, default=1)


def test_a_default_out_of_its_own_range_is_refused_at_import(key: Any) -> None:
    with pytest.raises(InvalidValue):
        key(kind=int, default=0, minimum=1)


@pytest.mark.parametrize(
    ("kind", "default", "good", "bad"),
    [
        (int, 1, [0, -5, 10**12], [True, 1.0, "1", None, [1]]),
        (float, 1.0, [0, 2.5, -1], [True, "1.0", float("nan"), float("inf"), 10**400, None]),
        (str, "a", ["", "b"], [1, True, None, ["a"]]),
        (bool, True, [True, False], [0, 1, "true", None]),
        (Decimal, Decimal("1.0"), ["0.10", "-3", "7"], [0.1, 1, "NaN", "1e5", "Infinity", "１", "", "1_0", None]),
    ],
)
def test_each_type_takes_what_json_calls_by_its_name(
    key: Any, kind: Any, default: Any, good: list[Any], bad: list[Any]
) -> None:
    one = key(kind=kind, default=default)
    for value in good:
        assert one.parse(value) == kind(value)
        assert one.parse(one.encode(one.parse(value))) == one.parse(value)
    for value in bad:
        with pytest.raises(InvalidValue):
            one.parse(value)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_no_declared_key_takes_a_value_outside_its_bounds(value: Any) -> None:
    for one in KEYS.values():
        try:
            parsed = one.parse(value)
        except InvalidValue:
            continue
        assert type(parsed) is one.kind
        measured = len(parsed) if isinstance(parsed, str) else parsed
        assert one.minimum is None or measured >= one.minimum
        assert one.maximum is None or measured <= one.maximum
        assert not one.choices or parsed in one.choices


def test_every_declared_key_says_what_it_is() -> None:
    for one in KEYS.values():
        assert one.describe.endswith("."), one.name
        assert one.parse(one.encode(one.default)) == one.default


def test_every_key_in_the_code_is_known_to_the_api() -> None:
    """One declared where the application does not import it could be read and never set."""
    declared = set()
    for room in ("fleet", "tenancy", "erp", "workers"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Key":
                    names = [word.value for word in node.keywords if word.arg == "name"]
                    declared |= {name.value for name in names if isinstance(name, ast.Constant)}
    assert {"sales.reservation_ttl", "workers.max_attempts", "cache.ttl.product"} <= declared
    assert declared <= set(KEYS)


def test_a_tenants_value_hides_the_systems_and_only_where_it_may(key: Any) -> None:
    own = key(kind=int, default=1, per_tenant=True)
    systems = key(name="test.system", kind=int, default=1)
    configuration, tenant = Configuration(), uuid4()
    values = {(SYSTEM, "test.key"): 2, (SYSTEM, "test.system"): 2}
    configuration.apply(Snapshot({"main": 1}, values))
    assert configuration.get(own, tenant) == 2
    values |= {(tenant, "test.key"): 3, (tenant, "test.system"): 3}
    configuration.apply(Snapshot({"main": 2}, values))
    assert (configuration.get(own), configuration.get(own, tenant), configuration.get(own, uuid4())) == (2, 3, 2)
    assert configuration.get(systems, tenant) == 2


def test_false_and_zero_are_values(key: Any) -> None:
    flag, number = key(kind=bool, default=True), key(name="test.number", kind=int, default=5)
    configuration = Configuration()
    configuration.apply(Snapshot({"main": 1}, {(SYSTEM, "test.key"): False, (SYSTEM, "test.number"): 0}))
    assert configuration.get(flag) is False
    assert configuration.get(number) == 0


def test_what_the_environment_says_takes_the_place_of_the_declared_default(key: Any) -> None:
    one = key(kind=int, default=1, maximum=10)
    assert Configuration({"test.key": 7}).get(one) == 7
    with pytest.raises(InvalidValue):
        Configuration({"test.key": 11})


def test_a_value_of_another_release_is_no_value(key: Any) -> None:
    key(kind=int, default=1, maximum=10)
    assert known_value("test.key", 11) is None
    assert known_value("test.unknown", 1) is None
    assert known_value("test.key", 10) == 10


def test_the_process_has_the_configuration_put_into_use_last() -> None:
    before, first, second = current(), Configuration(), Configuration()
    use(first)
    use(second)
    retire(first)
    assert current() is second
    retire(second)
    retire(second)
    assert current() is before
