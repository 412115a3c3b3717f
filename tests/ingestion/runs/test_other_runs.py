"""Which queued runs a waiting one hears of, with made-up answers; tests/e2e/test_cannot_start.py has Airflow's own."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.api.datamodels._generated import DagRunState, DagRunType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun, GetPreviousDagRun, PreviousDagRunResult

from ingestion.runs import other_runs
from ingestion.runs.other_runs import QueuedRun, is_another_queued

DAG = "order_tracking"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD_DAY = "backfill__2019-12-31T00:00:00+00:00"
DAY = "backfill__2026-11-01T00:00:00+00:00"
TAKEN_OVER = "manual__2026-11-01T00:00:00+00:00"
MANUAL = "manual__2026-11-20T09:00:00.123+00:00"


def answers(
    monkeypatch: pytest.MonkeyPatch,
    queued: list[str],
    after: Callable[[], object] | None = None,
    running: Iterable[str] = (),
) -> list[list[str] | None]:
    """Answer counts of queued runs; returns the names that were asked for, one entry for each request."""
    asked: list[list[str] | None] = []

    def count(dag_id: str, states: list[str], run_ids: list[str] | None = None) -> int:
        assert dag_id == DAG
        if states == ["running"]:
            return len(set(running) & set(run_ids or []))
        assert states == ["queued"]
        assert run_ids != [], "Airflow takes no names for all"
        asked.append(run_ids)
        found = len(queued) if run_ids is None else len(set(queued) & set(run_ids))
        if run_ids is None and after:
            after()
        return found

    monkeypatch.setattr(other_runs.RuntimeTaskInstance, "get_dr_count", count)
    return asked


@pytest.mark.parametrize(
    ("queued", "passed_by", "heard"),
    [
        ([], [], False),
        ([DAY, OLD_DAY], [], False),
        ([DAY, MANUAL], [], True),
        (["scheduled__2026-11-20T09:00:00+00:00"], [], True),
        ([TAKEN_OVER, DAY], [TAKEN_OVER], False),
        ([TAKEN_OVER, MANUAL], [TAKEN_OVER], True),
        ([MANUAL], [TAKEN_OVER], True),  # as many as before, but another one
    ],
)
def test_a_waiting_run_hears_of_all_but_backfill_days_and_those_it_knows(
    queued: list[str], passed_by: list[str], heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, queued)
    assert is_another_queued(DAG, passed_by) is heard


def test_a_run_that_cannot_start_costs_two_requests_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, [TAKEN_OVER])
    is_another_queued(DAG, [TAKEN_OVER])
    assert len(asked) == 2


def test_a_backfill_run_that_starts_between_two_counts_is_no_other_run(monkeypatch: pytest.MonkeyPatch) -> None:
    queued = [DAY, "backfill__2026-11-02T00:00:00+00:00"]
    answers(monkeypatch, queued, after=lambda: queued.__delitem__(slice(1, None)))
    assert is_another_queued(DAG, []) is False


@pytest.mark.parametrize(
    ("queued", "running", "days"),
    [
        ([DAY, OLD_DAY, MANUAL], [], 2),
        ([DAY], ["backfill__2026-10-31T00:00:00+00:00"], 0),
        ([MANUAL], [], 0),
        ([], [], 0),
    ],
)
def test_days_of_a_backfill_stand_still_while_none_runs(
    queued: list[str], running: list[str], days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, queued, running=running)
    assert other_runs.queued_backfill_days(DAG) == days


def test_the_last_runs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = {"failed": run("live 2", end_date=NOON), "success": None}

    class Supervisor:
        def send(self, question: GetPreviousDagRun) -> PreviousDagRunResult:
            return PreviousDagRunResult(dag_run=ended[str(question.state)])

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    said = "The last run that failed is live 2, which ended 2026-11-20 12:00 UTC; none has succeeded."
    assert other_runs.last_runs(DAG) == said


def test_a_task_learns_when_each_may_start(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {
        MANUAL: run(MANUAL),
        TAKEN_OVER: run(TAKEN_OVER, run_type=DagRunType.BACKFILL),
        "later": run("later", run_after=NOON + timedelta(hours=1)),
        "of_a_day_to_come": run("of_a_day_to_come", logical_date=NOON + timedelta(days=1)),
        "just_begun": run("just_begun", state=DagRunState.RUNNING),
        "cleared": run("cleared"),
    }
    states: dict[str, dict[str, str | None]] = {name: {"detect_new_files": None} for name in [*runs, DAY]}
    states["cleared"] = {"detect_new_files": "success", "archive": None}
    states["manual__done"] = {"detect_new_files": "success"}
    monkeypatch.setattr(
        other_runs.RuntimeTaskInstance, "get_task_states", lambda dag_id: states if dag_id == DAG else {}
    )

    class Supervisor:
        def send(self, question: GetDagRun) -> DagRunResult:
            return runs[question.run_id]

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    assert other_runs.queued_runs(DAG) == [
        QueuedRun(MANUAL, NOON),
        QueuedRun(TAKEN_OVER, None),
        QueuedRun("later", NOON + timedelta(hours=1)),
        QueuedRun("of_a_day_to_come", NOON + timedelta(days=1)),
        QueuedRun("cleared", NOON),
    ]


def run(name: str, **fields: object) -> DagRunResult:
    known: dict[str, object] = {"run_type": DagRunType.MANUAL, "state": DagRunState.QUEUED, "run_after": NOON}
    unknown = ("logical_date", "data_interval_start", "data_interval_end", "start_date", "end_date", "partition_key")
    empty: dict[str, object] = dict.fromkeys(unknown) | {"consumed_asset_events": []}
    return DagRunResult.model_validate(empty | known | {"dag_id": DAG, "run_id": name} | fields)
