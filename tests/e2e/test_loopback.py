"""Only this machine reaches the servers of `make up`, whichever ports they open besides their own."""

from contextlib import suppress
from ipaddress import ip_address

import psutil

from local.stack.processes import Identity, family
from tests.conftest import Stack


def test_every_port_that_the_stack_opens_is_on_loopback(stack: Stack) -> None:
    listening = {}
    for component in stack.state.components:
        for process in family(Identity(component.pid, component.started)) if component.pid else []:
            with suppress(psutil.NoSuchProcess):  # a task's, say, which has ended since
                for socket in process.net_connections("inet"):
                    if socket.status == psutil.CONN_LISTEN or (socket.laddr and not socket.raddr):
                        listening[component.name, socket.laddr.port] = socket.laddr.ip
    assert {name for name, _ in listening} >= {"bucket", "spark", "databricks", "api-server"}
    assert {
        place: ip for place, ip in listening.items() if not ip_address(ip.removeprefix("::ffff:")).is_loopback
    } == {}
