"""Features of the fleet over HTTP, for the platform's operator."""

from dataclasses import replace

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform
from erp.http.request import ApiRequest
from erp.operations.features import Activation, agreement_on, features_view, known_feature
from erp.operations.features_schemas import FeatureChangedView, FeatureInput, FeaturesView
from erp.tenants.operator_routes import require_operator


async def _never(*_: object) -> None:
    raise AssertionError("the route puts the command in, which needs the agreement")


ACTIVATE = Command("features.activate", _never, "platform:write", FeatureInput)
DEACTIVATE = Command("features.deactivate", _never, "platform:write", FeatureInput)

#: None in batches: a feature is the fleet's, not a tenant's.
COMMANDS: tuple[Command, ...] = ()


@get("/features", summary="List features")
async def list_features(request: ApiRequest) -> Reply[FeaturesView]:
    """What this release can do once every instance can, and whether it does."""
    require_operator(request)
    services = request.context.services
    return Reply(encode_json(features_view(services.configuration, await services.instance.registry.roll())))


@post("/features/{feature:str}/activate", status_code=200, summary="Activate a feature")
async def activate_feature(request: ApiRequest, feature: str, data: FeatureInput) -> Reply[FeatureChangedView]:
    """Asks every live instance whether it can, and turns the feature on when all of them have said yes.

    Otherwise 409 with the names of those that cannot and of those that did not answer. An instance that does not
    know an active feature and joins later is not ready and says why.
    """
    require_operator(request)
    known = known_feature(feature)
    agreement = await agreement_on(request.context.services.instance, known)
    return await perform(request, replace(ACTIVATE, run=Activation(known, agreement)), data)


@post("/features/{feature:str}/deactivate", status_code=200, summary="Deactivate a feature")
async def deactivate_feature(request: ApiRequest, feature: str, data: FeatureInput) -> Reply[FeatureChangedView]:
    """Needs nobody's consent: whoever knows a feature can do without it."""
    require_operator(request)
    known = known_feature(feature)
    return await perform(request, replace(DEACTIVATE, run=Activation(known, None)), data)


router = Router(
    "/v1", route_handlers=[list_features, activate_feature, deactivate_feature], tags=["Fleet (operator)"]
)
