"""Servers that are killed, frozen, emptied or hard to reach: PostgreSQL, PgBouncer, Redis."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import psycopg

from tests.faults.scenario import under_trade
from tests.faults.stage import Stage, Trade, until
from tests.faults.verdict import Check, at_most, none_of

#: How long a commit that was confirmed before a cut may take to reach its caller.
_ON_ITS_WAY = 1.0
#: A write's p95 while something beside the primary is slow or away, in milliseconds.
_SLOW = 500
#: PgBouncer tries again a fifth of a second after it was refused; its first new connection prepares every statement.
_RECONNECTED = 2.0
_STANDBYS = ("replica1", "replica2")
_REDIS = ("redis-core", "redis-cache")


async def kill_pooler(stage: Stage, trade: Trade) -> None:
    before = stage.pid("pgbouncer")
    stage.kill("pgbouncer")
    trade.checks.append(at_most("ready again after", await stage.restarted("pgbouncer", before), 30))


async def kill_primary(stage: Stage, trade: Trade) -> None:
    before = stage.pid("primary")
    stage.kill("primary")
    recovery = await until(lambda: stage.pid("primary") != before and _accepts(stage), 60, "the primary recovers")
    trade.healed = time.monotonic()
    await asyncio.sleep(3)
    trade.checks.append(at_most("errors after the recovery for", _felt_after(trade), _RECONNECTED))
    trade.checks.append(Check("recovered after", f"{recovery:.1f} s", "any", True))


def _felt_after(trade: Trade) -> float:
    return max([0.0, *(at - trade.healed for at in trade.history.troubles)])


def _accepts(stage: Stage) -> bool:
    with contextlib.suppress(psycopg.OperationalError), stage.database() as session:
        return session.execute("SELECT 1").fetchone() == (1,)
    return False


async def freeze_primary(stage: Stage, trade: Trade) -> None:
    with stage.frozen("primary"):
        frozen = time.monotonic()
        await asyncio.sleep(stage.seconds)
        done = trade.acknowledged(frozen + _ON_ITS_WAY, time.monotonic())
    trade.checks.append(Check("acknowledged meanwhile", str(done), "0", done == 0))
    trade.healed = time.monotonic()
    await asyncio.sleep(4)
    trade.checks.append(at_most("errors after it woke for", _felt_after(trade), 3.0))


async def kill_standby(stage: Stage, trade: Trade) -> None:
    before = stage.pid("replica1")
    stage.kill("replica1")
    await stage.restarted("replica1", before)


async def freeze_standbys(stage: Stage, trade: Trade) -> None:
    """Nobody can confirm a commit, so none may be called done."""
    with stage.frozen(*_STANDBYS):
        frozen = time.monotonic()
        await asyncio.sleep(stage.seconds)
        done = _acknowledged_late(trade, frozen)
    trade.checks.append(none_of("acknowledged while nobody confirms", done))


def _acknowledged_late(trade: Trade, frozen: float) -> list[str]:
    """Writes that were answered with 2xx so long after the cut that their confirmation cannot be older."""
    return [
        f"{deed.kind} {deed.mark} after {deed.answered_at - frozen:.1f} s, tries {deed.tries}"
        for deed in trade.history.deeds
        if deed.done and deed.answered_at > frozen + _ON_ITS_WAY
    ]


async def pause_replay(stage: Stage, trade: Trade) -> None:
    """Both standbys have what is written and do not show it."""
    _on_standbys(stage, "SELECT pg_wal_replay_pause()")
    try:
        await asyncio.sleep(stage.seconds)
    finally:
        _on_standbys(stage, "SELECT pg_wal_replay_resume()")


def _on_standbys(stage: Stage, sql: str) -> None:
    cluster = stage.fleet.plan.cluster
    for replica in cluster.replicas:
        with psycopg.connect(replica.dsn("postgres", cluster.credentials.superuser, "erp"), autocommit=True) as one:
            one.execute(sql.encode())


async def _all_read(stage: Stage, trade: Trade) -> list[Check]:
    return [none_of("reads not answered", trade.history.unread)]


async def hold_rows(stage: Stage, trade: Trade) -> None:
    """Somebody has the stock of everything locked and does not let go."""
    with psycopg.connect(stage.fleet.endpoints.superuser_url) as session:
        session.execute("SELECT 1 FROM stock_levels WHERE tenant_id = %s FOR UPDATE", [trade.shop.id])
        await asyncio.sleep(stage.seconds)
        session.rollback()


async def leave_a_transaction_open(stage: Stage, trade: Trade) -> None:
    """As the application's role, with a transaction number of its own: nothing behind it may be relayed."""
    address = stage.fleet.plan.cluster.primary.dsn("erp_app", stage.fleet.plan.cluster.credentials.erp_app, "erp")
    with psycopg.connect(address) as session:
        [[pid]] = session.execute("SELECT pg_backend_pid() FROM pg_current_xact_id()").fetchall()
        with stage.database() as looking:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
            took = await until(lambda: looking.execute(sql, [pid]).fetchone() == (0,), 30, "the server ends it")
        with contextlib.suppress(psycopg.Error):
            session.rollback()
    trade.checks.append(at_most("ended by the server after", took, 12))


