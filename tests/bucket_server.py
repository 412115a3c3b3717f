"""The stack's bucket component for tests, started by the very command of the stack."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from local.stack.components import Component, stack_components
from local.stack.home import Home
from local.stack.processes import end, free_port, identify, spawn, tail
from local.stack.services import PROJECT
from local.stack.settings import Ports

BUCKET_SECONDS = 20


@dataclass
class BucketServer:
    """The running stand-in, started by the very command of the stack, and what the stack tells its clients of it."""

    home: Home
    component: Component
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.component.address

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start it, wait until it answers, and end it afterwards."""
        log = self.home.log("bucket")
        process = spawn(self.component.command, env=self.component.env, cwd=self.home.root, log=log)
        leader = identify(process.pid)
        ready = self.component.ready
        assert ready is not None
        try:
            await_that(lambda: process.poll() is not None or ready(0), BUCKET_SECONDS, log)
            assert process.poll() is None, tail(log)
            yield self
        finally:
            end({leader: signal.SIGTERM}, seconds=5)


def await_that(condition: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, tail(log)
        time.sleep(0.05)


def new_server(root: Path) -> BucketServer:
    home = Home(root)
    home.create()
    ports = Ports(bucket=free_port())
    components = {item.name: item for item in stack_components(home, ports, home.root)}
    return BucketServer(home, components["bucket"], components["scheduler"].env)


def new_client() -> Client:
    """The stock client; where the server is, it takes from STORAGE_EMULATOR_HOST."""
    return Client(project=PROJECT, credentials=AnonymousCredentials())
