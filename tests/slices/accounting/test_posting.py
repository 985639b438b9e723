"""Deciding where and how to post: pure, without a database."""

from calendar import monthrange
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.identifiers import new_id
from erp.accounting.chart import CONTROL_ROLES, ROLES, TEMPLATES, Template
from erp.accounting.errors import (
    AccountRoleMissing,
    EntryUnbalanced,
    NoOpenPeriod,
    NoPeriod,
    OverAllocation,
    PeriodClosed,
    RoundingTooLarge,
)
from erp.accounting.open_items import Demand, OpenItemRow, settle
from erp.accounting.periods import TRANSITIONS, months_from
from erp.accounting.posting import PeriodRow, Posting, RoleRow, check_balanced, open_ledger, rounded

MARCH = PeriodRow(new_id(), date(2026, 3, 1), date(2026, 3, 31), True)
BANK = RoleRow("bank", "1010")


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.name)
def test_every_chart_fills_every_role_once(template: Template) -> None:
    assert sorted(template.roles) == sorted(ROLES)
    assert len(template.roles.values()) == len(set(template.roles.values()))
    codes = [code for code, _, _, _ in template.accounts]
    names = [name for _, _, name, _ in template.accounts]
    assert len(set(codes)) == len(codes)
    assert len(set(names)) == len(names)


def test_control_accounts_are_roles() -> None:
    assert set(ROLES) > CONTROL_ROLES


def test_a_closed_period_is_never_left() -> None:
    assert TRANSITIONS["closed"] == frozenset()
    assert all(state in TRANSITIONS for targets in TRANSITIONS.values() for state in targets)


@given(first=st.dates(date(1900, 1, 1), date(2100, 1, 1)), months=st.integers(1, 120))
def test_months_follow_each_other_without_gap(first: date, months: int) -> None:
    spans = months_from(first, months)
    assert spans[0][0] == first.replace(day=1)
    for (start, end), (following, _) in pairwise(spans):
        assert end.day == monthrange(start.year, start.month)[1]
        assert (following - end).days == 1


def test_an_open_period_takes_the_documents_own_date() -> None:
    ledger = open_ledger([MARCH], [BANK], date(2026, 3, 31))
    assert (ledger.date, ledger.date_shifted, ledger.period_id) == (date(2026, 3, 31), False, MARCH.id)
    assert ledger.account("@bank") == "1010"
    assert ledger.account("4711") == "4711"
    with pytest.raises(AccountRoleMissing):
        ledger.account("@revenue")


def test_a_date_in_a_closed_period_moves_to_the_first_open_day() -> None:
    late = date(2026, 2, 10)
    ledger = open_ledger([MARCH], [BANK], late)
    assert (ledger.date, ledger.document_date, ledger.date_shifted) == (date(2026, 3, 1), late, True)
    with pytest.raises(PeriodClosed):
        open_ledger([MARCH], [BANK], late, strict_date=True)


def test_a_date_before_the_books_or_after_them_is_refused() -> None:
    with pytest.raises(NoPeriod):
        open_ledger([MARCH._replace(covered=False)], [BANK], date(2020, 2, 10))
    with pytest.raises(NoOpenPeriod):
        open_ledger([], [BANK], date(2030, 1, 1))


def test_rounding_closes_a_small_difference_and_refuses_a_large_one() -> None:
    entry = [Posting("@bank", Decimal("10.01")), Posting("@revenue", Decimal("-10.00"))]
    closed = rounded(entry, "GBP", lines=2)
    assert closed[-1] == Posting("@rounding", Decimal("-0.01"), text="Rounding")
    check_balanced(closed)
    with pytest.raises(RoundingTooLarge) as refused:
        rounded(entry, "GBP", lines=1)
    assert refused.value.facts == {"difference": "0.01", "largest": "0.005"}
    with pytest.raises(EntryUnbalanced):
        check_balanced(entry)
    assert rounded(closed, "JPY", lines=0) == closed


def _item(amount: str, number: str) -> OpenItemRow:
    day, party = date(2026, 3, 1), new_id()
    return OpenItemRow(
        new_id(), party, "receivable", "debit", "invoice", new_id(), number, day, day, "GBP", Decimal(100),
        Decimal(amount), 1,
    )  # fmt: skip


@given(
    opens=st.lists(st.integers(0, 100), min_size=1, max_size=4),
    asked=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), min_size=1, max_size=8),
    available=st.integers(0, 200),
)
def test_settling_gives_everything_asked_for_or_nothing(
    opens: list[int], asked: list[tuple[int, int]], available: int
) -> None:
    items = [_item(str(amount), f"INV-{index}") for index, amount in enumerate(opens)]
    chosen = [(items[index % len(items)], Decimal(amount)) for index, amount in asked]
    # An item may be named by its own id or by its document's.
    demands = [Demand(item.id if amount % 2 else item.document_id, amount) for item, amount in chosen]
    wanted = {item.id: sum((a for one, a in chosen if one is item), Decimal(0)) for item, _ in chosen}
    fits = all(wanted[item.id] <= item.open_amount for item, _ in chosen) and sum(wanted.values()) <= available
    if not fits:
        with pytest.raises(OverAllocation):
            settle(items, demands, available=Decimal(available), source="PAY-1")
        return
    settled = settle(items, demands, available=Decimal(available), source="PAY-1")
    assert {item.id: amount for item, amount in settled} == wanted
    assert [item.id for item, _ in settled] == sorted(wanted)