# -- Redis


async def flush_redis(stage: Stage, trade: Trade) -> None:
    servers = stage.redis()
    for _ in range(max(2, int(stage.seconds))):
        for server in servers:
            server.flushall()
        await asyncio.sleep(1)
    for server in servers:
        server.close()


async def kill_redis(stage: Stage, trade: Trade) -> None:
    before = {name: stage.pid(name) for name in _REDIS}
    for name in _REDIS:
        stage.kill(name)
    for name in _REDIS:
        await stage.restarted(name, before[name])


async def _meanwhile(stage: Stage, trade: Trade, behind: Sequence[str], order: str, seconds: float = 0.0) -> None:
    """The proxies do as told for as long as a fault lasts; how much trade went on meanwhile is noted."""
    for name in behind:
        await stage.proxies[name].obey(order, seconds)
    try:
        since = time.monotonic()
        await asyncio.sleep(stage.seconds)
        done = trade.acknowledged(since, time.monotonic())
    finally:
        for name in behind:
            await stage.proxies[name].obey("pass")
    trade.healed = time.monotonic()
    trade.checks.append(Check("acknowledged meanwhile", str(done), "> 0", done > 0))
    usual, slow = trade.slowest_but_few(0, since), trade.slowest_but_few(since, trade.healed)
    trade.checks.append(at_most(f"p95 of a write ({usual * 1000:.0f} ms before)", slow * 1000, _SLOW, "ms"))


async def stop_redis(stage: Stage, trade: Trade) -> None:
    await _meanwhile(stage, trade, _REDIS, "refuse")


async def slow_redis(stage: Stage, trade: Trade) -> None:
    await _meanwhile(stage, trade, _REDIS, "delay", 0.2)


async def slower_redis(stage: Stage, trade: Trade) -> None:
    await _meanwhile(stage, trade, _REDIS, "delay", 0.06)


async def swallow_redis(stage: Stage, trade: Trade) -> None:
    await _meanwhile(stage, trade, _REDIS, "hole")


async def cut_off_standby(stage: Stage, trade: Trade) -> None:
    """It still receives from the primary; what the application sends it disappears."""
    await _meanwhile(stage, trade, ["replica1"], "hole")


async def refuse_standby(stage: Stage, trade: Trade) -> None:
    await _meanwhile(stage, trade, ["replica1"], "refuse")


SLOWER = "slower, never wrong: trade goes on"
SCENARIOS = (
    under_trade(
        "pooler-killed", "kill -9 of PgBouncer", "errors for 3 s, nothing lost or doubled", kill_pooler,
        window=lambda seconds: 3.0,
    ),
    under_trade(
        "primary-killed", "kill -9 of the primary, restarted in place",
        "acknowledged writes survive; errors end 2 s after its recovery", kill_primary,
    ),
    under_trade(
        "primary-frozen", "SIGSTOP of the primary", "no write is called done meanwhile; nothing done twice after it",
        freeze_primary,
    ),
    under_trade(
        "standby-killed", "kill -9 of one standby", "unseen", kill_standby, window=lambda seconds: 0.0, then=_all_read
    ),
    under_trade(
        "standbys-frozen", "SIGSTOP of both standbys", "no write is done that nobody confirmed", freeze_standbys
    ),
    under_trade(
        "replay-paused", "both standbys stop replaying", "own writes are read; unseen", pause_replay,
        window=lambda seconds: 0.0, then=_all_read,
    ),
    under_trade("rows-held", "somebody locks all stock of a tenant", "bounded waits, then done once", hold_rows),
    under_trade(
        "transaction-left-open", "a transaction is left open", "ended by the server within 12 s; events flow again",
        leave_a_transaction_open,
    ),
    under_trade("redis-flushed", "FLUSHALL of both Redis servers each second", SLOWER, flush_redis),
    under_trade("redis-killed", "kill -9 of both Redis servers", SLOWER, kill_redis),
    under_trade("redis-stopped", "both Redis servers refuse connections", SLOWER, stop_redis),
    under_trade("redis-slow", "both Redis servers answer 200 ms late", SLOWER, slow_redis),
    under_trade(
        "redis-60ms", "both Redis servers answer 60 ms late", "p95 of a write within 500 ms, nothing fails",
        slower_redis, window=lambda seconds: 0.0,
    ),
    under_trade("redis-black-hole", "both Redis servers swallow what they are sent", SLOWER, swallow_redis),
    under_trade(
        "standby-cut-off", "the pooler's connections to one standby lead nowhere", "unseen: reads go elsewhere",
        cut_off_standby, window=lambda seconds: 0.0, then=_all_read,
    ),
    under_trade(
        "standby-refused", "one standby refuses the pooler's connections", "unseen: reads go elsewhere",
        refuse_standby, window=lambda seconds: 0.0, then=_all_read,
    ),
)  # fmt: skip
