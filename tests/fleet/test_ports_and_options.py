"""Ports and choices of the local fleet: clashes are explained, nonsense is refused."""

import os
import socket

import pytest

from deploy.local.errors import LocalFleetError, PortTaken
from deploy.local.options import EPHEMERAL_FROM, read_options
from deploy.local.ports import check_free, free_port, is_free


def test_free_ports_lie_below_the_ephemeral_range_and_differ() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert max(ports) < EPHEMERAL_FROM


def test_clash_names_the_port_its_use_and_who_holds_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortTaken) as refusal:
            check_free({"pgbouncer": port})
    message = str(refusal.value)
    assert f"{port} (wanted for pgbouncer) is held by pid {os.getpid()}" in message
    assert "ERP_PORT_BASE" in message


def test_two_processes_on_one_port_are_refused() -> None:
    port = free_port()
    with pytest.raises(PortTaken, match="api-1, api-2"):
        check_free({"api-1": port, "api-2": port, "https": free_port()})


def test_base_moves_every_port_and_a_name_moves_one() -> None:
    ports = read_options({"ERP_PORT_BASE": "25000", "ERP_PORT_REDIS_CORE": "6379"}).ports
    assert ports["redis-core"] == 6379
    assert ports["https"] == 25443
    others = [port for name, port in ports.items() if name != "redis-core"]
    assert all(25000 <= port < 26000 for port in others)
    assert len(set(ports.values())) == len(ports)


def test_number_of_instances_gives_each_a_port() -> None:
    options = read_options({"ERP_API_INSTANCES": "5"})
    assert options.api_names == ("api-1", "api-2", "api-3", "api-4", "api-5")
    assert set(options.api_names) <= set(options.ports)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ERP_PORT_BASE", "50000"),
        ("ERP_PORT_HTTPS", "443"),
        ("ERP_PORT_HTTPS", "40000"),
        ("ERP_API_INSTANCES", "0"),
        ("ERP_NGINX_RATE", "fast"),
        ("ERP_NGINX_BURST", "-1"),
    ],
)
def test_impossible_choice_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(LocalFleetError, match=name):
        read_options({name: value})
