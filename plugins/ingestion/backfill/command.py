"""The command: what is refused, what is shown, what is started; following.py waits."""

import argparse
import difflib
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from threading import Event
from types import FrameType

from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from ingestion.backfill.days import Fate, PlannedDay, count, name_of, names, table
from ingestion.backfill.following import INTERRUPTED, Following, cancel_line, say
from ingestion.backfill.internals import backfills, dags
from ingestion.backfill.internals.backfills import ActiveBackfill
from ingestion.backfill.internals.dags import DagFacts
from ingestion.backfill.options import Options, RefusedError


@action_cli
@suppress_logs_and_warning
@providers_configuration_loaded
def backfill(args: argparse.Namespace) -> None:
    """Run the command; ends the process with its exit code."""
    try:
        sys.exit(_give_up(args.dag_id) if args.cancel else _run(args))
    except RefusedError as refusal:
        print(f"Nothing done: {refusal}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, EOFError):
        print("Interrupted: nothing was started.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _run(args: argparse.Namespace) -> int:
    options = Options.of(args, group=sys.argv[1])
    dag = _backfillable(options.dag_id)
    planned = dags.planned_days(options, dag.zone)
    _refuse_empty(options, dag, planned)
    if options.dry_run:
        return _show(options, dag, planned)
    active = backfills.active_backfill(options.dag_id, dag.zone)
    if active is None and not any(day.attempted for day in planned):
        return _nothing_to_do(options, planned)
    for obstacle in _obstacles(options, dag, active):
        raise RefusedError(obstacle)
    if active is None:
        _confirm(options, planned)
    with _asked_to_stop() as stop:
        if active is None:
            backfill_id = dags.create(options, dag.zone)
            days = count(sum(day.attempted for day in planned))
            say(f"Backfill {backfill_id} of {options.dag_id}: {days} to run, {options.range()}")
            _tell_unfinished(planned)
        else:
            backfill_id = active.id
            backfills.set_paused(backfill_id, False)
            say(f"Backfill {backfill_id} of {options.dag_id} goes on: {count(active.left)} to go, {options.range()}")
        try:
            return Following(options, dag.zone, backfill_id, stop).to_the_end()
        except KeyboardInterrupt:  # the second one, which does not wait for the first to be carried out
            say(f"Interrupted at once: backfill {backfill_id} may go on in Airflow.")
            say(f"Follow it: {options.command_line()}")
            say(f"Give up: {cancel_line(options)}")
            return INTERRUPTED


def _backfillable(dag_id: str) -> DagFacts:
    """The facts of a DAG that can be backfilled at all. Raises RefusedError."""
    dag = dags.dag_facts(dag_id)
    if dag is None:
        existing = dags.dag_ids()
        near = difflib.get_close_matches(dag_id, existing, n=3) or existing
        raise RefusedError(f"there is no DAG {dag_id}; there is: {names(near) if near else 'none at all'}")
    if dag.broken:
        raise RefusedError(f"the file of {dag_id} cannot be imported: see `airflow dags list-import-errors`")
    if dag.stale:
        raise RefusedError(
            f"{dag_id} is no longer in the DAGs folder: see `airflow dags list` and `list-import-errors`"
        )
    if not dag.periodic:
        raise RefusedError(
            f"the schedule of {dag_id} ({dag.schedule}) has no days to backfill: start a run with "
            f"`airflow dags trigger {dag_id}`"
        )
    if not dag.allowed:
        raise RefusedError(f"{dag_id} does not allow backfill runs: see `allowed_run_types` in its file")
    return dag


def _refuse_empty(options: Options, dag: DagFacts, planned: Sequence[PlannedDay]) -> None:
    if not planned:
        raise RefusedError(f"the schedule of {options.dag_id} ({dag.schedule}) has no run in {options.range()}")
    if all(day.fate is Fate.UNFINISHED for day in planned):
        first = min(planned, key=lambda day: day.over)
        raise RefusedError(
            f"{first.name} is not over yet: what comes in during it is loaded live, and it can be backfilled from "
            f"{first.over.astimezone(dag.zone):%Y-%m-%d %H:%M %Z} on. `airflow dags trigger {options.dag_id}` takes "
            "what is there now"
        )


def _obstacles(options: Options, dag: DagFacts, active: ActiveBackfill | None) -> Iterator[str]:
    """What keeps a backfill from being started at this moment."""
    if active is not None and not _is_the_same(active, options, dag):
        state = "is paused" if active.paused else "runs"
        days = f"{name_of(active.first, dag.zone)} to {name_of(active.last, dag.zone)}"
        yield (
            f"backfill {active.id} of {options.dag_id} ({days}, {active.reprocess} reprocessed, "
            f"{active.max_active_runs} at a time) {state}, {count(active.left)} to go: the command with "
            f"its range and options goes on with it, `{cancel_line(options)}` gives it up"
        )
    if dag.paused:
        yield f"{options.dag_id} is paused, its runs would wait for ever: `airflow dags unpause {options.dag_id}`"
    if not backfills.scheduler_alive():
        yield "no scheduler is running, the days would wait for ever: start one (`airflow scheduler`)"


def _is_the_same(active: ActiveBackfill, options: Options, dag: DagFacts) -> bool:
    asked = (*options.bounds(dag.zone), options.reprocess, options.conf or None, options.max_active_runs)
    found = (active.first, active.last, active.reprocess, active.conf or None, active.max_active_runs)
    return asked == found and active.backwards in (None, options.backwards)


def _show(options: Options, dag: DagFacts, planned: Sequence[PlannedDay]) -> int:
    say(f"{options.dag_id}, {options.range()}: what a backfill would do. Nothing is started.")
    for line in table(planned):
        say(line)
    active = backfills.active_backfill(options.dag_id, dag.zone)
    for obstacle in _obstacles(options, dag, active):
        say(f"It could not start now: {obstacle}")
    return 0


def _nothing_to_do(options: Options, planned: Sequence[PlannedDay]) -> int:
    _tell_unfinished(planned)
    left = [day for day in planned if day.fate is not Fate.UNFINISHED]
    others = [day for day in left if day.fate is not Fate.SUCCEEDED]
    if not others:
        each = "the day" if len(left) == 1 else f"each of the {len(left)} days"
        say(f"Nothing to do: {each} of {options.range()} has already succeeded (--reset-dagruns runs anew).")
        return 0
    for line in table(others):
        say(line)
    if any(day.fate is Fate.FAILED for day in others):
        say(f"Nothing was started. To run what failed again: {options.command_line(rerun_failed=True)}")
    elif any(day.fate is Fate.RUNNING for day in others):
        say("Nothing was started: wait for the runs that are on their way, then give the command again.")
    else:
        say("Nothing was started.")
    return 1


def _tell_unfinished(planned: Sequence[PlannedDay]) -> None:
    left_out = [day.name for day in planned if day.fate is Fate.UNFINISHED]
    if left_out:
        say(f"{count(len(left_out))} left out, not over yet: {names(left_out)}")


def _confirm(options: Options, planned: Sequence[PlannedDay]) -> None:
    """Ask before runs are cleared that --reset-dagruns names but no person has seen. Raises RefusedError."""
    cleared = count(sum(day.fate is Fate.AGAIN for day in planned), "existing run")
    if options.reprocess != "completed" or options.yes or cleared.startswith("0 "):
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"--reset-dagruns would clear {cleared} and nobody can be asked here: add --yes")
    answer = input(f"{cleared} of {options.dag_id} will be cleared and run anew. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was cleared")


def _give_up(dag_id: str) -> int:
    facts = dags.dag_facts(dag_id)
    zone = facts.zone if facts else UTC
    active = backfills.active_backfill(dag_id, zone)
    if active is None:
        raise RefusedError(f"{dag_id} has no active backfill to cancel")
    backfills.cancel(active.id)
    running = f"; {names(active.running)} runs to its end" if active.running else ""
    say(f"Backfill {active.id} of {dag_id} is given up: {count(len(active.waiting))} not started{running}.")
    return 0


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    """An event that Ctrl-C or SIGTERM sets, so that neither falls between two steps. The second one ends at once."""
    stop = Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in signals:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
