"""The whole application, tenants of it, and the tables as the superuser sees them."""

from tests.api.whole.conftest import gate as gate
from tests.api.whole.conftest import newcomer as newcomer
from tests.api.whole.conftest import operator as operator
from tests.api.whole.conftest import tenant as tenant
from tests.workers.conftest import clean as clean
from tests.workers.conftest import database as database
from tests.workers.conftest import platform as platform
from tests.workers.conftest import processes as processes
from tests.workers.conftest import queue_redis as queue_redis
from tests.workers.conftest import tables as tables
