"""What every measurement works on: a fleet, and the application's parts as one of its processes has them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from redis.asyncio import Redis

from db.redis import connect
from erp.runtime import Runtime, build_runtime
from erp.settings import load_settings
from loadtests.fleet import Fleet
from loadtests.tenant import make_tenant
from tenancy.caller import Caller


@dataclass(frozen=True, slots=True)
class Bench:
    """`caller`: the owner of a new tenant. `redis`: a plain client of the server that has locks and queues."""

    fleet: Fleet
    runtime: Runtime
    caller: Caller
    redis: Redis

    @property
    def tenant_id(self) -> UUID:
        return self.caller.tenant.id


@asynccontextmanager
async def bench_on(fleet: Fleet) -> AsyncIterator[Bench]:
    _, owner = await make_tenant(fleet, "Agreement")
    runtime = build_runtime(load_settings(environment_of(fleet, "agreement", "api")))
    async with AsyncExitStack() as stack:
        await runtime.open()
        stack.push_async_callback(runtime.close)
        redis = connect(fleet.plan.endpoints.redis_queue_url, timeout=5.0)
        stack.push_async_callback(redis.aclose)
        caller = (await runtime.identity.authenticate(owner)).caller
        yield Bench(fleet, runtime, caller, redis)


def environment_of(fleet: Fleet, instance: str, role: str) -> dict[str, str]:
    """Of one more process of the fleet."""
    return fleet.plan.endpoints.environment(instance, role)
