"""`python -m local.stack.daemon HOME DAGS`: supervises the stack of a home in the foreground until told to stop."""

import os
import sys
from dataclasses import asdict
from pathlib import Path

from local.stack.components import stack_components
from local.stack.home import Home, StackState, only_supervisor
from local.stack.processes import identify
from local.stack.settings import Ports, SettingsError
from local.stack.supervisor import Supervisor


def run(home: Home, dags: Path) -> int:
    """The exit code: 0 after an ordered stop, 1 if the stack did not start."""
    home.create()
    with only_supervisor(home) as ours:
        if not ours:
            print(f"another supervisor runs the stack in {home.root}", file=sys.stderr)
            return 1
        me = identify(os.getpid())
        StackState("starting", me.pid, me.started).write(home)
        try:
            ports = Ports.from_environment(os.environ)
        except SettingsError as error:
            StackState("failed", error=str(error)).write(home)
            return 1
        components = stack_components(home, ports, dags)
        return Supervisor(home, asdict(ports), components).run()


if __name__ == "__main__":
    sys.exit(run(Home(Path(sys.argv[1])), Path(sys.argv[2])))
