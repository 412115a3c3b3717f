import sys
from pathlib import Path

import pytest

from local import put, show


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
