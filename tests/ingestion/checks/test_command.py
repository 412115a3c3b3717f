"""The command's lines and exit code; tests/e2e/test_check.py has it on a running stack."""

import argparse
import os
import signal
from pathlib import Path

import pytest

from ingestion import cli
from ingestion.checks import command
from ingestion.pipeline.findings import Check, fail, ok, warn


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command changes of its process is that of the test's again afterwards."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    monkeypatch.setattr(signal, "signal", lambda *_: None)


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], check: Check[None], *argv: str
) -> tuple[object, list[str], list[object]]:
    """Exit code, lines, and what was asked for."""
    asked: list[object] = []

    def everything(folder: Path, variables: os._Environ[str], of_airflow: object, is_run: bool) -> Check[None]:
        asked.extend([folder, is_run])
        return check

    monkeypatch.setattr(command, "everything", everything)
    its = cli.check_command()
    parser = argparse.ArgumentParser()
    for arg in its.args:
        arg.add_to_parser(parser)
    with pytest.raises(SystemExit) as ended:
        its.func(parser.parse_args(argv))
    return ended.value.code, capsys.readouterr().out.splitlines(), asked


def right() -> Check[None]:
    yield ok("bucket", "there")
    yield warn("alerts", "none")


def broken() -> Check[None]:
    yield fail("bucket", "not there")
    yield ok("alerts", "set")


def test_a_warning_is_no_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, asked = run(monkeypatch, capsys, right())
    assert (code, asked[1]) == (0, True)
    assert lines == ["ok       bucket: there", "warn     alerts: none", "1 ok, 1 warn, 0 FAIL, 0 skipped"]


def test_a_failure_is_the_exit_code_though_others_follow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, asked = run(monkeypatch, capsys, broken(), "dags/dev", "--no-run")
    assert (code, len(lines), asked) == (1, 3, [Path("dags/dev"), False])


def test_an_interruption_lets_the_checks_tidy_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tidied = []

    def interrupted() -> Check[None]:
        try:
            yield ok("bucket", "there")
            raise KeyboardInterrupt
        finally:
            tidied.append("probe")

    code, lines, _ = run(monkeypatch, capsys, interrupted())
    assert (code, lines, tidied) == (130, ["ok       bucket: there"], ["probe"])
