"""The transition table of orders, without a database."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from erp.kernel.errors import InvalidState
from erp.sales.order_state import ACTIONS, STATES, TRANSITIONS, check, progress_of, state_after


@dataclass(frozen=True)
class Line:
    goods: bool
    wanted: Decimal
    open: Decimal
    delivered: Decimal


def goods(quantity: int, delivered: int = 0) -> Line:
    return Line(True, Decimal(quantity), Decimal(quantity - delivered), Decimal(delivered))


def service(quantity: int) -> Line:
    return Line(False, Decimal(quantity), Decimal(0), Decimal(quantity))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_step_that_is_not_in_the_table_is_refused(state: str, action: str) -> None:
    if (state, action) in TRANSITIONS:
        check(state, action)  # type: ignore[arg-type]  # parametrized
        return
    with pytest.raises(InvalidState) as refusal:
        check(state, action)  # type: ignore[arg-type]  # parametrized
    assert state not in refusal.value.facts["allowed_in"]


def test_the_table_names_only_states_and_actions() -> None:
    assert {state for state, _ in TRANSITIONS} <= set(STATES)
    assert {action for _, action in TRANSITIONS} == set(ACTIONS)
    assert set().union(*TRANSITIONS.values()) <= set(STATES)


def test_nothing_leads_out_of_cancelled_and_nothing_back_to_draft() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] == "cancelled"]
    assert not [pair for pair, targets in TRANSITIONS.items() if "draft" in targets and pair[0] != "draft"]


def test_progress_follows_from_the_lines() -> None:
    assert progress_of([goods(3), goods(2)]) == "confirmed"
    assert progress_of([goods(3, 1), goods(2)]) == "partially_delivered"
    assert progress_of([goods(3, 3), goods(0)]) == "delivered"
    assert progress_of([goods(0)]) == "cancelled"


def test_services_are_rendered_by_confirming_and_do_not_count_as_a_delivery() -> None:
    assert progress_of([service(1)]) == "delivered"
    assert progress_of([service(1), goods(2)]) == "confirmed"


def test_a_step_cannot_lead_where_the_table_does_not_say() -> None:
    with pytest.raises(InvalidState):
        state_after("confirmed", "deliver", [goods(3)])
