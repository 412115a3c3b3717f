"""What a person sees of the stack: its start as it happens, and its state as a table."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.stack.home import ComponentState, Home, StackState

_STYLES = {
    "waiting": "dim",
    "starting": "yellow",
    "running": "green",
    "done": "green",
    "restarting": "yellow",
    "failed": "bold red",
    "stopped": "dim",
}
_MARKS = {
    "waiting": "·",
    "starting": "…",
    "running": "✓",
    "done": "✓",
    "restarting": "↻",
    "failed": "✗",
    "stopped": "·",
}


def follow(home: Home, console: Console, *, alive: Callable[[], bool]) -> StackState:
    """Show the start until the stack runs, failed, or its supervisor is no longer `alive`; returns its last state.

    A terminal gets one live table; anything else a line per component, when it is ready.
    """
    told: set[str] = set()
    with Live(console=console, refresh_per_second=8, transient=False, auto_refresh=False) as live:
        while True:
            lives = alive()  # before the state, so that the last state of one that ended is seen
            state = StackState.read(home)
            if console.is_terminal:
                live.update(_progress(state), refresh=True)
            else:
                _tell(state, told, console)
            if state.phase in ("running", "failed", "stopped") or not lives:
                return state
            time.sleep(0.1)


def status_table(home: Home, state: StackState) -> Table:
    """Every component with state, age, process and address."""
    table = Table(caption=f"logs: {home.logs}/<component>.log", caption_justify="left", box=None, pad_edge=False)
    for heading in ("component", "state", "since", "pid", "address"):
        table.add_column(heading, justify="right" if heading == "pid" else "left", no_wrap=heading != "address")
    for component in state.components:
        restarts = f", restarts: {component.restarts}" if component.restarts else ""
        alive = component.state in ("running", "starting")
        table.add_row(
            component.name,
            Text(f"{component.state}{restarts}", _STYLES[component.state]),
            _age(time.time() - component.since),
            str(component.pid) if alive else "",
            component.address if alive else "",
        )
    return table


def _progress(state: StackState) -> Table:
    table = Table.grid(padding=(0, 2))
    for component in state.components:
        style = _STYLES[component.state]
        table.add_row(
            Text(_MARKS[component.state], style), component.name, _seconds(component), Text(_note(component), "dim")
        )
    return table


def _tell(state: StackState, told: set[str], console: Console) -> None:
    for component in state.components:
        if component.state in ("running", "done", "failed") and component.name not in told:
            told.add(component.name)
            console.print(
                f"{_MARKS[component.state]} {component.name:<14} {_seconds(component):>7}  {_note(component)}",
                highlight=False,
            )


def _seconds(component: ComponentState) -> str:
    if component.state in ("running", "done"):
        return f"{component.seconds:.1f} s"
    return f"{time.time() - component.since:.0f} s" if component.state == "starting" else ""


def _note(component: ComponentState) -> str:
    return component.address if component.state == "running" else component.state


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
