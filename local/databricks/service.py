"""Accepts runs and carries them out: fetches their scripts, then begins each task when those before it are over."""

import asyncio
import logging
import shutil
from pathlib import Path

from local.databricks.checkout import CheckoutError, checkout
from local.databricks.engine import Engine
from local.databricks.execution import Execution
from local.databricks.models import SubmitRun, SubmitTask
from local.databricks.process import Runner
from local.databricks.runs import Run, RunStore, TaskRun, now_ms
from local.databricks.states import CANCELED, State, internal_error, skipped, timed_out

log = logging.getLogger(__name__)


class JobsService:
    """Starts each run as soon as it is submitted, beside the others."""

    def __init__(self, store: RunStore, engine: Engine, workspace: Path, scratch: Path) -> None:
        self.store = store
        self.engine = engine
        self._execution = Execution(store, engine, scratch)
        self._workspace = workspace
        self._scratch = scratch
        # Runs under way: what carries each out, and where the state goes that shall end it early.
        self._active: dict[int, tuple[asyncio.Task[None], asyncio.Future[State]]] = {}

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
        stop = asyncio.get_running_loop().create_future()
        self._active[run.run_id] = asyncio.create_task(self._carry_out(run, stop)), stop
        return run

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
                self._end(run, task, end or await self._execution.run(run, task, self._script(sent, git), stop))
        except Exception as error:  # as in _carry_out; the tasks that depend on this one must not wait for ever
            log.exception("run %s, task %s", run.run_id, task.key)
            self._end(run, task, _broken(error))
        over[task.key].set_result(task.state)

    def _script(self, sent: SubmitTask, git: Path) -> Path:
        script = sent.spark_python_task
        if script.source == "GIT":
            return git / script.python_file
        return self._workspace / script.python_file.removeprefix("/Workspace").lstrip("/")

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
