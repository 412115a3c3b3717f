"""Starting and stopping a stack from another program: the command line, the demo and the tests."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local.stack.home import REPO, Home, StackState, is_supervised
from local.stack.processes import Identity, end, spawn
from local.stack.settings import LABELS, base_environment

STOP_SECONDS = 90
FREE_PORTS = {f"{name.upper()}_PORT": "0" for name in LABELS}


def launch(home: Home, dags: Path, ports: Mapping[str, str], *, tied: bool) -> subprocess.Popen[bytes]:
    """Start a supervisor in the background.

    `ports` may have AIRFLOW_PORT and the like, as Ports.from_environment describes. A `tied` stack is stopped when the
    calling thread ends, however it ends (Linux).
    """
    end_leftovers(home)
    home.create()
    StackState("starting").write(home)
    process = spawn(
        [sys.executable, "-m", "local.stack.daemon", str(home.root), str(dags)],
        env=base_environment() | {name: value for name, value in ports.items() if name.endswith("_PORT")},
        cwd=REPO,
        log=home.log("supervisor"),
        death_signal=signal.SIGTERM if tied else None,
    )
    try:
        while process.poll() is None and not is_supervised(home):
            time.sleep(0.05)
    except BaseException:
        process.terminate()  # it has started nothing yet, or will stop what it has
        raise
    return process


def stop(home: Home) -> bool:
    """Stop the stack of this home and clear what a killed supervisor left; whether there was anything to stop."""
    if not is_supervised(home):
        return end_leftovers(home)
    asked: Identity | None = None
    deadline = time.monotonic() + STOP_SECONDS
    while is_supervised(home):
        state = StackState.read(home)
        if asked is None and state.pid:  # it writes its pid a moment after it took the lock
            asked = Identity(state.pid, state.started)
            with contextlib.suppress(ProcessLookupError):
                os.kill(asked.pid, signal.SIGTERM)
        if asked and time.monotonic() > deadline:
            end({asked: signal.SIGKILL}, seconds=0)
        time.sleep(0.1)
    end_leftovers(home)
    return True


def end_leftovers(home: Home) -> bool:
    """End what a killed supervisor left running; whether there was anything. Processes of others are never touched."""
    state = StackState.read(home)
    if is_supervised(home) or state.phase in ("stopped", "failed"):
        return False
    leaders = [Identity(item.pid, item.started) for item in state.components if item.pid]
    end(dict.fromkeys(leaders, signal.SIGTERM), seconds=10)
    for item in state.components:
        item.state = "stopped"
    state.phase = "stopped"
    state.write(home)
    return True
