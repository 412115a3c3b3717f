"""Runner processes, kept warm: a run takes one whose imports are done, and each serves one run only."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

import psutil

from local.databricks.engine import Engine

log = logging.getLogger(__name__)

SPARES = 2
KILLED_SECONDS = 10
RUNNER = Path(__file__).with_name("runner.py")
# Serverless has no environment variables of the user: a script sees what a process needs, not what the stack was given.
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER")
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class RunnerLostError(Exception):
    """The runner process ended without an answer."""


class Runner:
    """One process, in a session of its own, that will execute one script with one Spark session."""

    def __init__(self, process: asyncio.subprocess.Process, session_id: str) -> None:
        self.process = process
        self.session_id = session_id
        self._ready = asyncio.ensure_future(process.stdout.readline())

    @classmethod
    async def start(cls, engine: Engine) -> "Runner":
        """Start the process; its imports take seconds, `ready` waits for them."""
        session_id = engine.new_session_id()
        env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # or the folder of runner.py, with its module names, would be importable by scripts
            str(RUNNER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=env | {"SPARK_REMOTE": engine.session_url(session_id)},
            start_new_session=True,
            limit=MAX_ANSWER_BYTES,
        )
        return cls(process, session_id)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.returncode is None

    @property
    def is_ready(self) -> bool:
        """Whether the process waits for its run."""
        return self.alive and self._ready.done() and self._ready.result() != b""

    async def ready(self) -> None:
        """Wait until the process can take its run. Raises RunnerLostError if it ended before."""
        if not await asyncio.shield(self._ready):
            code = await self.process.wait()
            raise RunnerLostError(
                f"the Python process ended before its script began ({_ending(code)}): see the log of the service"
            )

    async def run(self, script: Path, parameters: list[str], cwd: Path, output: Path) -> dict[str, str | None]:
        """Execute `script`; returns its `error` and `error_trace`. Raises RunnerLostError if the process dies of it."""
        job = {"script": str(script), "parameters": parameters, "cwd": str(cwd), "log": str(output)}
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        answer = await self.process.stdout.readline()
        if not answer:
            code = await self.process.wait()
            raise RunnerLostError(f"the Python process ended without a result ({_ending(code)})")
        return json.loads(answer)

    async def kill(self) -> None:
        """End the process and all it started, but for what made itself an orphan."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()  # also those that left the group
        with contextlib.suppress(ProcessLookupError):  # nothing of the group is left
            os.killpg(self.process.pid, signal.SIGKILL)
        try:
            await asyncio.wait_for(self.process.wait(), KILLED_SECONDS)
        except TimeoutError:
            log.warning("something that process %d left behind holds its pipes", self.process.pid)


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class RunnerPool:
    """Processes that wait for runs to come."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._spares: list[Runner] = []
        self._changing = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether a spare waits."""
        return any(runner.is_ready for runner in self._spares)

    async def fill(self, wanted: int = SPARES) -> None:
        """Start spares until there are `wanted`."""
        async with self._changing:
            self._spares = [runner for runner in self._spares if runner.alive]
            while len(self._spares) < wanted:
                runner = await Runner.start(self._engine)
                self._spares.append(runner)

    async def take(self) -> Runner:
        """A runner for one run, the readiest there is; its taker kills it."""
        async with self._changing:
            spares = sorted((spare for spare in self._spares if spare.alive), key=lambda spare: not spare.is_ready)
            self._spares = spares[1:]
            return spares[0] if spares else await Runner.start(self._engine)

    async def close(self) -> None:
        """End all spares."""
        async with self._changing:
            await asyncio.gather(*(runner.kill() for runner in self._spares))
            self._spares = []
