"""The stack's command line: `python -m local.stack up | down | status | reset`."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from local.stack import control
from local.stack.console import follow, status_table
from local.stack.home import REPO, Home, Secrets, StackState, is_supervised
from local.stack.processes import spawn
from local.stack.settings import base_environment


def main() -> int:
    """Carry out one command; the exit code is 0 when what was asked for is so."""
    parser = argparse.ArgumentParser(prog="python -m local.stack", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "reset"])
    parser.add_argument("--home", type=Path, default=REPO / ".local" / "stack", help="folder of data, logs and secrets")
    parser.add_argument("--dags", type=Path, default=REPO / "dags", help="folder of DAG files")
    arguments = parser.parse_args()
    home = Home(arguments.home.resolve())
    console = Console()
    match arguments.command:
        case "up":
            return up(home, arguments.dags.resolve(), console)
        case "down":
            stopped = control.stop(home)
            console.print("stopped" if stopped else "nothing was running")
            return 0
        case "reset":
            control.stop(home)
            shutil.rmtree(home.root, ignore_errors=True)
            console.print(f"forgot all data in {home.root}")
            return 0
        case _:
            return status(home, console)


def up(home: Home, dags: Path, console: Console) -> int:
    """Start the stack in the background and show its start; returns when all components are healthy."""
    if is_supervised(home):
        console.print("already running")
        return status(home, console)
    try:
        process = control.launch(home, dags, os.environ, tied=False)
        state = follow(home, console, alive=lambda: process.poll() is None)
    except KeyboardInterrupt:
        console.print("stopping")
        control.stop(home)
        return 130
    if state.phase != "running":
        reason = state.error or f"its supervisor ended; see {home.log('supervisor')}"
        console.print(f"not started: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    _warm_up(home, state)
    link = REPO / ".local" / "env"
    link.unlink(missing_ok=True)
    link.symlink_to(home.env_file)
    console.print(
        f"\nAirflow   http://127.0.0.1:{state.ports['airflow']}  user admin, password {Secrets.of(home).password}\n"
        f"Databricks service   http://127.0.0.1:{state.ports['databricks']}\n"
        f"clients: source {link.relative_to(REPO)}     stop: make down",
        highlight=False,
    )
    return 0


def _warm_up(home: Home, state: StackState) -> None:
    """In the background: nothing waits for it, and without it only the first file takes longer."""
    spawn(
        [sys.executable, "-m", "local.warm_up"],
        env=base_environment() | {"SPARK_REMOTE": f"sc://127.0.0.1:{state.ports['spark']}"},
        cwd=REPO,
        log=home.log("warm-up"),
        death_signal=None,
    )


def status(home: Home, console: Console) -> int:
    """Show the components; 0 if all of them run."""
    state = StackState.read(home)
    if not is_supervised(home):
        if state.phase not in ("stopped", "failed"):
            console.print("the supervisor was killed: `make down` clears what it left, `make up` starts again")
        else:
            console.print("not running: start it with `make up`")
        return 1
    console.print(status_table(home, state))
    return 0 if all(component.state in ("running", "done") for component in state.components) else 1


if __name__ == "__main__":
    sys.exit(main())
