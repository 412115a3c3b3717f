"""Accepts runs and carries them out: fetches their scripts, then begins each task when those before it are over."""

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Literal

from local.databricks.checkout import CheckoutError, checkout
from local.databricks.engine import Engine
from local.databricks.execution import Execution
from local.databricks.jobs import Job, JobStore
from local.databricks.models import SubmitRun
from local.databricks.process import Program, Runner
from local.databricks.references import resolved
from local.databricks.run import OfJob, Run, TaskRun
from local.databricks.runs import RunStore, now_ms
from local.databricks.states import (
    CANCELED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    TOO_MANY_RUNS,
    State,
    internal_error,
    skipped,
    timed_out,
)

Trigger = Literal["ONE_TIME", "RUN_JOB_TASK"]
log = logging.getLogger(__name__)


class JobsService:
    """Starts each run as soon as it is submitted, beside the others; those of a job as many at a time as it says."""

    def __init__(self, store: RunStore, jobs: JobStore, engine: Engine, workspace: Path, scratch: Path) -> None:
        self.store = store
        self.jobs = jobs
        self.engine = engine
        self._execution = Execution(store, engine, scratch)
        self._workspace = workspace
        self._scratch = scratch
        # Runs under way: what carries each out, and where the state goes that shall end it early.
        self._active: dict[int, tuple[asyncio.Task[None], asyncio.Future[State]]] = {}
        # How many more runs of each job may begin, by its id.
        self._places: dict[int, asyncio.Semaphore] = {}

    async def start(self) -> None:
        """End what a former service left unfinished, and be ready for scripts."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        alive = await self.engine.alive()
        for run in self.store.newest_first():
            for task in run.tasks:
                if alive and task.session_id and not task.state.over:
                    await self.engine.release(task.session_id)
            self._end_all(run, internal_error("The Jobs service ended while the run was under way"))
        # The first process waits for the imports of all.
        await (await asyncio.to_thread(Runner.start, self.engine)).kill()

    async def stop(self) -> None:
        """End all runs."""
        reason = internal_error("The Jobs service was stopped while the run was under way")
        for run_id in self._active:
            self._end_early(self.store.find(run_id)[0], reason)
        await asyncio.gather(*(work for work, _ in self._active.values()))

    def submit(self, request: SubmitRun) -> Run:
        """Start a run, or return the one that was started with the same idempotency token."""
        token = request.idempotency_token
        if token and (known := self.store.by_token(token)):
            return known
        run = self.store.create(request)
        self._begin(run)
        return run

    def run_now(self, job: Job, given: dict[str, str], trigger: Trigger, token: str | None = None) -> Run:
        """Start a run of a job with these of its parameters, or return the one with the same idempotency token."""
        if token and (known := self.store.by_token(token)):
            return known
        defaults = {parameter.name: parameter.default for parameter in job.settings.parameters}
        of_job = OfJob(job_id=job.job_id, parameters=defaults | given, defaults=defaults, trigger=trigger)
        run = self.store.create(job.settings.as_run(token), of_job)
        if job.settings.is_queued or not self._place(job).locked():
            self._begin(run)
        else:
            self._end_all(run, TOO_MANY_RUNS)
        return run

    def repair(self, run: Run, keys: list[str]) -> int:
        """Repeat these tasks of a run that is over; returns the id of the repair."""
        repair_id = self.store.repair(run, keys)
        self._begin(run)
        return repair_id

    def _begin(self, run: Run) -> None:
        stop = asyncio.get_running_loop().create_future()
        self._active[run.run_id] = asyncio.create_task(self._in_its_place(run, stop)), stop

    def _place(self, job: Job) -> asyncio.Semaphore:
        return self._places.setdefault(job.job_id, asyncio.Semaphore(job.settings.max_concurrent_runs))

    async def _in_its_place(self, run: Run, stop: asyncio.Future[State]) -> None:
        """Carry a run out, one of a job when there is a place for it."""
        job = self.jobs.find(run.job.job_id) if run.job else None
        if job is None:  # one that was deleted has no places any more
            return await self._carry_out(run, stop)
        run.is_queued = True
        place = asyncio.create_task(self._place(job).acquire())
        await asyncio.wait({place, stop}, return_when=asyncio.FIRST_COMPLETED)
        run.is_queued = False
        try:
            await self._carry_out(run, stop)
        finally:
            if place.done():
                self._place(job).release()
            else:
                place.cancel()

    def cancel(self, run: Run) -> None:
        """Ask a run to end; one that is over stays as it is."""
        self._end_early(run, CANCELED)

    def _end_early(self, run: Run, end: State) -> None:
        _, stop = self._active.get(run.run_id, (None, None))
        if stop and not stop.done():
            stop.set_result(end)

    async def _carry_out(self, run: Run, stop: asyncio.Future[State]) -> None:
        """Work on the run until it is over. Once `stop` has a state, whatever is not over ends with it."""
        log.info("run %s (%r) started", run.run_id, run.request.run_name)
        limit = run.request.timeout_seconds
        loop = asyncio.get_running_loop()
        timer = loop.call_later(limit, self._end_early, run, timed_out(limit)) if limit else None
        folder = self._scratch / f"{run.run_id}-git"
        try:
            failure = await self._check_out(run, folder, stop)
            if failure:
                self._end_all(run, failure)
            over = {task.key: loop.create_future() for task in run.tasks}
            await asyncio.gather(*(self._in_turn(run, task, folder, over, stop) for task in run.tasks))
        except Exception as error:  # the run must end, and say why, whatever happened to the service
            log.exception("run %s", run.run_id)
            self._end_all(run, _broken(error))
        finally:
            if timer:
                timer.cancel()
            shutil.rmtree(folder, ignore_errors=True)
            del self._active[run.run_id]
        log.info("run %s ended: %s %s", run.run_id, run.state.result, run.state.message)

    async def _check_out(self, run: Run, folder: Path, stop: asyncio.Future[State]) -> State | None:
        """Fetch the scripts of a run that has them in Git; returns how the run ends when that fails."""
        source = run.request.git_source
        if not source:
            return None
        work = asyncio.create_task(checkout(source, folder))
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            return stop.result()
        try:
            run.commit = work.result()
        except (CheckoutError, OSError) as error:  # OSError: no git on this machine
            message = f"Failed to checkout Git repository {source.git_url}: {error}"
            return internal_error(message, "REPOSITORY_CHECKOUT_FAILED")
        return None

    async def _in_turn(
        self, run: Run, task: TaskRun, git: Path, over: dict[str, asyncio.Future[State]], stop: asyncio.Future[State]
    ) -> None:
        """Carry the task out when those it depends on are over, if it may begin then. `over` has each task's end."""
        sent = run.submitted(task)
        upstream = [await over[other.task_key] for other in sent.depends_on]
        try:
            if not task.state.over:
                end = stop.result() if stop.done() else skipped(sent.run_if, upstream)
                self._end(run, task, end or await self._begun(run, task, git, stop))
        except Exception as error:  # as in _carry_out; the tasks that depend on this one must not wait for ever
            log.exception("run %s, task %s", run.run_id, task.key)
            self._end(run, task, _broken(error))
        over[task.key].set_result(task.state)

    async def _begun(self, run: Run, task: TaskRun, git: Path, stop: asyncio.Future[State]) -> State:
        """Carry out a task whose turn it is, with what its references stand for now."""
        sent = run.submitted(task)
        if run.job:
            task.parameters = [resolved(text, run) for text in sent.texts]
        if sent.run_job_task:
            return await self._other_job(run, task, stop)
        return await self._execution.run(run, task, self._program(run, task, git), stop)

    def _program(self, run: Run, task: TaskRun, git: Path) -> Program:
        sent = run.submitted(task)
        parameters = sent.texts if task.parameters is None else task.parameters
        wheels = tuple(self._in_workspace(wheel) for wheel in run.request.wheels(sent))
        if wheel := sent.python_wheel_task:
            return Program(parameters, package=wheel.package_name, entry_point=wheel.entry_point, wheels=wheels)
        script = sent.spark_python_task
        file = git / script.python_file if script.source == "GIT" else self._in_workspace(script.python_file)
        return Program(parameters, script=file, wheels=wheels)

    def _in_workspace(self, path: str) -> Path:
        return self._workspace / path.removeprefix("/Workspace").lstrip("/")

    async def _other_job(self, run: Run, task: TaskRun, stop: asyncio.Future[State]) -> State:
        """Start a run of another job and wait for it; it ends with this one."""
        started = run.submitted(task).run_job_task
        job = self.jobs.find(started.job_id)
        if job is None:
            return internal_error(f"Job {started.job_id} does not exist.", "RESOURCE_NOT_FOUND")
        given = dict(zip(started.job_parameters, task.parameters or [], strict=True))
        other = self.run_now(job, given, "RUN_JOB_TASK")
        task.started_run_id, task.executing_at, task.state = other.run_id, now_ms(), RUNNING
        self.store.save(run)
        work, _ = self._active.get(other.run_id, (None, None))
        if work:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            self._end_early(other, stop.result())
            return stop.result()
        if other.state.good or other.state.result == "SUCCESS_WITH_FAILURES":
            return SUCCEEDED
        task.error = (
            f"Run {other.run_id} of job {job.settings.name} ended as {other.state.result}: {other.state.message}"
        )
        return FAILED

    def _end_all(self, run: Run, end: State) -> None:
        for task in run.tasks:
            if not task.state.over:
                self._end(run, task, end)

    def _end(self, run: Run, task: TaskRun, end: State) -> None:
        task.state, task.ended_at = end, now_ms()
        if end.life_cycle == "INTERNAL_ERROR":
            task.error = end.message  # clients that look for the reason read the output's error first
        self.store.save(run)


def _broken(error: Exception) -> State:
    return internal_error(f"The Jobs service could not carry out the run: {type(error).__name__}: {error}")
