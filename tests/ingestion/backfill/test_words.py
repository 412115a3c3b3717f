"""What the command `backfill` reads from its options and says about days; tests/e2e runs it."""

import argparse
import json
import runpy
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from airflow.cli import cli_config

from ingestion import cli
from ingestion.backfill.days import Day, PlannedDay, loaded, name_of, names, totals
from ingestion.backfill.options import Options, RefusedError
from tests.conftest import REPO

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 10, 3, 12, tzinfo=UTC)


def options(*argv: str) -> Options:
    parser = argparse.ArgumentParser()
    for arg in cli.backfill_command().args:
        arg.add_to_parser(parser)
    return Options.of(parser.parse_args(["a_dag", *argv]))


@pytest.mark.parametrize("argv", [["-s", "2026-10-03"], ["-e", "2026-10-03"]])
def test_one_date_is_one_whole_day_in_the_time_zone_of_the_dag(argv: list[str]) -> None:
    first, last = options(*argv).bounds(BERLIN)
    assert first == datetime(2026, 10, 2, 22, tzinfo=UTC)
    assert last - first == timedelta(days=1, microseconds=-1)


def test_an_empty_date_is_refused() -> None:
    """As a shell variable that is not set gives it: the other date alone would be another range."""
    with pytest.raises(RefusedError, match="--start-date: '' is no date"):
        options("-s", "", "-e", "2026-10-03")


def test_a_time_is_taken_as_it_is() -> None:
    first, last = options("-s", "2026-10-03T06:00", "-e", "2026-10-03T09:00+00:00").bounds(BERLIN)
    assert (first, last) == (datetime(2026, 10, 3, 4, tzinfo=UTC), datetime(2026, 10, 3, 9, tzinfo=UTC))


def test_a_reversed_range_is_refused() -> None:
    with pytest.raises(RefusedError, match="reversed"):
        options("-s", "2026-10-03", "-e", "2026-10-02").bounds(UTC)


@pytest.mark.parametrize(
    ("state", "started", "looked_at", "passed_over"),
    [
        ("running", 3, None, True),
        ("running", 30, 3, True),
        ("running", 30, 1, False),
        ("running", 1, None, False),
        ("queued", None, None, False),
        ("success", 30, 3, False),
    ],
)
def test_a_running_day_that_no_scheduler_looks_at_is_passed_over(
    state: str, started: int | None, looked_at: int | None, passed_over: bool
) -> None:
    def ago(minutes: int | None) -> datetime | None:
        return None if minutes is None else NOON - timedelta(minutes=minutes)

    assert Day("2026-10-03", "a run", state, ago(started), None, ago(looked_at)).is_passed_over(NOON) is passed_over


@pytest.mark.parametrize(
    ("state", "is_over", "attempted", "fate"),
    [
        (None, True, True, "new"),
        ("failed", True, True, "again"),
        ("success", True, False, "left alone: already succeeded"),
        ("failed", True, False, "left alone: failed earlier, needs --rerun-failed-tasks"),
        ("queued", True, False, "left alone: is running now"),
        (None, False, False, "left out: not over yet"),
    ],
)
def test_what_happens_to_a_day(state: str | None, is_over: bool, attempted: bool, fate: str) -> None:
    assert PlannedDay("2026-10-03", is_over, state, attempted).fate == fate


@pytest.mark.parametrize(
    ("argv", "reprocess"), [([], "none"), (["--rerun-failed-tasks"], "failed"), (["--reset-dagruns"], "completed")]
)
def test_which_days_run_again(argv: list[str], reprocess: str) -> None:
    assert options("-s", "2026-10-03", *argv).reprocess == reprocess


def test_totals_name_every_day_that_did_not_succeed() -> None:
    days = [
        Day("2026-10-01", "1", "success", NOON, NOON),
        Day("2026-10-02", "2", "failed", NOON, NOON),
        Day("2026-10-03", "3", "failed", NOON, None),
        Day("2026-10-04", None, None, None, None),
    ]
    assert totals(days) == "1 succeeded, 1 failed (2026-10-02), 1 not started (2026-10-03), 1 deleted (2026-10-04)"


def test_many_days_are_counted_and_moments_are_named_in_the_dags_time_zone() -> None:
    assert names([str(day) for day in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert name_of(datetime(2026, 10, 2, 22, tzinfo=UTC), BERLIN) == "2026-10-03"
    assert name_of(datetime(2026, 10, 3, 4, 30, tzinfo=UTC), BERLIN) == "2026-10-03 06:30"


COUNTS = {"rows_inserted": 3, "rows_updated": 1, "rows_stale": 0, "rows_duplicate": 2}
XCOMS = {
    ("plan_batch", "files"): 2,
    ("plan_batch", "rejected"): 1,
    ("stage", "return_value"): {"rows_quarantined": 4},
    ("merge", "return_value"): COUNTS,
}


def test_what_a_run_of_the_pipeline_has_loaded() -> None:
    done = dict.fromkeys(("plan_batch", "stage", "merge", "archive"), "success")
    assert loaded(done, XCOMS) == (
        "2 files, 3 inserted, 1 updated, 0 stale, 2 duplicate, 4 quarantined, 1 file rejected"
    )
    # XComs of the try before outlive it until their task runs again.
    skipped = done | {"stage": "skipped", "merge": "skipped"}
    earlier = {key: value for key, value in XCOMS.items() if key[0] != "plan_batch"}
    assert loaded(skipped, earlier) == "nothing to load"
    assert loaded({"merge": "success"}, XCOMS) == ""


def test_a_conf_that_is_no_object_is_refused() -> None:
    for text in ("{", json.dumps([1])):
        with pytest.raises(RefusedError, match="--conf"):
            options("-s", "2026-10-03", "-c", text)


def test_airflow_calls_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr("ingestion.backfill.command.backfill", called.append)
    cli.backfill_command().func("the arguments")
    assert called == ["the arguments"]


def load_local_settings(monkeypatch: pytest.MonkeyPatch, argv: str, commands: list[object]) -> None:
    monkeypatch.setattr("sys.argv", argv.split())
    monkeypatch.setattr(cli_config, "core_commands", commands)
    assert runpy.run_path(str(REPO / "plugins" / "airflow_local_settings.py"))["__all__"] == []


def test_dags_backfill_is_added_once_and_only_to_the_dags_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = list(cli_config.core_commands)
    before = list(commands)
    load_local_settings(monkeypatch, "airflow tasks list", commands)
    assert commands == before
    for _ in range(2):
        load_local_settings(monkeypatch, "airflow dags list", commands)
    changed = [(old, new) for old, new in zip(before, commands, strict=True) if old is not new]
    (old, new), *others = changed
    assert not others
    assert new.subcommands[: len(old.subcommands)] == tuple(old.subcommands)
    assert [command.name for command in new.subcommands[len(old.subcommands) :]] == ["backfill"]


def test_an_airflow_of_other_internals_is_warned_of_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_local_settings(monkeypatch, "airflow dags list", [])
    said = capsys.readouterr().err
    assert said.startswith(
        "Warning: `airflow dags backfill` is not available, `airflow ingestion backfill` is the same"
    )
    assert len(said.splitlines()) == 1
