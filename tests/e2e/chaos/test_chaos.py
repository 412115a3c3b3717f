"""`make chaos N=50 SEED=1`: deliveries and runs of all kinds while something is killed in every cycle.

A seed gives the same deliveries, runs, victims and delays; how far each run has got by then differs. It needs a stack
of its own, which it has when nothing else is run, and ends with a report of one page.
"""

import os
import random
import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from google.cloud.storage import Bucket

from local.stack.home import ComponentState
from tests.conftest import Stack
from tests.e2e.chaos.plan import Cycle, cycles
from tests.e2e.chaos.verdict import Verdict, judge
from tests.e2e.clients import DAG, ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.jobs import Jobs
from tests.e2e.story import names

# An outage that is waited out, with all that was delivered meanwhile to be loaded after it.
CALM_SECONDS = 900
BACK_SECONDS = 180
# What Airflow calls the process that executes a task, and not the one of its executor above it.
TASK = re.compile(r"airflow worker -- (?!LocalExecutor)")


@pytest.mark.chaos
def test_nothing_is_lost_or_doubled(
    stack: Stack,
    airflow: Airflow,
    jobs: Jobs,
    live_bucket: Bucket,
    lakehouse: Lakehouse,
    deliveries: Deliveries,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10_000))
    plan = cycles(seed, int(os.environ["CHAOS_CYCLES"]))
    chaos = Chaos(stack, airflow, jobs, live_bucket, deliveries)
    began = time.monotonic()
    wait_for("a live run waits", airflow.waiting_run)
    for cycle in plan:
        chaos.live_through(cycle)
        with capsys.disabled():
            print(f"{cycle.number:4} of {len(plan)}  {chaos.told}", flush=True)
    chaos.wait_until_calm()
    verdict = judge(live_bucket, lakehouse, jobs, deliveries.made)
    page = report(seed, plan, chaos, verdict, time.monotonic() - began)
    Path(os.environ["CHAOS_REPORT"]).write_text(page)
    with capsys.disabled():
        print(page)
    assert (verdict.lost, verdict.doubled, verdict.wrong) == (0, 0, [])


class Chaos:
    """The stack that cycles are lived through, and what was done to it."""

    def __init__(self, stack: Stack, airflow: Airflow, jobs: Jobs, bucket: Bucket, deliveries: Deliveries) -> None:
        self._stack = stack
        self._airflow = airflow
        self._jobs = jobs
        self._bucket = bucket
        self._deliveries = deliveries
        self.kills: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.pauses = 0
        self.told = ""

    def live_through(self, cycle: Cycle) -> None:
        """Deliver, start a run, kill, and wait until what was killed is back, or until all is calm."""
        for upload in cycle.uploads:
            self._deliveries.put(upload.name, upload.text)
        started = self._start_run(cycle)
        time.sleep(cycle.delay)  # at any moment: there is no condition to wait for
        killed = self._kill_task() if cycle.victim == "task" else self._kill_component(cycle.victim)
        kinds = ", ".join(upload.kind for upload in cycle.uploads)
        self.told = f"{kinds}; {started or 'no other'} run; after {cycle.delay:.1f} s killed {killed or 'nothing'}"
        if cycle.ends_calm:
            self.wait_until_calm()

    def wait_until_calm(self) -> None:
        """Wait until nothing is left to be done. A DAG that was paused for failed runs is unpaused, as people would."""
        wait_for("calm", self._is_calm, CALM_SECONDS, pause=1)

    def _start_run(self, cycle: Cycle) -> str | None:
        days = {"reload_from": str(cycle.days.first), "reload_to": str(cycle.days.last)}
        if cycle.run == "manual":
            self._airflow.trigger()
        elif cycle.run == "reload":
            self._airflow.trigger(**days)
        elif cycle.run == "backfill" and not self._airflow.active_backfills():
            self._airflow.backfill(*days.values(), max_active_runs=1, reprocess_behavior="completed")
        else:
            return None
        self.runs[cycle.run] += 1
        return cycle.run

    def _kill_component(self, name: str) -> str:
        """With all its children, and wait until its supervisor has started it again."""
        dead = self._component(name).pid
        leader = psutil.Process(dead)
        for process in (*leader.children(recursive=True), leader):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.kills[name] += 1
        wait_for(f"{name} is back", lambda: self._runs_instead_of(name, dead), BACK_SECONDS)
        return name

    def _runs_instead_of(self, name: str, dead: int) -> bool:
        component = self._component(name)
        return component.pid != dead and component.state == "running"

    def _kill_task(self) -> str | None:
        """The process of a task that runs now, if one does."""
        for process in psutil.Process(self._component("scheduler").pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if TASK.match(" ".join(process.cmdline())):
                    process.kill()
                    self.kills["task"] += 1
                    return "a task"
        return None

    def _component(self, name: str) -> ComponentState:
        return next(item for item in self._stack.state.components if item.name == name)

    def _is_calm(self) -> bool:
        with suppress(httpx.HTTPError):
            if self._airflow.paused():
                self.pauses += 1
                self._airflow.unpause()
            active = [run for run in self._airflow.runs(DAG) if run["state"] not in ENDED]
            waiting = self._airflow.waiting_run()
            return (
                not names(self._bucket, "source/")
                and [run["dag_run_id"] for run in active] == [waiting]
                and not self._airflow.active_backfills()
                and not self._jobs.active()
            )
        return False


def report(seed: int, plan: list[Cycle], chaos: Chaos, verdict: Verdict, seconds: float) -> str:
    """One page, for people."""
    kinds = Counter(upload.kind for cycle in plan for upload in cycle.uploads)
    lines = {
        "seed": seed,
        "cycles": f"{len(plan)} in {seconds / 60:.0f} min",
        "delivered": _listed(kinds),
        "runs beside the live ones": _listed(chaos.runs),
        "killed": _listed(chaos.kills),
        "pauses of the DAG, each unpaused": chaos.pauses,
        "files archived, rejected, replaced unread": (
            f"{verdict.archived}, {verdict.rejected}, {verdict.replaced_unread}"
        ),
        "rows compared, quarantined": f"{verdict.rows_compared}, {verdict.quarantined}",
        "rows lost, doubled": f"{verdict.lost}, {verdict.doubled}",
        "wrong": "\n  ".join(verdict.wrong) or "nothing",
    }
    return "\n".join(["", "# Chaos", "", *(f"- {name}: {value}" for name, value in lines.items()), ""])


def _listed(counts: Counter[str]) -> str:
    return f"{sum(counts.values())} ({', '.join(f'{number} {name}' for name, number in sorted(counts.items()))})"
