"""A setting that cannot be read is named: the message is all an operator sees of a process that did not start."""

import pytest

from erp.settings import load_settings
from workers.settings import load_worker_settings

REQUIRED = {
    f"ERP_{name}": "x"
    for name in (
        "DATABASE_URL", "PLATFORM_DATABASE_URL", "REDIS_QUEUE_URL", "REDIS_CACHE_URL", "REDIS_LOCKS_URL",
        "REDIS_SESSIONS_URL", "TOKEN_SECRET", "OPERATOR_KEY",
    )
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [("ERP_CONCURRENCY", "4.5"), ("ERP_POOL_WAIT", "soon")])
def test_a_number_that_is_none_is_named(name: str, text: str) -> None:
    assert load_settings(REQUIRED).concurrency == 48
    with pytest.raises(ValueError, match=f"{name} is '{text}': it must be a"):
        load_settings({**REQUIRED, name: text})


def test_a_workers_is_named_too() -> None:
    assert load_worker_settings({"ERP_WORKER_JOB_LEASE": ""}) == load_worker_settings({})
    with pytest.raises(ValueError, match="ERP_WORKER_RELAY_BATCH is 'many': it must be a whole number"):
        load_worker_settings({"ERP_WORKER_RELAY_BATCH": "many"})
