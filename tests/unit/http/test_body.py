"""A body becomes its input type exactly, or the problem says which field and why."""

import json
import time
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import DomainError
from erp.http.body import BodyDecoder, check_json
from erp.http.errors import AmountMustBeString, InvalidJson, MissingField, UnsupportedMediaType
from erp.kernel.errors import Invalid, InvalidAmount, UnknownField
from erp.kernel.text import Amount, Count, Name, Percent, Quantity, Timestamp, UnitPrice


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    product_id: UUID
    quantity: Quantity
    unit_price: UnitPrice | None = None
    discount_percent: Percent | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    party_id: UUID
    lines: list[Line]
    reference: Name | None = None
    order_date: date | None = None
    deliver_at: Timestamp | None = None
    copies: Count = 1
    rounding: Literal["line", "document"] | None = None
    express: bool = False
    freight: dict[str, Amount] = {}


decode = BodyDecoder(Order)
PARTY = str(uuid4())


def order(**changes: Any) -> dict[str, Any]:
    line = {"product_id": PARTY, "quantity": "3", "unit_price": "12.495", "discount_percent": "5"}
    return {"party_id": PARTY, "reference": "PO 4711: x", "lines": [line], **changes}


def refusal(body: Any) -> DomainError:
    with pytest.raises(DomainError) as refused:
        decode(json.dumps(body).encode())
    return refused.value


def with_line(**changes: Any) -> dict[str, Any]:
    return order(lines=[{"product_id": PARTY, "quantity": "3", **changes}])


def test_a_right_body_is_decoded() -> None:
    found = decode(json.dumps(order(order_date="2024-05-01", deliver_at="2024-05-01T10:00:00+02:00")).encode())
    assert (found.lines[0].quantity, found.order_date, found.copies) == ("3", date(2024, 5, 1), 1)
    assert found.deliver_at == datetime.fromisoformat("2024-05-01T08:00:00+00:00")


@pytest.mark.parametrize("field", ["tenant_id", "id", "state", "total", "version", "created_by", "is_admin", "role"])
def test_fields_nobody_may_set_are_unknown(field: str) -> None:
    found = refusal(order(**{field: "x"}))
    assert (type(found), found.pointer, found.status) == (UnknownField, f"/{field}", 422)
    assert refusal(with_line(**{field: "x"})).pointer == f"/lines/0/{field}"


def test_whoever_misspells_a_field_is_told_which_there_are() -> None:
    found = refusal(with_line(quantiy="3"))
    assert found.facts["known"] == ["discount_percent", "product_id", "quantity", "unit_price"]


@pytest.mark.parametrize("value", ["lines", "", "LINE"])
def test_a_value_outside_the_named_ones_is_refused_with_those(value: str) -> None:
    found = refusal(order(rounding=value))
    assert (type(found), found.pointer, found.facts["known"]) == (Invalid, "/rounding", ["document", "line"])


def test_a_missing_field_is_named() -> None:
    found = refusal({"party_id": PARTY, "lines": [{"product_id": PARTY}]})
    assert (type(found), found.pointer) == (MissingField, "/lines/0/quantity")


@pytest.mark.parametrize("number", [1, 1.5, -1, 0, 1e300, 2**70])
@pytest.mark.parametrize("field", ["quantity", "unit_price", "discount_percent"])
def test_a_number_where_a_string_belongs_is_called_by_its_name(field: str, number: float) -> None:
    found = refusal(with_line(**{field: number}))
    assert (type(found), found.pointer) == (AmountMustBeString, f"/lines/0/{field}")


def test_amounts_inside_mappings_too() -> None:
    found = refusal(order(freight={"ups": 9}))
    assert (type(found), found.pointer) == (AmountMustBeString, "/freight")


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "1E+999999999", "1e2", "-0", "1_000", "１２", "1.1234567", "9" * 40, ""]
)
def test_a_string_that_is_no_amount_is_refused_before_anybody_calculates(text: str) -> None:
    started = time.perf_counter()
    found = refusal(with_line(unit_price=text))
    assert (type(found), found.pointer) == (InvalidAmount, "/lines/0/unit_price")
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("value", ["1", 1.0, True, None, 2**31, 2**63, -1, "one", [], {}])
def test_whole_numbers_are_taken_literally(value: Any) -> None:
    found = refusal(order(copies=value))
    assert (type(found), found.pointer) == (Invalid, "/copies")


def test_a_whole_number_written_as_a_float_is_a_float() -> None:
    with pytest.raises(Invalid):
        decode(json.dumps(order()).encode().replace(b'"lines"', b'"copies": 1e2, "lines"'))


@pytest.mark.parametrize("value", ["true", 1, 0, "yes", None])
def test_booleans_are_taken_literally(value: Any) -> None:
    assert refusal(order(express=value)).pointer == "/express"


@pytest.mark.parametrize(
    "value",
    ["0000-01-01", "10000-01-01", "2024-02-30", "2024-1-1", "01.02.2024", "2024-05-01T00:00:00Z", 20240501, ""],
)
def test_a_business_date_is_a_day_of_the_calendar(value: Any) -> None:
    assert refusal(order(order_date=value)).pointer == "/order_date"


@pytest.mark.parametrize(
    "value", ["2024-05-01T10:00:00", "2024-05-01", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", 1714550400]
)
def test_a_moment_has_a_zone(value: Any) -> None:
    assert refusal(order(deliver_at=value)).pointer == "/deliver_at"


@pytest.mark.parametrize("raw", [b"null", b"3", b'"x"', b"true"])
def test_a_body_that_is_no_object_is_not_the_right_json(raw: bytes) -> None:
    with pytest.raises(InvalidJson):
        decode(raw)


def test_an_array_instead_of_an_object_is_a_wrong_value() -> None:
    with pytest.raises(Invalid):
        decode(b"[]")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["party_id", "lines", "reference", "order_date", "deliver_at", "copies", "freight"]), json_values
)
def test_whatever_stands_in_a_field_is_taken_or_refused_by_name(field: str, value: Any) -> None:
    found: DomainError | None = None
    try:
        decode(json.dumps(order(**{field: value})).encode())
    except DomainError as refused:
        found = refused
    if found is not None:
        assert found.status in (400, 422)
        assert found.pointer is None or found.pointer.startswith(f"/{field}")


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"application/json; charset=utf-8",
        b"Application/JSON;charset=UTF-8",
        b'application/json; charset="utf-8"',
    ],
)
def test_json_in_utf8_may_be_announced_in_these_ways(content_type: bytes) -> None:
    check_json(content_type, None)
    check_json(content_type, b"identity")


@pytest.mark.parametrize(
    "content_type",
    [
        None, b"", b"text/plain", b"application/json; charset=utf-16", b"application/json; charset=latin-1",
        b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/jsonx", b"application/json; a=b",
        b"application/json, text/plain", b"application/vnd.api+json",
    ],
)  # fmt: skip
def test_everything_else_is_another_media_type(content_type: bytes | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_json(content_type, None)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"identity, gzip", b""])
def test_compressed_bodies_are_not_read(encoding: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_json(b"application/json", encoding)
