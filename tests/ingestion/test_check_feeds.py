"""The command `airflow ingestion feeds check`: what it says of feed files, and its exit code."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow import settings

from ingestion import cli
from tests.conftest import REPO

WRONG = """
description: Returned goods.
pattern: "("
columns: [{name: id}, {name: at, type: date}]
keys: [id]
order_by: at
"""


@pytest.fixture
def feeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped feeds, where Airflow has its DAGs."""
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(tmp_path))
    return Path(shutil.copytree(REPO / "dags/feeds", tmp_path / "feeds"))


def check(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[object, list[str]]:
    """The exit code and the lines on stdout."""
    command = cli.feeds_check_command()
    parser = argparse.ArgumentParser()
    for arg in command.args:
        arg.add_to_parser(parser)
    with pytest.raises(SystemExit) as ended:
        command.func(parser.parse_args([str(arg) for arg in argv]))
    return ended.value.code, capsys.readouterr().out.splitlines()


def test_all_feeds_of_the_dags_folder_are_judged(feeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (feeds / "returns.yml").write_text(WRONG)
    assert check(capsys) == (
        1,
        [
            "order_tracking.yaml: ok, 7 columns, key tracking_num",
            "parcel_invoices.yaml: ok, 6 columns, key tracking_num",
            "returns.yml: key: Field required",
            "returns.yml: keys: Extra inputs are not permitted",
            "returns.yml: pattern: not a regular expression: missing ), unterminated subpattern at position 0",
            "user_activity.yaml: ok, 4 columns, key user_id",
        ],
    )


def test_only_the_files_that_are_named_are_judged(feeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (feeds / "returns.yaml").write_text(WRONG)
    assert check(capsys, feeds / "user_activity.yaml") == (0, ["user_activity.yaml: ok, 4 columns, key user_id"])


def test_a_problem_has_one_line_and_a_file_that_airflow_would_pass_over_is_one(
    feeds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (feeds / "returns.yaml").write_text("key: [unclosed\n")
    code, (missing, notes, returns) = check(capsys, feeds / "returns.yaml", feeds / "missing.yaml", feeds / "notes.txt")
    assert code == 1
    assert missing.startswith("missing.yaml: not readable as YAML: [Errno 2] No such file")
    assert notes == "notes.txt: the name of a feed's file ends in .yaml or .yml"
    assert returns.startswith("returns.yaml: not readable as YAML: while parsing")


def test_files_are_judged_beside_each_other(feeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (feeds / "user_activity.yaml").read_text()
    (feeds / "late.yaml").write_text(text.replace("pattern: user_activity_", "pattern: user_[a-z]+_"))
    code, (overlap, *others) = check(capsys)
    assert (code, [line.partition(":")[0] for line in others]) == (1, ["order_tracking.yaml", "parcel_invoices.yaml"])
    assert overlap.startswith("late.yaml and user_activity.yaml: the patterns of both fit source/user_activity_")


def test_settings_are_judged_too_without_the_variables_of_a_worker(
    feeds: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INGESTION_JOBS", "INGESTION_GIT_URL"):
        monkeypatch.delenv(name, raising=False)
    text = (feeds / "user_activity.yaml").read_text()
    (feeds / "user_activity.yaml").write_text(f"{text}settings: {{buket: x}}\n")
    late = text.replace("pattern: user_activity_", "pattern: user_[a-z]+_")
    (feeds / "late.yaml").write_text(f"{late}settings: {{bucket: late}}\n")  # so that nothing overlaps
    code, lines = check(capsys)
    assert code == 1
    assert [line for line in lines if ": ok, " not in line] == [
        "user_activity.yaml: settings.buket: Extra inputs are not permitted"
    ]
    assert len(lines) == 4
    (feeds.parent / "settings.yaml").write_text("dag_prefix: dev/")
    code, (line,) = check(capsys, feeds / "late.yaml")
    assert code == 1
    assert line.startswith("settings.yaml: dag_prefix: String should match")


def test_a_folder_without_feeds_is_not_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(tmp_path))
    code, lines = check(capsys)
    assert (str(code).partition(":")[0], lines) == (f"There is no feed file in {tmp_path}/feeds", [])


def test_airflow_runs_it_without_a_database(tmp_path: Path) -> None:
    nobody_listens = "postgresql+psycopg2://nobody@127.0.0.1:1/none"
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": nobody_listens,
        "PYTHONPATH": str(REPO / "plugins"),
    }
    command = [sys.executable, "-m", "airflow", "ingestion", "feeds", "check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        0,
        "order_tracking.yaml: ok, 7 columns, key tracking_num\n"
        "parcel_invoices.yaml: ok, 6 columns, key tracking_num\n"
        "user_activity.yaml: ok, 4 columns, key user_id\n",
    ), done.stderr
