"""What is kept of runs: how long, how many, and how much of a log."""

from pathlib import Path

import pytest

from local.databricks import runs
from local.databricks.models import SubmitRun
from local.databricks.run import Run
from local.databricks.runs import MAX_LOG_BYTES, RunStore, now_ms
from local.databricks.states import RUNNING, SUCCEEDED
from tests.local.databricks.harness import payload

DAY = 24 * 3600 * 1000


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path)


def ended(store: RunStore, ended_at: int, token: str | None = None) -> Run:
    """A run that ended then, with a log."""
    run = store.create(SubmitRun.model_validate(payload("/a.py", idempotency_token=token)))
    (task,) = run.tasks
    task.state, task.ended_at = SUCCEEDED, ended_at
    store.log_path(task).write_text("log\n")
    store.save(run)
    return run


def ids(store: RunStore) -> list[int]:
    return [run.run_id for run in store.newest_first()]


def test_a_run_is_kept_for_60_days(store: RunStore, tmp_path: Path) -> None:
    old = ended(store, now_ms() - 60 * DAY - 1, token="old")
    young = ended(store, now_ms() - 59 * DAY)
    active = store.create(SubmitRun.model_validate(payload("/a.py")))
    assert ids(store) == [active.run_id, young.run_id]
    assert store.by_token("old") is None
    assert store.find(old.run_id) is None
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(
        [f"{active.run_id}.json", f"{young.run_id}.json", f"{young.tasks[0].run_id}.log"]
    )


def test_a_service_that_starts_forgets_old_runs(store: RunStore, tmp_path: Path) -> None:
    ended(store, now_ms() - 61 * DAY)
    assert ids(RunStore(tmp_path)) == []


def test_only_so_many_runs_are_kept_but_none_under_way_is_lost(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "KEPT_RUNS", 2)
    active = store.create(SubmitRun.model_validate(payload("/a.py")))
    over = [ended(store, now_ms()).run_id for _ in range(4)]
    store.trim()
    assert ids(store) == [over[3], over[2], active.run_id]


def test_a_long_log_is_cut_to_what_can_be_asked_for_and_still_says_so(store: RunStore) -> None:
    (task,) = ended(store, now_ms()).tasks
    store.log_path(task).write_bytes(b"first" + b"x" * MAX_LOG_BYTES + b"last")
    store.trim_log(task)
    assert store.log_path(task).stat().st_size == MAX_LOG_BYTES + 1
    part = store.read_log(task, MAX_LOG_BYTES)
    assert (len(part.text), part.text[-5:], part.truncated) == (MAX_LOG_BYTES, "xlast", True)


def test_a_log_is_followed_without_breaking_a_character(store: RunStore) -> None:
    run = store.create(SubmitRun.model_validate(payload("/a.py")))
    (task,) = run.tasks
    task.state = RUNNING
    assert store.read_log(task, 100) == ("", False, 0)
    whole = "ab\u00e9\n".encode()
    store.log_path(task).write_bytes(whole[:3])
    first = store.read_log(task, 100)
    assert first == ("ab", False, 2)
    store.log_path(task).write_bytes(whole)
    assert store.read_log(task, 100, since=first.end) == ("\u00e9\n", False, 5)
    assert store.read_log(task, 2, since=0) == ("\ufffd\n", True, 5)
