"""What another process does to the same Redis; started by the tests with `python -m`.

Every scenario says `ready`, waits for a line, acts, and prints one line of result. It runs on uvloop, as
the API does.
"""

import asyncio
import random
import sys
import uuid

import uvloop

from db.errors import LockTimeout
from db.redis import Script, connect
from tenancy.admission import Gatekeeper
from tenancy.limits import tenant_limit
from tenancy.lock_store import ACQUIRE, LockScripts
from tenancy.locks import LockService


def overwriting_acquire() -> Script:
    return Script(ACQUIRE.source.replace("lock[1] ~= token", "false"))


async def told() -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def admit(url: str, tenant: str, requests: str, allowed: str, window_ms: str) -> None:
    """Sends requests against one tenant limit; prints how many passed and how many were judged locally."""
    gatekeeper = Gatekeeper(connect(url, timeout=1.0))
    await gatekeeper.start()
    tenant_id = uuid.UUID(tenant)
    limits = (tenant_limit(tenant_id, int(allowed), int(window_ms)),)
    await told()
    answers = await asyncio.gather(
        *(gatekeeper.admit(tenant_id, uuid.uuid4(), limits, False) for _ in range(int(requests)))
    )
    print(sum(a.allowed for a in answers), sum(a.degraded for a in answers), flush=True)
    await gatekeeper.close()


async def contend(url: str, tenant: str, tasks: str, rounds: str, keys: str, planted: str) -> None:
    """Enters sections guarded by 1-3 of `keys` names; prints entries, overlaps seen and waits given up.

    `planted`: with a script that grants what another token holds.
    """
    redis = connect(url, timeout=1.0)
    scripts = LockScripts(acquire=overwriting_acquire()) if planted == "True" else LockScripts()
    locks = LockService(redis, wait=20, scripts=scripts)
    await locks.start()
    names = [f"stock:{number:032x}" for number in range(int(keys))]
    entries = overlaps = given_up = 0

    async def one() -> None:
        nonlocal entries, overlaps, given_up
        for _ in range(int(rounds)):
            chosen = random.sample(names, random.randint(1, min(3, len(names))))
            try:
                async with locks.hold(uuid.UUID(tenant), chosen):
                    inside = [await redis.incr(f"inside:{name}") for name in chosen]
                    overlaps += inside != [1] * len(chosen)
                    entries += 1
                    await asyncio.sleep(0)
                    for name in chosen:
                        await redis.decr(f"inside:{name}")
            except LockTimeout:
                given_up += 1

    await told()
    await asyncio.gather(*(one() for _ in range(int(tasks))))
    print(entries, overlaps, given_up, flush=True)
    await locks.close()


async def hold(url: str, tenant: str, name: str, ttl: str) -> None:
    """Takes a lock, says `held`, keeps it until told to release; prints whether it noticed a loss."""
    locks = LockService(connect(url, timeout=0.5), ttl=float(ttl))
    handle = await locks.acquire(uuid.UUID(tenant), [name])
    assert not handle.degraded
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    locks.release(handle)
    await locks.close()
    print("lost" if handle.lost else "kept", flush=True)


if __name__ == "__main__":
    scenario = {"admit": admit, "contend": contend, "hold": hold}[sys.argv[1]]
    uvloop.run(scenario(*sys.argv[2:]))  # type: ignore[operator]
