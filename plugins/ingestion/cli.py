"""The commands of this package as Airflow's command line knows them. Loaded by every `airflow` call: keep it light."""

import argparse

from airflow.cli import cli_config
from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand

DESCRIPTION = """\
Run a DAG for the days of a range, wait, and say what became of each day.

The runs are those of Airflow's own backfill: the scheduler does the work, and they appear as such in the UI. A day that
has succeeded is left alone unless --reset-dagruns asks for it. Interrupted (Ctrl-C), the command pauses the backfill;
the same command resumes it, also after the terminal was closed. Exit code: 0 when every day has succeeded, 1 when one
has not or nothing could be started, 2 for an option that does not exist, 130 when interrupted.
"""


def commands() -> list[CLICommand]:
    """`airflow ingestion ...`, for the provider entry point."""
    return [GroupCommand("ingestion", "Manage file ingestion", (backfill_command(),))]


def add_dags_backfill() -> None:
    """Add `airflow dags backfill` to Airflow's own `dags` commands, unless they have it."""
    place, group = next((item for item in enumerate(cli_config.core_commands) if item[1].name == "dags"), (0, None))
    if group is None:
        raise LookupError("this Airflow has no group of commands `dags`")
    if all(command.name != "backfill" for command in group.subcommands):
        extended = group._replace(subcommands=(*group.subcommands, backfill_command()))
        cli_config.core_commands[place] = extended


def backfill_command() -> ActionCommand:
    """The command `backfill` of either group."""
    return ActionCommand(
        name="backfill",
        help="Run a DAG for the days of a range and wait for them",
        description=DESCRIPTION,
        func=_backfill,
        args=(
            Arg(("dag_id",), help="The id of the DAG"),
            Arg(
                ("-s", "--start-date"),
                help="First day, YYYY-MM-DD in the DAG's time zone, or a time. Alone: this one day",
                metavar="DATE",
            ),
            Arg(("-e", "--end-date"), help="Last day, included", metavar="DATE"),
            _flag("--rerun-failed-tasks", help="Also run the days again whose latest run has failed"),
            _flag(
                "--reset-dagruns",
                help="Run every day anew, also those that have succeeded; asks before it clears their runs",
            ),
            Arg(
                ("-c", "--conf"),
                help="Configuration of the runs, a JSON object (default: a run that is run again keeps the one it had)",
                metavar="JSON",
            ),
            _flag("-n", "--dry-run", help="Only show what would happen to each day"),
            _flag("--cancel", help="Give up the active backfill of this DAG"),
            _flag("-B", "--run-backwards", help="The latest day first"),
            _number("--max-active-runs", 1, help="Days at the same time (default: 1, which is fair to live runs)"),
            _number("--max-failed-days", 3, help="Stop after this many failed days (default: 3)"),
            _flag("--continue-on-failures", help="Never stop for failed days"),
            _flag("-y", "--yes", help="Do not ask before runs are cleared"),
            cli_config.ARG_VERBOSE,
        ),
    )


def _flag(*names: str, help: str) -> Arg:
    return Arg(names, help=help, action="store_true")


def _number(name: str, default: int, help: str) -> Arg:
    return Arg((name,), help=help, type=cli_config.positive_int(allow_zero=False), default=default, metavar="N")


def _backfill(args: argparse.Namespace) -> None:
    # Airflow's database models load here, not with every command.
    from ingestion.backfill.command import backfill

    backfill(args)
