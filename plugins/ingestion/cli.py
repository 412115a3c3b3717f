"""The commands of this package as Airflow's command line knows them. Loaded by every `airflow` call: keep it light."""

import argparse
from collections.abc import Sequence
from typing import Any

from airflow.cli import cli_config
from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand

from ingestion.backfill.options import MAX_FAILED_DAYS

DESCRIPTION = """\
Run a DAG for the days of a range, wait, and say what became of each day.

The runs are those of Airflow's own backfill: the scheduler does the work, and they appear as such in the UI. A day that
has succeeded is left alone unless --reset-dagruns asks for it. Interrupted (Ctrl-C), the command pauses the backfill;
the same command resumes it, also after the terminal was closed. Exit code: 0 when every day has succeeded, 1 when one
has not or nothing could be started, 2 for an option that does not exist, 130 when interrupted.
"""

# Options of Airflow 2, each with what to do instead.
REMOVED = {
    ("-t", "--task-regex"): "a backfill runs whole days; `airflow tasks clear -t REGEX` runs single tasks again",
    ("-x", "--donot-pickle"): "Airflow no longer pickles DAGs; leave it out",
    ("--pool",): "set `pool` on the tasks of the DAG",
    ("--delay-on-limit",): "the scheduler waits by itself; limit the runs with --max-active-runs",
    ("-l", "--local"): "the scheduler's executor runs the tasks; leave it out",
    ("-m", "--mark-success"): "mark runs as success in the UI, or by the REST API",
    ("-i", "--ignore-dependencies"): "run single tasks again with `airflow tasks clear`",
    ("-I", "--ignore-first-depends-on-past"): "a task without an earlier run does not wait; leave it out",
    ("--disable-retry",): "set `retries` on the tasks of the DAG",
    ("-S", "--subdir"): "the scheduler runs the DAG it knows; leave it out",
    ("--treat-dag-id-as-regex", "--treat-dag-as-regex"): "run the command once for each DAG",
}


class RemovedOption(argparse.Action):
    """Ends the command with what to do instead of an option that Airflow 2 had."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """End the command."""
        instead = REMOVED[tuple(self.option_strings)]
        parser.exit(2, f"{option_string} no longer exists in Airflow 3: {instead}.\n")


def commands() -> list[CLICommand]:
    """`airflow ingestion ...`, for the provider entry point."""
    return [GroupCommand("ingestion", "Manage file ingestion", (backfill_command(),))]


def add_dags_backfill() -> None:
    """Add `airflow dags backfill` to Airflow's own `dags` commands, unless they have it."""
    groups = {group.name: place for place, group in enumerate(cli_config.core_commands)}
    if "dags" not in groups:
        raise LookupError("this Airflow has no group of commands `dags`")
    group = cli_config.core_commands[groups["dags"]]
    if all(command.name != "backfill" for command in group.subcommands):
        extended = group._replace(subcommands=(*group.subcommands, backfill_command()))
        cli_config.core_commands[groups["dags"]] = extended


def backfill_command() -> ActionCommand:
    """The command `backfill` of either group."""
    return ActionCommand(
        name="backfill",
        help="Run a DAG for the days of a range and wait for them",
        description=DESCRIPTION,
        func=_backfill,
        args=(
            Arg(("dag_id",), help="The id of the DAG"),
            *_what_to_run(),
            *_how_to_run(),
            *(
                Arg(flags, help=argparse.SUPPRESS, action=RemovedOption, nargs="?", default=argparse.SUPPRESS)
                for flags in REMOVED
            ),
        ),
    )


def _what_to_run() -> tuple[Arg, ...]:
    return (
        Arg(
            ("-s", "--start-date"),
            help="First day, YYYY-MM-DD in the DAG's time zone, or a time. Alone: this one day",
            metavar="DATE",
        ),
        Arg(("-e", "--end-date"), help="Last day, included", metavar="DATE"),
        Arg(("--rerun-failed-tasks",), help="Also run the days again whose latest run has failed", action="store_true"),
        Arg(
            ("--reset-dagruns",),
            help="Run every day anew, also those that have succeeded; asks before it clears their runs",
            action="store_true",
        ),
        Arg(
            ("-c", "--conf"),
            help="Configuration of the runs, a JSON object (default: a run that is run again keeps the one it had)",
            metavar="JSON",
        ),
        Arg(("-n", "--dry-run"), help="Only show what would happen to each day", action="store_true"),
        Arg(("--cancel",), help="Give up the active backfill of this DAG", action="store_true"),
    )


def _how_to_run() -> tuple[Arg, ...]:
    count = cli_config.positive_int(allow_zero=False)
    return (
        Arg(("-B", "--run-backwards"), help="The latest day first", action="store_true"),
        Arg(
            ("--max-active-runs",),
            help="Days at the same time (default: 1, which is fair to live runs)",
            type=count,
            default=1,
            metavar="N",
        ),
        Arg(
            ("--max-failed-days",),
            help=f"Stop after this many failed days (default: {MAX_FAILED_DAYS})",
            type=count,
            default=MAX_FAILED_DAYS,
            metavar="N",
        ),
        Arg(("--continue-on-failures",), help="Never stop for failed days", action="store_true"),
        Arg(("-y", "--yes"), help="Do not ask before runs are cleared", action="store_true"),
        cli_config.ARG_VERBOSE,
    )


def _backfill(args: argparse.Namespace) -> None:
    # Airflow's database models load here, not with every command.
    from ingestion.backfill.command import backfill

    backfill(args)
