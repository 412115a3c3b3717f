"""Airflow's command line as tests call it: the real executable, or many commands in one process.

One call of `airflow` takes seconds before it does anything. Where the process itself is not the point, a `CommandLine`
sends command lines through Airflow's own main() in one process, which is this file.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Self

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


def environment(stack: Stack) -> dict[str, str]:
    """That of a shell which has sourced the stack's env file."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | stack.env | {"PATH": path}


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


class CommandLine:
    """A process that has imported Airflow and runs one command after the other."""

    def __init__(self, stack: Stack, log: Path, **variables: str) -> None:
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.airflow_cli"],
                env=environment(stack) | variables,
                cwd=REPO,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def answers(self, *commands: str) -> list[Answer]:
        """Run these `airflow ...` lines, split at blanks."""
        return [self._answer(line.split()) for line in commands]

    def _answer(self, argv: Sequence[str]) -> Answer:
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        timeout = Timer(SECONDS, self._process.kill)
        timeout.start()
        try:
            print(json.dumps(argv), file=sink, flush=True)
            line = next((text for text in source if text.startswith('{"code"')), None)
        finally:
            timeout.cancel()
        assert line, f"no answer to {argv}: {self.log.read_text()}"
        return Answer(**json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def _main() -> None:
    # airflow_local_settings looks at it when Airflow is imported.
    sys.argv = ["airflow", "dags"]
    from airflow.__main__ import main

    for line in sys.stdin:
        argv = json.loads(line)
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
