"""Airflow's command line as tests call it: the real executable, or many commands in one process.

One call of `airflow` takes seconds before it does anything. Where the process itself is not the point, `answers` runs a
list of command lines through Airflow's own main() in one process, which is this file.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPO, Stack

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
SECONDS = 180


@dataclass(frozen=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def environment(stack: Stack, **more: str) -> dict[str, str]:
    """That of a shell which has sourced the stack's env file."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | stack.env | {"PATH": path} | more


def airflow(stack: Stack, *argv: str) -> Answer:
    """Run the real executable to its end."""
    done = subprocess.run(
        [AIRFLOW, *argv],
        env=environment(stack),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def answers(stack: Stack, commands: Sequence[str], env: Mapping[str, str] | None = None) -> list[Answer]:
    """Run these `airflow ...` lines, split at blanks, one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.airflow_cli"],
        env=environment(stack, **(env or {})),
        cwd=REPO,
        input=json.dumps([line.split() for line in commands]),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Answer(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith('{"code"')]


def _main() -> None:
    commands = json.load(sys.stdin)
    # airflow_local_settings looks at it when Airflow is imported.
    sys.argv = ["airflow", "dags"]
    from airflow.__main__ import main

    for argv in commands:
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        sys.argv = ["airflow", *argv]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
        print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)


if __name__ == "__main__":
    _main()
