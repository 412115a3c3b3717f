"""The commands of this package as Airflow's command line knows them. Loaded by every `airflow` call: keep it light."""

from functools import partial
from pathlib import Path

from airflow.cli import cli_config
from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand

BACKFILL = """\
Run a DAG for the days of a range by Airflow's own backfill, wait, and say what became of each day.

A day that has succeeded is left alone unless --reset-dagruns asks for it. Ctrl-C pauses the backfill; the same command
resumes it, also after the terminal was closed. Exit code: 0 when every day has succeeded, 1 when one has not or nothing
could be started, 2 for an option that does not exist, 130 when interrupted.
"""
FEEDS_CHECK = """\
Say of each feed file whether it is right: one line for a file that is, else a line for each problem.

Without file names it judges those in the folder feeds/ of Airflow's DAGs folder. It needs no database, no bucket and
no Databricks. Exit code: 0 when all are right, 1 when one is not or there is none, 2 for an option that does not exist.
"""
CHECK = """\
Say of each thing that the pipeline needs whether it is there and works: feeds, settings, Airflow, alerts, bucket,
Databricks. One line each: ok, warn or FAIL, both with what to do, or skipped, with why.

It sees the variables of this shell, which should be those of Airflow's components. It starts a Databricks run of the
job check.py unless --no-run is given, and leaves nothing behind in bucket, schema or Airflow.
Exit code: 0 when nothing FAILs, 1 when something does, 2 for an option that does not exist, 130 when interrupted.
"""


def commands() -> list[CLICommand]:
    """`airflow ingestion ...`, for the provider entry point."""
    feeds = GroupCommand("feeds", "The definitions of feeds", (feeds_check_command(),))
    everything = (backfill_command(), check_command(), feeds)
    return [GroupCommand("ingestion", "Manage file ingestion", everything)]


def add_dags_backfill() -> None:
    """Add `airflow dags backfill` to Airflow's own `dags` commands, unless they have it."""
    place = [command.name for command in cli_config.core_commands].index("dags")
    group = cli_config.core_commands[place]
    if all(command.name != "backfill" for command in group.subcommands):
        cli_config.core_commands[place] = group._replace(subcommands=(*group.subcommands, backfill_command()))


def backfill_command() -> ActionCommand:
    """The command `backfill` of either group."""
    date = partial(Arg, metavar="DATE")
    flag = partial(Arg, action="store_true")
    number = partial(Arg, type=cli_config.positive_int(allow_zero=False), metavar="N")
    return ActionCommand(
        name="backfill",
        help="Run a DAG for the days of a range and wait for them",
        description=BACKFILL,
        func=cli_config.lazy_load_command("ingestion.backfill.command.backfill"),
        args=(
            Arg(("dag_id",), help="The id of the DAG"),
            date(("-s", "--start-date"), help="First day (YYYY-MM-DD) or time in the DAG's time zone; alone: one day"),
            date(("-e", "--end-date"), help="Last day, included"),
            flag(("--rerun-failed-tasks",), help="Also run the days again whose latest run has failed"),
            flag(("--reset-dagruns",), help="Run every day anew, succeeded ones too; asks before it clears runs"),
            Arg(("-c", "--conf"), metavar="JSON", help="Configuration of runs (default: one run again keeps its own)"),
            flag(("-n", "--dry-run"), help="Only show what would happen to each day"),
            flag(("--cancel",), help="Give up the active backfill of this DAG"),
            flag(("-B", "--run-backwards"), help="The latest day first"),
            number(("--max-active-runs",), default=1, help="Days at the same time (default: 1, fair to live runs)"),
            number(("--max-failed-days",), default=3, help="Stop after this many failed days (default: 3)"),
            flag(("--continue-on-failures",), help="Never stop for failed days"),
            flag(("-y", "--yes"), help="Do not ask before runs are cleared"),
            cli_config.ARG_VERBOSE,
        ),
    )


def check_command() -> ActionCommand:
    """The command `check`."""
    return ActionCommand(
        name="check",
        help="Say whether everything is there that the pipeline needs, and works",
        description=CHECK,
        func=cli_config.lazy_load_command("ingestion.checks.command.check"),
        args=(
            Arg(("folder",), nargs="?", type=Path, help="Folder of DAG files with feeds/ (default: the DAGs folder)"),
            Arg(
                ("--no-run",), dest="run", action="store_false", help="Start no Databricks run, which may take minutes"
            ),
            cli_config.ARG_VERBOSE,
        ),
    )


def feeds_check_command() -> ActionCommand:
    """The command `feeds check`."""
    return ActionCommand(
        name="check",
        help="Say whether feed files are right",
        description=FEEDS_CHECK,
        func=cli_config.lazy_load_command("ingestion.check_feeds.check_feeds"),
        args=(Arg(("file",), nargs="*", type=Path, help="A feed's YAML file (default: all of the DAGs folder)"),),
    )
