"""Secrets and personal data do not survive, ordinary business text does."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.redaction import REDACTED, is_secret_name, redact, redact_field, redact_text

KEY = "erp_" + "abcdefghijklmnopqrstuvwx27" + "_0123456789abcdef_" + "ab" * 25
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLWJ5dGVz"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"key {KEY} was used", KEY),
        (f"Authorization: Bearer {KEY}", KEY),
        ("authorization=Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        (f"token {JWT}", JWT),
        ("postgresql://erp_app:s3cr%2Ft@db.internal:6432/erp", "s3cr%2Ft"),
        ("cannot reach redis://:hunter2@cache:6379/1", "hunter2"),
        ("host=db user=erp_app password=hunter2 dbname=erp", "hunter2"),
        ('{"client_secret": "hunter2", "a": 1}', "hunter2"),
        ("X-Api-Key: hunter2;", "hunter2"),
        ("ERP_OPERATOR_KEY=hunter2", "hunter2"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPz\n-----END EC PRIVATE KEY-----", "MHcCAQEEIPz"),
        ("mail from jane.doe+x@example.co.uk bounced", "jane.doe"),
        ("paid to GB29 NWBK 6016 1331 9268 19 today", "NWBK"),
        ("DE89370400440532013000", "0532013000"),
    ],
)
def test_secret_text_is_replaced(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "order SO-2026-000123 confirmed",
        "product 85123A, WHITE HANGING HEART",
        "0190a5b2-7c3e-7d4f-8a9b-0c1d2e3f4a5b",
        "GET /v1/sales-orders/0190a5b2-7c3e-7d4f-8a9b-0c1d2e3f4a5b -> 200",
        "http://localhost:8000/health/ready",
        "role erp_app can bypass row-level security",
        "GB00 0000 0000 0000 00",
        "basic price of 12.50",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    ["password", "smtpPassword", "X-Api-Key", "api_key", "DATABASE_URL", "Set-Cookie", "refreshToken", "apikey",
     "ERP_REPLICA_URLS", "operator_key", "customer_email", "IBAN"],
)  # fmt: skip
def test_secret_names_are_known_in_every_spelling(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["order_id", "keyboard", "monkey", "tokenizer", "idempotency_key", "passenger"])
def test_harmless_names_are_not_mistaken(name: str) -> None:
    assert not is_secret_name(name)


def test_nested_structures_are_redacted_and_stay_json() -> None:
    found = redact({"headers": [{"authorization": "x"}], "tokens": 3, "raw": b"abc", "deep": {"dsn": "x"}})
    assert found == {
        "headers": [{"authorization": REDACTED}], "tokens": 3, "raw": "[3 bytes]", "deep": {"dsn": REDACTED},
    }  # fmt: skip


def test_a_structure_without_end_is_cut_at_the_depth() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert "again" in str(redact(loop))


def test_numbers_under_secret_names_stay() -> None:
    assert redact_field("token_count", 7) == 7
    assert redact_field("session", "abc") == REDACTED


@pytest.mark.parametrize(
    "text",
    ["a" * 60_000 + "@", "_a" * 30_000, "AB12" + " 1234" * 12_000, "://" + "a:" * 30_000, "password" * 8_000],
    ids=["mail", "underscores", "iban", "urls", "words"],
)
def test_hostile_text_costs_little(text: str) -> None:
    started = time.process_time()
    redact_text(text)
    assert time.process_time() - started < 1.0


@given(st.text(alphabet="abcXYZ019:/@=_-. \n\"'", max_size=60))
def test_a_password_in_a_url_never_survives(noise: str) -> None:
    assert "hunter2secret" not in redact_text(f"{noise} https://someone:hunter2secret@host/{noise}")
