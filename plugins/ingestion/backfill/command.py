"""The command: what is refused, what is shown, what is started, and the wait for it."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Event

from ingestion.backfill import internals
from ingestion.backfill.days import Day, PlannedDay, count, name_of, names, totals
from ingestion.backfill.internals import Dag, Progress
from ingestion.backfill.options import Options, RefusedError

POLL_SECONDS = 1.0
INTERRUPTED = 130


@internals.airflow_command
def backfill(args: argparse.Namespace) -> None:
    """Run the command; ends the process with its exit code."""
    try:
        sys.exit(_give_up(args.dag_id) if args.cancel else _run(Options.of(args)))
    except RefusedError as refusal:
        print(f"Nothing done: {refusal}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, EOFError):
        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _run(options: Options) -> int:
    dag = internals.dag_of(options.dag_id)
    planned = internals.planned_days(options, dag.zone)
    if not any(day.is_over for day in planned):
        raise RefusedError(
            f"{options.dag_id} has no day in {options.range} that is over: "
            f"`airflow dags trigger {options.dag_id}` takes what is there now"
        )
    active = internals.active_backfill(options.dag_id, dag.zone)
    if options.dry_run or not (active or any(day.attempted for day in planned)):
        return _show(options, planned)
    for obstacle in _obstacles(options, dag, active):
        raise RefusedError(obstacle)
    if active is None:
        _confirm(options, planned)
    with _asked_to_stop() as stop:
        if active is None:
            backfill_id = internals.create(options, dag.zone)
        else:
            backfill_id = active.id
            internals.set_paused(backfill_id, False)
        now = internals.progress(backfill_id, dag.zone)
        say(
            f"Backfill {backfill_id} of {options.dag_id}{' goes on' if active else ''}: "
            f"{count(sum(not day.is_over for day in now.days))} to run, {options.range}"
        )
        others = [day for day in planned if day.name not in {run.name for run in now.days}]
        for day in others:
            say(f"{day.name}  {day.fate}")
        code = _follow(options, dag, backfill_id, stop)
    return code or int(any(day.is_over and day.state != "success" for day in others))


def _obstacles(options: Options, dag: Dag, active: Progress | None) -> Iterator[str]:
    """What keeps a backfill from being started at this moment."""
    if active is not None and active.asked != internals.asked_for(options, dag.zone):
        first, last, reprocess, _, at_a_time = active.asked
        yield (
            f"backfill {active.id} of {options.dag_id} ({name_of(first, dag.zone)} to {name_of(last, dag.zone)}, "
            f"{reprocess} reprocessed, {at_a_time} at a time) is not over: the command with its range and options "
            "goes on with it, the command with --cancel gives it up"
        )
    if dag.paused:
        yield f"{options.dag_id} is paused, its runs would wait for ever: `airflow dags unpause {options.dag_id}`"
    if not internals.scheduler_alive():
        yield "no scheduler is running, the days would wait for ever: start one (`airflow scheduler`)"


def _show(options: Options, planned: list[PlannedDay]) -> int:
    """Show what becomes of each day; the code is 1 if the range is not all done and was to be run."""
    say(f"{options.dag_id}, {options.range}: nothing is started.")
    width = max(len(day.name) for day in planned)
    for day in planned:
        say(f"{day.name:<{width}}  {day.fate}")
    return int(not options.dry_run and any(day.is_over and day.state != "success" for day in planned))


def _confirm(options: Options, planned: list[PlannedDay]) -> None:
    """Ask before runs are cleared that --reset-dagruns names but no person has seen. Raises RefusedError."""
    existing = sum(day.attempted and day.state is not None for day in planned)
    if options.reprocess != "completed" or options.yes or not existing:
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"--reset-dagruns would clear {count(existing, 'run')} and nobody can be asked: add --yes")
    answer = input(f"{count(existing, 'run')} of {options.dag_id} will be cleared and run anew. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was cleared")


def _follow(options: Options, dag: Dag, backfill_id: int, stop: Event) -> int:
    """Wait until all its days have ended, it cannot go on, or it is asked to stop; returns the exit code."""
    began, alive = time.monotonic(), True
    told: dict[str, datetime | None] = {}
    while True:
        now = internals.progress(backfill_id, dag.zone)
        _tell_ended(options, now, told)
        if all(day.is_over for day in now.days):
            break
        if alive != now.scheduler_alive:
            alive = now.scheduler_alive
            say("A scheduler runs again." if alive else "No scheduler is running: the days wait for one.")
        failed = sum(day.outcome == "failed" for day in now.days)
        limit = failed + 1 if options.continue_on_failures else options.max_failed_days
        if failed >= limit and any(day.state == "queued" for day in now.days):
            internals.cancel(backfill_id)
            say(f"Stopped after {count(failed, 'failed day')}: no other day starts{_still_runs(now)}.")
        elif reason := _why_it_waits(options, now):
            say(f"{totals(now.days)}. {reason}")
            return 1
        elif stop.wait(POLL_SECONDS):
            internals.set_paused(backfill_id, True)
            now = internals.progress(backfill_id, dag.zone)
            say(f"Interrupted: backfill {backfill_id} is paused{_still_runs(now)}. {_ways(options)}")
            return INTERRUPTED
    internals.close_finished(options.dag_id)
    say(f"Backfill {backfill_id}: {totals(now.days)} in {time.monotonic() - began:.0f} s.")
    if all(day.outcome == "success" for day in now.days):
        return 0
    say("When the cause is mended, the same command with --rerun-failed-tasks runs what failed.")
    return 1


def _tell_ended(options: Options, now: Progress, told: dict[str, datetime | None]) -> None:
    """One line for each day that has ended and is not told yet. One that was cleared meanwhile ends once more."""
    for day in now.days:
        if day.is_over and day.outcome != "not started" and (day.name not in told or told[day.name] != day.ended):
            told[day.name] = day.ended
            say(_line(options.dag_id, day))


def _line(dag_id: str, day: Day) -> str:
    if day.run_id is None:
        return f"{day.name}  deleted by somebody"
    took = f"{(day.ended - day.started).total_seconds():.0f} s" if day.ended and day.started else ""
    what = internals.outcome(dag_id, day.run_id, failed=day.state == "failed")
    return f"{day.name}  {day.state:<7}  {took:>6}  {what}".rstrip()


def _why_it_waits(options: Options, now: Progress) -> str | None:
    """Why the days that are left will not run by themselves, and what to do."""
    if now.dag_paused:
        return (
            f"{options.dag_id} is paused or gone, by somebody or by Airflow after several failed runs in a row: mend "
            f"the cause and `airflow dags unpause {options.dag_id}`. {_ways(options)}"
        )
    if now.paused and not any(day.state == "running" for day in now.days):
        return f"Backfill {now.id} was paused by somebody. {_ways(options)}"
    return None


def _ways(options: Options) -> str:
    return f"The same command goes on with it, `airflow dags backfill {options.dag_id} --cancel` gives it up."


def _still_runs(now: Progress) -> str:
    running = [day.name for day in now.days if day.state == "running"]
    return f"; {names(running)} runs to its end" if running else ""


def _give_up(dag_id: str) -> int:
    active = internals.active_backfill(dag_id, internals.dag_of(dag_id).zone)
    if active is None:
        raise RefusedError(f"{dag_id} has no active backfill to cancel")
    internals.cancel(active.id)
    waiting = count(sum(day.state == "queued" for day in active.days))
    say(f"Backfill {active.id} of {dag_id} is given up: {waiting} not started{_still_runs(active)}.")
    return 0


def say(text: str) -> None:
    """One line, at once: somebody watches, or a log is written."""
    print(text, flush=True)


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    """An event that Ctrl-C or SIGTERM sets: an interruption would fall into a step, or into Airflow's database."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
