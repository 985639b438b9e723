"""A sales order rebuilt from its events, and the same picture of the stored one."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from erp.eventstore.folding import Folded, StreamEvent, Until, upcast, upcaster
from erp.kernel.quantity import quantity_text
from erp.sales.rows import LineRow, OrderRow
from erp.sales.saving import line_facts, order_facts, order_terms

AGGREGATE: Final = "sales_order"
_MOVING = ("cancelled", "delivered", "returned")
#: What every event of an order tells of it as a whole.
_HEADER = (
    "number", "state", "party_id", "date", "location_id", "currency", "net", "tax", "gross", "line_count",
    "external_id", "prices_include_tax", "tax_rounding", "payment_terms_days", "reference", "text", "cancel_reason",
    "direct", "confirmed_at",
)  # fmt: skip
#: Kinds of events that replace the lines, and kinds that say how far they came. There are no others: an unknown one
#: ends the fold instead of being passed over.
_WHOLE: Final = frozenset({"created", "updated", "sold"})
_STEPS: Final = frozenset({"confirmed", "reserved", "delivered", "returned", "cancelled", "invoiced"})


def stored_order(order: OrderRow, lines: Sequence[LineRow]) -> dict[str, Any]:
    """The stored order in the form the fold has."""
    return {
        **order_facts(order), **order_terms(order), "version": order.version,
        "created_at": order.created_at.isoformat(),
        "lines": [
            {
                **line_facts(line, order.currency), "cancelled": quantity_text(line.cancelled),
                "returned": quantity_text(line.returned),
            }
            for line in lines
        ],
    }  # fmt: skip


def fold_order(events: Iterable[StreamEvent], until: Until = Until()) -> Folded:  # frozen
    """The order after these events, in the order of their versions."""
    state: dict[str, Any] = {}
    lines: list[dict[str, Any]] = []
    version, at, broken = 0, None, ""
    for stored in events:
        if not until.covers(stored.version, stored.occurred_at):
            break
        if stored.version != version + 1:
            broken = f"version {version + 1} is missing"
            break
        event = upcast(stored)
        what = event.type.removeprefix("sales_order.")
        if what not in _WHOLE | _STEPS:
            broken = f"{event.type} is not known"
            break
        if not state:
            state["created_at"] = event.occurred_at.isoformat()
        state |= {name: event.data[name] for name in _HEADER if name in event.data}
        lines = _lines_after(lines, what, event.data)
        version, at = event.version, event.occurred_at
    if version:
        state |= {"version": version, "lines": lines}
    complete = bool(state) and all(name in state for name in _HEADER)
    complete = complete and all(name in line for line in lines for name in (*_MOVING, "description"))
    return Folded(version, at, state, complete, broken)


def _lines_after(lines: list[dict[str, Any]], what: str, data: dict[str, Any]) -> list[dict[str, Any]]:
    told = data.get("lines") or ()
    if what in _WHOLE or (what == "confirmed" and "lines" in data):
        return [{**line, "cancelled": "0", "returned": "0"} for line in told]
    after = {line["line_no"]: dict(line) for line in lines}
    for change in (*told, *data.get("progress", ())):
        line = after[change["line_no"]]
        for name in _MOVING:
            if name in change and name in line:
                line[name] = quantity_text(Decimal(line[name]) + Decimal(change[name]))
    for name in data.get("untold", ()):
        for line in after.values():
            if name != "delivered" or line["kind"] != "stocked":
                line.pop(name, None)
    return list(after.values())


@upcaster(AGGREGATE, 1)
def _with_progress(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    """Form 1 said nothing of services at a confirmation or cancellation, nor which lines came back (`untold`)."""
    what = type_.removeprefix("sales_order.")
    whole = what in _WHOLE or (what == "confirmed" and "lines" in data)
    if whole:
        return {**data, "lines": [_line_of_form_2(what, line) for line in data.get("lines", ())]}
    if what in ("confirmed", "cancelled"):
        return {**data, "untold": ["delivered"]}
    if what == "returned":
        return {**data, "untold": ["returned"]}
    return data


def _line_of_form_2(what: str, line: dict[str, Any]) -> dict[str, Any]:
    rendered = what == "sold" or (what == "confirmed" and line["kind"] != "stocked")
    return {**line, "delivered": line["quantity"] if rendered else "0"}
