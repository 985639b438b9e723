"""Stock over HTTP: what is there, how it moved, who holds it. Places have their own module."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, read_one, show
from erp.http.errors import MissingField
from erp.http.listing import Page, list_page
from erp.http.parameters import query_of
from erp.http.request import ApiRequest
from erp.inventory import correction_routes, place_routes, service
from erp.inventory.adjustment_repository import AdjustmentRow
from erp.inventory.adjustments import adjustment_summary, adjustment_view
from erp.inventory.claims import claims_of_adjustments, claims_of_new_reservations, claims_of_reservations
from erp.inventory.history import ON_HAND_THEN, TOTAL, VALUATION_NOW, VALUATION_THEN, OnHandRow, ValuationRow
from erp.inventory.queries import (
    ADJUSTMENT,
    ADJUSTMENT_LINES,
    ADJUSTMENTS,
    LEVELS,
    MOVES,
    PLACES,
    PRODUCT,
    RESERVATION,
    RESERVATIONS,
    MoveRow,
)
from erp.inventory.reservations import reservation_view
from erp.inventory.schemas import (
    AdjustmentSummary,
    AdjustmentView,
    AvailabilityView,
    CreateAdjustmentInput,
    CreateReservationInput,
    ExtendReservationInput,
    LevelView,
    MoveView,
    OnHandView,
    ReservationView,
    ValuationTotalView,
    ValuationView,
)
from erp.inventory.views import (
    availability_view,
    level_view,
    move_view,
    on_hand_view,
    total_view,
    valuation_view,
)
from erp.kernel.errors import NotFound
from erp.kernel.text import Date

RESERVE = Command(
    "reservations.create", service.create_reservation, "reservations:write", CreateReservationInput, status=201,
    key="required", claims=claims_of_new_reservations,
)  # fmt: skip
EXTEND = Command(
    "reservations.extend", service.extend_reservation, "reservations:write", ExtendReservationInput, target=True,
    match="accepted", claims=claims_of_reservations,
)  # fmt: skip
RELEASE = Command(
    "reservations.release", service.release_reservation, "reservations:write", target=True, key="required",
    match="accepted", claims=claims_of_reservations,
)  # fmt: skip
ADJUST = Command(
    "stock_adjustments.create", service.create_adjustment, "stock:write", CreateAdjustmentInput, status=201,
    key="required", claims=claims_of_adjustments,
)  # fmt: skip
COMMANDS = (RESERVE, EXTEND, RELEASE, ADJUST, *place_routes.COMMANDS)


@get("/stock-levels", summary="List stock levels", opt={"listing": LEVELS})
async def list_levels(request: ApiRequest) -> Reply[Page[LevelView]]:
    """What is on hand, reserved, available and incoming, per product and location; `low=true` for what to reorder."""
    page: Reply[Any] = await list_page(request, "stock:read", LEVELS, level_view)
    return page


@get("/products/{product_id:uuid}/availability", summary="Read a product's availability", tags=["Products"])
async def get_availability(request: ApiRequest, product_id: UUID) -> Reply[AvailabilityView]:
    """Over all locations and in each. It is what a document may take at this moment, not a promise: reserve it."""
    found, places = await read(request, "stock:read", PRODUCT(product_id=product_id), PLACES(product_id=product_id))
    if not found:
        raise NotFound(product_id=str(product_id))
    return show(availability_view(found[0], places))


@get("/stock-moves", summary="List stock moves", opt={"listing": MOVES})
async def list_moves(request: ApiRequest) -> Reply[Page[MoveView]]:
    """Every change of a quantity, with its cost and the journal line that carries it. Moves are never changed."""
    currency = request.caller.tenant.base_currency

    def view(row: MoveRow) -> MoveView:
        return move_view(row, currency)

    page: Reply[Any] = await list_page(request, "stock:read", MOVES, view)
    return page


@get("/stock-valuation", summary="List the valuation of stock", opt={"listing": VALUATION_THEN})
async def list_valuation(request: ApiRequest) -> Reply[Page[ValuationView]]:
    """Quantity, value and moving average of each product in stock; with `as_of` at the end of that day."""
    currency = request.caller.tenant.base_currency

    def view(row: ValuationRow) -> ValuationView:
        return valuation_view(row, currency)

    listing = VALUATION_THEN if "as_of" in query_of(request.scope) else VALUATION_NOW
    page: Reply[Any] = await list_page(request, "stock:read", listing, view)
    return page


@get("/stock-valuation/total", summary="Value all stock")
async def get_valuation_total(request: ApiRequest, as_of: Date) -> Reply[ValuationTotalView]:
    """What all stock was worth at the end of a day, beside the inventory account: the two are equal."""
    [[total]] = await read(request, "stock:read", TOTAL(as_of=as_of))
    return show(total_view(total, as_of, request.caller.tenant.base_currency))


@get(
    "/stock-on-hand", summary="List stock on hand as of a day",
    opt={"listing": ON_HAND_THEN, "required": ("as_of",)},
)  # fmt: skip
async def list_on_hand(request: ApiRequest) -> Reply[Page[OnHandView]]:
    """What was in each location at the end of the day `as_of`."""
    if "as_of" not in query_of(request.scope):
        raise MissingField("Name the day: `?as_of=2026-03-31`.", pointer="as_of", source="query")

    def view(row: OnHandRow) -> OnHandView:
        return on_hand_view(row)

    page: Reply[Any] = await list_page(request, "stock:read", ON_HAND_THEN, view)
    return page


@post("/reservations", summary="Reserve stock")
async def create_reservation(request: ApiRequest, data: CreateReservationInput) -> Reply[ReservationView]:
    """Holds stock until it expires. Sales orders reserve by themselves when they are confirmed."""
    return await perform(request, RESERVE, data)


@post("/reservations/{reservation_id:uuid}/extend", status_code=200, summary="Extend a reservation")
async def extend_reservation(
    request: ApiRequest, reservation_id: UUID, data: ExtendReservationInput | None = None
) -> Reply[ReservationView]:
    """Gives it a new end. A reservation past its end can be extended as long as nothing has freed it yet."""
    return await perform(request, EXTEND, data, reservation_id)


@post("/reservations/{reservation_id:uuid}/release", status_code=200, summary="Release a reservation")
async def release_reservation(request: ApiRequest, reservation_id: UUID) -> Reply[ReservationView]:
    """Gives back what it still holds."""
    return await perform(request, RELEASE, None, reservation_id)


@get("/reservations/{reservation_id:uuid}", summary="Read a reservation")
async def get_reservation(request: ApiRequest, reservation_id: UUID) -> Reply[ReservationView]:
    found = await read_one(
        request, "reservations:read", RESERVATION(reservation_id=reservation_id), reservation_id=reservation_id
    )
    return show(reservation_view(found))


@get("/reservations", summary="List reservations", opt={"listing": RESERVATIONS})
async def list_reservations(request: ApiRequest) -> Reply[Page[ReservationView]]:
    """By state, product, location, document or end."""
    page: Reply[Any] = await list_page(request, "reservations:read", RESERVATIONS, reservation_view)
    return page


@post("/stock-adjustments", summary="Adjust stock")
async def create_adjustment(request: ApiRequest, data: CreateAdjustmentInput) -> Reply[AdjustmentView]:
    """Writes off what is lost and takes on what is found, with its reason, number and journal entry."""
    return await perform(request, ADJUST, data)


@get("/stock-adjustments/{adjustment_id:uuid}", summary="Read a stock adjustment")
async def get_adjustment(request: ApiRequest, adjustment_id: UUID) -> Reply[AdjustmentView]:
    found, lines = await read(
        request, "stock:read", ADJUSTMENT(adjustment_id=adjustment_id), ADJUSTMENT_LINES(adjustment_id=adjustment_id)
    )
    if not found:
        raise NotFound(adjustment_id=str(adjustment_id))
    return show(adjustment_view(found[0], lines, request.caller.tenant.base_currency))


@get("/stock-adjustments", summary="List stock adjustments", opt={"listing": ADJUSTMENTS})
async def list_adjustments(request: ApiRequest) -> Reply[Page[AdjustmentSummary]]:
    currency = request.caller.tenant.base_currency

    def view(row: AdjustmentRow) -> AdjustmentSummary:
        return adjustment_summary(row, currency)

    page: Reply[Any] = await list_page(request, "stock:read", ADJUSTMENTS, view)
    return page


router = Router(
    "/v1",
    route_handlers=[
        list_levels, get_availability, list_moves, list_valuation, get_valuation_total, list_on_hand,
        create_reservation, extend_reservation, release_reservation, get_reservation, list_reservations,
        create_adjustment, get_adjustment, list_adjustments, *correction_routes.HANDLERS, *place_routes.HANDLERS,
    ],
    tags=["Stock"],
)  # fmt: skip
