"""What a run is: its tasks, their states, and the state of the whole that follows from them."""

from typing import Literal

from pydantic import BaseModel

from local.databricks.models import SubmitRun, SubmitTask
from local.databricks.states import PENDING, QUEUED, RUNNING, SUCCEEDED, SUCCEEDED_WITH_FAILURES, TERMINATING, State


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
    # Of a run of a job: how often the task was begun before, its parameters without references, the run it started.
    attempt: int = 0
    parameters: list[str] | None = None
    started_run_id: int | None = None


class OfJob(BaseModel):
    """What makes a run one of a job. `parameters` are all of the job's, as this run has them."""

    job_id: int
    parameters: dict[str, str]
    defaults: dict[str, str]
    trigger: Literal["ONE_TIME", "RUN_JOB_TASK"]


class Repair(BaseModel):
    """A repair of a run: which runs of tasks it added."""

    repair_id: int
    started_at: int
    task_run_ids: list[int]


class Run(BaseModel):
    """A run, submitted or of a job. `commit` is what its Git source was checked out at.

    `tasks` has the latest run of each task; those that a repair has repeated are in `former`.
    """

    run_id: int
    request: SubmitRun
    started_at: int
    commit: str | None = None
    tasks: list[TaskRun]
    job: OfJob | None = None
    is_queued: bool = False
    former: list[TaskRun] = []
    repairs: list[Repair] = []

    @property
    def keys(self) -> list[str]:
        """The keys of its tasks."""
        return [task.key for task in self.tasks]

    def to_repair(self, rerun: list[str], with_dependents: bool) -> list[str]:
        """The tasks that a repair repeats: these, if asked so with all that depend on them; without any, the failed."""
        if not rerun:
            return [task.key for task in self.tasks if not task.state.good]
        chosen = set(rerun)
        while with_dependents:
            more = {
                task.task_key
                for task in self.request.tasks
                if any(other.task_key in chosen for other in task.depends_on)
            }
            if more <= chosen:
                break
            chosen |= more
        return [key for key in self.keys if key in chosen]

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
        if self.is_queued:
            return QUEUED
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
