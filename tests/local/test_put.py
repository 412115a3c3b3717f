import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import put, show
from tests.conftest import REPO


@pytest.mark.parametrize("command", [put, show])
def test_without_a_running_stack_it_says_how_to_start_one(
    command: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.csv"
    file.touch()
    arguments = [str(file)] if command is put else []
    monkeypatch.setattr(sys, "argv", ["", *arguments, "--home", str(tmp_path / "home")])
    assert command.main() == 1
    assert "make up" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "a.csv")])
    assert put.main() == 1
    assert f"{tmp_path / 'a.csv'} is not a file" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["../archive/a.csv", "a/../../b", "..", ".", "/a.csv", "a//b", "a/", "a\nb", "a\x1b", "a\0"]
)
def test_a_name_that_is_not_below_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = tmp_path / "a.csv"
    file.touch()
    monkeypatch.setattr(sys, "argv", ["", str(file), "--as", name, "--home", str(tmp_path / "home")])
    assert put.main() == 1
    assert capsys.readouterr().out.startswith(f"{name!r} is no name below source/")


def test_the_name_of_a_file_is_no_command(tmp_path: Path) -> None:
    """`make put` with a name as a producer may choose it; in the place of Python, a program that prints arguments."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    name = f"a\"; touch {tmp_path}/one; $(touch {tmp_path}/two) `touch {tmp_path}/three` '$x.csv"
    options = ["--no-print-directory", "--assume-old=install", f"PY={program}", f"FILE={name}", f"AS={name}"]
    command = [shutil.which("make") or "make", *options, "put"]
    made = subprocess.run(
        command, cwd=REPO, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert made.stdout.splitlines()[-3:] == [name, "--as", name]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["python"]
