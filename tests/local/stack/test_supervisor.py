import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.stack import control
from local.stack.home import ComponentState, Home, StackState, is_supervised
from local.stack.processes import Identity, identify

REPO = Path(__file__).resolve().parents[3]


def wait_for(what: str, probe: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Toy:
    """A supervisor process with cheap components."""

    def __init__(self, home: Home, *names: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.local.stack.toy", str(home.root), *names],
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def state(self) -> StackState:
        return StackState.read(self.home)

    def states(self) -> dict[str, str]:
        return {item.name: item.state for item in self.state.components}

    def pid(self, name: str) -> int:
        return next(item.pid for item in self.state.components if item.name == name)

    def until_running(self) -> None:
        wait_for("the stack runs", lambda: self.state.phase == "running")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Toy]]:
    begun: list[Toy] = []

    def start(*names: str) -> Toy:
        begun.append(Toy(Home(tmp_path / "home"), *names))
        return begun[-1]

    yield start
    for toy in begun:
        if toy.process.poll() is None:
            toy.process.kill()
        toy.process.wait()
        control.end_leftovers(toy.home)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_components_start_after_what_they_need_and_stop_in_order(start: Callable[..., Toy]) -> None:
    toy = start("after", "step", "started")
    toy.until_running()
    assert toy.states() == {"after": "running", "step": "done", "started": "running"}
    begun = {item.name: item.started for item in toy.state.components}
    assert begun["started"] <= begun["after"]
    pids = [toy.pid("after"), toy.pid("started")]

    assert control.stop(toy.home)

    assert toy.process.wait(5) == 0
    assert toy.states() == {"after": "stopped", "step": "done", "started": "stopped"}
    assert all(gone(pid) for pid in pids)


def test_a_component_that_dies_at_start_is_named_with_the_end_of_its_log(start: Callable[..., Toy]) -> None:
    toy = start("started", "broken", "never")
    assert toy.process.wait(20) == 1
    error = toy.state.error
    assert error.startswith("broken ended while it started (exit code 1)")
    assert "no disk left" in error
    assert str(toy.home.log("broken")) in error
    assert toy.state.phase == "failed"
    assert toy.states() == {"started": "stopped", "broken": "failed", "never": "stopped"}
    assert gone(toy.pid("started"))


def test_a_component_that_is_never_ready_ends_the_start(start: Callable[..., Toy]) -> None:
    toy = start("slow")
    assert toy.process.wait(20) == 1
    assert toy.state.error.startswith("slow was not ready after")


def test_a_dead_component_is_started_again_and_in_the_end_given_up(start: Callable[..., Toy]) -> None:
    toy = start("started", "after")
    toy.until_running()
    first = toy.pid("started")
    seen = {first}
    for _ in range(6):
        wait_for("it runs", lambda: toy.states()["started"] == "running" and not gone(toy.pid("started")))
        seen.add(toy.pid("started"))
        os.kill(toy.pid("started"), signal.SIGKILL)
        wait_for("its death is seen", lambda: toy.states()["started"] != "running" or toy.pid("started") not in seen)
    wait_for("it is given up", lambda: toy.states()["started"] == "failed")
    assert len(seen) == 6  # the first start and five restarts
    assert toy.states()["after"] == "running"


def test_a_home_that_is_removed_ends_its_stack(start: Callable[..., Toy]) -> None:
    toy = start("started", "after")
    toy.until_running()
    pids = [toy.pid("started"), toy.pid("after")]
    shutil.rmtree(toy.home.root)
    os.kill(pids[0], signal.SIGKILL)  # something to write down
    assert toy.process.wait(20) == 0
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize("kind", ["parent", "detacher"])
def test_children_of_components_go_too(start: Callable[..., Toy], kind: str) -> None:
    toy = start(kind)
    toy.until_running()
    wait_for("it has a child", lambda: psutil.Process(toy.pid(kind)).children())
    pids = [toy.pid(kind), *(child.pid for child in psutil.Process(toy.pid(kind)).children())]
    toy.process.send_signal(signal.SIGINT)
    assert toy.process.wait(20) == 0
    assert all(gone(pid) for pid in pids)


def test_a_killed_supervisor_leaves_nothing_once_its_leftovers_are_ended(
    start: Callable[..., Toy],
) -> None:
    toy = start("started", "stubborn", "parent")
    toy.until_running()
    wait_for("it has a child", lambda: psutil.Process(toy.pid("parent")).children())
    child = psutil.Process(toy.pid("parent")).children()[0].pid
    pids = [toy.pid(name) for name in ("started", "stubborn", "parent")]

    toy.process.kill()
    toy.process.wait()
    assert not is_supervised(toy.home)
    assert not gone(pids[1])  # it ignores the signal that the death of its parent sends
    assert control.stop(toy.home)

    assert all(gone(pid) for pid in [*pids, child])
    assert toy.state.phase == "stopped"
    assert not control.stop(toy.home)  # nothing left to do


def test_a_process_that_only_has_a_recorded_pid_is_not_touched(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        state = StackState("running")
        real = identify(stranger.pid)
        state.components = [ComponentState("started", "running", pid=real.pid, started=real.started - 3600)]
        state.write(home)
        assert control.stop(home)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_identity_is_not_matched_by_a_later_process_with_its_number() -> None:
    me = identify(os.getpid())
    assert me.matches(psutil.Process())
    assert not Identity(me.pid, me.started - 60).matches(psutil.Process())
