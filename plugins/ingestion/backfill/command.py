"""The command: what is refused, what is shown, what is started, and the wait for it."""

import argparse
import signal
import sys
import time
from datetime import UTC, datetime, tzinfo
from functools import partial
from threading import Event

from ingestion.backfill import internals
from ingestion.backfill.days import Day, PlannedDay, count, name_of, names, totals
from ingestion.backfill.internals import Progress
from ingestion.backfill.options import Options, RefusedError

POLL_SECONDS = 1.0
INTERRUPTED = 130
# Each line at once: somebody watches, or a log is written.
say = partial(print, flush=True)


@internals.airflow_command
def backfill(args: argparse.Namespace) -> None:
    """Run the command; ends the process with its exit code."""
    try:
        sys.exit(_give_up(args.dag_id) if args.cancel else _run(Options.of(args)))
    except RefusedError as refusal:
        print("Nothing done:", *str(refusal).split(), file=sys.stderr)  # in one line, whatever Airflow has to say
        sys.exit(1)
    except (KeyboardInterrupt, EOFError):
        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _run(options: Options) -> int:
    zone = internals.zone_of(options.dag_id)
    planned = internals.planned_days(options, zone)
    if not any(day.is_over for day in planned):
        raise RefusedError(f"{options.dag_id} has no day in {options.range} that is over")
    active = internals.active_backfill(options.dag_id, zone)
    if options.dry_run or not (active or any(day.attempted for day in planned)):
        say(f"{options.dag_id}, {options.range}: nothing is started.")
        all_done = _tell_fates(planned)
        return int(not (options.dry_run or all_done))
    _refuse_what_would_wait(options, zone, active)
    if active is None:
        _confirm(options, planned)
    stop = _stop_signal()
    backfill_id = active.id if active else internals.create(options, zone)
    internals.set_paused(backfill_id, False)
    now = internals.progress(backfill_id, zone)
    to_run = count(sum(not day.is_over for day in now.days))
    say(f"Backfill {backfill_id} of {options.dag_id}{' goes on' if active else ''}: {to_run} to run, {options.range}")
    its_days = {day.name for day in now.days}
    others_done = _tell_fates([day for day in planned if day.name not in its_days])
    return _follow(options, zone, backfill_id, stop) or int(not others_done)


def _refuse_what_would_wait(options: Options, zone: tzinfo, active: Progress | None) -> None:
    """Raises RefusedError when the days could not run now, or another backfill is under way."""
    if active is not None and active.asked != options.asked(zone):
        first, last, reprocess, at_a_time, _ = active.asked
        raise RefusedError(
            f"backfill {active.id} of {options.dag_id} ({name_of(first, zone)} to {name_of(last, zone)}, "
            f"{reprocess} reprocessed, {at_a_time} at a time) is not over: the command with its range and options, "
            "--conf too, goes on with it, --cancel gives it up"
        )
    if reason := _why_it_waits(options, None):
        raise RefusedError(reason)
    if not internals.scheduler_alive():
        raise RefusedError("no scheduler is running, the days would wait for ever: start one (`airflow scheduler`)")


def _tell_fates(planned: list[PlannedDay]) -> bool:
    """Say what becomes of each day; returns whether all that are over have succeeded."""
    for day in planned:
        say(f"{day.name}  {day.fate}")
    return all(day.state == "success" for day in planned if day.is_over)


def _confirm(options: Options, planned: list[PlannedDay]) -> None:
    """Ask before runs are cleared that --reset-dagruns names but no person has seen. Raises RefusedError."""
    existing = sum(day.attempted and day.state is not None for day in planned)
    if not options.reset_dagruns or options.yes or not existing:
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"--reset-dagruns would clear {count(existing, 'run')} and nobody can be asked: add --yes")
    answer = input(f"{count(existing, 'run')} of {options.dag_id} will be cleared and run anew. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was cleared")


