"""`python toy.py HOME NAME...`: a supervisor of cheap components, each known by name, for the supervisor's tests."""

import sys
from pathlib import Path

from local.stack.components import Component
from local.stack.home import Home, only_supervisor
from local.stack.supervisor import Supervisor

SLEEP = "import time; print('alive', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {SLEEP}"
DETACHER = PARENT.replace("])", "], start_new_session=True)")
BROKEN = "print('the first line'); raise SystemExit('no disk left')"


def component(name: str, code: str, **options: object) -> Component:
    return Component(name, [sys.executable, "-c", code], {}, **options)


def toys() -> dict[str, Component]:
    """Every kind of component a test may ask for."""
    started = component("started", SLEEP, ready=lambda _: True)
    after = component("after", SLEEP, ready=lambda _: True, after=("started",))
    return {
        item.name: item
        for item in (
            started,
            after,
            component("step", "print('done')"),
            component("stubborn", STUBBORN, ready=lambda _: True),
            component("parent", PARENT, ready=lambda _: True),
            component("detacher", DETACHER, ready=lambda _: True),
            component("broken", BROKEN, ready=lambda _: False),
            component("slow", SLEEP, ready=lambda _: False, start_seconds=0.5),
            component("never", SLEEP, ready=lambda _: True, after=("broken",)),
        )
    }


if __name__ == "__main__":
    home = Home(Path(sys.argv[1]))
    home.create()
    with only_supervisor(home):
        chosen = [toys()[name] for name in sys.argv[2:]]
        sys.exit(Supervisor(home, {}, chosen, restart_seconds=0.05).run())
