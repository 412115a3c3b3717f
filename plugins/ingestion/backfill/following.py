"""Wait for a backfill: a line for each day as it ends, and a reason when it cannot go on."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from threading import Event

from ingestion.backfill.days import Day, Fate, count, left_alone, names, span, totals
from ingestion.backfill.internals import backfills, runs
from ingestion.backfill.internals.backfills import Progress
from ingestion.backfill.options import Options

POLL_SECONDS = 1.0
INTERRUPTED = 130


class Following:
    """The wait for one backfill, until all its days have ended, it cannot go on, or `stop` is set."""

    def __init__(self, options: Options, zone: tzinfo, backfill_id: int, stop: Event) -> None:
        self.options = options
        self.zone = zone
        self.id = backfill_id
        self.stop = stop
        self.began = datetime.now(UTC)
        self._told: dict[str, datetime | None] = {}
        self._scheduler_alive = True

    def to_the_end(self) -> int:
        """Follow it; returns the exit code."""
        failed_before = self._tell_left_alone()
        stopped = False
        while True:
            now = backfills.progress(self.id, self.zone)
            self._tell_ended(now)
            if all(day.is_over for day in now.days) and (now.days or now.closed):
                backfills.close_finished(self.options.dag_id)
                return self._conclude(now, failed_before)
            if not stopped and self._too_many_failed(now):
                backfills.cancel(self.id)
                stopped = True
                say(f"Stopped after {count(len(failed(now)), 'failed day')}: no other day starts{self._still_runs()}.")
            elif reason := self._obstacle(now):
                say(f"{totals(now.days)} after {self._elapsed()}.")
                say(reason)
                return 1
            elif self.stop.wait(POLL_SECONDS):
                return self._interrupted()

    def _tell_left_alone(self) -> bool:
        """Name the days that are not run; returns whether one of them is no success."""
        by_fate: dict[Fate, list[str]] = {}
        for name, state, manual in backfills.left_alone(self.id, self.zone):
            by_fate.setdefault(left_alone(state, manual), []).append(name)
        for fate, found in by_fate.items():
            say(f"{count(len(found))} {fate}: {names(found)}")
        return bool(by_fate.keys() - {Fate.SUCCEEDED})

    def _tell_ended(self, now: Progress) -> None:
        for day in newly_ended(now, self._told):
            say(self._line(day))
        if now.scheduler_alive != self._scheduler_alive:
            self._scheduler_alive = now.scheduler_alive
            say("A scheduler runs again." if now.scheduler_alive else "No scheduler is running: the days wait for one.")

    def _line(self, day: Day) -> str:
        if day.run_id is None:
            return f"{day.name}  deleted by somebody"
        start = f"{day.name}  {day.state:<7}  {span(day.ended - day.started) if day.ended and day.started else '':>5}"
        if day.state == "success":
            return f"{start}  {runs.loads(self.options.dag_id, day.run_id)}".rstrip()
        task = runs.failure(self.options.dag_id, day.run_id)
        if task is None:
            return (
                f"{start}  no task failed: it ran too long or was set so; {runs.page(self.options.dag_id, day.run_id)}"
            )
        return f"{start}  task {task[0]} failed, its log: {task[1]}"

    def _too_many_failed(self, now: Progress) -> bool:
        limit = self.options.max_failed_days
        return limit is not None and len(failed(now)) >= limit and any(day.state == "queued" for day in now.days)

    def _obstacle(self, now: Progress) -> str | None:
        """Why the days that are left will not run by themselves, and what to do."""
        ways = f"`{self.options.command_line()}` goes on from here, `{cancel_line(self.options)}` gives it up."
        dag = self.options.dag_id
        if now.dag_stale:
            return f"{dag} is no longer among the DAGs: bring it back, then {ways}"
        if now.dag_paused:
            return (
                f"{dag} is paused, by somebody or by Airflow after several failed runs in a row: mend the cause and "
                f"`airflow dags unpause {dag}`, then {ways}"
            )
        if now.paused and not any(day.state == "running" for day in now.days):
            return f"Backfill {self.id} was paused by somebody: {ways}"
        return None

    def _interrupted(self) -> int:
        backfills.set_paused(self.id, True)
        now = backfills.progress(self.id, self.zone)
        say(f"Interrupted. {totals(now.days)} after {self._elapsed()}.")
        if now.closed:
            say(f"Backfill {self.id} is over all the same.")
            return INTERRUPTED
        say(f"Backfill {self.id} is paused{self._still_runs()}.")
        say(f"Go on: {self.options.command_line()}")
        say(f"Give up: {cancel_line(self.options)}")
        return INTERRUPTED

    def _still_runs(self) -> str:
        running = [day.name for day in backfills.progress(self.id, self.zone).days if day.state == "running"]
        return f"; {names(running)} runs to its end" if running else ""

    def _conclude(self, now: Progress, failed_before: bool) -> int:
        say(f"Backfill {self.id}: {totals(now.days)} in {self._elapsed()}.")
        if now.dag_paused:
            say(f"{self.options.dag_id} is paused now: `airflow dags unpause {self.options.dag_id}`.")
        if not failed_before and now.days and all(day.outcome == "success" for day in now.days):
            return 0
        say(f"When the cause is mended: {self.options.command_line(rerun_failed=True)}")
        return 1

    def _elapsed(self) -> str:
        return span(datetime.now(UTC) - self.began)


def newly_ended(now: Progress, told: dict[str, datetime | None]) -> Iterator[Day]:
    """The days that have ended and are not told yet, in the order of their end. One that was cleared ends once more."""
    ended = [day for day in now.days if day.is_over and not day.was_cancelled]
    for day in sorted(ended, key=lambda day: day.ended or datetime.max.replace(tzinfo=UTC)):
        if day.name not in told or told[day.name] != day.ended:
            told[day.name] = day.ended
            yield day


def failed(now: Progress) -> list[Day]:
    """The days that ran and failed."""
    return [day for day in now.days if day.outcome == "failed"]


def cancel_line(options: Options) -> str:
    """The command that gives the backfill up."""
    return f"airflow {options.group} backfill {options.dag_id} --cancel"


def say(text: str) -> None:
    """One line, at once: somebody watches, or a log is written."""
    print(text, flush=True)