def _stop_signal() -> Event:
    """An event that Ctrl-C or SIGTERM sets: an interruption would fall into a step, or into Airflow's database."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _follow(options: Options, zone: tzinfo, backfill_id: int, stop: Event) -> int:
    """Wait until all its days have ended, it cannot go on, or it is asked to stop; returns the exit code."""
    began, alive = time.monotonic(), True
    told: set[Day] = set()
    passed_over: set[str] = set()
    while True:
        now = internals.progress(backfill_id, zone)
        _tell_ended(options, now, told)
        if all(day.is_over for day in now.days):
            break
        if alive != internals.scheduler_alive():
            alive = not alive
            say("A scheduler runs again." if alive else "No scheduler is running: the days wait for one.")
        if alive:
            _tell_passed_over(now, passed_over)
        failed = sum(day.outcome == "failed" for day in now.days)
        too_many = failed >= options.max_failed_days and not options.continue_on_failures
        if too_many and any(day.state == "queued" for day in now.days):
            internals.cancel(backfill_id)
            say(f"Stopped after {count(failed, 'failed day')}: no other day starts{_still_runs(now)}.")
        elif reason := _why_it_waits(options, now):
            say(f"{totals(now.days)}. {reason}. {_ways(options)}")
            return 1
        elif stop.wait(POLL_SECONDS):
            internals.set_paused(backfill_id, True)
            now = internals.progress(backfill_id, zone)
            say(f"Interrupted: backfill {backfill_id} is paused{_still_runs(now)}. {_ways(options)}")
            return INTERRUPTED
    if now.is_over:
        internals.close(backfill_id)
    say(f"Backfill {backfill_id}: {totals(now.days)} in {time.monotonic() - began:.0f} s.")
    if all(day.outcome == "success" for day in now.days):
        return 0
    say("When the cause is mended, the same command with --rerun-failed-tasks runs what failed.")
    return 1


def _tell_ended(options: Options, now: Progress, told: set[Day]) -> None:
    """One line for each day that has ended and is not told yet. One that was cleared meanwhile ends once more."""
    for day in now.days:
        if day.is_over and day.outcome != "not started" and day not in told:
            told.add(day)
            took = f"{(day.ended - day.started).total_seconds():.0f} s" if day.ended and day.started else ""
            result = internals.outcome(options.dag_id, day)
            say(f"{day.name}  {day.outcome:<7}  {took:>6}  {result}".rstrip())


def _tell_passed_over(now: Progress, told: set[str]) -> None:
    """Say of each day once that it runs but that no scheduler gets to it."""
    found = [day.name for day in now.days if day.is_passed_over(datetime.now(UTC)) and day.name not in told]
    told.update(found)
    if found:
        say(
            f"{names(found)}: running, but nothing scheduled for two minutes. In each round a scheduler looks at "
            "[scheduler] max_dagruns_per_loop_to_schedule runs, at those of backfills last: set it above the number of "
            "runs that run at once, of which each feed has one that waits."
        )


def _why_it_waits(options: Options, now: Progress | None) -> str | None:
    """Why days will not run by themselves, and what to do. `now` is of the backfill that is under way."""
    if internals.dag_waits(options.dag_id):
        return f"{options.dag_id} is paused or gone, its runs wait: `airflow dags unpause {options.dag_id}`"
    if now and now.paused and not any(day.state == "running" for day in now.days):
        return f"Backfill {now.id} was paused by somebody"
    return None


def _ways(options: Options) -> str:
    return f"The same command goes on with it, `airflow dags backfill {options.dag_id} --cancel` gives it up."


def _still_runs(now: Progress) -> str:
    running = [day.name for day in now.days if day.state == "running"]
    return f"; {names(running)} runs to its end" if running else ""


def _give_up(dag_id: str) -> int:
    active = internals.active_backfill(dag_id, internals.zone_of(dag_id))
    if active is None:
        raise RefusedError(f"{dag_id} has no active backfill to cancel")
    internals.cancel(active.id)
    waiting = count(sum(day.state == "queued" for day in active.days))
    say(f"Backfill {active.id} of {dag_id} is given up: {waiting} not started{_still_runs(active)}.")
    return 0
