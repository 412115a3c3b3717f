"""The supervisor: starts the components in order, watches them, starts a dead one again, and stops them all."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.stack.components import Component
from local.stack.home import ComponentState, Home, StackState, State
from local.stack.processes import Identity, end, identify, spawn, tail

TICK_SECONDS = 0.1
STOP_SECONDS = 15
MAX_RESTARTS = 5
CALM_SECONDS = 60  # a component that ran this long is forgiven its earlier restarts


class StartError(Exception):
    """The stack cannot start; the message names the component, with the last lines of its log."""


@dataclass
class Part:
    """A component with its process and what is known of it."""

    component: Component
    state: ComponentState
    process: subprocess.Popen[bytes] | None = None
    spawned: float = 0.0  # monotonic
    restart_at: float = 0.0  # monotonic

    @property
    def settled(self) -> bool:
        """Whether others that need it may start."""
        return self.state.state in ("running", "done")

    @property
    def exit_code(self) -> int | None:
        """The exit code of its process, negative for a signal; None while it runs."""
        return self.process.poll() if self.process else None


@dataclass
class Supervisor:
    """Owns every process of one home. `run` returns when it was told to stop or the start failed."""

    home: Home
    ports: dict[str, int]
    components: Sequence[Component]
    restart_seconds: float = 1  # before the first restart; doubled for each further one
    state: StackState = field(default_factory=StackState)
    stopping: bool = False

    def run(self) -> int:
        """Start, watch until SIGTERM or SIGINT, stop. The exit code: 0 after an ordered stop, 1 if the start failed."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)
        me = identify(os.getpid())
        self.state = StackState("starting", me.pid, me.started, ports=self.ports)
        self.parts = [self._part(component) for component in self.components]
        self.state.components = [part.state for part in self.parts]
        try:
            self._start()
            self._watch()
        except StartError as error:
            self.state.error = str(error)
        finally:
            self._stop()
        return 1 if self.state.error else 0

    def _part(self, component: Component) -> Part:
        log = self.home.log(component.name)
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        state = ComponentState(component.name, address=component.address, log=str(log), since=time.time())
        return Part(component, state)

    def _start(self) -> None:
        while not self.stopping and not all(part.settled for part in self.parts):
            settled = {part.component.name for part in self.parts if part.settled}
            for part in self.parts:
                if part.state.state == "waiting" and settled.issuperset(part.component.after):
                    self._spawn(part)
                elif part.state.state == "starting":
                    self._check_start(part)
            time.sleep(TICK_SECONDS)
        if not self.stopping:
            self.state.phase = "running"
            self._save()

    def _watch(self) -> None:
        while not self.stopping:
            for part in self.parts:
                if part.state.state == "restarting":
                    if time.monotonic() >= part.restart_at:
                        self._spawn(part)
                elif part.state.state in ("running", "starting") and self._is_lost(part):
                    self._restart_later(part)
                elif part.state.state == "starting" and self._is_ready(part):
                    self._settle(part, "running")
            time.sleep(TICK_SECONDS)

    def _spawn(self, part: Part) -> None:
        component = part.component
        try:
            part.process = spawn(
                component.command,
                env=component.env,
                cwd=component.cwd or self.home.root,
                log=self.home.log(component.name),
                user=component.user,
                death_signal=component.stop_signal,
            )
        except OSError as error:
            raise StartError(f"{component.name} could not be started: {error}") from error
        part.spawned = time.monotonic()
        me = identify(part.process.pid)
        part.state.pid, part.state.started = me.pid, me.started
        self._set(part, "starting")

    def _check_start(self, part: Part) -> None:
        """Move a starting component on; StartError if it died or takes too long."""
        code = part.exit_code
        if code == 0 and part.component.ready is None:
            self._settle(part, "done")
        elif code is not None:
            self._fail(part, f"ended while it started ({_exit_text(code)})")
        elif self._is_ready(part):
            self._settle(part, "running")
        elif time.monotonic() > part.spawned + part.component.start_seconds:
            self._fail(part, f"was not ready after {part.component.start_seconds:.0f} s")

    def _is_lost(self, part: Part) -> bool:
        overdue = time.monotonic() > part.spawned + part.component.start_seconds
        return part.exit_code is not None or (part.state.state == "starting" and overdue)

    def _is_ready(self, part: Part) -> bool:
        ready = part.component.ready
        return ready is not None and ready(part.state.started)

    def _fail(self, part: Part, what: str) -> None:
        self._set(part, "failed")
        log = Path(part.state.log)
        raise StartError(f"{part.component.name} {what}; the end of {log}:\n{tail(log)}")

    def _restart_later(self, part: Part) -> None:
        cause = "not ready in time" if part.exit_code is None else _exit_text(part.exit_code)
        if time.monotonic() > part.spawned + CALM_SECONDS:
            part.state.restarts = 0
        end({_leader(part): signal.SIGKILL}, seconds=0)  # what it left behind
        if part.state.restarts >= MAX_RESTARTS:
            print(f"{part.component.name} died again after {MAX_RESTARTS} restarts: given up; see {part.state.log}")
            self._set(part, "failed")
            return
        part.state.restarts += 1
        part.restart_at = time.monotonic() + self.restart_seconds * 2 ** (part.state.restarts - 1)
        print(f"{part.component.name} died ({cause}): restart {part.state.restarts}", flush=True)
        self._set(part, "restarting")

    def _settle(self, part: Part, state: State) -> None:
        part.state.seconds = round(time.monotonic() - part.spawned, 1)
        self._set(part, state)

    def _set(self, part: Part, state: State) -> None:
        part.state.state, part.state.since = state, time.time()
        self._save()

    def _save(self) -> None:
        try:
            self.state.write(self.home)
        except FileNotFoundError:  # somebody removed the folder: no stack without its home
            self.stopping = True

    def _stop_soon(self, *_: object) -> None:
        self.stopping = True

    def _stop(self) -> None:
        """End every component, those that need others first."""
        failed = bool(self.state.error)
        self.state.phase = "stopping"
        self._save()
        for wave in _waves(self.parts):
            end({_leader(part): part.component.stop_signal for part in wave if part.state.pid}, STOP_SECONDS)
            for part in wave:
                if part.state.state not in ("done", "failed"):
                    self._set(part, "stopped")
        self.state.phase = "failed" if failed else "stopped"
        self._save()


def _waves(parts: Sequence[Part]) -> list[list[Part]]:
    """The components in groups, each group needed by none that comes later."""
    left = {part.component.name: part for part in parts}
    waves: list[list[Part]] = []
    while left:
        needed = {name for part in left.values() for name in (*part.component.after, *part.component.uses)}
        waves.append([part for name, part in left.items() if name not in needed])
        left = {name: part for name, part in left.items() if name in needed}
    return waves


def _leader(part: Part) -> Identity:
    return Identity(part.state.pid, part.state.started)


def _exit_text(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
