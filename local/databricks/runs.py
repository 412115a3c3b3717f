"""Runs and their states, kept as one JSON file and one log file each, so that they survive a restart."""

import os
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from local.databricks.models import SubmitRun

FAILED_MESSAGE = "Workload failed, see run output for details"


class State(BaseModel):
    """The state of a task's run, in the words of the API: legacy `state` and, as `code`, the newer `status`."""

    model_config = ConfigDict(frozen=True)

    life_cycle: Literal["PENDING", "RUNNING", "TERMINATING", "TERMINATED", "INTERNAL_ERROR"] = "PENDING"
    result: Literal["SUCCESS", "FAILED", "TIMEDOUT", "CANCELED"] | None = None
    message: str = ""
    code: (
        Literal["SUCCESS", "RUN_EXECUTION_ERROR", "CANCELED", "USER_CANCELED", "INTERNAL_ERROR", "DRIVER_ERROR"] | None
    ) = None

    @property
    def over(self) -> bool:
        """Whether it is final."""
        return self.life_cycle in ("TERMINATED", "INTERNAL_ERROR")


PENDING = State(message="Waiting for a Python process")
RUNNING = State(life_cycle="RUNNING", message="In run")
TERMINATING = State(life_cycle="TERMINATING", message="Terminating the script and its Spark session")
SUCCEEDED = State(life_cycle="TERMINATED", result="SUCCESS", code="SUCCESS")
FAILED = State(life_cycle="TERMINATED", result="FAILED", message=FAILED_MESSAGE, code="RUN_EXECUTION_ERROR")
CANCELED = State(life_cycle="TERMINATED", result="CANCELED", message="Run cancelled.", code="USER_CANCELED")


def timed_out(seconds: int) -> State:
    """The state of a run that was stopped because it took too long."""
    return State(
        life_cycle="TERMINATED",
        result="TIMEDOUT",
        message=f"Run timed out after {seconds} seconds (timeout_seconds).",
        code="CANCELED",
    )


def internal_error(message: str, *, engine: bool = False) -> State:
    """The state of a run that ended for a reason outside its script; `engine`: because of the Spark server."""
    return State(
        life_cycle="INTERNAL_ERROR",
        result="FAILED",
        message=message,
        code="DRIVER_ERROR" if engine else "INTERNAL_ERROR",
    )


class TaskRun(BaseModel):
    """One task's run. Times are milliseconds since the epoch."""

    run_id: int
    key: str
    state: State = PENDING
    started_at: int
    executing_at: int | None = None
    ended_at: int | None = None
    session_id: str | None = None
    error: str | None = None
    error_trace: str | None = None


class Run(BaseModel):
    """A submitted run."""

    run_id: int
    request: SubmitRun
    started_at: int
    tasks: list[TaskRun]

    @property
    def state(self) -> State:
        """The state of the whole run, made from its task's."""
        (task,) = self.tasks
        if task.state.result != "FAILED":
            return task.state
        consequence = "This caused all downstream tasks to get skipped."
        message = f"Task {task.key} failed with message: {task.state.message}. {consequence}"
        return task.state.model_copy(update={"message": message})

    @property
    def ended_at(self) -> int | None:
        """When the last task ended; None while one is under way."""
        ends = [task.ended_at for task in self.tasks]
        return None if None in ends else max(ends)

    @property
    def timeout_seconds(self) -> int:
        """The time the run may take: the shorter of its own and its task's limit, 0 for none."""
        limits = [self.request.timeout_seconds, *(task.timeout_seconds for task in self.request.tasks)]
        return min((limit for limit in limits if limit), default=0)


def now_ms() -> int:
    """The present, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


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
            TaskRun(run_id=run_id + 1 + n, key=task.task_key, started_at=now) for n, task in enumerate(request.tasks)
        ]
        run = Run(run_id=run_id, request=request, started_at=now, tasks=tasks)
        self._runs[run_id] = run
        if request.idempotency_token:
            self._tokens[request.idempotency_token] = run_id
        self.save(run)
        return run

    def save(self, run: Run) -> None:
        """Write the run's file; a reader sees the old or the new one, never half of it."""
        path = self._folder / f"{run.run_id}.json"
        draft = path.with_suffix(".tmp")
        draft.write_text(run.model_dump_json(exclude_unset=True))  # what was not sent stays so
        draft.replace(path)

    def log_path(self, task: TaskRun) -> Path:
        """Where the output of the task's script is."""
        return self._folder / f"{task.run_id}.log"

    def log_tail(self, task: TaskRun, limit: int) -> tuple[str, bool]:
        """The last `limit` bytes of that output as text, and whether something before them was left out."""
        try:
            with self.log_path(task).open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - limit))
                return log.read(limit).decode("utf-8", errors="replace"), size > limit
        except FileNotFoundError:
            return "", False  # the script has not begun
