"""Runs and their states, kept as one JSON file and one log file each, so that they survive a restart."""

import codecs
import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from local.databricks.models import SubmitRun, SubmitTask
from local.databricks.states import BLOCKED, PENDING, RUNNING, SUCCEEDED, SUCCEEDED_WITH_FAILURES, TERMINATING, State

log = logging.getLogger(__name__)

MAX_LOG_BYTES = 5 * 1024 * 1024
# As at Databricks. Their logs may have 5 MB each, so there is a limit in number as well.
KEPT_DAYS = 60
KEPT_RUNS = 2_000


class TaskRun(BaseModel):
    """One task's run. Times are milliseconds since the epoch."""

    run_id: int
    key: str
    state: State
    started_at: int
    executing_at: int | None = None
    ended_at: int | None = None
    session_id: str | None = None
    error: str | None = None
    error_trace: str | None = None


class Run(BaseModel):
    """A submitted run. `commit` is what its Git source was checked out at."""

    run_id: int
    request: SubmitRun
    started_at: int
    commit: str | None = None
    tasks: list[TaskRun]

    def submitted(self, task: TaskRun) -> SubmitTask:
        """The task as it was asked for."""
        return next(sent for sent in self.request.tasks if sent.task_key == task.key)

    @property
    def state(self) -> State:
        """The state of the whole run, made from its tasks': it succeeds when all leaves do."""
        states = [task.state for task in self.tasks]
        if not all(state.over for state in states):
            return self._state_under_way(states)
        if any(task.state.good for task in self.tasks) and all(task.state.good for task in self._leaves()):
            return SUCCEEDED if all(state.good for state in states) else SUCCEEDED_WITH_FAILURES
        ended = (task for task in self.tasks if not task.state.good and task.state.life_cycle != "SKIPPED")
        cause = min(ended, key=lambda task: task.ended_at or 0, default=None)
        if cause is None:
            return states[0]
        if cause.state.result != "FAILED":
            return cause.state
        consequence = "This caused all downstream tasks to get skipped."
        message = f"Task {cause.key} failed with message: {cause.state.message}. {consequence}"
        return cause.state.model_copy(update={"message": message})

    def _state_under_way(self, states: list[State]) -> State:
        if TERMINATING in states and RUNNING not in states:
            return TERMINATING
        begun = any(state == RUNNING or state.over for state in states)
        return RUNNING if begun else PENDING

    def _leaves(self) -> list[TaskRun]:
        needed = {other.task_key for task in self.request.tasks for other in task.depends_on}
        return [task for task in self.tasks if task.key not in needed]

    @property
    def ended_at(self) -> int | None:
        """When the last task ended; None while one is under way."""
        ends = [task.ended_at for task in self.tasks]
        return None if None in ends else max(ends)


def now_ms() -> int:
    """The present, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class LogPart(NamedTuple):
    """A piece of a log: its text, whether something before it was left out, and the byte where it ends."""

    text: str
    truncated: bool
    end: int


class RunStore:
    """All runs, in memory and in the folder `home`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "runs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._runs: dict[int, Run] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                run = Run.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise ValueError(f"{path} is not the record of a run, remove it: {error}") from error
            self._runs[run.run_id] = run
        self._tokens = {run.request.idempotency_token: run.run_id for run in self._runs.values()}
        self.trim()

    def newest_first(self) -> list[Run]:
        """All runs, by descending id."""
        return sorted(self._runs.values(), key=lambda run: -run.run_id)

    def find(self, run_id: int) -> tuple[Run, TaskRun | None] | None:
        """The run with this id, or the run and its task whose run has this id."""
        if run_id in self._runs:
            return self._runs[run_id], None
        return next(((run, task) for run in self._runs.values() for task in run.tasks if task.run_id == run_id), None)

    def by_token(self, token: str) -> Run | None:
        """The run that was submitted with this idempotency token, whatever its state."""
        run_id = self._tokens.get(token)
        return None if run_id is None else self._runs[run_id]

    def create(self, request: SubmitRun) -> Run:
        """A new run. Its id is the time, so that ids rise also after a restart."""
        now = now_ms()
        run_id = max(now, *(1 + task.run_id for run in self._runs.values() for task in run.tasks), 0)
        tasks = [
            TaskRun(
                run_id=run_id + 1 + n,
                key=task.task_key,
                state=BLOCKED if task.depends_on else PENDING,
                started_at=now,
            )
            for n, task in enumerate(request.tasks)
        ]
        run = Run(run_id=run_id, request=request, started_at=now, tasks=tasks)
        self._write(run)
        self._runs[run_id] = run
        if request.idempotency_token:
            self._tokens[request.idempotency_token] = run_id
        self.trim()
        return run

    def trim(self) -> None:
        """Forget the runs, and remove their files, that ended too long ago or are too many."""
        oldest = now_ms() - KEPT_DAYS * 24 * 3600 * 1000
        over = [run for run in self.newest_first() if run.ended_at is not None]
        for n, run in enumerate(over):
            if n < KEPT_RUNS and run.ended_at > oldest:
                continue
            for path in (*(self.log_path(task) for task in run.tasks), self._record(run)):
                path.unlink(missing_ok=True)
            del self._runs[run.run_id]
            self._tokens.pop(run.request.idempotency_token, None)

    def trim_log(self, task: TaskRun) -> None:
        """Cut the log of a task that is over to what can be asked for, and one byte that tells that there was more."""
        path = self.log_path(task)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES + 1:
            with path.open("r+b") as log:
                log.seek(-MAX_LOG_BYTES - 1, os.SEEK_END)
                tail = log.read()
                log.seek(0)
                log.write(tail)
                log.truncate()

    def save(self, run: Run) -> None:
        """Write the run's file. A full disk must not stop the run: its state here is the true one while this lives."""
        try:
            self._write(run)
        except OSError:
            log.exception("run %s could not be written", run.run_id)

    def _write(self, run: Run) -> None:
        """A reader sees the old file or the new one, never half of it."""
        path = self._record(run)
        draft = path.with_suffix(".tmp")
        draft.write_text(run.model_dump_json(exclude_unset=True))  # what was not sent stays so
        draft.replace(path)

    def _record(self, run: Run) -> Path:
        return self._folder / f"{run.run_id}.json"

    def log_path(self, task: TaskRun) -> Path:
        """Where the output of the task's script is."""
        return self._folder / f"{task.run_id}.log"

    def read_log(self, task: TaskRun, limit: int, since: int = 0) -> LogPart:
        """The output of the task's script from the byte `since` on, but at most its last `limit` bytes."""
        try:
            with self.log_path(task).open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                start = max(since, size - limit)
                log.seek(start)
                data = log.read(limit)
        except FileNotFoundError:
            return LogPart("", False, since)  # the script has not begun
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        text = decoder.decode(data, final=task.state.over)
        unfinished, _ = decoder.getstate()  # the rest of a character is still to be written
        return LogPart(text, start > since, start + len(data) - len(unfinished))
