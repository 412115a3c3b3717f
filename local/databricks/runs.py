"""Runs and their states, kept as one JSON file and one log file each, so that they survive a restart."""

import codecs
import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from local.databricks.models import SubmitRun
from local.databricks.run import OfJob, Repair, Run, TaskRun
from local.databricks.states import BLOCKED, PENDING

log = logging.getLogger(__name__)

MAX_LOG_BYTES = 5 * 1024 * 1024
# As at Databricks. Their logs may have 5 MB each, so there is a limit in number as well.
KEPT_DAYS = 60
KEPT_RUNS = 2_000


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
        return next(
            ((run, task) for run in self._runs.values() for task in (*run.tasks, *run.former) if task.run_id == run_id),
            None,
        )

    def by_token(self, token: str) -> Run | None:
        """The run that was submitted with this idempotency token, whatever its state."""
        run_id = self._tokens.get(token)
        return None if run_id is None else self._runs[run_id]

    def create(self, request: SubmitRun, job: OfJob | None = None) -> Run:
        """A new run. Its id is the time, so that ids rise also after a restart."""
        now = now_ms()
        run_id = self._next_id(now)
        tasks = [
            TaskRun(
                run_id=run_id + 1 + n,
                key=task.task_key,
                state=BLOCKED if task.depends_on else PENDING,
                started_at=now,
            )
            for n, task in enumerate(request.tasks)
        ]
        run = Run(run_id=run_id, request=request, started_at=now, tasks=tasks, job=job)
        self._write(run)
        self._runs[run_id] = run
        if request.idempotency_token:
            self._tokens[request.idempotency_token] = run_id
        self.trim()
        return run

    def repair(self, run: Run, keys: list[str]) -> int:
        """Give the run a new, unfinished run of each of these tasks; returns the id of the repair."""
        now = now_ms()
        repair_id = self._next_id(now)
        again = {key: repair_id + 1 + n for n, key in enumerate(keys)}
        run.former += [task for task in run.tasks if task.key in again]
        run.tasks = [
            TaskRun(
                run_id=again[task.key],
                key=task.key,
                state=BLOCKED if run.submitted(task).depends_on else PENDING,
                started_at=now,
                attempt=task.attempt + 1,
            )
            if task.key in again
            else task
            for task in run.tasks
        ]
        run.repairs.append(Repair(repair_id=repair_id, started_at=now, task_run_ids=list(again.values())))
        self.save(run)
        return repair_id

    def _next_id(self, now: int) -> int:
        known = (task.run_id for run in self._runs.values() for task in (*run.tasks, *run.former))
        return max([now, *(1 + run_id for run_id in known)])

    def trim(self) -> None:
        """Forget the runs, and remove their files, that ended too long ago or are too many."""
        oldest = now_ms() - KEPT_DAYS * 24 * 3600 * 1000
        over = [run for run in self.newest_first() if run.ended_at is not None]
        for n, run in enumerate(over):
            if n < KEPT_RUNS and run.ended_at > oldest:
                continue
            for path in (*(self.log_path(task) for task in (*run.tasks, *run.former)), self._record(run)):
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
