"""Child processes: started so that they cannot outlive their supervisor, ended with all they started."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_CLOCK_STEP_SECONDS = 2.0  # a process's start time is derived from the wall clock, which may be adjusted

_PATIENT_SECONDS = 4.0
_ORPHAN_SECONDS = 1.0


@dataclass(frozen=True)
class Identity:
    """A process as a later program can recognise it: a pid alone may by then belong to a stranger."""

    pid: int
    started: float

    def matches(self, process: psutil.Process) -> bool:
        """Whether `process` is the one recorded, not a stranger with the same number."""
        return process.pid == self.pid and abs(process.create_time() - self.started) < _CLOCK_STEP_SECONDS


def identify(pid: int) -> Identity:
    """The identity of a running process."""
    return Identity(pid, psutil.Process(pid).create_time())


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    user: str | None = None,
    death_signal: int | None = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, its output appended to `log`.

    `death_signal` is sent to it when the calling thread ends (Linux), so that even a killed supervisor takes its
    children along; None leaves it running.
    """

    def die_with_parent() -> None:
        if death_signal is not None and sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)

    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )


def family(leader: Identity) -> list[psutil.Process]:
    """The process, its descendants, and whatever else lives in the session it leads, the process itself possibly gone.

    A session's number is not given to a new process while the session has members, so members of a dead leader's
    session are its children; a live leader with another start time is a stranger, and nothing is returned.
    """
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(leader.pid)
        if not leader.matches(process):
            return []
        found = {member.pid: member for member in [process, *process.children(recursive=True)]}
    if leader.started < psutil.boot_time() - _CLOCK_STEP_SECONDS:
        return []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader.pid:
                found.setdefault(process.pid, process)
    return [process for process in found.values() if _alive(process)]


def end(leaders: Mapping[Identity, int], seconds: float) -> None:
    """Send each leader its signal, and kill what is left of them and of all they started.

    Leaders have `seconds` to end and are sent the signal again on the way: Airflow's components then wait no longer
    for what they run. What outlives its leader has another second.
    """
    members = {process.pid: process for leader in leaders for process in family(leader)}
    found = {members[leader.pid]: number for leader, number in leaders.items() if leader.pid in members}
    for patience in (min(seconds, _PATIENT_SECONDS), seconds - _PATIENT_SECONDS):
        for process, number in found.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _wait(found, patience)
    for leader in leaders:
        members |= {process.pid: process for process in family(leader)}
    _wait(members.values(), min(seconds, _ORPHAN_SECONDS))
    survivors = [process for process in members.values() if _alive(process)]
    for process in survivors:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait(survivors, 5)


def _wait(processes: Collection[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, or a note that there are none."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    return "\n".join(text.rstrip().splitlines()[-lines:]) or "(its log is empty)"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
