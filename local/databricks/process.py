"""The processes that execute scripts, each for one run: forks of one process that has imported Spark already."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil

from local.databricks.engine import Engine

log = logging.getLogger(__name__)

KILLED_SECONDS = 10
# Serverless has no environment variables of the user: a script sees what a process needs, not what the stack was given.
# The last one is where the bucket is: what Google's clients know by themselves elsewhere.
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER", "STORAGE_EMULATOR_HOST")

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["local.databricks.runner", __name__])


def _serve(service: Connection, env: dict[str, str]) -> None:
    """What a new process does."""
    from local.databricks import runner  # not for the service itself, which can do without Spark's client

    runner.main(service, env)


@dataclass(frozen=True)
class Program:
    """What a process executes: a script, or an entry point of a package; `wheels` come first on its path."""

    parameters: list[str]
    script: Path | None = None
    package: str = ""
    entry_point: str = ""
    wheels: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """What must be there."""
        return (*([self.script] if self.script else []), *self.wheels)


class RunnerLostError(Exception):
    """The runner process ended without an answer."""


class Runner:
    """One process, in a session of its own, that executes one script with one Spark session."""

    def __init__(self, process: ForkServerProcess, connection: Connection, session_id: str) -> None:
        self._process = process
        self._connection = connection
        self.session_id = session_id

    @classmethod
    def start(cls, engine: Engine) -> "Runner":
        """Fork the process. The first one waits until Spark is imported."""
        session_id = engine.new_session_id()
        env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        ours, its = _forks.Pipe()
        with its:
            process = _forks.Process(target=_serve, args=(its, env | {"SPARK_REMOTE": engine.session_url(session_id)}))
            process.start()
        return cls(process, ours, session_id)

    async def run(self, program: Program, cwd: Path, output: Path) -> dict[str, str | None]:
        """Execute it; returns its `error` and `error_trace`. Raises RunnerLostError if the process dies of it."""
        job = {
            "script": str(program.script) if program.script else None,
            "package": program.package,
            "entry_point": program.entry_point,
            "parameters": program.parameters,
            "wheels": [str(wheel) for wheel in program.wheels],
            "cwd": str(cwd),
            "log": str(output),
        }
        with contextlib.suppress(BrokenPipeError):  # it is dead already, as is seen below
            self._connection.send(job)
        await self._answer_or_end()
        # Without anything to read the process has ended, and a child of it still holds its connection.
        with contextlib.suppress(EOFError, ConnectionError):
            if self._connection.poll():
                return self._connection.recv()
        await self._ended()
        raise RunnerLostError(f"the Python process ended without a result ({self._ending()})")

    async def _answer_or_end(self) -> None:
        """Wait for an answer, or for the end of the process, whose children may keep its connection open."""
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()
        places = (self._connection.fileno(), self._process.sentinel)
        for place in places:
            loop.add_reader(place, seen.set)
        try:
            await seen.wait()
        finally:
            for place in places:
                loop.remove_reader(place)
            os.set_blocking(self._connection.fileno(), True)  # uvloop has made it non-blocking

    async def kill(self) -> None:
        """End the process and all it started, but for what made itself an orphan."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()  # also those that left the group
        with contextlib.suppress(ProcessLookupError):  # nothing of the group is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # if it has no group of its own yet
        if not await self._ended():
            log.warning("process %d does not end", self._process.pid)
        self._connection.close()

    async def _ended(self) -> bool:
        deadline = time.monotonic() + KILLED_SECONDS
        while self._process.is_alive() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not self._process.is_alive()

    def _ending(self) -> str:
        code = self._process.exitcode
        return f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
