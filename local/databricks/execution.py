"""Carries out one task: a process for its script, watched until it ends, takes too long or loses its Spark server."""

import asyncio
import shutil
from pathlib import Path

from local.databricks.engine import Engine
from local.databricks.process import Program, Runner, RunnerLostError
from local.databricks.run import Run, TaskRun
from local.databricks.runs import RunStore, now_ms
from local.databricks.states import FAILED, RUNNING, SUCCEEDED, TERMINATING, State, internal_error, timed_out

SETTLE_SECONDS = 0.5


class Execution:
    """How scripts are executed: by processes of their own, each in an empty folder of its own below `scratch`."""

    def __init__(self, store: RunStore, engine: Engine, scratch: Path) -> None:
        self._store = store
        self._engine = engine
        self._scratch = scratch

    async def run(self, run: Run, task: TaskRun, program: Program, stop: asyncio.Future[State]) -> State:
        """Execute `program` for the task until it ends or `stop` has a state for it; returns how it ended."""
        if not await self._engine.alive():
            return self._engine_lost()
        limit = run.submitted(task).timeout_seconds
        work = asyncio.create_task(self._execute(run, task, program))
        death = asyncio.create_task(self._engine.death())
        done, _ = await asyncio.wait({work, death, stop}, timeout=limit or None, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if work not in done:
            await self._end_early(run, task, work)
        lost = death in done or not await self._engine.alive()
        if task.session_id and not lost:
            await self._engine.release(task.session_id)
        if work in done:
            end = work.result()
            return self._engine_lost() if lost and end is FAILED else end
        if stop in done:
            return stop.result()
        return self._engine_lost() if lost else timed_out(limit)

    async def _end_early(self, run: Run, task: TaskRun, work: asyncio.Task[State]) -> None:
        task.state = TERMINATING
        self._store.save(run)
        work.cancel()
        await asyncio.wait({work})
        # A query that is cancelled while Spark still plans it starts nevertheless, and then belongs to nobody.
        # Without its client no further query begins, and the last one is soon far enough to be cancelled.
        await asyncio.sleep(SETTLE_SECONDS)

    async def _execute(self, run: Run, task: TaskRun, program: Program) -> State:
        """Run it in a process of its own, which is gone when this returns or is cancelled."""
        if missing := [file for file in program.files if not file.is_file()]:
            script = run.submitted(task).spark_python_task
            name = script.python_file if script and program.script in missing else missing[0].name
            message = f"Cannot read the python file {name}: there is no file {missing[0]}"
            return internal_error(message, "RESOURCE_NOT_FOUND")
        cwd = self._scratch / str(task.run_id)
        cwd.mkdir(parents=True)
        runner = Runner.start(self._engine)
        try:
            task.session_id, task.executing_at, task.state = runner.session_id, now_ms(), RUNNING
            self._store.save(run)
            answer = await runner.run(program, cwd, self._store.log_path(task))
        except RunnerLostError as error:
            return internal_error(str(error))
        finally:
            await runner.kill()
            shutil.rmtree(cwd, ignore_errors=True)
            self._store.trim_log(task)
        task.error, task.error_trace = answer["error"], answer["error_trace"]
        return SUCCEEDED if task.error is None else FAILED

    def _engine_lost(self) -> State:
        return internal_error(f"The {self._engine} does not answer: start it and run again", "DRIVER_ERROR")
