"""Carries out runs: a process for each, watched until it ends, is cancelled, times out or loses its Spark server."""

import asyncio
import logging
import shutil
from pathlib import Path

from local.databricks.engine import Engine
from local.databricks.models import SubmitRun
from local.databricks.pool import RunnerLostError, RunnerPool
from local.databricks.runs import (
    CANCELED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    TERMINATING,
    Run,
    RunStore,
    State,
    TaskRun,
    internal_error,
    now_ms,
    timed_out,
)

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.5


class JobsService:
    """Accepts runs and carries them out at once, each on its own."""

    def __init__(self, store: RunStore, engine: Engine, pool: RunnerPool, workspace: Path, scratch: Path) -> None:
        self.store = store
        self.engine = engine
        self.pool = pool
        self._workspace = workspace
        self._scratch = scratch
        # Runs under way: what carries each out, and where the state goes that shall end it early.
        self._stopping = False
        self._active: dict[int, tuple[asyncio.Task[None], asyncio.Future[State]]] = {}

    @property
    def ready(self) -> bool:
        """Whether a Python process waits for a run, or works on one."""
        return self.pool.ready or bool(self._active)

    async def start(self) -> None:
        """End what a former service left unfinished and start spare processes."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        alive = await self.engine.alive()
        for run in self.store.newest_first():
            for task in run.tasks:
                if not task.state.over:
                    if alive and task.session_id:
                        await self.engine.release(task.session_id)
                    self._end(run, task, internal_error("The Jobs service ended while the run was under way"))
        await self.pool.fill()

    async def stop(self) -> None:
        """End all runs and processes."""
        self._stopping = True
        reason = internal_error("The Jobs service was stopped while the run was under way")
        for _, stop in self._active.values():
            if not stop.done():
                stop.set_result(reason)
        await asyncio.gather(*(work for work, _ in self._active.values()))
        await self.pool.close()

    def submit(self, request: SubmitRun) -> Run:
        """Start a run, or return the one that was started with the same idempotency token."""
        token = request.idempotency_token
        if token and (known := self.store.by_token(token)):
            return known
        run = self.store.create(request)
        stop = asyncio.get_running_loop().create_future()
        self._active[run.run_id] = asyncio.create_task(self._carry_out(run, run.tasks[0], stop)), stop
        return run

    def cancel(self, run: Run) -> None:
        """Ask a run to end; one that is over stays as it is."""
        _, stop = self._active.get(run.run_id, (None, None))
        if stop and not stop.done():
            stop.set_result(CANCELED)

    async def _carry_out(self, run: Run, task: TaskRun, stop: asyncio.Future[State]) -> None:
        log.info("run %s (%s) started", run.run_id, run.request.run_name)
        try:
            end = await self._ending(run, task, stop)
        except Exception as error:  # the run must end, and say why, whatever happened to the service
            log.exception("run %s", run.run_id)
            end = internal_error(f"The Jobs service could not carry out the run: {type(error).__name__}: {error}")
        try:
            self._end(run, task, end)
            log.info("run %s ended: %s %s", run.run_id, end.result, end.message)
        finally:
            del self._active[run.run_id]
        if not self._active and not self._stopping:
            await self.pool.fill()

    async def _ending(self, run: Run, task: TaskRun, stop: asyncio.Future[State]) -> State:
        """Carry the task out until it ends or something ends it; returns how."""
        if not await self.engine.alive():
            return self._engine_lost()
        script = asyncio.create_task(self._execute(run, task))
        death = asyncio.create_task(self.engine.death())
        waits = {script, death, stop}
        done, _ = await asyncio.wait(waits, timeout=run.timeout_seconds or None, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if script not in done:
            task.state = TERMINATING
            self.store.save(run)
            script.cancel()
            await asyncio.wait({script})
            # A query that is cancelled while Spark still plans it starts nevertheless, and then belongs to nobody.
            # Without its client no further query begins, and the last one is soon far enough to be cancelled.
            await asyncio.sleep(SETTLE_SECONDS)
        lost = death in done or not await self.engine.alive()
        if task.session_id and not lost:
            await self.engine.release(task.session_id)
        if script in done:
            end = script.result()
            return self._engine_lost() if lost and end is FAILED else end
        if stop in done:
            return stop.result()
        return self._engine_lost() if lost else timed_out(run.timeout_seconds)

    async def _execute(self, run: Run, task: TaskRun) -> State:
        """Run the script in a process of its own, which is gone when this returns or is cancelled."""
        python_file = run.request.tasks[0].spark_python_task.python_file
        script = self._workspace / python_file.removeprefix("/Workspace").lstrip("/")
        if not script.is_file():
            return internal_error(f"Cannot read the python file {python_file}: there is no file {script}")
        cwd = self._scratch / str(task.run_id)
        cwd.mkdir(parents=True)
        runner = await self.pool.take()
        try:
            await runner.ready()
            task.session_id, task.executing_at, task.state = runner.session_id, now_ms(), RUNNING
            self.store.save(run)
            parameters = run.request.tasks[0].spark_python_task.parameters
            await self.pool.fill(1)
            answer = await runner.run(script, parameters, cwd, self.store.log_path(task))
        except RunnerLostError as error:
            return internal_error(str(error))
        finally:
            await runner.kill()
            shutil.rmtree(cwd, ignore_errors=True)
        task.error, task.error_trace = answer["error"], answer["error_trace"]
        return SUCCEEDED if task.error is None else FAILED

    def _engine_lost(self) -> State:
        return internal_error(f"The {self.engine} does not answer: start it and run again", engine=True)

    def _end(self, run: Run, task: TaskRun, end: State) -> None:
        task.state, task.ended_at = end, now_ms()
        if end.life_cycle == "INTERNAL_ERROR":
            task.error = end.message  # clients that look for the reason read the output's error first
        self.store.save(run)
