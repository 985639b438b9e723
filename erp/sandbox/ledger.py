"""The sandbox provider's own books: payments and the operations asked of them, in SQLite, written through to disk."""

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from erp.fulfilment.port import LedgerPayment, PaymentAnswer, PaymentRequest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    account text NOT NULL, payment text NOT NULL, currency text NOT NULL, state text NOT NULL,
    authorised text NOT NULL, captured text NOT NULL, refunded text NOT NULL, PRIMARY KEY (account, payment));
CREATE TABLE IF NOT EXISTS operations (
    key text PRIMARY KEY, account text NOT NULL, payment text NOT NULL, operation text NOT NULL,
    request text NOT NULL, accepted integer NOT NULL, amount text NOT NULL, code text NOT NULL,
    asked integer NOT NULL DEFAULT 1);
"""
_ZERO = Decimal(0)


class KeyReused(Exception):
    """The key stands for another request already."""


class _Payment:
    """One payment while an operation looks at it. `state`: new, authorised, captured, closed."""

    def __init__(self, row: tuple[str, str, str, str] | None) -> None:
        self.state, *amounts = row or ("new", "0", "0", "0")
        self.authorised, self.captured, self.refunded = (Decimal(amount) for amount in amounts)


class Ledger:
    """`perform` is one SQLite transaction; equal requests under one key are one operation for ever."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def find(self, key: str) -> PaymentAnswer | None:
        row = self._db.execute("SELECT accepted, amount, code FROM operations WHERE key = ?", (key,)).fetchone()
        return None if row is None else PaymentAnswer(key=key, accepted=bool(row[0]), amount=row[1], code=row[2])

    def perform(self, key: str, request: PaymentRequest, *, decline: bool = False) -> PaymentAnswer:
        """Raises KeyReused."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            answer = self._once(key, request, decline)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return answer

    def _once(self, key: str, request: PaymentRequest, decline: bool) -> PaymentAnswer:
        known = self._db.execute("SELECT request FROM operations WHERE key = ?", (key,)).fetchone()
        if known is not None:
            if known[0] != repr(request):
                raise KeyReused(key)
            self._db.execute("UPDATE operations SET asked = asked + 1 WHERE key = ?", (key,))
            answer = self.find(key)
            assert answer is not None
            return answer
        answer = self._decide(key, request, decline)
        self._db.execute(
            "INSERT INTO operations (key, account, payment, operation, request, accepted, amount, code)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key, request.account, request.payment, request.operation, repr(request), answer.accepted,
                answer.amount, answer.code,
            ),
        )  # fmt: skip
        return answer

    def _decide(self, key: str, request: PaymentRequest, decline: bool) -> PaymentAnswer:
        payment = _Payment(
            self._db.execute(
                "SELECT state, authorised, captured, refunded FROM payments WHERE account = ? AND payment = ?",
                (request.account, request.payment),
            ).fetchone()
        )
        try:
            amount = _declined() if decline else _RULES[request.operation](payment, Decimal(request.amount))
        except _Refused as refusal:
            return PaymentAnswer(key=key, accepted=False, amount="0", code=str(refusal))
        self._db.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, payment) DO UPDATE SET"
            " state = excluded.state, authorised = excluded.authorised, captured = excluded.captured,"
            " refunded = excluded.refunded",
            (
                request.account, request.payment, request.currency, payment.state, str(payment.authorised),
                str(payment.captured), str(payment.refunded),
            ),
        )  # fmt: skip
        return PaymentAnswer(key=key, accepted=True, amount=str(amount))

    def payments(self, account: str, after: str, limit: int) -> list[LedgerPayment]:
        rows = self._db.execute(
            "SELECT payment, currency, captured, refunded FROM payments WHERE account = ? AND payment > ?"
            " ORDER BY payment LIMIT ?",
            (account, after, limit),
        )
        return [LedgerPayment(payment=row[0], currency=row[1], captured=row[2], refunded=row[3]) for row in rows]

    def operations(self, account: str) -> list[dict[str, object]]:
        """What was asked, in the order it was first asked; `asked`: how often."""
        rows = self._db.execute(
            "SELECT key, payment, operation, accepted, amount, code, asked FROM operations WHERE account = ?"
            " ORDER BY rowid",
            (account,),
        )
        names = ("key", "payment", "operation", "accepted", "amount", "code", "asked")
        return [dict(zip(names, row, strict=True)) for row in rows]


class _Refused(Exception):
    """The code of a refusal."""


def _declined() -> Decimal:
    raise _Refused("declined")


def _authorise(payment: _Payment, amount: Decimal) -> Decimal:
    if payment.state != "new":
        raise _Refused("payment-closed" if payment.state == "closed" else "already-authorised")
    payment.state, payment.authorised = "authorised", amount
    return amount


def _capture(payment: _Payment, amount: Decimal) -> Decimal:
    if payment.state != "authorised" or amount > payment.authorised:
        raise _Refused("payment-closed" if payment.state == "closed" else "not-authorised")
    payment.state, payment.captured = "captured", amount
    return amount


def _void(payment: _Payment, amount: Decimal) -> Decimal:
    if payment.captured > payment.refunded:
        raise _Refused("captured")
    payment.state = "closed"
    return _ZERO


def _refund(payment: _Payment, amount: Decimal) -> Decimal:
    """All that was captured; a capture that has not arrived is refused from now on."""
    back = payment.captured - payment.refunded
    payment.state, payment.refunded = "closed", payment.captured
    return back


_RULES: dict[str, Callable[[_Payment, Decimal], Decimal]] = {
    "authorise": _authorise,
    "capture": _capture,
    "void": _void,
    "refund": _refund,
}
